import re
import sys

import pytest
import torch

from polysemantic.__main__ import main as dispatch
from polysemantic.report.command import main
from tests.support.reports import sections

pytest.importorskip("plotly")


def test_the_command_writes_the_page_and_figures_for_print(sweep, tmp_path, monkeypatch, capsys):
    page, figures = tmp_path / "out" / "report.html", tmp_path / "figures"
    monkeypatch.setattr(sys, "argv", ["polysemantic", "report", str(sweep), f"--output={page}", f"--figures={figures}"])
    assert dispatch() == 0
    assert capsys.readouterr() == ("", "")
    text = page.read_text()
    assert "python -m polysemantic sweep --collect" in text
    assert f"torch {torch.__version__}" in text
    charts = set(sections(sweep)[1])
    assert {path.name for path in figures.iterdir()} == {f"{key}.{kind}" for key in charts for kind in ("pdf", "png")}
    for key in charts:
        assert_for_print((figures / f"{key}.pdf").read_bytes(), (figures / f"{key}.png").read_bytes())


def assert_for_print(pdf, png):
    """A column wide, with text that stays text."""
    assert pdf.startswith(b"%PDF")
    assert b"/CIDFontType2" in pdf
    assert b"/Type3" not in pdf
    assert float(re.search(rb"/MediaBox \[ ?0 0 ([\d.]+)", pdf)[1]) == pytest.approx(72 * 3.35, abs=0.5)
    assert png.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "--output=x.html"], "`report` must be given a finished run or a sweep, got 'nowhere'"),
        (["nowhere"], "missing: --output"),
        (["nowhere", "--ouput=x.html"], "unknown option --ouput; did you mean --output?"),
        (["nowhere", "--output", "x.html", "--figure=y"], "unknown option --figure; did you mean --figures?"),
    ],
)
def test_bad_input_is_one_line(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    try:
        status = main(arguments)
    except SystemExit as exited:
        status = exited.code
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert words in err
