from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
from matplotlib.figure import Figure

from findings.networks import networks

Tables = Mapping[str, pd.DataFrame]


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a question's tables say, as Markdown; every number in it is computed from them.

    Args:
        short: The answer in one line.
        claim: The answer in a sentence or two.
        networks: The networks that it rests on, one row each, with their sizes, seeds and `converged_step`.
        numbers: Tables, with intervals, coverage and seeds.
        meaning: What it means.
        limits: What it does not show.
        unconverged: Why the answer stands although some of these networks had not converged.
    """

    short: str
    claim: str
    networks: pd.DataFrame
    numbers: str
    meaning: str
    limits: str
    unconverged: str = ""

    @property
    def converged(self) -> float:
        """The share of its networks that had converged."""
        return float(self._have.mean())

    @property
    def headline(self) -> str:
        """The answer, and how many of its networks had converged."""
        reason = f": {self.unconverged}" if self.unconverged else ""
        return f"{self.claim} {self._have.sum()} of the {len(self.networks)} networks had converged{reason}."

    @property
    def _have(self) -> pd.Series:
        return self.networks["converged_step"].notna()


class Question(ABC):
    """An open question, the sweeps that answer it, and what their tables say.

    `title` is the question and `sweeps` names files of `configs/sweeps` or `configs/findings`. `reads` names tables of
    other questions, and `quick` says for each sweep how its file is cut down to seconds, None to leave it out;
    questions without take longer.
    """

    title: ClassVar[str]
    sweeps: ClassVar[tuple[str, ...]]
    reads: ClassVar[tuple[str, ...]] = ()
    quick: ClassVar[dict[str, dict[str, Any] | None]] = {}

    def prepare(self, sweep: str, done: Mapping[str, Path]) -> dict[str, Any]:  # noqa: ARG002
        """Options that a sweep's file cannot know: what was made before it, by this question.

        Args:
            sweep: Name of the sweep.
            done: Directories of the question's earlier sweeps.
        """
        return {}

    def gather(self, sweep: str, directory: Path) -> Tables:
        """The tables to keep of a finished sweep: one row for each network, unless a question needs others.

        Args:
            sweep: Name of the sweep.
            directory: Where it lies.
        """
        return {sweep: networks(directory)}

    @abstractmethod
    def tell(self, tables: Tables) -> Answer:
        """The answer."""

    @abstractmethod
    def draw(self, tables: Tables) -> Figure:
        """The figure."""


def together(*tables: pd.DataFrame) -> pd.DataFrame:
    """The networks of several tables, by what says whether and where an answer holds."""
    columns = ["n_features", "n_hidden", "seed", "converged_step"]
    return pd.concat([table.reindex(columns=columns) for table in tables], ignore_index=True)
