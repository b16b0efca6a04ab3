"""A Chromium without a window, for pictures and figures of pages and for their tests."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

INSTALL = "no browser found; on Debian and Ubuntu: apt-get install chromium chromium-driver"


def find_browser() -> tuple[str, str] | None:
    """Chromium and its driver; None if one is missing."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    return None if browser is None or driver is None else (browser, driver)


def open_browser(profile: Path, width: int = 1400, height: int = 1000) -> Any:
    """Start Chromium, which logs what pages write to their console.

    Args:
        profile: empty folder for what it keeps.
        width: of the window in pixels.
        height: likewise.

    Returns:
        The driver of selenium; ``quit`` ends it.

    Raises:
        RuntimeError: if there is no browser.
        ImportError: if selenium is missing.
    """
    from selenium import webdriver

    found = find_browser()
    if found is None:
        raise RuntimeError(INSTALL)
    options = webdriver.ChromeOptions()
    options.binary_location = found[0]
    for word in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", f"--window-size={width},{height}"):
        options.add_argument(word)
    options.add_argument(f"--user-data-dir={profile}")
    if os.geteuid() == 0:  # the browser's sandbox refuses root, which containers run as
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=found[1]))
