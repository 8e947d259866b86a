"""The state of `LifeRecords` of an ensemble whose instances are sharded among processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from polysemantic.training.shard import Shard

Shape = tuple[int, int, int]


def collect_lives(state: dict[str, Any], shape: Shape, shard: Shard) -> dict[str, Any]:
    """The state of the whole ensemble, on the first process. All processes must call it.

    Args:
        state: `LifeRecords.state_dict` of this process.
        shape: Instances of this process, features and neurons.
        shard: The instances of this process.
    """
    if shard.ranks == 1:
        return state
    weights, codes = _codes_per_instance(shape)
    first = shard.held.start
    moved = state | {"on": state["on"] + first * weights, "codes": state["codes"] + first * codes}
    moved["ended"] = state["ended"] | {"code": state["ended"]["code"] + first * codes}
    return _map(moved, shard.collect)


def shard_lives(state: dict[str, Any], shape: Shape, shard: Shard) -> dict[str, Any]:
    """The state of this process's instances, from the state of the whole ensemble: the inverse of `collect_lives`."""
    if shard.ranks == 1:
        return state
    weights, codes = _codes_per_instance(shape)
    on, code, ended = state["on"], state["codes"], state["ended"]["code"]
    here = _is_here(on, shard, weights), _is_here(code, shard, codes), _is_here(ended, shard, codes)
    first = shard.held.start
    rows = _map(state["ended"], lambda column: column[here[2]])
    return {
        "on": on[here[0]] - first * weights,
        "codes": code[here[1]] - first * codes,
        "living": _map(state["living"], lambda column: column[here[1]]),
        "ended": rows | {"code": rows["code"] - first * codes},
        **{name: state[name][shard.held] for name in ("seen", "last_seen", "crowded")},
    }


def _codes_per_instance(shape: Shape) -> tuple[int, int]:
    """The number of weights, and of codes of collisions, of one instance."""
    _, n_features, n_hidden = shape
    return n_features * n_hidden, n_features**2 * n_hidden


def _is_here(code: Tensor, shard: Shard, per_instance: int) -> Tensor:
    return torch.isin(code // per_instance, torch.arange(shard.length)[shard.held])


def _map(state: dict[str, Any], change: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    return {name: _map(value, change) if isinstance(value, dict) else change(value) for name, value in state.items()}
