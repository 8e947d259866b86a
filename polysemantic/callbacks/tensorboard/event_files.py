from __future__ import annotations

from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from torch.utils.tensorboard import SummaryWriter

_NAMES = "events.out.tfevents."


def event_writer(directory: Path | str, **options: Any) -> SummaryWriter:
    """A TensorBoard writer whose file TensorBoard reads after all other files in its directory.

    TensorBoard reads files in order of their names, which hold the second of opening, the machine, and two numbers that
    sort as text, 10 before 9. A file of a resumed run purges earlier points from its first step on. If it were read
    before an older file, the older points would come back. So where an older name sorts later, or comes from a clock
    that was ahead, all older names get a zero before the second, which keeps their order.

    Args:
        directory: Directory of the curves.
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
    """A writer for points at the end of a run, which replace the ones of an earlier end of the run.

    A run has an earlier end if it was interrupted while it wrote its end, or is continued beyond it.

    Args:
        run: Directory of the curves.
        kind: Suffix of the file, which differs between the writers of one directory.
    """
    suffix = f".{kind}"
    for path in run.glob(f"events.*{suffix}"):
        path.unlink()
    return event_writer(run, filename_suffix=suffix)


def purge_from(writer: SummaryWriter, step: int) -> None:
    """Let TensorBoard drop the points that earlier writers of the directory drew at `step` and later."""
    file: Any = writer.file_writer
    file.add_event(Event(session_log=SessionLog(status=SessionLog.START)), step)
