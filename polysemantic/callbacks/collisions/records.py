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

LifeColumns = dict[str, Tensor]
"""Columns of a table of lives by their names, with an entry for each life."""
CostFunction = Callable[[Int64[Tensor, " collision"]], Float[Tensor, " collision"]]
"""Gives the interference cost of each of some collisions, which are given as codes."""

# Stands for a step that has not come. Tables have a null there.
_NEVER = -1
_KINDS = np.array(["same_sign", "opposite_sign"], dtype=object)
_ENDED_BY = np.array([None, "i", "j", "both"], dtype=object)


class LifeThresholds(NamedTuple):
    """Magnitudes of weights at which the lives of collisions begin, settle and end.

    A weight is on, with hysteresis, from `born` until it falls below `ended`. A collision lives while the weights of
    both features are on, and settles once both reach `settled`.
    """

    born: float = 0.5
    ended: float = 0.3
    settled: float = 0.7


_DEFAULT_THRESHOLDS = LifeThresholds()


class LifeRecords:
    """The lives of all collisions so far, as a table with one row for each life.

    An instance is observed while its weights are finite and it has at most `max_lives` lives, ended ones included.
    While it is not observed, its collisions are censored: they count as alive at the step at which they were last seen.

    Args:
        shape: Instances, features and neurons.
        max_lives: Number of lives up to which an instance is observed.
        thresholds: Magnitudes at which lives begin, settle and end.
    """

    def __init__(
        self, shape: tuple[int, int, int], max_lives: int, thresholds: LifeThresholds = _DEFAULT_THRESHOLDS
    ) -> None:
        self.shape, self.max_lives, self.thresholds = shape, max_lives, thresholds
        self.lives = no_lives(torch.zeros(1, 1, 1).expand(shape))
        self.last_seen = torch.full(shape[:1], _NEVER)
        self.crowded = torch.zeros(shape[0], dtype=torch.bool)
        self._living = _empty_columns(0)
        self._ended: list[LifeColumns] = []
        self._n_ended = torch.zeros(shape[0], dtype=torch.long)
        self._grades: Grades | None = None

    def observe(
        self,
        step: int,
        large: LargeWeights,
        cost: CostFunction,
        *,
        cost_due: bool = True,
    ) -> None:
        """Observe the networks at a step.

        Args:
            step: The optimiser step.
            large: Weights with a magnitude of at least `thresholds.ended`.
            cost: Measures the interference cost of collisions.
            cost_due: Whether to measure the cost of all collisions. The cost of two kinds is always measured: of
                collisions that are born at this step, and of those that may end before the next observation, because
                a weight is below `thresholds.born`.
        """
        lives, events = follow_lives(
            self.lives, large, **self.thresholds._asdict(), room=self.max_lives - self._n_ended
        )
        self._end(events, step)
        self._carry_over(lives, step)
        self._living["settled_step"][torch.searchsorted(lives.codes, events.settled)] = step
        # Lives that ended leave less room under `max_lives`, so the next observation may end the record of an instance
        # whose weights have not changed.
        unchanging = len(events.resolved) == 0
        if len(lives.codes) > 0:
            may_end = self._note_kinds(lives, large)
            unchanging &= not bool(may_end.any())
            # Each collision by itself decides whether its cost is measured, whatever other collisions are born.
            due = cost_due | may_end | torch.isin(lives.codes, events.born, assume_unique=True)
            self._note_costs(lives, lives.codes[due], cost)
        self.crowded |= large.finite & ~lives.seen
        self.last_seen[lives.seen] = step
        self.lives = lives
        self._grades = Grades.of(large, *sorted(self.thresholds)) if unchanging else None

    def skip_unchanged(self, step: int, weights: Weights) -> bool:
        """Observe the networks at a step if no weight has crossed a threshold since the last observation.

        This is much quicker than `observe` and has the same effect, but for costs.

        Args:
            step: The optimiser step.
            weights: Weights of the networks.

        Returns:
            Whether no weight has crossed a threshold. If one has, `observe` must be called.
        """
        if self._grades is None or not self._grades.hold(weights.W_enc, weights.W_dec):
            return False
        self.last_seen[self.lives.seen] = step
        return True

    def measure_costs(self, cost: CostFunction) -> None:
        """Measure the present cost of all living collisions."""
        self._note_costs(self.lives, self.lives.codes, cost)

    def _note_costs(self, lives: Lives, codes: Int64[Tensor, " collision"], cost: CostFunction) -> None:
        if len(codes) > 0:
            values, at = cost(codes).float(), torch.searchsorted(lives.codes, codes)
            for moment, rows in self._moments(lives, codes):
                self._living[f"cost_at_{moment}"][at[rows]] = values[rows]

    def _moments(
        self, lives: Lives, codes: Int64[Tensor, " collision"]
    ) -> list[tuple[str, Bool[Tensor, " collision"]]]:
        """Which of some collisions are observed at this step for the first time, and which are observed at all."""
        seen, last = lives.seen[self._instance(codes)], self.last_seen[self._instance(codes)]
        born_step = self._living["born_step"][torch.searchsorted(lives.codes, codes)]
        return [("birth", seen & (born_step > last)), ("end", seen)]

    def _instance(self, codes: Int64[Tensor, " collision"]) -> Int64[Tensor, " collision"]:
        return decode_collisions(codes, *self.shape[1:]).instance

    def _end(self, events: LifeEvents, step: int) -> None:
        """Move the rows of collisions that resolved to the lives that ended."""
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

    def _carry_over(self, lives: Lives, step: int) -> None:
        """Keep the rows of collisions that still live, and add a row for each that is born."""
        columns = _empty_columns(len(lives.codes))
        columns["born_step"] += step - _NEVER
        stays = torch.isin(self.lives.codes, lives.codes, assume_unique=True)
        at = torch.searchsorted(lives.codes, self.lives.codes[stays])
        for name, column in self._living.items():
            columns[name][at] = column[stays]
        self._living = columns

    def _note_kinds(self, lives: Lives, large: LargeWeights) -> Bool[Tensor, " collision"]:
        """Note the sign kinds of living collisions, and return which have a weight below `thresholds.born`."""
        i, j = collision_weights(large, lives.codes)
        opposite = (i < 0) != (j < 0)
        for moment, rows in self._moments(lives, lives.codes):
            self._living[f"opposite_at_{moment}"][rows] = opposite[rows]
        return torch.minimum(i.abs(), j.abs()) < self.thresholds.born

    def _column(self, name: str) -> Tensor:
        """A column of the lives that ended."""
        chunks = [chunk[name] for chunk in self._ended]
        return torch.cat(chunks) if chunks else _empty_columns(0, ended=True)[name]

    def _all(self) -> LifeColumns:
        """All lives, first the ones that ended."""
        alive = _empty_columns(len(self.lives.codes), ended=True) | self._living | {"code": self.lives.codes}
        alive["last_seen_step"] = self.last_seen[self._instance(self.lives.codes)]
        return {name: torch.cat([self._column(name), column]) for name, column in alive.items()}

    def _per_instance(self, codes: Int64[Tensor, " collision"]) -> Int64[Tensor, " instance"]:
        return torch.bincount(self._instance(codes), minlength=self.shape[0])

    def counts(self) -> dict[str, Float[Tensor, " instance"]]:
        """Number of lives of each instance that began, settled and resolved; nan where an instance was crowded."""
        columns = self._all()
        return {
            event: self._per_instance(columns["code"][columns[f"{event}_step"] != _NEVER])
            .double()
            .masked_fill(self.crowded, torch.nan)
            for event in ("born", "settled", "resolved")
        }

    def table(self) -> pd.DataFrame:
        """The content of `collisions.parquet`: one row for each life, by instance, neuron, features and birth."""
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
        """The whole state, in tensors."""
        ended = {name: self._column(name) for name in _empty_columns(0, ended=True)}
        self._ended = [ended]
        state = {"on": self.lives.on, "codes": self.lives.codes, "seen": self.lives.seen}
        state |= {"last_seen": self.last_seen, "crowded": self.crowded}
        return state | {"living": dict(self._living), "ended": ended}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state."""
        names = ("on", "codes", "seen", "last_seen", "crowded", "living", "ended")
        state = {name: _on_cpu(state[name]) for name in names}
        self._living, self._ended, self._grades = state["living"], [state["ended"]], None
        self.last_seen, self.crowded = state["last_seen"], state["crowded"]
        self._n_ended = self._per_instance(self._column("code"))
        settled = self._living["settled_step"] != _NEVER
        self.lives = Lives(self.shape, state["on"], state["codes"], settled, state["seen"])


def _empty_columns(rows: int, *, ended: bool = False) -> LifeColumns:
    """Columns in which nothing is known yet, for living collisions or for lives that ended."""
    integers = ["born_step", "settled_step"] + ["code", "last_seen_step", "resolved_step"] * ended
    columns = {name: torch.full((rows,), _NEVER) for name in integers}
    columns |= {f"opposite_at_{moment}": torch.zeros(rows, dtype=torch.bool) for moment in ("birth", "end")}
    costs = {f"cost_at_{moment}": torch.full((rows,), torch.nan, dtype=torch.float32) for moment in ("birth", "end")}
    return columns | costs | ({"ended_by": torch.zeros(rows, dtype=torch.long)} if ended else {})


def _nullable(steps: Any) -> Any:
    return pd.arrays.IntegerArray(steps, steps == _NEVER)


def _on_cpu(value: Any) -> Any:
    return {name: _on_cpu(v) for name, v in value.items()} if isinstance(value, dict) else value.cpu()
