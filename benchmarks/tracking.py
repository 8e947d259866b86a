"""What following collisions costs: python -m benchmarks.tracking [STEPS [INSTANCES FEATURES NEURONS [RATE]]]."""

from __future__ import annotations

import functools
import json
import logging
import resource
import subprocess
import sys
import warnings
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from typing_extensions import override

from benchmarks import clock
from polysemantic.callbacks import CollisionTracker
from polysemantic.data import OneHot
from polysemantic.model.ensemble import Ensemble
from polysemantic.training.module import EnsembleModule

DEFAULTS = (1900, 16, 256, 4096, 0.004)
"""A quarter of the steps of the paper's figures at four times their rate: as far a way, and observations as near."""


class TimedTracker(CollisionTracker):
    """A tracker that notes the processor seconds of its observations."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    @override
    def act(self, trainer: Trainer, module: EnsembleModule) -> None:
        began = clock.now()
        super().act(trainer, module)
        self.seconds.append(clock.now() - began)


def train(steps: int, instances: int, features: int, hidden: int, rate: float, *, tracked: bool) -> dict[str, float]:
    """Train in this process and tell its processor seconds, its peak memory and what the tracker did."""
    tracker = TimedTracker()
    optimizer = functools.partial(torch.optim.AdamW, lr=rate, weight_decay=0.01)
    module = EnsembleModule(features, hidden, Ensemble(seeds=instances), l1=0.001, optimizer=optimizer)
    shown: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    callbacks: list[Callback] = [tracker] if tracked else []
    trainer = Trainer(max_steps=steps, accelerator="cpu", callbacks=callbacks, logger=False, **shown)
    began = clock.now()
    trainer.fit(module, datamodule=OneHot(features))
    seconds = clock.now() - began
    lives = 0 if tracker.records is None else len(tracker.records.table())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "observing": sum(tracker.seconds), "seen": len(tracker.seconds), "lives": lives} | {
        "peak": peak
    }


def main() -> None:
    given = [float(number) for number in sys.argv[1:]]
    numbers = [*given, *DEFAULTS[len(given) :]]
    runs = {}
    for tracked in (False, True):
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.tracking", "run", json.dumps([*numbers, tracked])]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        runs[tracked] = json.loads(done.stdout.splitlines()[-1])
    without, tracked = runs[False], runs[True]
    share, more = tracked["observing"] / tracked["seconds"], tracked["peak"] - without["peak"]
    seen, step = tracked["observing"] / tracked["seen"], without["seconds"] / numbers[0]
    print("| steps | sizes | rate | observations | lives | without | with | of it | each | memory |")
    print("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    sizes = ", ".join(f"{number:.0f}" for number in numbers[1:4])
    print(
        f"| {numbers[0]:.0f} | {sizes} | {numbers[4]:g} | {tracked['seen']} | {tracked['lives']} "
        f"| {without['seconds']:.1f} s | {tracked['seconds']:.1f} s | {share:.1%} "
        f"| {seen / step:.1f} steps | {more:+.0f} MB |"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        clock.use_processor_time()
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        warnings.simplefilter("ignore")
        *sizes, rate, tracked = json.loads(sys.argv[2])
        steps, instances, features, hidden = (int(size) for size in sizes)
        print(json.dumps(train(steps, instances, features, hidden, rate, tracked=tracked)))
    else:
        main()
