"""Pages of the documentation site that lie outside `docs/`, and links between all of them (hooks of mkdocs.yml).

The bundles' READMEs, the tutorials, CONTRIBUTING.md and CHANGELOG.md become pages; other files of the repository that
a page links to are copied beside them. Links stay as they are in the files, where they hold for a reader of the
repository, and are rewritten for the site.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))
from make_notebooks import read_cells, to_markdown

ROOT = Path(__file__).parents[1]
COPIES = "repository"
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")
_FENCE = re.compile(r"^(```.*?^```)", re.DOTALL | re.MULTILINE)


def pages_outside() -> dict[str, str]:
    """Pages by their place in the repository: where they lie in the site."""
    bundles = {
        readme.relative_to(ROOT).as_posix(): f"bundles/{readme.parents[1].name}.md"
        for readme in sorted(ROOT.glob("bundles/*/docs/README.md"))
    }
    tutorials = {
        script.relative_to(ROOT).as_posix(): f"tutorials/{script.stem}.md"
        for script in sorted(ROOT.glob("tutorials/*.py"))
    }
    return {**bundles, **tutorials, "CONTRIBUTING.md": "CONTRIBUTING.md", "CHANGELOG.md": "CHANGELOG.md"}


def text_of(source: str) -> str:
    """Markdown of a page, by its place in the repository."""
    path = ROOT / source
    if path.suffix != ".py":
        return path.read_text(encoding="utf-8")
    return f"{to_markdown(read_cells(path))}\nThis page as a [notebook]({path.stem}.ipynb).\n"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside, and the files that any page links to.

    Args:
        files: those of `docs/`.
        config: of the site.

    Returns:
        All of them.
    """
    sources = {f"docs/{file.src_uri}": file.src_uri for file in files.documentation_pages()}
    for source, place in pages_outside().items():
        files.append(File.generated(config, place, content=text_of(source)))
        sources[source] = place
    for source in sources:
        for target in _targets(source, text_of(source)):
            if target not in sources and not target.startswith("docs/") and (ROOT / target).is_file():
                place = f"{COPIES}/{target}"
                if files.get_file_from_path(place) is None:
                    files.append(File.generated(config, place, abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite the links of a page.

    Args:
        markdown: of the page.
        page: which one.
        config: of the site.
        files: all of it.

    Returns:
        The text with links that hold in the site.

    Raises:
        PluginError: if a link leads to no file of the repository.
    """
    outside = pages_outside()
    places = {place: source for source, place in outside.items()}
    source = places.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def rewritten(match: re.Match[str]) -> str:
        target, anchor = _split(match[2])
        if not target or _is_elsewhere(target):
            return match[0]
        found = _resolved(source, target)
        place = outside.get(found) or (found[5:] if found.startswith("docs/") else f"{COPIES}/{found}")
        if files.get_file_from_path(place) is None:
            raise PluginError(f"{source} links to {match[2]}, and there is no file {found} in the repository")
        return f"{match[1]}{posixpath.relpath(place, posixpath.dirname(page.file.src_uri) or '.')}{anchor}{match[3]}"

    parts = _FENCE.split(markdown)
    return "".join(part if part.startswith("```") else _LINK.sub(rewritten, part) for part in parts)


def _targets(source: str, markdown: str) -> set[str]:
    """Files of the repository that a page links to."""
    text = _FENCE.sub("", markdown)
    targets = {_split(match[2])[0] for match in _LINK.finditer(text)}
    return {_resolved(source, target) for target in targets if target and not _is_elsewhere(target)}


def _split(link: str) -> tuple[str, str]:
    target, mark, anchor = link.partition("#")
    return target, mark + anchor


def _is_elsewhere(target: str) -> bool:
    return re.match(r"[a-z]+:", target) is not None


def _resolved(source: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
