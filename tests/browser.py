"""A real headless Chromium for tests of pages: `def test_x(browser): page = browser(width=400, dark=True)`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture
def browser() -> Iterator[Callable[..., Any]]:
    """Opens browsers: ``browser(width=1600, height=1000, dark=False)`` → a selenium driver.

    Each has a fresh profile; all are closed after the test.  ``driver.errors()`` gives what the page's
    console holds at level SEVERE: exceptions, refused resources, breaches of the content security policy.
    """
    binary = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    chromedriver = shutil.which("chromedriver")
    if binary is None or chromedriver is None:
        pytest.skip("chromium and chromedriver are not here (apt-get install chromium chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    opened = []

    def start(width: int = 1600, height: int = 1000, *, dark: bool = False) -> Any:
        options = webdriver.ChromeOptions()
        options.binary_location = binary
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = webdriver.ChromeService(executable_path=chromedriver)
        driver = webdriver.Chrome(options=options, service=service)
        opened.append(driver)
        driver.set_page_load_timeout(60)
        # Chromium's window has a smallest width of 500 px: narrower pages are emulated.
        driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        scheme = "dark" if dark else "light"
        driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        )
        driver.errors = lambda: [
            entry["message"]
            for entry in driver.get_log("browser")
            if entry["level"] == "SEVERE" and "favicon.ico" not in entry["message"]
        ]
        return driver

    try:
        yield start
    finally:
        for driver in opened:
            driver.quit()
