"""A bundle's data sheet (docs/README.md) for readers who have the bundle, and not its repository."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ExportedSheet", "exported_sheet"]

_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
_REPOSITORY = "the repository of recon_monai"
_WHERE_TO_RUN = "From the repository's root, or from inside the bundle's folder with `configs/...`:"


@dataclass(frozen=True)
class ExportedSheet:
    """What becomes of a data sheet.

    Attributes:
        text: of the exported sheet.
        pictures: files to lie beside it, by the name it shows them under.
    """

    text: str
    pictures: dict[str, Path]


def exported_sheet(bundle: Path, installation: str) -> ExportedSheet:
    """Rewrite a data sheet: commands run inside the bundle's folder, and links lead to what is there.

    Pictures of the repository come along; pages of it are named, not linked.

    Args:
        bundle: the bundle's folder in the repository.
        installation: a section on how to install, which goes before the one on usage.

    Returns:
        The new text, and its pictures.

    Raises:
        ValueError: if a link leads nowhere, or there is no section ``## Usage``.
    """
    file = bundle / "docs" / "README.md"
    text = file.read_text(encoding="utf-8")
    pictures: dict[str, Path] = {}
    lines = [
        _LINK.sub(_linked(file, bundle, number, pictures), line) for number, line in enumerate(text.split("\n"), 1)
    ]
    text = "\n".join(lines).replace(f"bundles/{bundle.name}/", "").replace(_WHERE_TO_RUN, "From the bundle's folder:")
    before, usage, after = text.partition("\n## Usage\n")
    if not usage:
        raise ValueError(f"{file} has no section '## Usage', which the zoo asks for")
    return ExportedSheet(f"{before}\n{installation}{usage}{after}", pictures)


def _linked(file: Path, bundle: Path, number: int, pictures: dict[str, Path]) -> Callable[[re.Match[str]], str]:
    def replaced(link: re.Match[str]) -> str:
        shown, text, place = link.group(1), link.group(2), link.group(3)
        if "://" in place or place.startswith("mailto:"):
            return link.group()
        target = (file.parent / place).resolve()
        if not target.exists():
            raise ValueError(f"docs/README.md:{number}: the link {place} leads nowhere; correct it before sharing")
        if target.is_relative_to(bundle.resolve()):
            return link.group()
        if shown:
            name = f"{target.parent.name}_{target.name}"
            pictures[name] = target
            return f"![{text}]({name})"
        page = f"`{'/'.join(target.parts[-2:])}` of {_REPOSITORY}"
        return page if Path(text).name == target.name else f"{text} ({page})"

    return replaced
