from __future__ import annotations

import io
import zlib
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Shaped
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.tensorboard import SummaryWriter
from typing_extensions import override

from polysemantic.callbacks.snapshots import Snapshots
from polysemantic.callbacks.tensorboard.board import logs_to_tensorboard, run_writer
from polysemantic.callbacks.tensorboard.event_files import purge_from
from polysemantic.functional import effective_weight
from polysemantic.model.ensemble import Ensemble, point_label
from polysemantic.training.allocator import default_malloc_thresholds
from polysemantic.training.module import EnsembleModule, ensemble_module

_NETWORKS = 6
_LEAST_PIXELS, _MOST_PIXELS = 128, 512
# Shades on either side of white. More would only make larger files: TensorBoard checksums each byte in Python.
_SHADES = 63
_BINS, _HEAD = 64, 5
# The Okabe-Ito palette's blue and vermilion, told apart by colour-blind eyes too.
_NEGATIVE, _POSITIVE = (0, 114, 178), (213, 94, 0)


class WeightsLog(Callback):
    """Draws the snapshots in TensorBoard: effective weights and W Wᵀ as images, weights and activations as histograms.

    Rows of an image are features, its columns neurons; blue is -1 or less, white 0, vermilion 1 or more. A matrix with
    more than 512 rows or columns is shown in blocks, each by its strongest entry. Untied networks have W_enc W_decᵀ.
    Hidden activations are those of the first evaluation batch. The first six of the snapshots' instances are drawn.

    Args:
        snapshots: The callback that keeps weights.
    """

    def __init__(self, snapshots: Snapshots) -> None:
        self.snapshots = snapshots
        self._drawn = -1

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step == 0:
            self._draw(trainer, ensemble_module(pl_module))
        elif writer := run_writer(trainer):
            # A resumed run has drawn the step of its checkpoint, and perhaps later ones.
            purge_from(writer, trainer.global_step + 1)

    @override
    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        # A run that continues from this checkpoint draws only later points, so the earlier ones must be on disk.
        if writer := run_writer(trainer):
            writer.flush()

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._draw(trainer, ensemble_module(pl_module))

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._draw(trainer, ensemble_module(pl_module))

    def _draw(self, trainer: Trainer, module: EnsembleModule) -> None:
        due = self.snapshots.last_act == trainer.global_step != self._drawn
        # `latest` is empty where a run is continued at its last step, and takes no snapshot.
        if not (due and self.snapshots.latest and self.snapshots.kept and logs_to_tensorboard(trainer)):
            return
        self._drawn = trainer.global_step
        # Histograms allocate memory of many sizes, which must not fragment the heap that the steps use.
        with default_malloc_thresholds():
            activations = torch.from_numpy(self.snapshots.collect(module.shard, self._activations(module)))
            writer = run_writer(trainer)
            if writer is None:
                return
            for at, instance in enumerate(self.snapshots.kept[:_NETWORKS]):
                label = _label(module.ensemble, instance)
                self._write(writer, label, at, activations[at], trainer.global_step)

    @torch.no_grad()
    def _activations(self, module: EnsembleModule) -> Float64[Tensor, "instance number"]:
        """The histogram of hidden activations of each instance of this process; zeros for instances not drawn."""
        networks, held = module.networks, module.shard.size
        contents = torch.zeros(held, _HEAD + _BINS, dtype=torch.float64)
        # A network of the user's evaluates all instances or none.
        hidden = None if networks.is_standard else networks(module.evaluation_inputs(0))[0]
        for instance in self.snapshots.kept[:_NETWORKS]:
            if (at := instance - module.shard.held.start) in range(held):
                one = slice(at, at + 1)
                of_one = networks.subset(one).encode(module.evaluation_inputs(0, one)) if hidden is None else hidden[at]
                contents[at] = histogram(of_one)
        return contents

    def _write(self, writer: SummaryWriter, label: str, at: int, activations: Tensor, step: int) -> None:
        kept = {name: torch.from_numpy(values[at]) for name, values in self.snapshots.latest.items()}
        w, gram = effective_weight(kept["W_enc"], kept.get("W_dec")), kept["W_enc"] @ kept.get("W_dec", kept["W_enc"]).T
        if not w.isfinite().all():
            return
        for tag, matrix in {"W": w, "W_WT": gram}.items():
            _add_picture(writer, f"weights/{tag}/{label}", picture(matrix), step)
        # Tags that differ from the images' tags: TensorBoard shows one kind of content per tag.
        for tag, content in {"weights/effective": histogram(w), "activations/hidden": activations}.items():
            if content.isfinite().all():
                _add_histogram(writer, f"{tag}/{label}", content, step)


def picture(matrix: Float[Tensor, "row column"]) -> Image.Image:
    """A matrix in colours, from blue (-1 or less) through white to vermilion (1 or more).

    Example:
        >>> shown = picture(torch.tensor([[0.0, 1.0]])).convert("RGB")
        >>> shown.size, shown.getpixel((0, 0)), shown.getpixel((64, 0))
        ((128, 64), (255, 255, 255), (213, 94, 0))
    """
    shades = (_SHADES * (1 + _strongest_of_blocks(matrix).clamp(-1, 1))).round().to(torch.uint8)
    scale = max(1, _LEAST_PIXELS // max(shades.shape))
    # With a palette: an image of three bytes per pixel takes five times as long to write.
    shown = Image.fromarray(shades.repeat_interleave(scale, 0).repeat_interleave(scale, 1).numpy())
    shown.putpalette(_PALETTE)
    return shown


def _palette() -> list[int]:
    share = np.linspace(-1, 1, 2 * _SHADES + 1)[:, None]
    colours = np.where(share < 0, _NEGATIVE, _POSITIVE)
    channels: list[int] = (255 + np.abs(share) * (colours - 255)).round().astype(int).flatten().tolist()
    return channels


_PALETTE = _palette()


def _add_picture(writer: SummaryWriter, tag: str, shown: Image.Image, step: int) -> None:
    content = io.BytesIO()
    shown.save(content, format="PNG", compress_level=1, compress_type=zlib.Z_RLE)
    png = content.getvalue()
    image = Summary.Image(height=shown.height, width=shown.width, colorspace=3, encoded_image_string=png)
    file: Any = writer.file_writer
    file.add_summary(Summary(value=[Summary.Value(tag=tag, image=image)]), step)


def _strongest_of_blocks(matrix: Float[Tensor, "row column"]) -> Float[Tensor, "height width"]:
    rows, columns = (-(-size // _MOST_PIXELS) for size in matrix.shape)
    if rows == columns == 1:
        return matrix
    whole = pad(matrix, (0, -matrix.shape[1] % columns, 0, -matrix.shape[0] % rows))
    height, width = whole.shape[0] // rows, whole.shape[1] // columns
    blocks = whole.view(height, rows, width, columns).transpose(1, 2).flatten(2)
    return torch.take_along_dim(blocks, blocks.abs().argmax(-1, keepdim=True), -1).squeeze(-1)


def histogram(values: Shaped[Tensor, "..."]) -> Float64[Tensor, " number"]:
    """Lower end, upper end, number, sum and sum of squares of some values, then their counts in bins of equal width.

    All are nan if a value is.
    """
    values = values.detach().cpu().double().flatten()
    low, high = values.aminmax()
    total = torch.stack([low, high, torch.tensor(float(len(values))).double(), values.sum(), values.dot(values)])
    if not total.isfinite().all():
        return values.new_full((_HEAD + _BINS,), torch.nan)
    return torch.cat([total, torch.histc(values, _BINS, *_ends(float(low), float(high)))])


def _ends(low: float, high: float) -> tuple[float, float]:
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _add_histogram(writer: SummaryWriter, tag: str, content: Float64[Tensor, " number"], step: int) -> None:
    low, high, number, total, squares = content[:_HEAD].tolist()
    start, stop = _ends(low, high)
    limits = torch.linspace(start, stop, _BINS + 1, dtype=torch.float64)[1:].tolist()
    writer.add_histogram_raw(tag, low, high, int(number), total, squares, limits, content[_HEAD:].tolist(), step)


def _label(ensemble: Ensemble, instance: int) -> str:
    point, seed = divmod(instance, ensemble.seeds)
    label = point_label(ensemble.points[point])
    return label if seed == 0 else f"{label} seed={seed}"
