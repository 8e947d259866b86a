import dataclasses

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import polysemantic
from polysemantic import theory
from polysemantic.callbacks.tensorboard.charts import theory_curves
from polysemantic.data import IndependentBernoulli, OneHot
from polysemantic.model.ensemble import Ensemble
from polysemantic.results.predictions import SLOTS
from polysemantic.results.setups import Setup, setups_of_config


def curves(run, name):
    events = EventAccumulator(str(run / name)).Reload()
    return {tag: {event.step: event.value for event in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


def trained(tmp_path, optimizer, l1):
    return polysemantic.fit(
        OneHot(n_features=8),
        ensemble=Ensemble(seeds=2, vary={"l1": l1}),
        n_hidden=16,
        max_steps=20,
        optimizer=optimizer,
        trainer={"default_root_dir": str(tmp_path), "accelerator": "cpu", "enable_progress_bar": False},
    )


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.5)


def described(run, name):
    """What TensorBoard tells of each chart of a curve's run."""
    events = EventAccumulator(str(run / name)).Reload()
    found = {tag: events.SummaryMetadata(tag).summary_description for tag in events.summary_metadata}
    return {tag: text for tag, text in found.items() if text}


COUNTS = {"collisions/polysemantic_neurons", "collisions/polysemantic_neurons_band"}
KURTOSIS, LAWS = {"basis/hidden_excess_kurtosis"}, {"sparsification/sparsity_count", "sparsification/l1_norm"}


def test_sparsification_laws_are_drawn_beside_the_data_of_plain_gradient_descent(tmp_path):
    run = trained(tmp_path, sgd, [0.1, 0.2]).directory
    for l1 in (0.1, 0.2):
        drawn = curves(run, f"l1={l1:g}/theory")
        assert drawn.keys() == LAWS
        assert drawn["sparsification/l1_norm"].keys() == curves(run, f"l1={l1:g}/mean")["sparsification/l1_norm"].keys()
        for step, value in drawn["sparsification/sparsity_count"].items():
            t = theory.paper_time(0.5, step, 8)
            assert value == pytest.approx(float(theory.sparsity_law(t, 16, l1 / 4)))
    assert curves(run, "theory").keys() == COUNTS | KURTOSIS


def test_where_theory_holds_at_some_grid_points_it_is_shown_beside_these_alone(tmp_path, capsys):
    run = trained(tmp_path, torch.optim.AdamW, [0.0, 0.2])
    out = " ".join(capsys.readouterr().out.split())
    assert "theory at 1 of 2 grid points: n²/4m = 1," in out
    assert "elsewhere it lacks 0 < L1 < 1.54" in out
    assert curves(run.directory, "theory").keys() == KURTOSIS
    assert curves(run.directory, "l1=0.2/theory").keys() == COUNTS
    assert not (run.directory / "l1=0" / "theory").exists()
    for table in (run.results, run.history):
        for name in {"expected_polysemantic_neurons", "excess_polysemantic_neurons"} & set(table):
            assert table.query("l1 == 0")[name].isna().all()
            assert table.query("l1 == 0.2")[name].notna().all()
    # Who reads the files comes to the same rule.
    setups = setups_of_config(run.config, n_features=8)
    assert [setup.l1 for setup in setups] == [0.0, 0.2]
    expected = [value for setup in setups for value in [SLOTS.at(setup)] * 2]
    assert run.results["expected_polysemantic_neurons"].tolist() == pytest.approx(expected, nan_ok=True)
    told = described(run.directory, "l1=0.2/mean")
    assert "share of features that some neuron carries" in told["features/coverage"]
    assert "Only 2 seeds" in told["features/coverage"]
    assert "Assumes one-hot inputs" in described(run.directory, "l1=0.2/theory")["collisions/polysemantic_neurons"]


@pytest.mark.parametrize(
    ("changes", "tags"),
    [
        ({}, COUNTS | KURTOSIS | LAWS),
        ({"learning_rate": None}, COUNTS | KURTOSIS),
        ({"every_feature_once": False}, COUNTS | KURTOSIS),
        *(({name: value}, KURTOSIS) for name, value in {"noise_std": 0.1, "bias": True, "one_hot": False}.items()),
        ({"act": "relu"}, set()),
        ({"our_network": False}, set()),
    ],
)
def test_only_curves_of_theory_that_holds_are_drawn(changes, tags):
    setup = dataclasses.replace(Setup(8, 16), **changes)
    drawn = theory_curves({"all": setup}, step=10)
    assert drawn.get("theory", {}).keys() == tags
    assert drawn.keys() == ({"theory"} if tags else set())
    assert drawn.get("theory", {}).get(*KURTOSIS, -6 / 18) == pytest.approx(-6 / 18)


def tags(run):
    """The tags of each kind that TensorBoard shows of a run; those that only draw bands stand apart."""
    found = {kind: set() for kind in ("scalars", "images", "histograms", "tensors")}
    for directory in {path.parent for path in run.rglob("events.*")}:
        for kind, names in EventAccumulator(str(directory)).Reload().Tags().items():
            if kind in found:
                found[kind] |= set(names)
    bands = {tag for tag in found["scalars"] if tag.startswith("with_bands/")}
    return found | {"scalars": found["scalars"] - bands, "bands": bands}


def test_a_large_grid_has_no_more_charts_than_a_person_can_read(tmp_path):
    grid = {"l1": [0.0, 0.001, 0.002, 0.003], "probability": [0.1, 0.2, 0.3, 0.4, 0.5]}
    few, many = (
        tags(
            polysemantic.fit(
                IndependentBernoulli(8, probability=0.2, batch_size=16),
                ensemble=Ensemble(seeds=2, vary={name: values[:points] for name, values in grid.items()}),
                n_hidden=6,
                max_steps=2,
                trainer={"default_root_dir": str(tmp_path / str(points)), "enable_progress_bar": False},
            ).directory
        )
        for points in (1, 5)
    )
    dozen = 12
    assert len(many["scalars"]) <= 4 * dozen
    # One curve more for each grid point, and not one chart: a curve may be missing where nothing was to measure.
    assert len(many["scalars"] - few["scalars"]) <= 2
    assert len(many["images"]) <= 2 * dozen
    assert len(many["histograms"]) <= dozen
    assert few["bands"] == many["bands"]
    assert {"inputs/text_summary", "custom_scalars__config__"} >= many["tensors"]
