"""What predictions ask about networks: their inputs, their sizes and how they were trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from polysemantic.model.ensemble import Ensemble
from polysemantic.training.module import EnsembleModule

_VARIED = ("l1", "noise_std", "importance")
# With any of these, SGD is no plain gradient descent on the loss.
_NOT_PLAIN = ("momentum", "weight_decay", "maximize")
# torch's own, where a configuration names none.
_SGD_RATE = 0.001


@dataclasses.dataclass(frozen=True)
class Setup:
    """What predictions ask about the networks of one grid point. By default, the setting of arXiv:2312.03096.

    Args:
        n_features: Features n.
        n_hidden: Neurons m.
        one_hot: Whether the inputs are our `OneHot` with magnitude one. A subclass may draw anything, so it is not.
        every_feature_once: Whether each step sees every one-hot input once.
        our_network: Whether the network is `Autoencoder` itself and no subclass of it.
        tied: Whether the decoder is the encoder.
        bias: Whether the outputs have a bias.
        act: Activation of the hidden units.
        l1: Weight of the L1 penalty.
        importance: Ratio of one feature's weight in the loss to that of the feature before it.
        noise: Law of the hidden noise.
        noise_std: Standard deviation of the hidden noise.
        init: Law of the initial weights; `init_from` if they are those of an earlier run.
        learning_rate: Of plain gradient descent (SGD without momentum, weight decay, schedule or clipping); None for
            any other optimiser.

    Example:
        >>> Setup(n_features=256, n_hidden=512).one_hot
        True
    """

    n_features: int
    n_hidden: int
    one_hot: bool = True
    every_feature_once: bool = True
    our_network: bool = True
    tied: bool = True
    bias: bool = False
    act: str = "linear"
    l1: float = 0.001
    importance: float = 1.0
    noise: str = "bernoulli"
    noise_std: float = 0.0
    init: str = "normal"
    learning_rate: float | None = 1.0


def setups_of_module(module: EnsembleModule) -> list[Setup]:
    """The setup of each grid point of a run that has its data."""
    optimizer = module.optimization.make_optimizer([torch.nn.Parameter(torch.zeros(1))])
    model = {name: getattr(module, name) for name in ("n_hidden", "tied", "bias", "act", "noise", "init", "clip_norm")}
    model |= module.numbers
    model |= {
        "init_from": module.recipe.init_from,
        "autoencoder": _path(module.autoencoder_class),
        "optimizer": {"class_path": _path(type(optimizer)), "init_args": optimizer.defaults},
        "lr_scheduler": module.optimization.make_schedule,
    }
    data = {"class_path": _path(type(module.data)), "init_args": module.data.arguments()}
    return _setups(model, data, module.n_features, module.ensemble)


def setups_of_config(config: Mapping[str, Any], n_features: int) -> list[Setup]:
    """The setup of each grid point of a finished run.

    Args:
        config: Its resolved configuration, the content of `config.yaml`.
        n_features: Number of features, which a configuration does not know if a file holds the inputs.

    Example:
        >>> config = {"model": {"n_hidden": 8}, "data": {"class_path": "mine.OneHot"}, "ensemble": {"seeds": 2}}
        >>> [setup.one_hot for setup in setups_of_config(config, n_features=4)]
        [False]
    """
    return _setups(config["model"], config["data"], n_features, Ensemble(**config.get("ensemble") or {}))


def _setups(model: Mapping[str, Any], data: Mapping[str, Any], n_features: int, ensemble: Ensemble) -> list[Setup]:
    inputs = data.get("init_args") or {}
    one_hot = _is_named(data.get("class_path"), "polysemantic.data", "OneHot") and inputs.get("magnitude") in (
        None,
        "one",
    )
    given = {name: model[name] for name in ("tied", "bias", "act", "noise", "init", *_VARIED) if name in model}
    if model.get("init_from") is not None:
        given["init"] = "init_from"
    network = model.get("autoencoder") or "polysemantic.Autoencoder"
    setup = Setup(
        n_features,
        int(model["n_hidden"]),
        one_hot=one_hot,
        every_feature_once=one_hot and inputs.get("batch_size") is None,
        our_network=_is_named(network, "polysemantic", "Autoencoder"),
        learning_rate=_plain_rate(model),
        **given,
    )
    points: list[dict[str, Any]] = [
        {name: value for name, value in point.items() if name in _VARIED} for point in ensemble.points
    ]
    return [dataclasses.replace(setup, **point) for point in points]


def _plain_rate(model: Mapping[str, Any]) -> float | None:
    """The learning rate of plain gradient descent, None of any other optimiser."""
    optimizer = model.get("optimizer") or {}
    options = optimizer.get("init_args") or {}
    plain = _is_named(optimizer.get("class_path"), "torch.optim", "SGD")
    changed = model.get("lr_scheduler") is not None or model.get("clip_norm") is not None
    if not plain or changed or any(options.get(name) for name in _NOT_PLAIN):
        return None
    return float(options.get("lr", _SGD_RATE))


def _path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _is_named(path: Any, package: str, name: str) -> bool:
    """Whether the path of a class is that of one of ours, or torch's, wherever in its package it is imported from."""
    return str(path).startswith(f"{package}.") and str(path).rpartition(".")[2] == name
