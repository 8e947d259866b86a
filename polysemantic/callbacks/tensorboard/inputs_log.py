from __future__ import annotations

import torch
from jaxtyping import Float
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.nn.functional import interpolate
from typing_extensions import override

from polysemantic.callbacks.tensorboard.drawing import run_writer
from polysemantic.data import InputDataModule
from polysemantic.model.ensemble import Ensemble, point_label
from polysemantic.training.module import ensemble_module

_PIXELS = 256
# Nobody looks at more images; the text has the numbers of all inputs.
_PICTURES = 6


class InputsLog(Callback):
    """Shows the co-occurrence of the inputs in TensorBoard, below `inputs/`, once at the start.

    Grid points with the same inputs are shown once. For the first six different inputs there are images of P(i and j
    on), from 0 (black) to the largest entry (white), and of phi, from -1 to 1. A text has the mean and range of P(i on)
    and of the expected companions over features, and of P(j | i) and phi over pairs.
    """

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        writer = run_writer(trainer)
        if trainer.global_step > 0 or writer is None:
            return
        module, texts = ensemble_module(pl_module), []
        for at, (label, data) in enumerate(_distinct(module.data, module.ensemble).items()):
            texts.append(f"**{label}**\n\n{input_statistics(data)}")
            if at < _PICTURES:
                joint, phi = data.joint()[0], data.phi()[0]
                writer.add_image(f"inputs/cooccurrence/{label}", _image(joint / joint.max()), 0)
                writer.add_image(f"inputs/phi/{label}", _image((phi + 1) / 2), 0)
        writer.add_text("inputs", "\n\n".join(texts), 0)


def _distinct(data: InputDataModule, ensemble: Ensemble) -> dict[str, InputDataModule]:
    """The inputs of one instance for each combination of values that change the inputs, by its label."""
    inputs: dict[str, InputDataModule] = {}
    for at, point in enumerate(ensemble.points):
        label = point_label({name: value for name, value in point.items() if name in data.can_vary})
        if label not in inputs:
            first = at * ensemble.seeds
            inputs[label] = data.of(slice(first, first + 1))
    return inputs


def input_statistics(data: InputDataModule, instance: int = 0) -> str:
    """The marginals, expected companions, P(j | i) and phi of one instance's inputs as a markdown table."""
    joint, marginals, phi = data.joint()[instance], data.marginals()[instance], data.phi()[instance]
    pairs = ~torch.eye(len(joint), dtype=torch.bool, device=joint.device)
    rows = {
        "P(i)": marginals,
        "expected companions": data.expected_companions()[instance],
        "P(j given i)": (joint / marginals.unsqueeze(-1))[pairs],
        "phi": phi[pairs],
    }
    lines = [f"| {name} | {_range(values)} |" for name, values in rows.items()]
    return "\n".join(["| | mean | least | largest |", "|---|---|---|---|", *lines])


def _range(values: Float[Tensor, " value"]) -> str:
    known = values[values.isfinite()]
    if len(known) == 0:
        return "- | - | -"
    return " | ".join(f"{float(number):.4g}" for number in (known.mean(), known.min(), known.max()))


def _image(matrix: Float[Tensor, "feature feature"]) -> Float[Tensor, "1 row column"]:
    shown = matrix.nan_to_num(0).clamp(0, 1).float()[None]
    # Small matrices are enlarged, or they would be a few pixels wide.
    scale = max(1, _PIXELS // matrix.shape[0])
    return interpolate(shown[None], scale_factor=scale)[0].cpu()
