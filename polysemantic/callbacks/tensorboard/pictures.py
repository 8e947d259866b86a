"""Matrices as pictures in TensorBoard."""

from __future__ import annotations

import io
import zlib
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.tensorboard import SummaryWriter

_LEAST_PIXELS, _MOST_PIXELS = 128, 512
# Shades on either side of white. More would only make larger files: TensorBoard checksums each byte in Python.
_SHADES = 63
# The Okabe-Ito palette's blue and vermilion, told apart by colour-blind eyes too.
_NEGATIVE, _POSITIVE = (0, 114, 178), (213, 94, 0)


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


def add_picture(writer: SummaryWriter, tag: str, shown: Image.Image, step: int) -> None:
    """Draw a picture in TensorBoard, compressed for speed."""
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
    padded = pad(matrix, (0, -matrix.shape[1] % columns, 0, -matrix.shape[0] % rows))
    height, width = padded.shape[0] // rows, padded.shape[1] // columns
    blocks = padded.view(height, rows, width, columns).transpose(1, 2).flatten(2)
    return torch.take_along_dim(blocks, blocks.abs().argmax(-1, keepdim=True), -1).squeeze(-1)
