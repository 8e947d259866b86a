"""What tests do with a report in a browser."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def opened(page: Any, file: Path, *keys: str) -> Any:
    """The report with these charts drawn, or else every chart, as by somebody who reads it to the end."""
    if page.url != file.as_uri():
        page.goto(file.as_uri())
    for key in keys or page.eval_on_selector_all("figure.chart", "figures => figures.map(figure => figure.id)"):
        page.locator(f"#{key}").scroll_into_view_if_needed()
        page.locator(f"#{key}[data-drawn=yes]").wait_for()
    return page


def hovered(page: Any, selector: str, at: tuple[float, float] = (0.5, 0.5)) -> str:
    """What the label says over a place in a chart."""
    target = page.locator(selector).first
    target.scroll_into_view_if_needed()
    box = target.bounding_box()
    page.mouse.move(box["x"] + at[0] * box["width"] - 3, box["y"] + at[1] * box["height"])
    page.mouse.move(box["x"] + at[0] * box["width"], box["y"] + at[1] * box["height"], steps=3)
    label = page.locator(f"{selector.split()[0]} .hoverlayer .hovertext")
    label.first.wait_for()
    return " ".join(label.all_text_contents())


def downloaded(page: Any, key: str, at: int = 0, name: str | None = None) -> list[dict[str, str]]:
    """The rows of the table behind a chart's button."""
    with page.expect_download() as waiting:
        page.locator(f"#{key} button.csv").nth(at).click()
    assert waiting.value.suggested_filename == f"{name or key}.csv"
    with Path(waiting.value.path()).open(newline="") as file:
        return list(csv.DictReader(file))


def drawn(page: Any, selector: str) -> np.ndarray[Any, Any]:
    """The z values of a heatmap, as the page holds them."""
    return np.array(page.evaluate("selector => document.querySelector(selector).data[0].z", selector), dtype=float)


def pixels(page: Any, selector: str) -> np.ndarray[Any, Any]:
    """Red, green and blue of each pixel of an element."""
    return np.asarray(Image.open(io.BytesIO(page.locator(selector).first.screenshot())).convert("RGB"), dtype=int)
