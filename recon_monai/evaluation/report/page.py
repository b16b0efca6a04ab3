"""The page: template, style and scripts joined into one HTML file."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from typing import IO, Any

from recon_monai.optional import require

__all__ = ["json_block", "write_page"]

_PAGE = files("recon_monai.evaluation.report") / "page"
_SCRIPTS = ("data.js", "plots.js", "pictures.js", "viewer.js", "list.js", "controls.js")


def json_block(content: object) -> str:
    """JSON that may stand in a script element: no character of it ends the element."""
    words = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return words.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def write_page(stream: IO[str], context: dict[str, Any]) -> None:
    """Render the page.

    Args:
        stream: gets the HTML.
        context: what the template shows; texts are escaped, but for blocks made by ``json_block``.

    Raises:
        ImportError: if jinja2 is not installed.
    """
    jinja2 = require("jinja2", extra="report")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    style = _text("report.css")
    body = "\n".join(_text(name) for name in _SCRIPTS)
    script = f'(function () {{\n"use strict";\n{body}}})();\n'
    template = environment.get_template("report.html.j2")
    pieces = template.generate(
        style=style, script=script, style_hash=_hash(style), script_hash=_hash(script), **context
    )
    stream.writelines(pieces)


def _text(name: str) -> str:
    return (_PAGE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """What a Content-Security-Policy allows instead of all inline elements."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"
