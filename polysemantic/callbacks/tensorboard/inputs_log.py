from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.nn.functional import interpolate
from typing_extensions import override

from polysemantic.data import InputDataModule
from polysemantic.model.ensemble import Ensemble, point_label

_PIXELS = 256
# A person looks at few; the text has the numbers of all.
_PICTURES = 6


class InputsLog(Callback):
    """Writes down once what the inputs are: P(i and j on) and phi as images, their means as numbers.

    In TensorBoard below `inputs/`, once for grid points with the same inputs: images, of the first six, run from 0
    (black) to the largest entry (white), phi from -1 to 1; a text has the mean and range over features of P(i on) and
    of the expected companions, and over pairs of P(j | i) and phi.
    """

    @override
    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        if trainer.global_step > 0 or not isinstance(trainer.logger, TensorBoardLogger) or not trainer.is_global_zero:
            return
        board, texts = trainer.logger.experiment, []
        for at, (label, data) in enumerate(_distinct(pl_module.data, pl_module.ensemble).items()):
            texts.append(f"**{label}**\n\n{input_statistics(data)}")
            if at < _PICTURES:
                joint, phi = data.joint()[0], data.phi()[0]
                board.add_image(f"inputs/cooccurrence/{label}", _image(joint / joint.max()), 0)
                board.add_image(f"inputs/phi/{label}", _image((phi + 1) / 2), 0)
        board.add_text("inputs", "\n\n".join(texts), 0)


def _distinct(data: InputDataModule, ensemble: Ensemble) -> dict[str, InputDataModule]:
    """The inputs of one instance for each combination of what the inputs vary by."""
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
    # A few features would be a few pixels, and hundreds are shown as they are.
    scale = max(1, _PIXELS // matrix.shape[0])
    return interpolate(shown[None], scale_factor=scale)[0].cpu()
