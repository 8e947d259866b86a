from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float64
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from typing_extensions import override

from polysemantic.callbacks.snapshots import Snapshots
from polysemantic.callbacks.tensorboard.drawing import logs_to_tensorboard, run_writer
from polysemantic.callbacks.tensorboard.event_files import purge_from
from polysemantic.callbacks.tensorboard.histograms import HISTOGRAM_LENGTH, add_histogram, histogram
from polysemantic.callbacks.tensorboard.pictures import add_picture, picture
from polysemantic.functional import effective_weight
from polysemantic.model.ensemble import Ensemble, point_label
from polysemantic.training.module import EnsembleModule, ensemble_module

_NETWORKS = 6


class WeightsLog(Callback):
    """Draws the snapshots in TensorBoard: effective weights and W Wᵀ as images, weights and activations as histograms.

    Rows of an image are features, its columns neurons; blue is -1 or less, white 0, vermilion 1 or more. A matrix with
    more than 512 rows or columns is shown in blocks, each by its entry of largest magnitude. Untied networks have
    W_enc W_decᵀ. Hidden activations are from the first evaluation batch. At most six instances are drawn.

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
        contents = torch.zeros(held, HISTOGRAM_LENGTH, dtype=torch.float64)
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
            add_picture(writer, f"weights/{tag}/{label}", picture(matrix), step)
        # Tags that differ from the images' tags: TensorBoard shows one kind of content per tag.
        for tag, content in {"weights/effective": histogram(w), "activations/hidden": activations}.items():
            if content.isfinite().all():
                add_histogram(writer, f"{tag}/{label}", content, step)


def _label(ensemble: Ensemble, instance: int) -> str:
    point, seed = divmod(instance, ensemble.seeds)
    label = point_label(ensemble.points[point])
    return label if seed == 0 else f"{label} seed={seed}"
