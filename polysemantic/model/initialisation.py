"""Where training starts: the weights of untrained networks."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from polysemantic import random
from polysemantic.model.weights import Weights

Init = Literal["normal", "orthogonal", "disambiguation"]


def draw(init: Init, keys: random.Keys, n_instances: int, n_features: int, n_hidden: int) -> Weights:
    """Initial weights of the given kind."""
    if init == "disambiguation":
        return disambiguation(n_instances, n_features, n_hidden)
    return Weights((normal if init == "normal" else orthogonal)(keys, n_features, n_hidden))


def check_disambiguation(
    data: Any, bias: bool, act: str, numbers: dict[str, float], points: list[dict[str, float]]
) -> None:
    """Refuse inputs and networks that the constructed solution does not solve, at any grid point."""
    fractions = [point.get("active_fraction", getattr(data, "active_fraction", None)) for point in points]
    if data.partition is None or data.magnitude != "one" or any(fraction != 0.5 for fraction in fractions):
        rule = "have HalfSplit data with 2 parts, half of them active and magnitude one"
        raise ValueError(f"`init` disambiguation must {rule}, got {type(data).__name__}.")
    if not bias or act != "linear":
        raise ValueError(f"`init` disambiguation must have bias true and act linear, got bias {bias} and act {act}.")
    for scale in (point.get("init_scale", numbers["init_scale"]) for point in points):
        if scale != 1:
            raise ValueError(f"`init` disambiguation must have init_scale 1, got {scale}.")


def normal(keys: random.Keys, n_features: int, n_hidden: int) -> Float[Tensor, "instance feature hidden"]:
    """Weights from N(0, 1 / n_hidden), so that a feature's weights have norm about 1 (arXiv:2312.03096, sec. 2)."""
    return random.normal(keys, n_features, n_hidden).div_(math.sqrt(n_hidden))


def orthogonal(keys: random.Keys, n_features: int, n_hidden: int) -> Float[Tensor, "instance feature hidden"]:
    """Uniformly random weights with orthonormal features, or orthonormal neurons if there are fewer neurons."""
    normals = random.normal(keys, max(n_features, n_hidden), min(n_features, n_hidden)).double()
    basis, triangle = torch.linalg.qr(normals)
    # The signs make the factor unique, and so the distribution uniform.
    basis = torch.mul(basis, triangle.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)).float()
    return basis if n_features >= n_hidden else basis.transpose(-2, -1).contiguous()


def disambiguation(n_instances: int, n_features: int, n_hidden: int) -> Weights:
    r"""A network without reconstruction error on half-split inputs that uses n/2 + 1 neurons for n features.

    Neuron 0 has weight :math:`\pm\sqrt{2/n}` and tells the halves apart; features i and n/2 + i share neuron 1 + i with
    weight 1; all biases are -1/2. In the half that is off, every output is then 0.

    Raises:
        ValueError: If n is no multiple of 4 or there are fewer than n/2 + 1 neurons.
    """
    half = n_features // 2
    if n_features % 4 != 0:
        raise ValueError(f"`n_features` must be a multiple of 4 for init disambiguation, got {n_features}.")
    if n_hidden < half + 1:
        raise ValueError(f"`n_hidden` must be at least {half + 1} for init disambiguation, got {n_hidden}.")
    W = torch.zeros(n_features, n_hidden)
    W[:half, 0], W[half:, 0] = math.sqrt(2 / n_features), -math.sqrt(2 / n_features)
    feature = torch.arange(n_features)
    W[feature, 1 + feature % half] = 1
    b_dec = torch.full((n_instances, n_features), -0.5)
    return Weights(W.expand(n_instances, -1, -1).clone(), b_dec=b_dec)
