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
        claim: The answer in a sentence or two.
        numbers: Tables, with intervals, coverage and seeds.
        meaning: What it means.
        limits: What it does not show.
    """

    claim: str
    numbers: str
    meaning: str
    limits: str


class Question(ABC):
    """An open question, the sweeps that answer it, and what their tables say.

    `title` is the question and `sweeps` names files of `configs/sweeps` or `configs/findings`. `reads` names tables of
    other questions, and `quick` says for each sweep how its file is cut down to seconds; those without take
    longer.
    """

    title: ClassVar[str]
    sweeps: ClassVar[tuple[str, ...]]
    reads: ClassVar[tuple[str, ...]] = ()
    quick: ClassVar[dict[str, dict[str, Any]]] = {}

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

    @abstractmethod
    def check(self, tables: Tables) -> None:
        """Hold the answer against the tables, full or quick: direction and significance, not decimals.

        Raises:
            AssertionError: If they say something else.
        """
