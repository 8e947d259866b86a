import sys
import types

import pytest

import polysemantic
from polysemantic.callbacks.progress import in_notebook
from polysemantic.data import OneHot


@pytest.fixture
def notebook(monkeypatch):
    """What looks like the kernel of a notebook without ipywidgets."""
    shell = types.SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    return shell


def fit(tmp_path, **trainer):
    polysemantic.fit(
        OneHot(8), n_hidden=4, max_steps=6, ensemble=polysemantic.Ensemble(2), inner_steps=2,
        trainer={"default_root_dir": str(tmp_path)} | trainer,
    )  # fmt: skip


def test_a_notebook_has_a_progress_bar_with_what_the_networks_are_like(notebook, tmp_path, capsys):
    fit(tmp_path)
    last = capsys.readouterr().err.replace("\r", "\n").strip().splitlines()[-1]
    assert "6/6" in last
    assert "coverage" in last
    fit(tmp_path, enable_progress_bar=False)
    assert "6/6" not in capsys.readouterr().err


def test_what_is_neither_a_notebook_nor_a_terminal_has_none(notebook, tmp_path, capsys):
    notebook.config.clear()
    assert not in_notebook()
    fit(tmp_path)
    assert "6/6" not in "".join(capsys.readouterr())
