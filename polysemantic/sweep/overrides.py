"""Options of `fit` on the command line of a sweep, and mistakes in a sweep that are told before torch is imported."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from polysemantic.cli.command_line import Given, in_order
from polysemantic.cli.early import item_of, read_config
from polysemantic.cli.messages import no_value
from polysemantic.cli.mistakes import Item, leaves, refuse_wrong
from polysemantic.sweep.spec import SweepSpec, canonical


def overridden(spec: SweepSpec, given: Sequence[Given]) -> SweepSpec:
    """A sweep whose every run has further options, which replace those of its file.

    Args:
        spec: The sweep.
        given: The options, from a command line.

    Raises:
        ValueError: If an option has no value, or is an axis of the sweep.
    """
    axes = {canonical(key) for key in spec.options}
    overrides = dict(spec.overrides)
    for option in leaves(_items(given)):
        name = canonical(option.name)
        if name in axes:
            raise ValueError(f"`{name}` must be no axis of the sweep to be set for all its runs, got {option.value}.")
        overrides = {key: value for key, value in overrides.items() if canonical(key) != name}
        overrides[option.name] = option.value
    return dataclasses.replace(spec, overrides=overrides)


def _items(given: Sequence[Given]) -> Iterator[Item]:
    for option in in_order(given):
        if not option.value and option.name != "quiet":
            raise ValueError(no_value(option.key))
        # What adds to a list keeps the sign that says so.
        yield item_of(option)._replace(name=option.name)


def refuse_mistakes_of_sweep(spec: SweepSpec) -> None:
    """Refuse options of a sweep that are unknown, or whose values are certainly wrong.

    Args:
        spec: The sweep.

    Raises:
        ValueError: If there is one in its base, its overrides or its axes.
    """
    varied = [Item(key, value, "--") for key, values in spec.options.items() for value in values]
    fixed = [Item(key.removesuffix("+"), value, "--") for key, value in spec.overrides.items()]
    refuse_wrong([*fixed, *varied], [read_config(str(spec.base))])
