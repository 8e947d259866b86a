import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import polysemantic
from polysemantic import theory
from polysemantic.data import OneHot
from polysemantic.ensemble import Ensemble


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


def test_no_law_is_drawn_where_none_holds(tmp_path):
    run = trained(tmp_path, torch.optim.AdamW)
    assert not (run / "l1=0.1" / "theory").exists()
    assert curves(run, "theory").keys() == {"collisions/polysemantic_neurons", "collisions/polysemantic_neurons_band"}
