from __future__ import annotations

from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from torch.utils.tensorboard import SummaryWriter

_NAMES = "events.out.tfevents."


def event_writer(directory: Path | str, **options: Any) -> SummaryWriter:
    """A TensorBoard writer whose file is read after all that lie in its directory.

    TensorBoard reads by name: the second it was opened at, the machine, and two numbers that sort as text, 10 before 9.
    What is said to be drawn anew would then take away what was drawn anew. Names that would come later, or are from a
    clock that ran ahead, get a zero in front of the second, all of them, so that their order stays.

    Args:
        directory: The directory of the curves.
        **options: Options of `SummaryWriter`.
    """
    earlier = sorted(Path(directory).glob(f"{_NAMES}*"))
    writer = SummaryWriter(str(directory), **options)
    (own,) = set(Path(directory).glob(f"{_NAMES}*")).difference(earlier)
    if earlier and earlier[-1] > own:
        for path in earlier:
            path.rename(path.with_name(f"{_NAMES}0{path.name.removeprefix(_NAMES)}"))
    return writer


def end_writer(run: Path, kind: str) -> SummaryWriter:
    """A writer of what TensorBoard shows of the end of a run.

    A run that was interrupted at its end, or is continued beyond it, has its end anew and not twice.

    Args:
        run: Directory of the curves that it goes with.
        kind: What tells it from other ends there.
    """
    suffix = f".{kind}"
    for path in run.glob(f"events.*{suffix}"):
        path.unlink()
    return event_writer(run, filename_suffix=suffix)


def draw_anew(writer: SummaryWriter, step: int) -> None:
    """Have TensorBoard forget what earlier writers of the directory drew at a step and later."""
    file: Any = writer.file_writer
    file.add_event(Event(session_log=SessionLog(status=SessionLog.START)), step)
