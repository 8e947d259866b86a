"""What measuring costs beside training: python -m benchmarks.measuring [--busy]."""

from __future__ import annotations

import logging
import statistics
import sys
import warnings
from typing import Any

from lightning.pytorch import Trainer
from typing_extensions import override

from benchmarks import clock
from polysemantic.callbacks import Measurements
from polysemantic.data import OneHot
from polysemantic.model.ensemble import Ensemble
from polysemantic.training.cadence import default_interval
from polysemantic.training.module import EnsembleModule

SHAPES = [(16, 256, 256), (16, 256, 1024), (16, 256, 4096), (5, 8, 16)]
STEPS_BETWEEN = default_interval(7500)
"""Steps between two measurements of a run of 7500 at the default cadence."""
ROUNDS = 12


class TimedMeasurements(Measurements):
    """Measurements that note what each of them took, and each step between two of them.

    Args:
        every_n_steps: Steps between two measurements.
    """

    def __init__(self, every_n_steps: int) -> None:
        super().__init__(every_n_steps)
        self.seconds: list[float] = []
        self.seconds_per_step: list[float] = []
        self._ended = 0.0

    @override
    def act(self, trainer: Trainer, module: EnsembleModule) -> None:
        began = clock.now()
        if self.seconds:
            self.seconds_per_step.append((began - self._ended) / (trainer.global_step - self.last_act))
        super().act(trainer, module)
        self._ended = clock.now()
        self.seconds.append(self._ended - began)


def measure(n_instances: int, n_features: int, n_hidden: int, tied: bool) -> tuple[float, float]:
    """Median milliseconds of a measurement and of a training step, taken in turns."""
    every = STEPS_BETWEEN if n_features * n_hidden < 2**16 else 5
    timed = TimedMeasurements(every)
    module = EnsembleModule(n_features, n_hidden, Ensemble(seeds=n_instances), tied=tied)
    shown: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = Trainer(max_steps=every * ROUNDS, accelerator="cpu", callbacks=[timed], logger=False, **shown)
    trainer.fit(module, datamodule=OneHot(n_features))
    # The first of each warms up.
    return 1e3 * statistics.median(timed.seconds[1:]), 1e3 * statistics.median(timed.seconds_per_step[1:])


def main() -> None:
    if "--busy" in sys.argv[1:]:
        clock.use_processor_time()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    print(
        "| instances, features, neurons | weights | measurement, ms | step, ms | steps a measurement | share of a run |"
    )
    print("|---|---|---:|---:|---:|---:|")
    for shape in SHAPES:
        for tied in (True, False):
            measurement, step = measure(*shape, tied)
            steps = measurement / step
            share = steps / (steps + STEPS_BETWEEN)
            kind = "tied" if tied else "untied"
            print(f"| {shape} | {kind} | {measurement:.1f} | {step:.3f} | {steps:.1f} | {share:.1%} |", flush=True)


if __name__ == "__main__":
    main()
