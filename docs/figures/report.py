"""The picture of a report in the README: parts of the page in Chromium, on the run of `report.yaml`.

Run by `make figures`; CHROMIUM in the environment says where the browser is.
"""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from polysemantic.cli.main import main as fit
from polysemantic.report.command import main as report

HERE = Path(__file__).parent
PARTS = ("dose", "lives", "weights")
WIDTH = 1240
NETWORK = "L1 coefficient = 0.003, pair probability = 0,"


def photograph(page_file: Path) -> list[Image.Image]:
    """Each part of the page as a picture."""
    with sync_playwright() as playwright:
        arguments = ["--headless", "--no-sandbox", "--disable-gpu"]
        path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        page = browser.new_page(viewport={"width": WIDTH, "height": 900})
        page.goto(page_file.as_uri())
        pictures = []
        for part in PARTS:
            page.locator(f"#{part}").scroll_into_view_if_needed()
            page.locator(f"#{part}[data-drawn=yes]").wait_for()
            if part != "dose":
                # Where features collide most; choices are drawn at once.
                select = page.locator(f"#{part} select").first
                found = [name for name in select.locator("option").all_text_contents() if name.startswith(NETWORK)]
                select.select_option(label=found[0])
            pictures.append(Image.open(io.BytesIO(page.locator(f"#{part}").screenshot())).convert("RGB"))
        browser.close()
    return pictures


def main() -> None:
    """Train, report, photograph, and put the parts below one another."""
    with tempfile.TemporaryDirectory() as directory:
        config, root = str(HERE / "report.yaml"), Path(directory)
        assert fit(["fit", "--config", config, "--trainer.default_root_dir", directory, "--quiet"]) == 0
        assert report([str(root / "lightning_logs/version_0"), "--output", str(root / "report.html")]) == 0
        pictures = photograph(root / "report.html")
    height = sum(picture.height for picture in pictures)
    whole = Image.new("RGB", (max(picture.width for picture in pictures), height), "white")
    top = 0
    for picture in pictures:
        whole.paste(picture, (0, top))
        top += picture.height
    whole.save(HERE / "report.png", optimize=True)


if __name__ == "__main__":
    main()
