from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from polysemantic.callbacks import CollisionTracker, Convergence, Measurements, Results, Survival
from polysemantic.data import InputDataModule, OneHot
from polysemantic.model.autoencoder import Autoencoder
from polysemantic.model.ensemble import Ensemble
from polysemantic.model.initial_weights import InitialTraits
from polysemantic.model.objective import Act
from polysemantic.model.weights import Weights
from polysemantic.results.columns import COLUMNS, RUN, Column
from polysemantic.runtime.trainer import build_trainer
from polysemantic.training.module import EnsembleModule
from polysemantic.validation.arguments import checked_arguments

# What is said of the inputs and the sizes, of the columns about a run, which weights alone do not have.
_KNOWN = ("expected_companions", "expected_polysemantic_neurons")
_LABELS = ["instance", "n_features", "n_hidden", "data"]
# These compare with the initial weights.
_OF_START = ("winner_was_largest", "winner_kept_sign")


@checked_arguments()
def measure(
    W_enc: Any,
    W_dec: Any = None,
    b_dec: Any = None,
    inputs: InputDataModule | type[InputDataModule] | None = None,
    *,
    act: Act = "linear",
    l1: float = 0.0,
    importance: float = 1.0,
) -> pd.DataFrame:
    """The measurements of weights that somebody else trained, as `docs/measurements.md` explains them.

    The network is x_hat = relu(act(x W_enc) W_decᵀ + b_dec).

    Args:
        W_enc: Encoder of numpy, torch or nested lists, shape (feature, hidden) for one network, (instance, feature,
            hidden) for several.
        W_dec: Decoder, of the same shape; None if it is the encoder itself (tied).
        b_dec: Output bias, shape (feature) or (instance, feature); None without.
        inputs: What to measure on: an input distribution such as `KHot(n_features=8, k=2)`, or a class that needs
            n_features alone; None for one-hot inputs.
        act: Activation of the hidden units.
        l1: Weight of the L1 penalty, which `loss` and `rotation_gap` have a part of.
        importance: Ratio of one feature's weight in the loss to that of the feature before it, in (0, 1].

    Returns:
        One row for each network: `instance`, `n_features`, `n_hidden`, `data`, and a column for each measurement. What
        does not apply is nan, among it all measurements of a network whose weights are not finite.

    Raises:
        ValueError: If a shape does not fit, or an argument is of another kind or out of its range.

    Example:
        >>> table = measure([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
        >>> table[["polysemantic_neurons", "coverage", "collisions_opposite_sign"]].to_dict("records")
        [{'polysemantic_neurons': 1, 'coverage': 1.0, 'collisions_opposite_sign': 1}]
    """
    weights = _weights(W_enc, W_dec, b_dec)
    n_instances, n_features, n_hidden = weights.W_enc.shape
    data = _inputs(inputs, n_features)
    module = EnsembleModule(
        n_features,
        n_hidden,
        Ensemble(n_instances),
        tied=weights.W_dec is None,
        bias=weights.b_dec is not None,
        act=act,
        l1=l1,
        importance=importance,
    )
    module.autoencoder = Autoencoder(weights, act, module.number("l1"), module.number("importance"))
    module.initial_traits = InitialTraits.of(weights)
    table = _measured(module, data)
    return table.assign(**dict.fromkeys(_OF_START, np.nan))


def _measured(module: EnsembleModule, data: InputDataModule) -> pd.DataFrame:
    """The table that `validate` would print of these networks, without the columns about a run."""
    measurements = Measurements()
    convergence, collisions = Convergence(), CollisionTracker()
    survival = Survival(collisions, convergence)
    results = Results(measurements, convergence, collisions, survival, quiet=True)
    W = module.networks.W_enc
    options: dict[str, Any] = {"enable_progress_bar": False, "max_steps": 1, "devices": 1, "accelerator": "cpu"}
    if W.is_cuda:
        options |= {"accelerator": "gpu", "devices": [W.device.index or 0]}
    options["precision"] = 64 if W.dtype == torch.float64 else 32
    trainer = build_trainer([convergence, measurements, collisions, results], None, logged=False, **options)
    trainer.validate(module, datamodule=data, verbose=False)
    columns = [*_LABELS, *(name for name in results.table if _applies(str(name), COLUMNS | measurements.columns))]
    return results.table[list(dict.fromkeys(columns))]


def _applies(name: str, known: dict[str, Column]) -> bool:
    of_life = name in ("collisions_born", "collisions_settled", "collisions_resolved")
    return name in _KNOWN or (name in known and known[name].group not in (RUN, "row", "setting") and not of_life)


def _weights(W_enc: Any, W_dec: Any, b_dec: Any) -> Weights:
    """The weights with an axis of instances, in one precision on one device.

    Raises:
        ValueError: If a shape does not fit.
    """
    encoder = _tensor("W_enc", W_enc)
    if encoder.ndim not in (2, 3) or 0 in encoder.shape:
        rule = "have shape (feature, hidden) or (instance, feature, hidden)"
        raise ValueError(f"`W_enc` must {rule}, got {tuple(encoder.shape)}.")
    decoder = None if W_dec is None else _tensor("W_dec", W_dec, encoder)
    if decoder is not None and decoder.shape != encoder.shape:
        near = "; did you mean its transpose?" if decoder.mT.shape == encoder.shape else "."
        rule = f"have the shape of W_enc, {tuple(encoder.shape)}"
        raise ValueError(f"`W_dec` must {rule}, got {tuple(decoder.shape)}{near}")
    bias = None if b_dec is None else _tensor("b_dec", b_dec, encoder)
    if bias is not None and bias.shape != encoder.shape[:-1]:
        rule = f"hold a number for each feature, shape {tuple(encoder.shape[:-1])}"
        raise ValueError(f"`b_dec` must {rule}, got {tuple(bias.shape)}.")
    single = encoder.ndim == 2
    decoder, bias = (w[None] if single and w is not None else w for w in (decoder, bias))
    return Weights(encoder[None] if single else encoder, decoder, bias)


def _tensor(name: str, values: Any, like: Tensor | None = None) -> Float[Tensor, "..."]:
    try:
        tensor = torch.as_tensor(values).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"`{name}` must be a matrix of numbers, got {type(values).__name__}: {error}.") from error
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise ValueError(f"`{name}` must hold real numbers, got {tensor.dtype}.")
    if like is not None:
        return tensor.to(like, copy=True)
    return tensor.to(torch.float64 if tensor.dtype == torch.float64 else torch.float32, copy=True)


def _inputs(inputs: InputDataModule | type[InputDataModule] | None, n_features: int) -> InputDataModule:
    if inputs is None:
        return OneHot(n_features)
    if isinstance(inputs, type):
        kind = inputs
        try:
            inputs = kind(n_features=n_features)
        except TypeError as error:
            raise ValueError(
                f"`inputs` must be a class that needs n_features alone, or one of its objects, got {kind.__name__}: "
                f"{error}."
            ) from error
    if inputs.n_features != n_features:
        raise ValueError(f"`inputs` must have the features of W_enc, {n_features}, got {inputs.n_features}.")
    return inputs
