import re

import numpy as np
import pandas as pd
import pytest
import torch

import polysemantic
from polysemantic import Ensemble, measure
from polysemantic.data import IndependentBernoulli, KHot, OneHot
from polysemantic.metrics import STANDARD
from polysemantic.results.columns import COSTLY
from tests.support.tables import without_run

W = [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize("data", [OneHot(8), IndependentBernoulli(8, 0.2, batch_size=32)])
def test_weights_of_a_run_have_the_measurements_of_its_end(data, tmp_path):
    run = polysemantic.fit(
        data, n_hidden=6, max_steps=30, l1=0.01, tied=False, bias=True, act="relu", ensemble=Ensemble(3),
        trainer={"default_root_dir": str(tmp_path), "enable_progress_bar": False},
    )  # fmt: skip
    weights = (run.model[name] for name in ("W_enc", "W_dec", "b_dec"))
    found = measure(*weights, inputs=type(data)(**data.arguments()), l1=0.01, act="relu")
    same = [name for name in found if not name.startswith("winner_")]
    assert {metric.column() for metric in STANDARD} | set(COSTLY) <= set(found)
    pd.testing.assert_frame_equal(found[same], without_run(run.results)[same], atol=1e-6)


@pytest.mark.parametrize("kind", [np.array, torch.tensor, list])
def test_one_network_of_any_kind_of_numbers_is_one_row(kind):
    table = measure(kind(W))
    assert table[["instance", "n_features", "n_hidden", "data"]].to_numpy().tolist() == [[0, 3, 2, "OneHot"]]
    assert table[["polysemantic_neurons", "collisions_opposite_sign", "coverage"]].to_numpy().tolist() == [[1, 1, 1]]
    assert table[["winner_was_largest", "winner_kept_sign", "partition_energy"]].isna().all(axis=None)
    assert not {"step", "exposures", "converged_step", "collisions_born", "l1", "seed"} & set(table)


def test_a_network_whose_weights_are_not_finite_has_no_measurements():
    table = measure(np.array([W, np.full_like(W, np.nan)]), inputs=KHot(3, k=2))
    assert table["coverage"].notna().tolist() == [True, False]
    assert table["loss"].notna().tolist() == [True, False]


def test_weights_are_left_as_they_are_and_double_precision_is_kept():
    weights = torch.tensor(W, dtype=torch.float64) + 1e-12
    kept = weights.clone()
    assert measure(weights)["reconstruction_error"].item() == pytest.approx(4 / 3 * 1e-24, rel=1)
    assert torch.equal(weights, kept)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([1.0],), "`W_enc` must have shape (feature, hidden) or (instance, feature, hidden), got (1,)."),
        ((np.zeros((0, 2)),), "`W_enc` must have shape (feature, hidden) or (instance, feature, hidden), got (0, 2)."),
        (("weights",), "`W_enc` must be a matrix of numbers, got str: "),
        (([[1.0], [1.0, 2.0]],), "`W_enc` must be a matrix of numbers, got list: "),
        ((np.array(W) * 1j,), "`W_enc` must hold real numbers, got torch.complex128."),
        ((W, np.array(W).T), "`W_dec` must have the shape of W_enc, (3, 2), got (2, 3); did you mean its transpose?"),
        ((W, [W]), "`W_dec` must have the shape of W_enc, (3, 2), got (1, 3, 2)."),
        ((W, W, [0.0, 0.0]), "`b_dec` must hold a number for each feature, shape (3,), got (2,)."),
        ((W, None, None, OneHot(4)), "`inputs` must have the features of W_enc, 3, got 4."),
        (
            (W, None, None, KHot),
            "`inputs` must be a class that needs n_features alone, or one of its objects, got",
        ),
        (
            (W, None, None, "OneHot"),
            "`inputs` must be an InputDataModule or a subclass of InputDataModule or None",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(arguments, said):
    with pytest.raises(ValueError, match=re.escape(said)) as raised:
        measure(*arguments)
    assert "\n" not in str(raised.value)


def test_a_class_of_inputs_does():
    assert measure(W, inputs=OneHot)["loss"].item() == 0
