"""What TensorBoard reads from the event files of a run."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

EVERYTHING = {"images": 0, "histograms": 0, "scalars": 0, "tensors": 0}


def events(directory: Path) -> EventAccumulator:
    """Every event in a directory."""
    return EventAccumulator(str(directory), size_guidance=EVERYTHING).Reload()
