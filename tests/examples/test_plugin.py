import site
import subprocess
import sys
import venv
from pathlib import Path

import pandas as pd
import pytest

from polysemantic.data.testing import check_data_module

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "examples" / "plugin"


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """An environment that sees ours and has the plugin installed."""
    directory = tmp_path_factory.mktemp("environment")
    venv.create(directory / "venv", with_pip=False)
    interpreter = directory / "venv" / "bin" / "python"
    packages = next((directory / "venv" / "lib").glob("python*/site-packages"))
    ours = site.getsitepackages()[0]
    (packages / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    install = ["install", "--quiet", "--no-deps", "--no-build-isolation", str(PLUGIN)]
    subprocess.run([sys.executable, "-m", "pip", "--python", str(interpreter), *install], check=True)
    return interpreter


def test_the_installed_plugin_runs_by_its_configuration(python, tmp_path):
    sizes = ["--data.n_features", "8", "--model.n_hidden", "8", "--trainer.max_steps", "20"]
    often = ["--trainer.callbacks.every_n_steps", "10"]
    command = [str(python), "-m", "polysemantic", "fit", "--config", str(PLUGIN / "ring.yaml"), *sizes, *often]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    run = tmp_path / "lightning_logs" / "version_0"
    results = pd.read_parquet(run / "results.parquet")
    assert list(results["probability"].unique()) == [0.01, 0.1]
    assert "neighbour_collisions" in results
    assert [line.split(":")[0] for line in (run / "diary.txt").read_text().splitlines()] == ["step 10", "step 20"]


def test_the_plugins_inputs_have_the_cooccurrence_they_claim(monkeypatch):
    monkeypatch.syspath_prepend(str(PLUGIN))
    from polysemantic_plugin import Ring

    check_data_module(lambda: Ring(n_features=6, probability=0.2), vary={"probability": [0.0, 0.3]})
