"""Predictions of theory, and what each of them assumes: the one place that says where a prediction may be shown."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas as pd
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from polysemantic import theory
from polysemantic.functional import hidden_excess_kurtosis_null
from polysemantic.results.columns import COLUMNS
from polysemantic.results.setups import Setup, setups_of_module
from polysemantic.training.module import EnsembleModule

# The paper's flow moves a lone weight by (1 - w²) w - λ, which is at most 2 / (3 √3) - λ: beyond, every feature dies.
_LARGEST_L1 = 4 * 2 / (3 * math.sqrt(3))
# Laws of noise whose negative excess kurtosis drives features onto neurons.
_ALIGNING = ("bernoulli", "uniform")


@dataclasses.dataclass(frozen=True)
class Condition:
    """Something that a prediction assumes.

    Args:
        words: What it is, for people.
        holds: Whether a setup has it.
    """

    words: str
    holds: Callable[[Setup], bool]


@dataclasses.dataclass(frozen=True)
class Rule:
    """Where a number means something.

    Args:
        name: The number.
        conditions: What it assumes.
    """

    name: str
    conditions: tuple[Condition, ...]

    def unmet(self, setup: Setup) -> list[str]:
        """The conditions that a setup does not meet, in words."""
        return [condition.words for condition in self.conditions if not condition.holds(setup)]

    def holds(self, setup: Setup) -> bool:
        """Whether a setup meets every condition."""
        return not self.unmet(setup)

    @property
    def assumes(self) -> str:
        """All conditions in words."""
        return ", ".join(condition.words for condition in self.conditions)


@dataclasses.dataclass(frozen=True)
class Prediction(Rule):
    """A number that theory expects.

    Args:
        name: Its name, that of the function of `theory` behind it.
        conditions: What it assumes.
        formula: How it is worked out, in a few signs.
        about: What it predicts, in words.
        columns: The measurements that it is drawn beside.
        value: The number for a setup that meets the conditions, after some optimiser steps.
        over_steps: Whether it changes with the steps.

    Example:
        >>> PAPER.at(Setup(n_features=256, n_hidden=1024)), PAPER.at(Setup(n_features=20, n_hidden=5))
        (16.0, nan)
        >>> PAPER.unmet(Setup(n_features=8, n_hidden=8, l1=0.0))
        ['0 < L1 < 1.54']
    """

    formula: str
    about: str
    columns: tuple[str, ...]
    value: Callable[[Setup, int], float]
    over_steps: bool = False

    def at(self, setup: Setup, step: int = 0) -> float:
        """The number after some steps, nan where the prediction assumes what a setup does not have."""
        return float(self.value(setup, step)) if self.holds(setup) else math.nan


_ONE_HOT = Condition("one-hot inputs (OneHot, magnitude one)", lambda setup: setup.one_hot)
_EVERY_INPUT = Condition(
    "every input in each step (OneHot, batch_size null)", lambda setup: setup.one_hot and setup.every_feature_once
)
_TIED = Condition("tied weights", lambda setup: setup.tied)
_NO_BIAS = Condition("no bias", lambda setup: not setup.bias)
_OURS = Condition("our own Autoencoder", lambda setup: setup.our_network)
_LINEAR = Condition("linear hidden units", lambda setup: setup.act == "linear")
_ALIKE = Condition("importance 1", lambda setup: setup.importance == 1)
_QUIET = Condition("no hidden noise", lambda setup: setup.noise_std == 0)
_RANDOM = Condition("init normal", lambda setup: setup.init == "normal")
_L1 = Condition(f"0 < L1 < {_LARGEST_L1:.2f}", lambda setup: 0 < setup.l1 < _LARGEST_L1)
_FITS = Condition("n ≤ 2m", lambda setup: setup.n_features <= 2 * setup.n_hidden)
_PLAIN = Condition(
    "plain SGD (no momentum, weight decay, schedule or clipping)", lambda setup: setup.learning_rate is not None
)
_ALIGNED = Condition(
    "L1 > 0, or bernoulli or uniform noise",
    lambda setup: setup.l1 > 0 or (setup.noise_std > 0 and setup.noise in _ALIGNING),
)
# arXiv:2312.03096 derives how many features come to share a neuron for its own networks under L1 alone.
_MODEL = (_OURS, _TIED, _NO_BIAS, _LINEAR, _ALIKE, _QUIET, _RANDOM, _L1, _FITS)

PAPER = Prediction(
    "polysemantic_neurons_paper",
    (_ONE_HOT, *_MODEL),
    "n²/4m",
    "polysemantic neurons, the curve of arXiv:2312.03096",
    ("polysemantic_neurons", "polysemantic_neurons_band"),
    lambda setup, _: theory.polysemantic_neurons_paper(setup.n_features, setup.n_hidden),
)
SLOTS = Prediction(
    "expected_polysemantic_neurons",
    (_ONE_HOT, *_MODEL),
    "n(n-1)/2(2m-1)",
    "polysemantic neurons when features take distinct signed slots at random",
    ("polysemantic_neurons",),
    lambda setup, _: theory.expected_polysemantic_neurons(setup.n_features, setup.n_hidden),
)
PAIRS = Prediction(
    "expected_opposite_sign_pairs",
    (_RANDOM,),
    "n(n-1)/4m",
    "pairs of features that share their largest neuron with opposite signs at initialisation, whatever the inputs",
    (),
    lambda setup, _: theory.expected_opposite_sign_pairs(setup.n_features, setup.n_hidden),
)
SPARSITY = Prediction(
    "sparsity_law",
    (_EVERY_INPUT, _PLAIN, *_MODEL),
    "1/(1/√m + λt)²",
    "neurons per feature; the law gives the slope, and its prefactor differs",
    ("sparsity_count",),
    lambda setup, step: float(theory.sparsity_law(_time(setup, step), setup.n_hidden, theory.paper_lambda(setup.l1))),
    over_steps=True,
)
L1_NORM = Prediction(
    "l1_norm_law",
    SPARSITY.conditions,
    "1/(1/√m + λt)",
    "L1 norm of a feature; the law gives the slope, and its prefactor differs",
    ("l1_norm",),
    lambda setup, step: float(theory.l1_norm_law(_time(setup, step), setup.n_hidden, theory.paper_lambda(setup.l1))),
    over_steps=True,
)
KURTOSIS = Prediction(
    "hidden_excess_kurtosis_null",
    (_OURS, _LINEAR),
    "-6/(m+2)",
    "excess kurtosis of hidden activations if neurons are no special basis",
    ("hidden_excess_kurtosis",),
    lambda setup, _: hidden_excess_kurtosis_null(setup.n_hidden),
)
EXCESS = Rule("excess_polysemantic_neurons", (_ONE_HOT, _OURS, _LINEAR, _FITS, _ALIGNED))
"""Where max(0, represented features - m) polysemantic neurons are what features on signed slots must have."""

BY_SIZE = (PAPER, SLOTS, PAIRS)
"""The predictions that the sizes alone decide, once their conditions hold."""
DRAWN = (PAPER, KURTOSIS, SPARSITY, L1_NORM)
"""The predictions that TensorBoard draws beside the data."""


def describe(prediction: Prediction) -> str:
    """One line on a prediction: its formula, what it is about, and what it assumes."""
    return f"{prediction.formula}: {prediction.about}. Assumes {prediction.assumes}."


HEADINGS = {name: COLUMNS[name].label for name in ("n_features", "n_hidden")} | {p.name: p.formula for p in BY_SIZE}
"""Heading of each column of `predictions`."""

LEGEND = (
    *(f"{one.formula}: {one.about}." for one in BY_SIZE),
    f"{PAPER.formula} and {SLOTS.formula} assume {PAPER.assumes}; {PAIRS.formula} {PAIRS.assumes}.",
)
"""What each predicted column is, and what it assumes."""


def _time(setup: Setup, step: int) -> float:
    assert setup.learning_rate is not None
    return theory.paper_time(setup.learning_rate, step, setup.n_features)


def predictions(setups: Iterable[Setup]) -> pd.DataFrame:
    """Predictions of theory that sizes decide, one row for each setup, nan where a prediction assumes something else.

    Args:
        setups: What the networks are.

    Example:
        >>> predictions([Setup(256, 1024), Setup(256, 1024, one_hot=False)])["polysemantic_neurons_paper"].tolist()
        [16.0, nan]
    """
    rows = [(s.n_features, s.n_hidden, *(one.at(s) for one in BY_SIZE)) for s in setups]
    return pd.DataFrame(rows, columns=list(HEADINGS))


def cells(table: pd.DataFrame) -> list[list[str]]:
    """The numbers of `predictions` as text, a dash where a number is nan."""
    return [[number_or_dash(value) for value in row] for row in table.itertuples(index=False)]


def number_or_dash(value: Any, digits: int = 6) -> str:
    """A predicted number as text, a dash where there is none."""
    return "-" if pd.isna(value) else f"{value:.{digits}g}"


def expected_counts(setups: Sequence[Setup]) -> str:
    """How many polysemantic neurons theory expects at the grid points of a run, or why it expects nothing.

    Args:
        setups: Each grid point's.

    Example:
        >>> expected_counts([Setup(256, 256)])
        'theory: n²/4m = 64, n(n-1)/2(2m-1) = 63.87 polysemantic neurons'
        >>> expected_counts([Setup(8, 8, one_hot=False)])
        'no theory: it assumes one-hot inputs (OneHot, magnitude one)'
        >>> expected_counts([Setup(1, 1, l1=0.0), Setup(1, 1)]).partition("; ")[2]
        'elsewhere it lacks 0 < L1 < 1.54'
    """
    met = [setup for setup in setups if PAPER.holds(setup)]
    missing = ", ".join(unmet_anywhere(PAPER, setups))
    if not met:
        return f"no theory: it assumes {missing}"
    values = ", ".join(f"{one.formula} = {one.at(met[0]):.4g}" for one in (PAPER, SLOTS))
    where = "" if len(met) == len(setups) else f" at {len(met)} of {len(setups)} grid points"
    lacking = f"; elsewhere it lacks {missing}" if where else ""
    return f"theory{where}: {values} polysemantic neurons{lacking}"


def where_holds(rule: Rule, module: EnsembleModule) -> Bool[Tensor, " instance"]:
    """Whether a rule holds for each of the instances that this process holds."""
    holds = torch.tensor([rule.holds(setup) for setup in setups_of_module(module)])
    return holds.repeat_interleave(module.ensemble.seeds)[module.instances]


def expected_at_points(prediction: Prediction, module: EnsembleModule) -> Float64[Tensor, " instance"]:
    """What a prediction that sizes decide expects for each instance of a run, nan where it does not hold."""
    values = torch.tensor([prediction.at(setup) for setup in setups_of_module(module)], dtype=torch.float64)
    return values.repeat_interleave(module.ensemble.seeds)


def unmet_anywhere(rule: Rule, setups: Iterable[Setup]) -> list[str]:
    """The conditions that some setups do not meet, in words and in order, each once."""
    missing = {words for setup in setups for words in rule.unmet(setup)}
    return [condition.words for condition in rule.conditions if condition.words in missing]
