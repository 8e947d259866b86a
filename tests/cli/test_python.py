from pathlib import Path

import numpy as np
import pytest
import torch

import polysemantic
from polysemantic.callbacks import CollisionTracker, Convergence, Measurements
from polysemantic.data import IndependentBernoulli, OneHot
from polysemantic.metrics import FeaturesPerNeuron
from tests.support.cli_runs import FIT, GRID, RUNS, assert_same_run


def test_python_and_the_command_line_give_the_same_tables(run_cli):
    assert run_cli(*GRID).status == 0
    fitted = polysemantic.fit(
        IndependentBernoulli(n_features=8, probability=0.2, batch_size=64),
        ensemble=polysemantic.Ensemble(seeds=2, vary={"l1": [0, 0.01], "probability": [0.1, 0.5]}),
        n_hidden=6,
        max_steps=20,
        measurements=Measurements(every_n_steps=10),
    )
    assert fitted.directory == Path.cwd() / RUNS / "version_1"
    assert_same_run(polysemantic.load(RUNS / "version_0"), fitted)
    assert_same_run(polysemantic.load(fitted.directory), fitted)
    assert fitted.config["model"]["n_hidden"] == 6
    told = polysemantic.load(RUNS / "version_0").config
    for callback in ("measurements", "collisions", "snapshots", "checkpoint", "convergence"):
        assert fitted.config[callback] == told[callback]
    assert fitted.config["data"]["init_args"] == {
        "n_features": 8, "probability": 0.2, "zipf_exponent": 0.0, "batch_size": 64, "magnitude": "one",
    }  # fmt: skip
    assert fitted.weights[20]["instance"].tolist() == [0, 2, 4, 6]
    assert torch.equal(fitted.weights[20]["W_enc"], fitted.model["W_enc"][::2])


def test_python_takes_paths_and_the_numbers_of_numpy_and_torch(tmp_path):
    run = polysemantic.fit(
        OneHot(8),
        n_hidden=8,
        max_steps=2,
        l1=np.float64(0.01),
        optimizer=lambda p: torch.optim.AdamW(p, lr=torch.tensor(0.5)),
        trainer={"default_root_dir": tmp_path},
    )
    config = run.config
    assert (config["model"]["n_hidden"], config["model"]["l1"]) == (8, 0.01)
    assert config["model"]["optimizer"]["init_args"]["lr"] == 0.5
    assert config["trainer"]["default_root_dir"] == str(tmp_path)


class Forgetful(OneHot):
    """Inputs that do not keep an argument."""

    def __init__(self, n_features: int, unkept: float = 0.5) -> None:
        super().__init__(n_features)


@pytest.mark.filterwarnings("ignore:`Forgetful.__init__` keeps no unkept:UserWarning")
def test_inputs_need_not_keep_their_arguments_to_be_saved_and_continued(run_cli):
    fit = ["fit", f"--data={Forgetful.__module__}.Forgetful", *FIT[2:]]
    assert run_cli(*fit).status == 0
    assert run_cli(*fit, "--ckpt_path=last").status == 0
    assert polysemantic.fit(Forgetful(8), n_hidden=6, max_steps=2).results["data"].unique().tolist() == ["Forgetful"]


class Busy(FeaturesPerNeuron):
    """A metric of one's own."""


def test_the_configuration_of_a_run_from_python_repeats_it(run_cli, here):
    fitted = polysemantic.fit(
        OneHot(8),
        n_hidden=6,
        max_steps=40,
        ensemble=polysemantic.Ensemble(2),
        measurements=Measurements(8, metrics=[Busy(tolerance=0.3)], partition=[1] * 4 + [-1] * 4),
        collisions=CollisionTracker(5, born=0.4),
        convergence=Convergence(10, stop=True, n_checks=1, tolerance=0.9, max_change=0.9),
    )
    assert run_cli("fit", f"--config={fitted.directory / 'config.yaml'}").status == 0
    assert_same_run(polysemantic.load(RUNS / "version_1"), fitted)


def test_load_refuses_what_is_no_finished_run(here):
    said = r"`directory` must be that of a finished run or of a sweep, got 'nowhere'\."
    with pytest.raises(FileNotFoundError, match=said):
        polysemantic.load("nowhere")
