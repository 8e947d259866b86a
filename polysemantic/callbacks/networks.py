"""What several callbacks ask of the networks of a run."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from polysemantic.functional import instance_blocks
from polysemantic.model.autoencoder import Autoencoder
from polysemantic.training.shard import Shard

# Numbers in one matrix of a cache block of instances.
_AT_ONCE = 2**18


def matrices(
    networks: Autoencoder,
) -> tuple[Float[Tensor, "instance feature hidden"], Float[Tensor, "instance feature hidden"]]:
    """Encoder and decoder, one and the same tensor if tied."""
    W_enc = networks.W_enc.detach()
    return W_enc, W_enc if networks.W_dec is None else networks.W_dec.detach()


def without(networks: Autoencoder, left_out: Bool[Tensor, " instance"]) -> Autoencoder:
    """The networks with zeros in place of some instances that cannot be measured."""
    if not bool(left_out.any()):
        return networks
    W_enc, W_dec = matrices(networks)
    return networks.with_weights(*(w.masked_fill(left_out[:, None, None], 0) for w in (W_enc, W_dec)))


def evaluation_blocks(networks: Autoencoder, n_inputs: int) -> list[slice]:
    """Few instances at a time, so that what is computed of their activations stays small beside their parameters."""
    n_instances, n_features, n_hidden = networks.W_enc.shape
    if not networks.is_standard:
        return [slice(0, n_instances)]
    return instance_blocks(networks.W_enc, max(n_inputs, n_features) * max(n_features, n_hidden), _AT_ONCE)


def gathered(columns: dict[str, Tensor], shard: Shard) -> dict[str, Tensor]:
    """Columns with the values of all instances, from columns with those of the instances held here."""
    return dict(zip(columns, shard.gather(torch.stack(list(columns.values()), 1)).unbind(1), strict=True))
