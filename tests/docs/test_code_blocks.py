"""Code in the README, the docs and the bundles' READMEs runs; what cannot says why.

Blocks of Python of a page share their names and run in order, in a fresh folder that holds the bundles and a small
made-up scan or volume. Blocks of a shell run where a comment above asks for it, and where they only ask for help. A
comment ``<!-- not run: REASON -->`` right above a block leaves it out, ``<!-- run: slow -->`` makes it (of Python: its
page) one of the slow tests. Whatever is not run is at least read: files and commands that it names must be there.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from recon_monai.commands import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("bundles/*/docs/README.md")),
]
CODE = ("python", "bash", "bat")
OTHER = ("json", "text")
HELP = re.compile(r"recon-monai( [\w-]+)* --help")


class Block(NamedTuple):
    page: str
    line: int
    language: str
    mark: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def reason(self) -> str | None:
        """Why it is not run; None if it is."""
        found = re.fullmatch(r"not run: (.+)", self.mark)
        return found[1] if found else None

    @property
    def is_slow(self) -> bool:
        return self.mark == "run: slow" or (self.language == "bash" and self.is_help)

    @property
    def is_help(self) -> bool:
        """Whether every line asks for help, which harms nobody."""
        return all(HELP.fullmatch(line) for line in self.text.splitlines() if line.strip())


def blocks_of(page: Path) -> list[Block]:
    found, lines, opened = [], page.read_text(encoding="utf-8").splitlines(), None
    for number, line in enumerate(lines):
        if not line.lstrip().startswith("```"):
            continue
        if opened is None:
            opened = number
            continue
        before = lines[opened - 1].strip() if opened else ""
        comment = re.fullmatch(r"<!-- (.+) -->", before)
        text = "\n".join(lines[opened + 1 : number])
        language = lines[opened].strip().removeprefix("```")
        name = page.relative_to(ROOT).as_posix()
        found.append(Block(name, opened + 1, language, comment[1] if comment else "", text))
        opened = None
    assert opened is None, f"{page} ends within a block"
    return found


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
RUN = [block for block in BLOCKS if block.language in CODE and block.reason is None]
PYTHON: dict[str, list[Block]] = {}
for _block in RUN:
    if _block.language == "python":
        PYTHON.setdefault(_block.page, []).append(_block)
SHELL = [block for block in RUN if block.language == "bash"]


def _written_in(language: str) -> list:
    return [pytest.param(block, id=block.place) for block in BLOCKS if block.language == language]


def _pages() -> list:
    return [
        pytest.param(page, marks=[pytest.mark.slow] if any(block.is_slow for block in blocks) else [], id=page)
        for page, blocks in PYTHON.items()
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A fresh folder with the bundles, as below the repository's root."""
    fresh = tmp_path_factory.mktemp("docs")
    shutil.copytree(ROOT / "bundles", fresh / "bundles", ignore=shutil.ignore_patterns("eval"))
    return fresh


@pytest.fixture(scope="module")
def scan(folder) -> Path:
    """The file that pages call scan.h5: a made-up head of one slice."""
    from recon_monai.data.demo import DemoRecipe, Protocol, built_in_dataset

    protocol = Protocol(shape=(96, 80), pixel_mm=2.2, coils=4)
    recipe = DemoRecipe((0, 0, 1), (0, 0, 0), slices=1, brain_protocols=(protocol,), real_slice_step=12)
    made = next(Path(built_in_dataset(recipe=recipe)).glob("brain-01*.h5"))
    return Path(shutil.copyfile(made, folder / "scan.h5"))


@pytest.fixture(scope="module")
def volume(folder) -> Path:
    """The file that pages call scan_T1w.nii.gz: the middle of a made-up head, in voxels of 2 mm."""
    from recon_monai.data.demo import DemoVolumeRecipe, ensure_demo_volumes

    recipe = DemoVolumeRecipe(heads=(0, 0, 1), shape=(32, 40, 32), spacing=2.0, real=False)
    (made,) = Path(ensure_demo_volumes(recipe=recipe)).glob("*.nii.gz")
    return Path(shutil.copyfile(made, folder / "scan_T1w.nii.gz"))


@pytest.mark.parametrize("page", _pages())
def test_python_runs(page, folder, request, monkeypatch):
    if any("scan.h5" in block.text for block in PYTHON[page]):
        request.getfixturevalue("scan")
        shutil.rmtree(folder / "reconstructed", ignore_errors=True)
    if any("scan_T1w.nii.gz" in block.text for block in PYTHON[page]):
        request.getfixturevalue("volume")
        shutil.rmtree(folder / "fine", ignore_errors=True)
    monkeypatch.chdir(folder)
    names: dict[str, object] = {"__name__": "page"}
    for block in PYTHON[page]:
        # lines of the block in tracebacks are those of the page
        exec(compile("\n" * block.line + block.text, block.page, "exec"), names)


@pytest.mark.slow
@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.place)
def test_commands_run(block, folder, tmp_path):
    for name, module in (("python", ""), ("recon-monai", "-m recon_monai")):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        program.chmod(0o755)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.text],
        cwd=folder,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "PAGER": "cat"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout + done.stderr


def test_every_block_is_run_or_says_why_not():
    assert {block.language for block in BLOCKS} <= {*CODE, *OTHER}
    code = [block for block in BLOCKS if block.language in CODE]
    without = [block for block in code if block.reason is None]
    run = [block for blocks in PYTHON.values() for block in blocks] + SHELL
    assert sorted(run) == sorted(without)
    unsafe = [block.place for block in SHELL if not block.is_help and block.mark != "run: slow"]
    assert not unsafe, f"say above these blocks whether and why they are run or not: {unsafe}"
    unknown = [block.place for block in BLOCKS if block.mark.startswith(("run", "not")) and not _is_mark(block)]
    assert not unknown
    assert len(run) > 30


def _is_mark(block: Block) -> bool:
    """A mark means something, stands above code, and a reason is a sentence."""
    if block.language not in CODE:
        return False
    return block.mark == "run: slow" or (block.reason is not None and len(block.reason.split()) >= 3)


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "json"], ids=lambda block: block.place
)
def test_json_is_json(block):
    assert json.loads(block.text)


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "bash"], ids=lambda block: block.place
)
def test_commands_name_what_is_there(block):
    """Also of those that are not run."""
    text = block.text.replace("\\\n", " ")
    lines = [shlex.split(line, comments=True) for line in text.splitlines()]
    programs = {"recon-monai": "recon-monai", "recon_monai": "recon-monai"}
    for words in lines:
        if words and words[0] in programs and words[1] != "--help":
            assert words[1].replace("-", "_") in COMMANDS, f"recon-monai {words[1]}"
    for name in re.findall(r"(?<![\w/])((?:bundles|scripts)/[\w./-]+\.(?:json|py|sh))", text):
        assert (ROOT / name).is_file(), name
    known = {path.name for path in ROOT.glob("bundles/*/configs/*.json")}
    for name in re.findall(r"\$?(?:configs|baselines)/(\w+\.json)", text):
        assert name in known, name
