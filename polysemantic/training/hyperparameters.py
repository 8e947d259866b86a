"""Rules that the options of the networks and of their training must obey."""

from __future__ import annotations

from polysemantic.model.ensemble import Ensemble
from polysemantic.validation.checks import check_numbers


def check_grid(numbers: dict[str, float], ensemble: Ensemble) -> None:
    """Refuse a number that is out of its range at any grid point.

    Args:
        numbers: Hyperparameters that may vary, with the values of those that do not.
        ensemble: The grid.

    Raises:
        ValueError: If one is.
    """
    for point in ensemble.points:
        check_numbers(**numbers | {name: value for name, value in point.items() if name in numbers})


def check_init_from(init_from: str | None, init: str, init_scale: float, ensemble: Ensemble) -> None:
    """Refuse a law or a scale of initial weights beside a checkpoint that brings the weights.

    Raises:
        ValueError: If there is one.
    """
    scales = ensemble.vary.get("init_scale", [init_scale])
    if init_from is not None and (scales != [1] or init != "normal"):
        rule = "be left alone with init_from, which brings the weights"
        raise ValueError(f"`init` and `init_scale` must {rule}, got {init} and {scales}.")
