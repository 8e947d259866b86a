"""Trainings that write nothing, the cases that many tests train, and what the weights of two of them must agree on."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.optim import SGD, Adam, AdamW

from polysemantic.data import IndependentBernoulli, InputDataModule, OneHot
from polysemantic.engine.base import Plan
from polysemantic.model.ensemble import Ensemble
from polysemantic.runtime.trainer import build_trainer
from polysemantic.training.module import EnsembleModule

DATA: dict[str, Callable[..., InputDataModule]] = {
    "every feature once": OneHot,
    "one-hot": functools.partial(OneHot, batch_size=12),
    "bernoulli": functools.partial(IndependentBernoulli, probability=0.3, batch_size=24),
}
OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "AdamW": lambda parameters: AdamW(parameters, lr=0.01),
    "Adam": lambda parameters: Adam(parameters, lr=0.01),
    "SGD": lambda parameters: SGD(parameters, lr=0.02, momentum=0.9),
}
# In the first two sizes each tensor of an instance is a multiple of 16 numbers, the bias of the second too.
SIZES = {"8 x 6": (8, 6), "16 x 5": (16, 5), "5 x 3": (5, 3)}
EXACT: dict[str, Any] = {"rtol": 0, "atol": 0}
CLOSE: dict[str, Any] = {"rtol": 0, "atol": 1e-5}


def train(
    make_data: Callable[..., InputDataModule],
    size: tuple[int, int],
    ensemble: Ensemble,
    max_steps: int = 100,
    options: Mapping[str, Any] | None = None,
    plan: Plan | None = None,
    **model: Any,
) -> EnsembleModule:
    """The trained module; nothing is written. A plan says how steps are taken, in place of the one that is chosen."""
    n_features, n_hidden = size
    module = EnsembleModule(n_features, n_hidden, ensemble, **model)
    module.plan = plan
    options = {"accelerator": "cpu", "enable_progress_bar": False, "max_steps": max_steps, **(options or {})}
    build_trainer([], None, logged=False, **options).fit(module, datamodule=make_data(n_features))
    return module


def assert_equal_weights(one: EnsembleModule, other: EnsembleModule, tolerance: dict[str, Any], first: int = 0) -> None:
    """Every instance of one module against as many of another, from the given one on."""
    for name, values in one.state_dict().items():
        torch.testing.assert_close(values, other.state_dict()[name][first : first + len(values)], **tolerance)


def assert_independent_of_ensemble_and_chunks(
    make_data: Callable[..., InputDataModule],
    size: tuple[int, int],
    tolerance: dict[str, Any] = EXACT,
    **model: Any,
) -> None:
    """An instance ends with the same weights in an ensemble of any size and in chunks of any length."""
    pair = train(make_data, size, Ensemble(2), inner_steps=100, **model)
    assert (pair.networks.W_enc - pair.networks.W_enc[0]).abs().max() > 0.1
    for seeds in (5, 16):
        larger = train(make_data, size, Ensemble(seeds), inner_steps=100, **model)
        assert_equal_weights(pair, larger, tolerance)
    for inner_steps in (1, 7):
        chunks = train(make_data, size, Ensemble(2), inner_steps=inner_steps, **model)
        assert_equal_weights(pair, chunks, EXACT)
