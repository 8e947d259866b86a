import math

import pandas as pd
import pytest
import torch

import polysemantic
from polysemantic.callbacks import Measurements
from polysemantic.data import HalfSplit, IndependentBernoulli, OneHot
from polysemantic.functional import rotation_gap_closed_form
from polysemantic.model.ensemble import Ensemble
from polysemantic.results.columns import COSTLY
from tests import reference
from tests.support.tables import without_run

KINDS = ["collisions_compensated", "collisions_disambiguated", "collisions_costly"]


def fit(tmp_path, data, max_steps=20, vary=None, seeds=2, lr=0.02, every_n_steps=50, partition=None, **options):
    return polysemantic.fit(
        data,
        max_steps=max_steps,
        ensemble=Ensemble(seeds, vary),
        measurements=Measurements(every_n_steps, partition=partition),
        optimizer=lambda p: torch.optim.Adam(p, lr=lr),
        trainer={"default_root_dir": str(tmp_path), "accelerator": "cpu"},
        **options,
    )


def test_same_sign_collisions_split_into_three_kinds(tmp_path):
    run = fit(tmp_path, IndependentBernoulli(12, probability=0.2), n_hidden=6, max_steps=60, seeds=4)
    results = run.results
    assert results["collisions_same_sign"].sum() > 0
    assert (results[KINDS].sum(axis=1) == results["collisions_same_sign"]).all()
    assert {str(results[name].dtype) for name in [*KINDS, "disambiguation_neuron"]} == {"Int64"}


def test_the_costs_of_collisions_are_those_on_the_evaluation_draws(tmp_path):
    data = IndependentBernoulli(8, probability=0.2)
    run = fit(tmp_path, data, n_hidden=4, max_steps=80, seeds=3)
    data.bind(Ensemble(3))
    x = torch.cat([data.evaluation_inputs(batch) for batch in data.val_dataloader()], 1)
    W = run.model["W_enc"]
    x_hat = (x @ W @ W.mT).relu()
    cost = reference.interference_cost(x, x_hat)
    excess = reference.excess_cost(cost, reference.shares_neuron(W))
    pairs = [reference.collisions(w, w) for w in W.tolist()]
    assert all(pairs)
    for column, matrix in {"collision_cost": cost, "collision_excess_cost": excess}.items():
        expected = [reference.mean(matrix[at, i, j].item() for _, i, j, _ in found) for at, found in enumerate(pairs)]
        assert run.results[column].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.usefixtures("unchecked")
def test_costly_columns_are_measured_five_times_and_at_the_end(tmp_path):
    run = fit(tmp_path, OneHot(6), n_hidden=4, max_steps=105, every_n_steps=1)
    measured = run.history.groupby("step")[["rotation_gap", *KINDS]].agg(lambda column: column.notna().all())
    assert len(measured) == 106
    assert measured.nunique(axis=1).eq(1).all()
    assert measured.index[measured["rotation_gap"]].tolist() == [*range(0, 101, 20), 105]


def test_a_constructed_disambiguation_neuron_is_named_and_all_pairs_are_disambiguated(tmp_path):
    run = fit(tmp_path, HalfSplit(32), n_hidden=20, bias=True, init="disambiguation", l1=0.0, max_steps=1, lr=1e-9)
    assert run.results["disambiguation_neuron"].tolist() == [0, 0]
    assert run.results[KINDS].to_numpy().tolist() == [[0, 16, 0]] * 2


def test_a_partition_may_be_given(tmp_path):
    options = {"n_hidden": 20, "bias": True, "init": "disambiguation", "l1": 0.0, "max_steps": 1, "lr": 1e-9}
    halves, parity = [1] * 16 + [-1] * 16, [1, -1] * 16
    given, own, other = (fit(tmp_path, HalfSplit(32), partition=p, **options).results for p in (halves, None, parity))
    pd.testing.assert_frame_equal(without_run(given), without_run(own))
    # A feature of each half on each of 16 neurons: (1 + 1)^2 / 32.
    assert other["partition_concentration"].tolist() == pytest.approx([1 / 16] * 2)
    assert other["disambiguation_neuron"].isna().all()
    # Inputs without parts of their own are measured for those that are given.
    assert fit(tmp_path, OneHot(4), n_hidden=4, partition=[1, 1, -1, -1]).results["partition_energy"].notna().all()


def test_a_partition_that_is_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"`partition` must hold \+1 and -1 and nothing else, got \[1, 0\]\."):
        Measurements(partition=[1, 0])
    with pytest.raises(ValueError, match=r"`partition` must hold a number for each of 4 features, got 2\."):
        fit(tmp_path, OneHot(4), n_hidden=4, partition=[1, -1])


@pytest.mark.usefixtures("unchecked")
def test_a_one_hot_network_has_no_disambiguation_neuron(tmp_path):
    run = fit(tmp_path, OneHot(8), n_hidden=8, max_steps=300)
    assert run.results["disambiguation_neuron"].isna().all()
    assert (run.results["collisions_disambiguated"] == 0).all()
    halves = fit(tmp_path, HalfSplit(8, active_fraction=0.25), n_hidden=8, max_steps=300)
    assert halves.results["disambiguation_neuron"].isna().all()


def test_the_rotation_gap_of_tied_linear_networks_without_noise_is_the_closed_form(tmp_path):
    run = fit(tmp_path, OneHot(6), n_hidden=4, vary={"l1": [0.0, 0.01]})
    l1 = torch.tensor(run.results["l1"].to_numpy(), dtype=torch.float64)
    expected = rotation_gap_closed_form(run.model["W_enc"], l1)
    torch.testing.assert_close(torch.tensor(run.results["rotation_gap"].to_numpy()), expected)
    assert (run.results["rotation_gap"][:2] == 0).all()


def test_an_instance_without_noise_has_the_same_gap_beside_noisy_ones(tmp_path):
    alone = fit(tmp_path, OneHot(6), n_hidden=4)
    beside = fit(tmp_path, OneHot(6), n_hidden=4, vary={"noise_std": [0.0, 0.3]})
    torch.testing.assert_close(
        torch.tensor(beside.results["rotation_gap"][:2].to_numpy()),
        torch.tensor(alone.results["rotation_gap"].to_numpy()),
    )
    assert (beside.results["rotation_gap"][2:] != 0).all()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("options", [{"tied": False}, {"act": "relu"}])
def test_where_there_is_no_closed_form_the_gap_is_sampled(tmp_path, options):
    run = fit(tmp_path, OneHot(4), n_hidden=8, max_steps=300, l1=0.01, **options)
    assert (run.results["rotation_gap"] > 0).all()


def test_costly_columns_of_a_diverged_instance_are_null(tmp_path):
    run = fit(tmp_path, OneHot(4), n_hidden=4, max_steps=30, vary={"init_scale": [1.0, 1e30]}, seeds=2, lr=0.01)
    assert run.results["rotation_gap"].isna().tolist() == [False, False, True, True]
    assert all(math.isfinite(gap) for gap in run.results["rotation_gap"][:2])


def test_a_checkpoint_of_earlier_versions_between_a_measurement_and_its_costly_columns_is_continued(tmp_path):
    fit(tmp_path, OneHot(6), n_hidden=4, every_n_steps=5, max_steps=10)
    checkpoint = torch.load(next(tmp_path.rglob("last.ckpt")), weights_only=True)
    (state,) = (state for name, state in checkpoint["callbacks"].items() if name.startswith("Measurements"))
    costly = set(COSTLY)
    assert costly < set(state["history"])
    state["history"] = {name: v[:-1] if name in costly else v for name, v in state["history"].items()}
    measurements = Measurements(5)
    measurements.load_state_dict(state)
    assert measurements.steps == [0, 5, 10]
    assert {len(values) for values in measurements.history.values()} == {3}
    assert all(measurements.latest[name].isnan().all() for name in costly)
    assert measurements.history["collision_cost"][0].isfinite().any()
