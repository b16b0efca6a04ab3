"""A headless browser for reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from headless import INSTALL, find_browser, open_browser


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    pytest.importorskip("selenium.webdriver", reason="selenium is missing; pip install -e '.[dev]'")
    if find_browser() is None:
        pytest.skip(INSTALL)
    browser = open_browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.quit()


@pytest.fixture
def wait() -> Callable[..., None]:
    """Wait until the viewer has drawn that."""

    def until(driver: Any, **wanted: str) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        def drawn(browser: Any) -> bool:
            found = browser.execute_script("return {...document.getElementById('viewer').dataset}")
            return all(found.get(name) == value for name, value in wanted.items())

        WebDriverWait(driver, 20).until(drawn, f"the viewer does not show {wanted}")

    return until
