"""Photograph docs/images/strips.png: one pair of `parabench demo` as its report shows it (needs chromium and selenium).

parabench demo && python scripts/readme_figure.py runs/demo/cca_scenes docs/images/strips.png
"""

from __future__ import annotations

import base64
import shutil
import sys
import tempfile
from pathlib import Path

from parabench.data import load
from parabench.evaluate import Run
from parabench.report import write_report

SECTION = "#lost"
"""The caption finds its picture first, the paraphrase does not."""


def main(run_folder: str, target: str) -> None:
    from selenium import webdriver

    binary, driver_path = (next((path for name in names if (path := shutil.which(name))), None)
                           for names in (("chromium", "chromium-browser", "google-chrome"), ("chromedriver",)))  # fmt: skip
    if binary is None or driver_path is None:
        sys.exit("chromium and chromedriver are needed: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        write_report([Run.load(run_folder)], load("scenes", split="test"), [], page)
        browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver_path))
        try:
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 760, "height": 1000, "deviceScaleFactor": 1.5, "mobile": False})
            browser.get(page.as_uri())
            box = browser.execute_script(
                "const r = document.querySelector(arguments[0]).getBoundingClientRect();"
                "return {x: r.x + scrollX - 8, y: r.y + scrollY - 8, width: r.width + 16, height: r.height + 16, scale: 1}",
                f"{SECTION} .example",
            )
            shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"clip": box, "captureBeyondViewport": True})
        finally:
            browser.quit()
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    _small(base64.b64decode(shot["data"]), Path(target))


def _small(png: bytes, target: Path) -> None:
    """A palette halves the size and nobody sees it in drawn pictures."""
    import io

    from PIL import Image

    Image.open(io.BytesIO(png)).convert("RGB").quantize(128).save(target, optimize=True)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main(*sys.argv[1:3])
