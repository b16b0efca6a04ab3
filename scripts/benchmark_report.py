"""How long a report of many volumes takes to open: from the click to drawn images, in a headless Chromium.

Run in the root of the repository (a few minutes; needs the extras report and dev, chromium and chromedriver):

    python scripts/benchmark_report.py [--files 50] [--repeats 5] [--output FOLDER]

The images are made up, waves with noise: each file has a target and, for each of six methods, an image and maps of
error, residual and null-space error, 256 x 256 pixels, as many slices as a report that fits into a mail holds. Time is
that of the browser's own clock (`performance.now`) until the first file is drawn, each time in a new page.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from headless import open_browser

from recon_monai import RESEARCH_NOTICE
from recon_monai.evaluation.comparing.described import MethodRecord
from recon_monai.evaluation.comparing.tables import empty_row, write_tables
from recon_monai.evaluation.comparison_maps import write_comparison_map
from recon_monai.evaluation.report import write_report

METHODS = {
    "zero_filled": 0.1,
    "cg_sense": 0.08,
    "l1_wavelet": 0.07,
    "total_variation": 0.06,
    "first": 0.04,
    "second": 0.05,
}
SLICES, SIDE, SUBJECTS, NOISE = 2, 256, 25, 0.01
DRAWN = "return document.getElementById('viewer').dataset.case !== undefined ? performance.now() : null"


def write_folder(folder: Path, files: int) -> None:
    """A folder as `recon-monai compare` writes it, of made-up numbers and noise."""
    random = np.random.default_rng(0)
    (folder / "images").mkdir()
    rows: list[dict[str, Any]] = []
    for number in range(files):
        target = _waves(number) + NOISE * random.standard_normal((SLICES, SIDE, SIDE), np.float32)
        place = f"images/volume_{number:03d}.h5"
        with h5py.File(folder / place, "w") as file:
            file["target"] = target
            for name, level in METHODS.items():
                error = level * _waves(7 * number + 1) + NOISE * random.standard_normal(target.shape, np.float32)
                file[f"methods/{name}"] = target + error
                write_comparison_map(file, "residual", name, np.abs(error) / 2)
                write_comparison_map(file, "null_space", name, np.abs(error) / 3)
        for name, level in METHODS.items():
            quality = 1 - level - 0.02 * random.random()
            rows.append(
                empty_row(
                    file=f"volume_{number:03d}.h5",
                    subject=f"s{number % SUBJECTS}",
                    anatomy=("brain", "knee")[number % 2],
                    contrast=("T1", "T2")[number // 2 % 2],
                    data="simulated",
                    acceleration=(4, 8)[number // 4 % 2],
                    effective_acceleration=4.1,
                    coils=8,
                    method=name,
                    ssim=quality,
                    foreground_ssim=quality,
                    psnr=30 * quality,
                    nmse=level**2,
                    seconds=level,
                    images=place,
                )
            )
    kinds = {name: "bundle" if name in ("first", "second") else "classical" for name in METHODS}
    records = [MethodRecord(name, kinds[name], "made up", None, None, name) for name in METHODS]  # type: ignore[arg-type]
    write_tables(folder, records, rows)


def _waves(number: int) -> np.ndarray:
    """Structures of many sizes, ``(SIDE, SIDE)`` between 0 and 1."""
    place = np.linspace(-1, 1, SIDE, dtype=np.float32)
    phase = (3 + number % 5) * place[:, None] ** 2 + (4 + number % 7) * place[None] ** 2
    return (0.5 + 0.5 * np.cos(6 * phase)).astype(np.float32)


def opening_seconds(page: Path, profile: Path, repeats: int) -> list[float]:
    """Seconds until the first file is drawn, after one opening that does not count; refuses a page with errors."""
    from selenium.webdriver.support.ui import WebDriverWait

    browser = open_browser(profile)
    try:
        seconds = []
        for _ in range(repeats + 1):
            browser.get("about:blank")
            browser.get(page.as_uri())
            seconds.append(WebDriverWait(browser, 60, 0.01).until(lambda one: one.execute_script(DRAWN)) / 1000)
        errors = browser.get_log("browser")
    finally:
        browser.quit()
    if errors:
        raise RuntimeError(f"the page wrote to the console: {json.dumps(errors)}")
    return seconds[1:]


def main() -> None:
    """Write, open, say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, help="where the report is kept; without it, it is not")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "comparison"
        folder.mkdir()
        write_folder(folder, options.files)
        kept = None if options.output is None else options.output / "report.html"
        written = write_report(folder, kept)
        seconds = opening_seconds(written.path.resolve(), Path(place) / "profile", options.repeats)
    print(
        f"{options.files} volumes, {len(METHODS)} methods, {written.max_slices} slice(s) of each, "
        f"{written.size / 1e6:.1f} MB: open and drawn in {statistics.median(seconds):.2f} s "
        f"({min(seconds):.2f} to {max(seconds):.2f}, {len(seconds)} times)"
    )
    print(RESEARCH_NOTICE)


if __name__ == "__main__":
    main()
