import functools

import pandas as pd
import pytest
import torch

import polysemantic
from polysemantic.callbacks import CollisionTracker, Convergence, Measurements
from polysemantic.data import IndependentBernoulli, OneHot
from polysemantic.model.ensemble import Ensemble
from polysemantic.results.columns import setting_names
from tests.support.tables import without_run

DATA = {
    "every feature once": OneHot,
    "bernoulli": functools.partial(IndependentBernoulli, probability=0.3, batch_size=12),
}
OPTIMISERS = {
    "AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=0.01),
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9),
}
LABELS = {"instance", "seed", "init_scale", "n_features", "n_hidden", "data", "step", "diverged_step"}
WITHOUT_WEIGHTS = {"expected_polysemantic_neurons", "exposures", "expected_companions"}


def fit(tmp_path, init_scale, data="every feature once", optimizer="SGD", max_steps=100, **options):
    given = {"n_hidden": 8, "measurements": Measurements(50), "convergence": Convergence(50)}
    given |= {"collisions": CollisionTracker(50), "optimizer": OPTIMISERS[optimizer]}
    given |= {"trainer": {"default_root_dir": str(tmp_path)}}
    ensemble = Ensemble(2, {"init_scale": init_scale})
    return polysemantic.fit(DATA[data](16), max_steps=max_steps, ensemble=ensemble, **given | options)


def announcements(capsys):
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("diverged by step")]


@pytest.mark.parametrize(
    ("data", "optimizer", "model"),
    [
        ("every feature once", "AdamW", {}),
        ("every feature once", "SGD", {"tied": False, "bias": True, "noise_std": 0.1}),
        ("bernoulli", "AdamW", {"tied": False}),
        ("bernoulli", "SGD", {"bias": True, "clip_norm": 1.0}),
    ],
)
def test_the_others_end_as_in_a_run_without_the_diverged_ones(tmp_path, data, optimizer, model):
    alone = fit(tmp_path, [1.0], data, optimizer, **model)
    # Adam takes a step of the learning rate however steep the loss: only a loss beyond float32 ends there.
    beside = fit(tmp_path, [1e25, 1.0, 1e30], data, optimizer, **model)
    assert beside.results["diverged_step"].notna().tolist() == [True, True, False, False, True, True]
    assert alone.results["diverged_step"].isna().all()
    for name, values in alone.model.items():
        assert torch.equal(beside.model[name][2:4], values)
        assert beside.model[name][[0, 1, 4, 5]].isnan().all()
    same = beside.results.query("init_scale == 1").reset_index(drop=True)
    # Some measurements are differences of sums in float32, whose order depends on the number of instances.
    same, alone_too = (without_run(table).drop(columns="instance") for table in (same, alone.results))
    pd.testing.assert_frame_equal(same, alone_too, atol=1e-6)


def test_lives_of_collisions_leave_out_a_diverged_instance_and_say_so(tmp_path, capsys):
    fit(tmp_path, [1.0, 30.0])
    out = " ".join(capsys.readouterr().out.split())
    assert "2 networks diverged and are left out." in out
    assert "init_scale=30 all 0 0 - -" in out


def test_a_diverged_instance_has_a_step_and_no_measurements(tmp_path, capsys):
    run = fit(tmp_path, [1.0, 30.0])
    lost, kept = run.results[2:], run.results[:2]
    assert (lost["diverged_step"] == 10).all()
    measured = lost.drop(columns=LABELS | WITHOUT_WEIGHTS | setting_names(run.columns))
    assert measured.isna().all(axis=None)
    assert kept[["loss", "coverage", "polysemantic_neurons"]].notna().all(axis=None)
    late = run.history.query("init_scale == 30 and step > 0").drop(columns=LABELS, errors="ignore")
    assert len(late)
    assert late.isna().all(axis=None)
    assert len(announcements(capsys)) == 1


def test_the_run_says_once_which_instances_diverged(tmp_path, capsys):
    fit(tmp_path, [1.0, 30.0, 3.0])
    assert announcements(capsys) == ["diverged by step 10 and frozen: instance 2 and 1 more, see `diverged_step`."]


def test_a_continued_run_remembers_what_diverged(tmp_path, capsys):
    whole = fit(tmp_path, [1.0, 30.0])
    part = fit(tmp_path, [1.0, 30.0], max_steps=50)
    assert len(announcements(capsys)) == 2
    continued = fit(tmp_path, [1.0, 30.0], ckpt_path=part.directory / "checkpoints" / "last.ckpt")
    pd.testing.assert_frame_equal(without_run(continued.results), without_run(whole.results))
    assert not announcements(capsys)


def test_a_run_of_which_nothing_is_left_stops_if_told_to(tmp_path):
    results = fit(tmp_path, [30.0], convergence=Convergence(50, stop=True)).results
    assert (results["diverged_step"] == 10).all()
    # The next check, of which all processes hear.
    assert (results["step"] == 50).all()
    assert results["converged_step"].isna().all()


def test_validation_of_a_checkpoint_shows_no_measurements_of_what_diverged(run_cli):
    options = ["--data", "OneHot", "--data.n_features", 16, "--model.n_hidden", 8,
               "--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", 0.05,
               "--ensemble.vary", "{init_scale: [1.0, 30.0]}", "--ensemble.seeds", 2,
               "--trainer.max_steps", 50]  # fmt: skip
    assert run_cli("fit", *options).status == 0
    answer = run_cli("validate", *options, "--ckpt_path", "lightning_logs/version_0/checkpoints/last.ckpt")
    assert answer.status == 0
    (row,) = [line for line in answer.out.splitlines() if line.strip().startswith("init_scale = 30 ")]
    assert row.split()[3:] == ["-"] * 5
