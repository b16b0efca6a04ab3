"""The site builds without a warning and without the network, and its reference holds every public name."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(path.stem for path in (ROOT / "docs" / "reference").glob("*.md"))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    # a proxy that nobody answers at: whatever asked the network would fail
    environment = {**os.environ, "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def test_pages_load_nothing_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|iframe)[^>]*\ssrc="(https?:)?//', text)
        loaded += re.findall(r'<link[^>]*\shref="https?://[^"]*"[^>]*rel="(?:stylesheet|preload|preconnect)', text)
        loaded += re.findall(r'<link[^>]*rel="(?:stylesheet|preload|preconnect)"[^>]*\shref="(?:https?:)?//', text)
        assert not loaded, page.relative_to(site)


def test_packages_have_a_page():
    folders = {path.parent.name for path in (ROOT / "recon_monai").glob("*/__init__.py")}
    assert set(PACKAGES) == (folders - {"commands"}) | {"inference"}


@pytest.mark.parametrize("name", PACKAGES)
def test_the_reference_holds_every_public_name(name, site):
    page = (site / "reference" / name / "index.html").read_text(encoding="utf-8")
    package = importlib.import_module(f"recon_monai.{name}")
    parts = {one: getattr(package, one) for one in package.__all__}
    # constants are values, and what comes from another package stands on the page of that
    own = [one for one, part in parts.items() if _is_own(part, package.__name__)]
    assert len(own) > 1
    assert not [one for one in own if not re.search(rf'id="recon_monai\.{name}\.([a-z_0-9]+\.)*{one}"', page)]


def _is_own(part: object, package: str) -> bool:
    return (inspect.isclass(part) or inspect.isfunction(part)) and part.__module__.startswith(package)


def test_bundles_and_tutorials_are_there(site):
    for script in (ROOT / "tutorials").glob("*.py"):
        assert (site / "tutorials" / script.stem / "index.html").is_file()
    for readme in ROOT.glob("bundles/*/docs/README.md"):
        page = (site / "bundles" / readme.parents[1].name / "index.html").read_text(encoding="utf-8")
        assert "What is in this bundle" in page
