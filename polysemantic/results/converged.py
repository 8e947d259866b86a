"""How many networks of a table of results had converged, and what to do if few had."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

# Below this share of converged networks a reader is told that counts may still change.
_ENOUGH = 0.9


class Converged(NamedTuple):
    """How many networks had stopped changing.

    Args:
        networks: All of them.
        converged: Those that had.
        diverged: Those whose weights stopped being finite.
        steps: The most optimiser steps that any took.
    """

    networks: int
    converged: int
    diverged: int
    steps: int

    @classmethod
    def of(cls, results: pd.DataFrame) -> Converged:
        """Count the networks of a table like `results.parquet`; where no column says so, none had converged.

        Example:
            >>> Converged.of(pd.DataFrame({"step": [90, 90], "converged_step": [50, None]}))
            Converged(networks=2, converged=1, diverged=0, steps=90)
        """
        known = (results[name].notna() if name in results else None for name in ("converged_step", "diverged_step"))
        converged, diverged = (0 if column is None else int(column.sum()) for column in known)
        steps = results["step"].max() if "step" in results else 0
        return cls(len(results), converged, diverged, 0 if pd.isna(steps) else int(steps))

    @property
    def share(self) -> float:
        """The converged ones among those that did not diverge; 1 if all diverged."""
        sound = self.networks - self.diverged
        return self.converged / sound if sound else 1.0

    @property
    def words(self) -> str:
        """The counts in a few words.

        Example:
            >>> Converged(16, 12, 1, 500).words
            'converged 12 of 16, diverged 1'
        """
        return f"converged {self.converged} of {self.networks}" + (
            f", diverged {self.diverged}" if self.diverged else ""
        )

    @property
    def advice(self) -> str | None:
        """One line on what to do if fewer than nine in ten had converged; None otherwise.

        Example:
            >>> Converged(16, 0, 0, 500).advice
            'None had converged: counts may still change. Train longer, e.g. --trainer.max_steps 1000.'
        """
        if self.share >= _ENOUGH:
            return None
        longer = f", e.g. --trainer.max_steps {2 * self.steps}" if self.steps else " (trainer.max_steps)"
        some = f"Only {_percent(self.share)}" if self.converged else "None"
        return f"{some} had converged: counts may still change. Train longer{longer}."


def _percent(share: float) -> str:
    # 89.6 % is not rounded up to the 90 % that would be enough.
    return f"{int(100 * share)} %"
