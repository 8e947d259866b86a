"""The settings of a run that an axis can be made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Setting = str | float | bool

# How fast a run is, and what is kept of it, changes no result.
_NOT_RESULTS = {"model.compile", "model.engine", "model.kernels", "model.inner_steps", "model.n_features"}


def settings(config: Mapping[str, Any]) -> dict[str, Setting]:
    """The scalars of a configuration that decide its results, under dotted keys; classes by their short names."""
    parts = {name: config.get(name) or {} for name in ("model", "data")}
    parts["trainer"] = {"max_steps": config.get("trainer", {}).get("max_steps")}
    parts["seed_everything"] = config.get("seed_everything")
    return {key: value for key, value in _scalars("", parts) if key not in _NOT_RESULTS}


def _scalars(key: str, value: Any) -> Iterator[tuple[str, Setting]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            inside = key if name == "init_args" else f"{key}.{name}".lstrip(".")
            if name == "class_path":
                yield key, str(inner).rpartition(".")[2]
            else:
                yield from _scalars(inside, inner)
    elif key == "model.autoencoder":
        yield key, str(value).rpartition(".")[2]
    elif isinstance(value, (str, int, float)):
        yield key, value


def flat(values: Mapping[str, Any]) -> dict[str, Setting]:
    """Values under dotted keys as scalars: a class by its short name, with its arguments beside it.

    Example:
        >>> flat({"model.optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}}})
        {'model.optimizer': 'SGD', 'model.optimizer.lr': 0.1}
    """
    return dict(scalar for key, value in values.items() for scalar in _scalars(key, value))


def axis_columns(sweep: Mapping[str, Any]) -> dict[str, str]:
    """The column of each axis of a sweep, by its dotted key.

    Args:
        sweep: The content of its `sweep.yaml`.

    Example:
        >>> axis_columns({"axes": {"model.n_hidden": [8]}, "zip": [{"data.n_features": [4]}]})
        {'model.n_hidden': 'n_hidden', 'data.n_features': 'n_features'}
    """
    return short_names([*(sweep.get("axes") or {}), *(key for group in sweep.get("zip") or [] for key in group)])


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """The last dotted part of each key, or the whole key where two would be the same.

    Example:
        >>> short_names(["model.l1", "model.optimizer.lr", "other.lr"])
        {'model.l1': 'l1', 'model.optimizer.lr': 'model.optimizer.lr', 'other.lr': 'other.lr'}
    """
    keys = list(keys)
    last = [key.rpartition(".")[2] for key in keys]
    return {key: name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)}
