"""Notebooks of the tutorials: `tutorials/NAME.ipynb` from `tutorials/NAME.py`.

    python scripts/make_notebooks.py            # writes all of them
    python scripts/make_notebooks.py --check    # ends with an error where one is not what its script would make

Scripts are in the percent format, which VS Code, PyCharm, Spyder and Jupytext open as notebooks, too: a line `# %%`
begins a cell of code, `# %% [markdown]` one of text, each line of which is a comment. What stands before the first
such line (the license, say) is left out. Notebooks hold no output.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path
from typing import Literal, NamedTuple

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).parents[1]
MARK = "# %%"


class Cell(NamedTuple):
    """A piece of a tutorial.

    Attributes:
        kind: of it.
        source: text without marks of comments, or code.
    """

    kind: Literal["code", "markdown"]
    source: str


def main() -> None:
    """Write the notebooks, or check them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, end with an error where one is stale")
    parser.add_argument("--folder", type=Path, default=ROOT / "tutorials")
    arguments = parser.parse_args()
    scripts = sorted(arguments.folder.glob("*.py"))
    if not scripts:
        sys.exit(f"{arguments.folder} holds no tutorials (*.py)")
    stale = []
    for script in scripts:
        notebook, wanted = script.with_suffix(".ipynb"), notebook_of(script)
        if arguments.check:
            if not notebook.is_file() or notebook.read_text(encoding="utf-8") != wanted:
                stale.append(notebook.name)
        else:
            notebook.write_text(wanted, encoding="utf-8")
            print(notebook)
    if stale:
        sys.exit(f"not what the scripts make: {', '.join(stale)}; run python scripts/make_notebooks.py")


def notebook_of(script: Path) -> str:
    """The notebook of a script.

    Args:
        script: in percent format.

    Returns:
        Its JSON, the same for the same script.

    Raises:
        ValueError: if the script has no cells, or a line of text is no comment.
    """
    cells = []
    for number, (kind, source) in enumerate(read_cells(script)):
        cell = (new_code_cell if kind == "code" else new_markdown_cell)(source)
        # drawn at random by default, so that two runs would differ
        cell["id"] = hashlib.sha256(f"{script.stem} {number}".encode()).hexdigest()[:8]
        cells.append(cell)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def read_cells(script: Path) -> list[Cell]:
    """The cells of a script.

    Args:
        script: in percent format.

    Returns:
        The cells that hold something, in order.

    Raises:
        ValueError: if the script has no cells, or a line of text is no comment.
    """
    cells: list[Cell] = []
    kind: Literal["code", "markdown"] | None = None
    lines: list[str] = []
    for number, line in enumerate([*script.read_text(encoding="utf-8").splitlines(), MARK], start=1):
        if line.startswith(MARK):
            source = "\n".join(lines).strip("\n")
            if kind is not None and source:
                cells.append(Cell(kind, source))
            kind, lines = ("markdown" if "[markdown]" in line else "code"), []
        elif kind == "markdown":
            if line and not line.startswith("#"):
                raise ValueError(f"{script}, line {number}: text must be comments, got {line!r}")
            lines.append(line.removeprefix("#").removeprefix(" "))
        else:
            lines.append(line)
    if not cells:
        raise ValueError(f"{script} has no cells; begin them with lines of {MARK!r}")
    return cells


def to_markdown(cells: list[Cell]) -> str:
    """A tutorial as a page.

    Args:
        cells: of it.

    Returns:
        Its text, with code in fences.
    """
    parts = [source if kind == "markdown" else f"```python\n{source}\n```" for kind, source in cells]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
