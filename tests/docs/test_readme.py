import re
import shlex
from pathlib import Path

import pandas as pd
import pytest

from polysemantic import load
from polysemantic.data.testing import check_data_module

BLOCKS = re.findall(r"^```python\n(.*?)^```", (Path(__file__).parents[2] / "README.md").read_text(), re.M | re.S)
FILES = {match[1]: block for block in BLOCKS if (match := re.match(r"# (\w+)\.py:", block))}
SCRIPTS = [block for block in BLOCKS if not re.match(r"# \w+\.py:", block)]


@pytest.fixture
def written(here):
    """The files of the README in the working directory."""
    for name, block in FILES.items():
        (here / f"{name}.py").write_text(block)


def options(name):
    """The options that the first line of a file names."""
    words = shlex.split(FILES[name].splitlines()[0])
    return [word for at, word in enumerate(words) if word.startswith("--") or (at and words[at - 1].startswith("--"))]


def test_the_readme_has_snippets_of_every_kind():
    assert SCRIPTS
    assert {"my_inputs", "my_metric", "my_callback", "my_network"} <= set(FILES)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.splitlines()[0])
def test_the_scripts_of_the_readme_run_as_they_are(script, here, unchecked):
    names = {}
    exec(compile(script, "README.md", "exec"), names)
    run = names["run"]
    assert len(run.results) == run.results.groupby([*run.config["ensemble"]["vary"], "seed"]).ngroups
    pd.testing.assert_frame_equal(names["same"].results, run.results)


def test_the_extensions_of_the_readme_run_by_the_options_it_gives(written, run_cli):
    named = [option for name in ("my_inputs", "my_metric", "my_callback", "my_network") for option in options(name)]
    rest = ["--model.n_hidden=8", "--ensemble.seeds=2", '--ensemble.vary={"probability": [0.1, 0.9]}']
    steps = ["--trainer.max_steps=100", "--measurements.every_n_steps=50", "--data.n_features=8"]
    answer = run_cli("fit", *named, *rest, *steps)
    assert answer.status == 0, answer.err
    run = load("lightning_logs/version_0")
    assert run.results["data"].unique().tolist() == ["OnePair"]
    assert run.results["probability"].tolist() == [0.1, 0.1, 0.9, 0.9]
    largest = run.model["W_enc"].abs().amax(dim=(1, 2)).double()
    assert run.results["largest_weight"].tolist() == largest.tolist()
    assert "largest_weight" in run.history
    assert [line.split()[0] for line in answer.out.splitlines() if "[" in line and line[0].isdigit()] == [
        "0",
        "50",
        "100",
    ]


def test_the_inputs_of_the_readme_keep_their_contract(written):
    from my_inputs import OnePair

    check_data_module(lambda: OnePair(n_features=4, probability=0.3), vary={"probability": [0.0, 0.6]})
