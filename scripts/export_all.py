"""Export all bundles in both forms, install a fresh environment from each one's metadata, and run them there.

    python scripts/export_all.py --work exported

An environment is made by `python -m venv` and one call of pip with the packages that metadata.json names, at the
versions of constraints.txt below them. Exports whose metadata name the same packages share one; an environment that an
earlier call finished is used again if --reuse is given. Nothing but the exports is on Python's path, and each runs in
an empty folder. What was found goes into docs/exporting.md, between the lines that mark the generated part.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from export_runs import Outcome, run_exported

from recon_monai.sharing import export_bundle, requirement_lines

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "exporting.md"
BEGIN, END = "<!-- made by scripts/export_all.py -->", "<!-- end -->"
FORMS = ("pinned", "vendored")


@dataclass(frozen=True)
class Result:
    """One export, and how it ran."""

    bundle: str
    form: str
    archive: Path
    modules: int
    environment: str
    outcomes: dict[str, Outcome]


def main() -> None:
    """Export, install, run, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for exports, environments and results")
    parser.add_argument("--bundles", nargs="+", default=sorted(path.name for path in (ROOT / "bundles").iterdir()))
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--reuse", action="store_true", help="use environments that an earlier call finished")
    parser.add_argument("--document", type=Path, default=DOCUMENT, help="file whose generated part is replaced")
    given = parser.parse_args()
    work = given.work.resolve()
    began = time.monotonic()
    exports = {(name, form): _export(name, work, form) for form in given.forms for name in given.bundles}
    environments: dict[tuple[str, ...], tuple[str, Path, float]] = {}
    results = []
    for (name, form), archive in exports.items():
        lines = _lines(archive.parent / name)
        if lines not in environments:
            environments[lines] = _environment(f"environment{len(environments) + 1}", work, lines, given.reuse)
        label, python, _ = environments[lines]
        folder = work / "runs" / form / name
        shutil.rmtree(folder, ignore_errors=True)
        print(f"{name}, {form}: running in {label}", flush=True)
        outcomes = run_exported(python, archive.parent / name, folder)
        modules = len(list((archive.parent / name).rglob("*.py")))
        results.append(Result(name, form, archive, modules, label, outcomes))
    _write(given.document, _report(results, environments, time.monotonic() - began))


def _export(name: str, work: Path, form: str) -> Path:
    print(f"{name}, {form}: exporting", flush=True)
    bundle = ROOT / "bundles" / name
    shipped = (bundle / "models" / "model.pt").is_file()
    made = export_bundle(bundle, work / form, form, without_weights=not shipped, overwrite=True)
    return made.archive


def _lines(bundle: Path) -> tuple[str, ...]:
    return tuple(requirement_lines(json.loads((bundle / "configs" / "metadata.json").read_text())))


def _environment(label: str, work: Path, lines: tuple[str, ...], reuse: bool) -> tuple[str, Path, float]:
    """An environment with nothing but these packages; its name, its Python, and the seconds it took."""
    folder = work / label
    stamp, python = folder / "installed.json", folder / "bin" / "python"
    if reuse and stamp.is_file():
        known = json.loads(stamp.read_text())
        if known["lines"] == list(lines):
            return label, python, known["seconds"]
    print(f"{label}: installing {' '.join(lines)}", flush=True)
    began = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, env=environment)
    constraints = ["-c", str(ROOT / "constraints.txt"), "--find-links", str(work / "pinned")]
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-compile", *constraints, *lines]
    subprocess.run(install, check=True, cwd=folder, env=environment)
    seconds = time.monotonic() - began
    stamp.write_text(json.dumps({"lines": list(lines), "seconds": seconds}) + "\n")
    return label, python, seconds


def _report(results: list[Result], environments: dict[tuple[str, ...], tuple[str, Path, float]], seconds: float) -> str:
    lines = [
        f"`python scripts/export_all.py --work exported`, {time.strftime('%Y-%m-%d')}, Python "
        f"{platform.python_version()}, {platform.system()}, CPU only; {seconds / 60:.0f} minutes on a machine that did "
        "other work, too.",
        "",
        "| environment | made from | seconds to install |",
        "|---|---|---|",
    ]
    lines += [
        f"| {label} | `pip install {' '.join(names)}` | {took:.0f} |"
        for names, (label, _, took) in environments.items()
    ]
    lines += [
        "",
        "| bundle | form | zip | Python files | environment | inference | training, one epoch | evaluation |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in results:
        cells = [
            f"{one.outcomes[name].made}, {one.outcomes[name].seconds:.0f} s"
            for name in ("inference", "training", "evaluation")
        ]
        size = f"{one.archive.name}, {one.archive.stat().st_size / 1e6:.1f} MB"
        lines.append(
            f"| `{one.bundle}` | {one.form} | {size} | {one.modules} | {one.environment} | {' | '.join(cells)} |"
        )
    commands = dict.fromkeys(outcome.command for one in results for outcome in one.outcomes.values())
    options = "options for size, data and output as in `scripts/export_runs.py`"
    lines += ["", f"Each ran in an empty folder, `BUNDLE` being an absolute path ({options}):", "", "```text"]
    return "\n".join([*lines, *commands, "```"])


def _write(document: Path, text: str) -> None:
    content = document.read_text(encoding="utf-8")
    before, begin, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{document} has no lines {BEGIN} and {END} to write between")
    document.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
