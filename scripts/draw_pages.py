"""Take the pictures of docs/report.md and docs/tensorboard.md again, from a comparison and from runs.

Run in the root of the repository (a minute; needs the extras report and dev, chromium and chromedriver):

    python scripts/draw_pages.py report COMPARISON [--output docs/report] [--file NAME]
    python scripts/draw_pages.py tensorboard RUNS [--output docs/tensorboard]

COMPARISON is a folder of `recon-monai compare`, whose report is written anew: overview.png, viewer.png (k-space,
measured where there is some) and volumes.png, as far as the comparison has such files. RUNS is a folder of trainings,
such as bundles/universal_varnet/eval/RUN: curves.png and panels.png. A page that writes an error to its console is
refused.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from headless import open_browser

from recon_monai.evaluation.report import write_report

CURVES = (
    "train_loss",
    "reconstruction_loss",
    "distillation_loss",
    "gradient_norm",
    "items_per_second",
    "share_waiting_for_data",
    "val_ssim",
    "val_ssim/",
    "val_psnr",
    "data_consistency/",
    "aspin_gamma/",
    "learning_rate",
)
"""Tags, and beginnings of tags of which the first is taken."""

PLAIN = """
const boxes = [...document.querySelectorAll('mat-checkbox')];
const box = boxes.find((one) => one.textContent.includes('Enable step selection'));
if (box && box.querySelector('input').checked) box.querySelector('input').click();
const settings = [...document.querySelectorAll('button')].find((one) => one.textContent.trim() === 'Settings');
if (document.querySelector('settings-view') && settings) settings.click();
"""
"""Takes the marks of a step and the settings out of TensorBoard's page, which stores neither in its address."""

SECONDS = 120


def draw_report(comparison: Path, output: Path, file: str | None) -> list[Path]:
    """Pictures of a report.

    Args:
        comparison: folder.
        output: folder of the pictures.
        file: shown in viewer.png; None shows what the list begins with, the worst.

    Returns:
        What was written.
    """
    with tempfile.TemporaryDirectory() as place:
        page = write_report(comparison, Path(place) / "report.html").path.resolve()
        with _browser(1400, 900) as browser:
            browser.get(page.as_uri())
            _until(browser, "return document.getElementById('viewer').dataset.case !== undefined")
            written = [_picture(browser, output / "overview.png")]
            kinds = browser.execute_script(
                "return [...document.querySelectorAll('.tabs button')].map((one) => one.dataset.section)"
            )
            kspace = [kind for kind in ("raw", "simulated") if kind in kinds][:1]
            for name, kind in [("viewer", kind) for kind in kspace] + [("volumes", "volume")] * ("volume" in kinds):
                _show(browser, kind, file if name == "viewer" else None)
                written.append(_picture(browser, output / f"{name}.png"))
    return written


def draw_tensorboard(runs: Path, output: Path) -> list[Path]:
    """Pictures of TensorBoard.

    Args:
        runs: folder with event files in it or below.
        output: folder of the pictures.

    Returns:
        What was written; no panels where the runs have none.

    Raises:
        ValueError: if the runs hold none of the curves.
    """
    tags = _tags(runs, "scalars")
    found = [
        next((tag for tag in tags if tag == name or (name[-1] == "/" and tag.startswith(name))), "") for name in CURVES
    ]
    pins = [{"plugin": "scalars", "tag": tag} for tag in found if tag]
    if not pins:
        raise ValueError(
            f"{runs}: no event file below it has any of {', '.join(CURVES)}; give the folder of a training"
        )
    rows = (len(pins) + 2) // 3
    with _tensorboard(runs) as address:
        with _browser(1500, 180 + 335 * rows) as browser:
            browser.get(f"{address}/?smoothing=0&pinnedCards={quote(json.dumps(pins))}#timeseries")
            _until(browser, f"return document.querySelectorAll('card-view svg').length >= {len(pins)}")
            browser.execute_script(PLAIN)
            written = [_picture(browser, output / "curves.png", pause=4)]
        if not any(tag.startswith("panels/") for tag in _tags(runs, "images")):
            return written
        with _browser(1500, 860) as browser:
            browser.get(f"{address}/?tagFilter={quote('^panels/')}#timeseries")
            _until(browser, "return [...document.querySelectorAll('image-card img')].some((one) => one.complete)")
            browser.execute_script(PLAIN)
            written.append(_picture(browser, output / "panels.png", pause=4))
    return written


def _show(browser: Any, kind: str, file: str | None) -> None:
    browser.execute_script("document.querySelector(`.tabs [data-section=${arguments[0]}]`).click()", kind)
    if file is not None:
        chosen = (
            "const buttons = [...document.querySelectorAll('#list button')];"
            "const one = buttons.find((one) => one.textContent.includes(arguments[0]));"
            "if (one) one.click(); return Boolean(one)"
        )
        if not browser.execute_script(chosen, file):
            raise ValueError(f"no file of the list of {kind} data is called {file}")
    browser.execute_script("document.getElementById('files').scrollIntoView()")


def _picture(browser: Any, path: Path, pause: float = 1.0) -> Path:
    """What the window shows, once images are drawn."""
    time.sleep(pause)
    errors = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    if errors:
        raise RuntimeError(f"the page wrote errors to its console: {json.dumps(errors)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    browser.save_screenshot(str(path))
    return path


@contextmanager
def _browser(width: int, height: int) -> Iterator[Any]:
    with tempfile.TemporaryDirectory() as profile:
        browser = open_browser(Path(profile))
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        try:
            yield browser
        finally:
            browser.quit()


def _until(browser: Any, script: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, SECONDS).until(lambda one: one.execute_script(script), f"the page does not: {script}")


def _tags(runs: Path, kind: str) -> list[str]:
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(runs)).Reload()
    return sorted({tag for run in multiplexer.Runs().values() for tag in run[kind]})


@contextmanager
def _tensorboard(runs: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [
        sys.executable,
        "-m",
        "tensorboard.main",
        "--logdir",
        str(runs),
        "--port",
        str(port),
        "--load_fast",
        "false",
    ]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://localhost:{port}"
    try:
        _wait_for(address, process)
        yield address
    finally:
        process.terminate()
        process.wait()


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    """Until the server knows a run, which it reads after it has begun to answer."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/data/runs") as answer:
                if json.load(answer):
                    return
        except OSError:
            pass
        time.sleep(0.5)
    raise RuntimeError(f"TensorBoard did not answer with a run within {SECONDS} seconds")


def main() -> None:
    """Read the command, say what was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", choices=("report", "tensorboard"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--file", help="shown in viewer.png, for example brain-10_AXT2.h5")
    options = parser.parse_args()
    output = options.output or Path("docs") / options.page
    if options.page == "report":
        written = draw_report(options.folder, output, options.file)
    else:
        written = draw_tensorboard(options.folder, output)
    print("\n".join(f"wrote {path}" for path in written))


if __name__ == "__main__":
    main()
