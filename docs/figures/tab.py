"""The picture of TensorBoard's tab in the README: Chromium on the run of `report.yaml`.

Run by `make figures`; CHROMIUM in the environment says where the browser is.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright
from tensorboard import default, program

from polysemantic.cli.main import main as fit
from polysemantic.tensorboard_plugin.plugin import PolysemanticPlugin

HERE = Path(__file__).parent
# Inputs of one feature each, where collisions are free and stay.
NETWORK = "pair_probability=0 l1=0.001, seed 0"


def serve(logs: Path) -> str:
    """Start TensorBoard in a thread; gives its address."""
    board = program.TensorBoard(plugins=[*default.get_static_plugins(), PolysemanticPlugin])
    board.configure(logdir=str(logs), host="127.0.0.1", port=0, load_fast="false")
    return str(board.launch())


def photograph(address: str) -> None:
    """The tab, with the first neuron that carries two features chosen."""
    with sync_playwright() as playwright:
        arguments = ["--headless", "--no-sandbox", "--disable-gpu"]
        path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.goto(f"{address}#polysemantic")
        tab = page.frame_locator("iframe")
        tab.locator("#matrix[data-step]").wait_for()
        tab.locator("#instance").select_option(label=NETWORK)
        tab.locator("#matrix[data-instance='0']").wait_for()
        tab.locator("#shared button").first.click()
        tab.locator("#lives polyline").first.wait_for(state="attached")
        page.screenshot(path=HERE / "tensorboard.png")
        browser.close()


def main() -> None:
    """Train, serve, photograph."""
    with tempfile.TemporaryDirectory() as directory:
        config = str(HERE / "report.yaml")
        assert fit(["fit", "--config", config, "--trainer.default_root_dir", directory, "--quiet"]) == 0
        photograph(serve(Path(directory) / "lightning_logs"))


if __name__ == "__main__":
    main()
