from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from polysemantic.functional import (
    Grades,
    LargeWeights,
    LifeEvents,
    Lives,
    collision_weights,
    decode_collisions,
    follow_lives,
    no_lives,
)
from polysemantic.model.weights import Weights

Columns = dict[str, Tensor]
Cost = Callable[[Int64[Tensor, " collision"]], Float[Tensor, " collision"]]

_NEVER = -1
_KINDS = np.array(["same_sign", "opposite_sign"], dtype=object)
_ENDED_BY = np.array([None, "i", "j", "both"], dtype=object)


class LifeThresholds(NamedTuple):
    """A weight is on from `born` until it falls below `ended`; a collision settles once both reach `settled`."""

    born: float = 0.5
    ended: float = 0.3
    settled: float = 0.7


_DEFAULT_THRESHOLDS = LifeThresholds()


class LifeRecords:
    """The life of every collision so far, one row each in growing columns.

    An instance is observed as long as its lives, those that ended among them, are at most `max_lives` and its weights
    are finite. While it is not, its collisions count as alive when last seen.

    Args:
        shape: Instances, features and neurons.
        max_lives: Lives of one instance up to which it is observed.
        thresholds: When weights are on and settled.
    """

    def __init__(
        self, shape: tuple[int, int, int], max_lives: int, thresholds: LifeThresholds = _DEFAULT_THRESHOLDS
    ) -> None:
        self.shape, self.max_lives, self.thresholds = shape, max_lives, thresholds
        self.lives = no_lives(torch.zeros(1, 1, 1).expand(shape))
        self.last_seen = torch.full(shape[:1], _NEVER)
        self.crowded = torch.zeros(shape[0], dtype=torch.bool)
        self._living = _blank(0)
        self._ended: list[Columns] = []
        self._n_ended = torch.zeros(shape[0], dtype=torch.long)
        self._at_rest: Grades | None = None

    def observe(
        self,
        step: int,
        large: LargeWeights,
        cost: Cost,
        *,
        cost_due: bool = True,
    ) -> None:
        """Take in the networks at a step.

        Args:
            step: The optimiser step.
            large: Their weights of at least `thresholds.ended`.
            cost: Interference cost of collisions, given as codes.
            cost_due: Whether to ask for that of all; that of those that are born, or that may be gone when seen next
                as a weight is below `thresholds.born`, is asked for anyway.
        """
        lives, events = follow_lives(
            self.lives, large, **self.thresholds._asdict(), room=self.max_lives - self._n_ended
        )
        self._end(events, step)
        self._go_on(lives, step)
        self._living["settled_step"][torch.searchsorted(lives.codes, events.settled)] = step
        # Where lives ended, there may be no room for as many others.
        at_rest = len(events.resolved) == 0
        if len(lives.codes) > 0:
            may_go = self._look(lives, large)
            at_rest &= not bool(may_go.any())
            # What others are born beside it must not decide when a collision's cost is measured.
            asked = cost_due | may_go | torch.isin(lives.codes, events.born, assume_unique=True)
            self._price(lives, lives.codes[asked], cost)
        self.crowded |= large.finite & ~lives.seen
        self.last_seen[lives.seen] = step
        self.lives = lives
        self._at_rest = Grades.of(large, *sorted(self.thresholds)) if at_rest else None

    def pass_by(self, step: int, weights: Weights) -> bool:
        """Take in the networks at a step if none of their weights passed a threshold since one that nothing followed.

        Args:
            step: The optimiser step.
            weights: Their weights.

        Returns:
            Whether it was so. If not, they are still to be observed.
        """
        if self._at_rest is None or not self._at_rest.hold(weights.W_enc, weights.W_dec):
            return False
        self.last_seen[self.lives.seen] = step
        return True

    def price(self, cost: Cost) -> None:
        """Note what the living cost now."""
        self._price(self.lives, self.lives.codes, cost)

    def _price(self, lives: Lives, codes: Int64[Tensor, " collision"], cost: Cost) -> None:
        if len(codes) > 0:
            values, at = cost(codes).float(), torch.searchsorted(lives.codes, codes)
            for moment, rows in self._moments(lives, codes):
                self._living[f"cost_at_{moment}"][at[rows]] = values[rows]

    def _moments(
        self, lives: Lives, codes: Int64[Tensor, " collision"]
    ) -> list[tuple[str, Bool[Tensor, " collision"]]]:
        """Which of some collisions are seen for the first time, and which are seen at all."""
        seen, last = lives.seen[self._instance(codes)], self.last_seen[self._instance(codes)]
        born_step = self._living["born_step"][torch.searchsorted(lives.codes, codes)]
        return [("birth", seen & (born_step > last)), ("end", seen)]

    def _instance(self, codes: Int64[Tensor, " collision"]) -> Int64[Tensor, " collision"]:
        return decode_collisions(codes, *self.shape[1:]).instance

    def _end(self, events: LifeEvents, step: int) -> None:
        if len(events.resolved) == 0:
            return
        at = torch.searchsorted(self.lives.codes, events.resolved)
        self._n_ended += self._per_instance(events.resolved)
        self._ended.append(
            {name: column[at] for name, column in self._living.items()}
            | {
                "code": events.resolved,
                "last_seen_step": self.last_seen[self._instance(events.resolved)],
                "resolved_step": torch.full_like(events.resolved, step),
                "ended_by": events.i_left + 2 * events.j_left,
            }
        )

    def _go_on(self, lives: Lives, step: int) -> None:
        """Hand what is known of the living on, and open a row for each that is born."""
        columns = _blank(len(lives.codes))
        columns["born_step"] += step - _NEVER
        stays = torch.isin(self.lives.codes, lives.codes, assume_unique=True)
        at = torch.searchsorted(lives.codes, self.lives.codes[stays])
        for name, column in self._living.items():
            columns[name][at] = column[stays]
        self._living = columns

    def _look(self, lives: Lives, large: LargeWeights) -> Bool[Tensor, " collision"]:
        """Note the kinds of the living, and give those of which a weight has come near its end."""
        i, j = collision_weights(large, lives.codes)
        opposite = (i < 0) != (j < 0)
        for moment, rows in self._moments(lives, lives.codes):
            self._living[f"opposite_at_{moment}"][rows] = opposite[rows]
        return torch.minimum(i.abs(), j.abs()) < self.thresholds.born

    def _column(self, name: str) -> Tensor:
        """A column of the lives that ended."""
        chunks = [chunk[name] for chunk in self._ended]
        return torch.cat(chunks) if chunks else _blank(0, ended=True)[name]

    def _all(self) -> Columns:
        """Every life, the living after those that ended."""
        alive = _blank(len(self.lives.codes), ended=True) | self._living | {"code": self.lives.codes}
        alive["last_seen_step"] = self.last_seen[self._instance(self.lives.codes)]
        return {name: torch.cat([self._column(name), column]) for name, column in alive.items()}

    def _per_instance(self, codes: Int64[Tensor, " collision"]) -> Int64[Tensor, " instance"]:
        return torch.bincount(self._instance(codes), minlength=self.shape[0])

    def counts(self) -> dict[str, Float[Tensor, " instance"]]:
        """Lives of each instance that began, settled and ended; nan where the instance was not always observed."""
        everything = self._all()
        kept: dict[str, Bool[Tensor, " life"]] = {
            "born": everything["born_step"] != _NEVER,
            "settled": everything["settled_step"] != _NEVER,
            "resolved": everything["resolved_step"] != _NEVER,
        }
        return {
            name: self._per_instance(everything["code"][rows]).double().masked_fill(self.crowded, torch.nan)
            for name, rows in kept.items()
        }

    def table(self) -> pd.DataFrame:
        """One row for each life, in order of instance, neuron, features and birth."""
        columns = self._all()
        order = np.lexsort((columns["born_step"].numpy(), columns["code"].numpy()))
        values = {name: column[order].numpy() for name, column in columns.items()}
        instance, neuron, i, j = (index.numpy() for index in decode_collisions(columns["code"][order], *self.shape[1:]))
        return pd.DataFrame(
            {
                "instance": instance,
                "neuron": neuron,
                "feature_i": i,
                "feature_j": j,
                "born_step": values["born_step"],
                "settled_step": _nullable(values["settled_step"]),
                "last_seen_step": values["last_seen_step"],
                "resolved_step": _nullable(values["resolved_step"]),
                "kind_at_birth": _KINDS[values["opposite_at_birth"].astype(int)],
                "kind_at_end": _KINDS[values["opposite_at_end"].astype(int)],
                "cost_at_birth": values["cost_at_birth"].astype(float),
                "cost_at_end": values["cost_at_end"].astype(float),
                "ended_by": _ENDED_BY[values["ended_by"]],
            }
        )

    def state_dict(self) -> dict[str, Any]:
        """All of it, in tensors."""
        ended = {name: self._column(name) for name in _blank(0, ended=True)}
        self._ended = [ended]
        state = {"on": self.lives.on, "codes": self.lives.codes, "seen": self.lives.seen}
        state |= {"last_seen": self.last_seen, "crowded": self.crowded}
        return state | {"living": dict(self._living), "ended": ended}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        names = ("on", "codes", "seen", "last_seen", "crowded", "living", "ended")
        state = {name: _on_cpu(state[name]) for name in names}
        self._living, self._ended, self._at_rest = state["living"], [state["ended"]], None
        self.last_seen, self.crowded = state["last_seen"], state["crowded"]
        self._n_ended = self._per_instance(self._column("code"))
        settled = self._living["settled_step"] != _NEVER
        self.lives = Lives(self.shape, state["on"], state["codes"], settled, state["seen"])


def _blank(rows: int, *, ended: bool = False) -> Columns:
    integers = ["born_step", "settled_step"] + ["code", "last_seen_step", "resolved_step"] * ended
    columns = {name: torch.full((rows,), _NEVER) for name in integers}
    columns |= {f"opposite_at_{moment}": torch.zeros(rows, dtype=torch.bool) for moment in ("birth", "end")}
    costs = {f"cost_at_{moment}": torch.full((rows,), torch.nan, dtype=torch.float32) for moment in ("birth", "end")}
    return columns | costs | ({"ended_by": torch.zeros(rows, dtype=torch.long)} if ended else {})


def _nullable(steps: Any) -> Any:
    return pd.arrays.IntegerArray(steps, steps == _NEVER)


def _on_cpu(value: Any) -> Any:
    return {name: _on_cpu(v) for name, v in value.items()} if isinstance(value, dict) else value.cpu()
