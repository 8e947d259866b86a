from __future__ import annotations

from pathlib import Path

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from polysemantic.callbacks.collisions.survival import Survival
from polysemantic.callbacks.tensorboard.drawing import curve_directory, draws
from polysemantic.callbacks.tensorboard.event_files import end_writer, event_writer
from polysemantic.results.lifetimes import Lifetimes

_POINTS = 200


class SurvivalCurves(Callback):
    """Draws in TensorBoard how long collisions last, at the end of the fit.

    The axis of the survival curves counts steps since birth (`survival/all`) or since settlement
    (`survival/settled`). Median lives and resolution rates, with both ends of their intervals, are drawn at the last
    step of the run.

    Args:
        survival: The callback that estimates survival. It must come before this one.
    """

    def __init__(self, survival: Survival) -> None:
        self.survival = survival

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not draws(trainer):
            return
        rows = self.survival.rows
        for point in dict.fromkeys(row.point for row in rows):
            of_point = [row for row in rows if row.point == point]
            _draw_curves(of_point, curve_directory(trainer, point, "survival"))
            for curve in ("mean", "low", "high"):
                _draw_end(of_point, curve_directory(trainer, point, curve), curve, trainer.global_step)


def _draw_curves(rows: list[Lifetimes], directory: Path) -> None:
    # A run that is continued draws its end again: `purge_step` hides the earlier curves.
    with event_writer(directory, purge_step=0) as writer:
        for row in rows:
            times, survival = np.append(0, row.curve.times), np.append(1, row.curve.survival)
            shown = np.unique(np.linspace(0, len(times) - 1, min(_POINTS, len(times))).round().astype(int))
            for at in shown:
                writer.add_scalar(f"survival/{row.kind}", survival[at], int(times[at]))


def _draw_end(rows: list[Lifetimes], directory: Path, curve: str, step: int) -> None:
    with end_writer(directory, "end") as writer:
        for row in rows:
            for name in ("median_life", "resolution_rate"):
                number = getattr(row, name) if curve == "mean" else getattr(getattr(row, f"{name}_interval"), curve)
                if np.isfinite(number):
                    writer.add_scalar(f"survival/{name}_{row.kind}", number, step)
