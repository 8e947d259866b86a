import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from polysemantic.data.testing import check_data_module

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "examples" / "plugin"


@pytest.fixture
def installed(here):
    """The plugin as pip installs it, where Python finds it."""
    # No `pip` of the user's may change where to.
    options = ["--isolated", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", str(here), str(PLUGIN)], check=True)
    assert (here / "polysemantic_plugin").is_dir()
    return here


def test_the_installed_plugin_runs_by_its_configuration(installed, run_cli, monkeypatch):
    monkeypatch.delitem(sys.modules, "polysemantic_plugin", raising=False)
    sizes = ["--data.n_features=8", "--model.n_hidden=8", "--trainer.max_steps=20"]
    answer = run_cli("fit", f"--config={PLUGIN / 'ring.yaml'}", *sizes, "--trainer.callbacks.every_n_steps=10")
    assert answer.status == 0, answer.err
    assert Path(sys.modules["polysemantic_plugin"].__file__).is_relative_to(installed)
    run = Path("lightning_logs/version_0")
    results = pd.read_parquet(run / "results.parquet")
    assert list(results["probability"].unique()) == [0.01, 0.1]
    assert "neighbour_collisions" in results
    assert [line.split(":")[0] for line in (run / "diary.txt").read_text().splitlines()] == ["step 10", "step 20"]


def test_the_plugins_inputs_have_the_cooccurrence_they_claim(monkeypatch):
    monkeypatch.syspath_prepend(str(PLUGIN))
    from polysemantic_plugin import Ring

    check_data_module(lambda: Ring(n_features=6, probability=0.2), vary={"probability": [0.0, 0.3]})
