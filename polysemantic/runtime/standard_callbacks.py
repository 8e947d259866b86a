from __future__ import annotations

from lightning.pytorch import Callback

from polysemantic.callbacks import (
    Bands,
    Charts,
    Checkpoint,
    CollisionTracker,
    Convergence,
    HParams,
    InputsLog,
    Measurements,
    Results,
    Snapshots,
    StepProgress,
    Survival,
    SurvivalCurves,
    WeightsLog,
    WholeSteps,
)
from polysemantic.runtime.exception_notes import ExceptionNotes
from polysemantic.runtime.run_config import ConfigFile


def standard_callbacks(
    measurements: Measurements,
    collisions: CollisionTracker,
    snapshots: Snapshots,
    checkpoint: Checkpoint,
    convergence: Convergence,
    config: str,
    *,
    quiet: bool = False,
) -> list[Callback]:
    """The callbacks of every run, in the order in which they act.

    Callbacks of the user go before the last, the checkpoint, which then saves what all others did at its step.

    Args:
        measurements: The callback that measures.
        collisions: The callback that follows collisions.
        snapshots: The callback that keeps weights.
        checkpoint: The callback that writes checkpoints.
        convergence: The callback that notes when instances stop changing.
        config: The resolved configuration as YAML.
        quiet: Whether to print only warnings and errors.
    """
    progress = StepProgress(measurements)
    if quiet:
        # The bar is disabled and not left out, as Lightning would then add its own.
        progress.disable()
    drawn = [InputsLog(), Charts(measurements), Bands(measurements), WeightsLog(snapshots)]
    survival = Survival(collisions, convergence)
    shown = [*drawn, progress, survival, SurvivalCurves(survival)]
    results = Results(measurements, convergence, collisions, survival, quiet=quiet)
    derived = [*shown, results, HParams(results)]
    # Notes come before whatever may fail when training starts, so that each failure has its note.
    first = [WholeSteps(), ExceptionNotes(), ConfigFile(config)]
    # Convergence comes before the measurements, which then find diverged instances frozen.
    return [*first, convergence, measurements, collisions, snapshots, *derived, checkpoint]
