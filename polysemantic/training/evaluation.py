"""What networks do on evaluation draws, without noise."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from polysemantic.functional import gram
from polysemantic.model.autoencoder import Autoencoder


@torch.no_grad()
def evaluate(
    networks: Autoencoder, x: Float[Tensor, "instance batch feature"], *, every_feature_once: bool
) -> dict[str, Tensor]:
    """Inputs, hidden activations, reconstructions and losses of some networks.

    Args:
        networks: The networks.
        x: The inputs.
        every_feature_once: Whether the inputs are the identity matrix, which then is not multiplied with.
    """
    identity = every_feature_once and networks.is_standard and networks.act == "linear"
    h, x_hat = _of_every_feature(networks) if identity else networks(x)
    loss = networks.objective(x, h, x_hat) if networks.is_standard else networks.loss(x)
    return {"x": x, "h": h, "x_hat": x_hat, "loss": loss}


def _of_every_feature(networks: Autoencoder) -> tuple[Tensor, Tensor]:
    """Hidden activations and reconstructions of every feature once: the encoder itself, and what it decodes to."""
    W = networks.W_enc
    if networks.W_dec is not None or networks.b_dec is not None:
        return W, networks.decode(W)
    # Metrics ask for the same product, in double precision.
    return W, gram(W).relu().to(W.dtype)
