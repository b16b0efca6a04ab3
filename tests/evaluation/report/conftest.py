"""A headless browser for reports."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is missing; pip install -e '.[dev]'")
    if BROWSER is None or DRIVER is None:
        pytest.skip("no browser found; on Debian and Ubuntu: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for word in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1400,1000"):
        options.add_argument(word)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    if os.geteuid() == 0:  # the browser's sandbox refuses root, which containers run as
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=DRIVER)
    browser = webdriver.Chrome(options=options, service=service)
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
