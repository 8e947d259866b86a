"""The command `report`."""

from __future__ import annotations

from pathlib import Path

from polysemantic.cli.arguments import OneLineArguments
from polysemantic.cli.error_line import print_error
from polysemantic.storage.files import write_whole


def main(args: list[str] | None = None) -> int:
    """Write a report, and give the exit status."""
    parser = OneLineArguments("python -m polysemantic report", description="One page, and figures, about runs.")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN_OR_SWEEP", help="directories")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.html", help="the page")
    parser.add_argument("--figures", type=Path, metavar="DIR", help="where to put each chart as PDF and PNG")
    asked = parser.parse_args(args)
    try:
        _write(asked.runs, asked.output, asked.figures)
    except ModuleNotFoundError as error:
        if error.name != "plotly":
            raise
        return print_error("`report` must have plotly, got none: pip install 'polysemantic[report]'")
    except (ValueError, OSError) as error:
        return print_error(str(error))
    return 0


def _write(runs: list[Path], output: Path, figures: Path | None) -> None:
    from polysemantic.report.page import page
    from polysemantic.report.reading import read_material
    from polysemantic.report.sections import SECTIONS

    material = read_material(runs)
    sections = [section for make in SECTIONS if (section := make(material)) is not None]
    title = f"{', '.join(path.name or path.absolute().name for path in runs)}: {material.description}"
    write_whole(output, page(title, sections).encode())
    if figures is not None:
        from polysemantic.report.paper import draw

        for section in sections:
            for chart in section.charts:
                for name, content in draw(chart).items():
                    write_whole(figures / name, content)
