from __future__ import annotations

from pathlib import Path
from typing import IO, Any, cast

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from typing_extensions import override

from polysemantic.storage.files import whole_file
from polysemantic.storage.seal import CorruptFileError, SealedWriter, check_seal


def checkpoint_of(run: Path) -> Path:
    """The newest checkpoint of a run."""
    return run / "checkpoints" / "last.ckpt"


def check_checkpoint(path: Path | str, option: str = "ckpt_path") -> None:
    """Refuse a checkpoint that is not there, truncated or changed, without loading it.

    Args:
        path: The file.
        option: The option that named it, for the error.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If it is damaged.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"`{option}` must be an existing checkpoint, got {str(path)!r}.")
    with Path(path).open("rb") as file:
        check_seal(file, path, option)


def read_checkpoint(path: Path | str, option: str = "ckpt_path") -> dict[str, Any]:
    """A checkpoint, once its checksum is verified; only plain data is ever unpickled.

    Args:
        path: The file.
        option: The option that named it, for the error.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If the file is not a checkpoint or is damaged.
    """
    check_checkpoint(path, option)
    with Path(path).open("rb") as file:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise CorruptFileError(f"`{option}` must hold a checkpoint, got something else in {path}.")
    return checkpoint


class SealedCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoints, written whole or not at all, with a checksum that loading verifies."""

    @override
    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        with whole_file(Path(path)) as file:
            writer = SealedWriter(file)
            torch.save(checkpoint, cast("IO[bytes]", writer))
            writer.seal()

    @override
    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        return read_checkpoint(path)
