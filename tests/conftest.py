"""What every test folder may use."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    # A page that asks any host but this machine gets an error in its console, and the test fails.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


class Browser:
    """A real headless Chromium, one for the whole test session; `driver` is selenium's own object."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def view(self, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Set the size of the page in CSS pixels, and which colour scheme the reader prefers."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def open(self, page: str | Path) -> None:
        """Open a URL, or a file from disk, with an empty console."""
        self.errors()
        self.driver.get(page.absolute().as_uri() if isinstance(page, Path) else page)

    def errors(self) -> list[str]:
        """Give the errors that the console wrote since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def run(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript in the page; `return` hands a value back."""
        return self.driver.execute_script(script, *arguments)

    def find(self, css: str) -> Any:
        """Give the first element that a CSS selector meets."""
        return self.driver.find_element("css selector", css)

    def find_all(self, css: str) -> list[Any]:
        """Give all elements that a CSS selector meets."""
        return self.driver.find_elements("css selector", css)

    def wait_until(self, claim: Callable[[], Any], *, seconds: float = 15.0, what: str = "") -> Any:
        """Wait until a claim about the page holds, and give what it returned.

        Raises:
          selenium's TimeoutException: it never did; the message says `what`.
        """
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, seconds, poll_frequency=0.05).until(lambda _: claim(), what)

    def screenshot(self, path: Path, *, css: str | None = None) -> Path:
        """Save what is seen, or the whole of one element, as PNG."""
        clip: dict[str, Any] = {"captureBeyondViewport": css is not None}
        if css is not None:
            box = self.run("const b = arguments[0].getBoundingClientRect();"
                           "return [b.x + scrollX, b.y + scrollY, b.width, b.height]", self.find(css))  # fmt: skip
            clip["clip"] = dict(zip(("x", "y", "width", "height"), box, strict=True), scale=1)
        data = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png", **clip})["data"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(data))
        return path


def missing_browser(why: str) -> None:
    """Skip with a reason; under CI, where Chromium is installed, fail instead."""
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(f"{why}; under CI a browser test may not be skipped")
    pytest.skip(f"{why}; `make test-browser` installs it on Debian")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Give a real headless Chromium, started once."""
    binary = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    driver_path = shutil.which("chromedriver")
    if binary is None or driver_path is None:
        missing_browser("Chromium or its chromedriver is not installed")
    try:
        from selenium import webdriver
    except ImportError:
        missing_browser('selenium is not installed (pip install "babel-imagenet[test]")')
    options = webdriver.ChromeOptions()
    options.binary_location = str(binary)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver_path))
    driver.set_page_load_timeout(60)
    yield Browser(driver)
    driver.quit()


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """Give the folder of the reference's published files; it is never part of this repository.

    It is the one that `BABEL_IMAGENET_REFERENCE` names, else `shared/upstream` beside the checkout.
    """
    beside = Path(__file__).resolve().parents[2] / "shared" / "upstream"
    folder = Path(os.environ.get("BABEL_IMAGENET_REFERENCE", beside))
    if not folder.is_dir():
        pytest.skip("the reference's published files are not at hand; BABEL_IMAGENET_REFERENCE names their folder")
    return folder
