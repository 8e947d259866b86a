import sys

import pytest

from polysemantic.__main__ import main as dispatch
from polysemantic.cli.theory import main as predict


def test_theory_prints_the_predictions(monkeypatch, capsys):
    argv = ["polysemantic", "theory", "--n_features", "256", "--n_hidden", "256,512,100"]
    monkeypatch.setattr(sys, "argv", argv)
    assert dispatch() == 0
    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines()]
    assert ["256", "256", "64", "63.8748", "63.75"] in lines
    assert ["256", "512", "32", "31.9062", "31.875"] in lines
    # 164 neurons of 100 cannot be.
    assert ["256", "100", "-", "-", "163.2"] in lines
    assert all(words in " ".join(out.split()) for words in ("assume one-hot inputs", "0 < L1 <", "n ≤ 2m"))


@pytest.mark.parametrize("value", ["0", "1.5", "x", ""])
def test_theory_refuses_what_is_no_size(value, capsys):
    with pytest.raises(SystemExit, match="2"):
        predict([f"--n_features={value}", "--n_hidden=4"])
    expected = f"error: `n_features` must be whole numbers of at least 1 between commas, got {value!r}\n"
    assert capsys.readouterr() == ("", expected)
