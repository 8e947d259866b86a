"""The lives of collisions of an ensemble that is divided among processes: put together, and divided anew."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from polysemantic.training.shard import Shard

Shape = tuple[int, int, int]


def collected_lives(state: dict[str, Any], shape: Shape, shard: Shard) -> dict[str, Any]:
    """The state of `LifeRecords` for the whole ensemble, on the first process, from that of each process.

    Args:
        state: From `LifeRecords.state_dict`.
        shape: Instances held here, features and neurons.
        shard: Which instances they are.
    """
    if shard.ranks == 1:
        return state
    weights, codes = _sizes(shape)
    first = shard.held.start
    moved = state | {"on": state["on"] + first * weights, "codes": state["codes"] + first * codes}
    moved["ended"] = state["ended"] | {"code": state["ended"]["code"] + first * codes}
    return _each(moved, shard.collect)


def held_lives(state: dict[str, Any], shape: Shape, shard: Shard) -> dict[str, Any]:
    """The state for the instances held here, from that of the whole ensemble; the inverse of `collected_lives`."""
    if shard.ranks == 1:
        return state
    weights, codes = _sizes(shape)
    on, code, ended = state["on"], state["codes"], state["ended"]["code"]
    here = _within(on, shard, weights), _within(code, shard, codes), _within(ended, shard, codes)
    first = shard.held.start
    rows = _each(state["ended"], lambda column: column[here[2]])
    return {
        "on": on[here[0]] - first * weights,
        "codes": code[here[1]] - first * codes,
        "living": _each(state["living"], lambda column: column[here[1]]),
        "ended": rows | {"code": rows["code"] - first * codes},
        **{name: state[name][shard.held] for name in ("seen", "last_seen", "crowded")},
    }


def _sizes(shape: Shape) -> tuple[int, int]:
    """How many weights, and how many codes of collisions, an instance has."""
    _, n_features, n_hidden = shape
    return n_features * n_hidden, n_features**2 * n_hidden


def _within(places: Tensor, shard: Shard, size: int) -> Tensor:
    return torch.isin(places // size, torch.arange(shard.length)[shard.held])


def _each(state: dict[str, Any], change: Any) -> dict[str, Any]:
    return {name: _each(v, change) if isinstance(v, dict) else change(v) for name, v in state.items()}
