import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import polysemantic
from polysemantic import theory
from polysemantic.data import IndependentBernoulli, OneHot
from polysemantic.model.ensemble import Ensemble


def curves(run, name):
    events = EventAccumulator(str(run / name)).Reload()
    return {tag: {event.step: event.value for event in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


def trained(tmp_path, optimizer, **options):
    return polysemantic.fit(
        OneHot(n_features=8),
        ensemble=Ensemble(seeds=2, vary={"l1": [0.1, 0.2]}),
        n_hidden=16,
        max_steps=20,
        optimizer=optimizer,
        trainer={"default_root_dir": str(tmp_path), "accelerator": "cpu", "enable_progress_bar": False},
        **options,
    ).directory


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.5)


def test_sparsification_laws_are_drawn_beside_the_data_of_plain_gradient_descent(tmp_path):
    run = trained(tmp_path, sgd)
    for l1 in (0.1, 0.2):
        drawn = curves(run, f"l1={l1:g}/theory")
        assert drawn["sparsification/l1_norm"].keys() == curves(run, f"l1={l1:g}/mean")["sparsification/l1_norm"].keys()
        for step, value in drawn["sparsification/sparsity_count"].items():
            t = theory.paper_time(0.5, step, 8)
            assert value == pytest.approx(float(theory.sparsity_law(t, 16, l1 / 4)))


@pytest.mark.parametrize("other", [{"noise_std": 0.1}, {"bias": True}, {"clip_norm": 1.0}])
def test_no_law_is_drawn_beside_noise_bias_or_clipping(other, tmp_path):
    run = trained(tmp_path, sgd, **other)
    assert (run / "l1=0.1" / "mean").exists()
    assert not (run / "l1=0.1" / "theory").exists()


def test_no_law_is_drawn_where_none_holds(tmp_path):
    run = trained(tmp_path, torch.optim.AdamW)
    assert not (run / "l1=0.1" / "theory").exists()
    theory = curves(run, "theory")
    assert {tag for tag in theory if not tag.startswith("basis/")} == {
        "collisions/polysemantic_neurons",
        "collisions/polysemantic_neurons_band",
    }


@pytest.mark.parametrize("act", ["linear", "relu"])
def test_the_excess_kurtosis_is_drawn_beside_its_null_where_that_is_known(tmp_path, act):
    null = curves(trained(tmp_path, torch.optim.AdamW, act=act), "theory").get("basis/hidden_excess_kurtosis", {})
    assert list(set(null.values())) == pytest.approx([-6 / 18] if act == "linear" else [])


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
