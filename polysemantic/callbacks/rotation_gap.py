"""The rotation gap of the networks of a run: whether the neurons are a special basis, told by the loss."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from polysemantic import random
from polysemantic.callbacks.networks import evaluation_blocks, matrices, without
from polysemantic.data import InputDataModule
from polysemantic.functional import all_finite, rotation_gap_by_frames, rotation_gap_closed_form, rotation_rank
from polysemantic.model.autoencoder import Autoencoder
from polysemantic.training.module import EnsembleModule

# Inputs that each rotated network is evaluated on. 16 rotations with fresh noise leave an error of 0.3 % of the loss;
# without noise 0.1 % of the gap at 64 neurons but 3 % at 4, where more of them cost little.
_INPUTS, _ROTATIONS = 256, 16
_MOST_ROTATIONS, _NORMALS = 64, 2**13
# Draws of the evaluation keys for other purposes than inputs, whose own are small numbers.
_NOISE, _ROTATION = 1000, 1001


@torch.no_grad()
def rotation_gap(module: EnsembleModule) -> Float64[Tensor, " instance"]:
    """Rotation gap of each instance on evaluation draws: in closed form where there is one, else sampled.

    Sampled with at least 16 rotations, which the instances share, and noise that differs between rotations but not
    between a network and its rotated copy. Linear tied networks without noise have the closed form.

    Returns:
        One gap each; nan for an instance whose weights are not finite.
    """
    weights, std = module.networks.weights, module.number("noise_std").to(module.networks.W_enc)
    diverged = ~all_finite(weights.W_enc, weights.W_dec, weights.b_dec)
    networks = without(module.networks, diverged)
    closed = networks.is_standard and networks.act == "linear" and networks.W_dec is None
    gap = torch.full_like(std, torch.nan, dtype=torch.float64)
    if not closed or bool(std.any()):
        gap = _sampled(networks, module, std)
    if closed:
        gap = gap.where(std > 0, _closed(networks, module))
    return gap.masked_fill(diverged, torch.nan)


def _closed(networks: Autoencoder, module: EnsembleModule) -> Float64[Tensor, " instance"]:
    gaps = []
    for block in evaluation_blocks(networks, _count(module.data)):
        some, x = networks.subset(block), _inputs(module, block, repeated=False)
        gaps.append(rotation_gap_closed_form(some.encode(x), some.l1[:, 0, 0].double()))
    return torch.cat(gaps)


def _count(data: InputDataModule) -> int:
    return -(-_INPUTS // data.batch_size) * data.batch_size


def _inputs(
    module: EnsembleModule, block: slice = slice(None), *, repeated: bool
) -> Float[Tensor, "instance batch feature"]:
    """At least so many evaluation inputs, or as many as there are; over again for noise to differ between them."""
    data = module.data
    count, batches = _count(data), range(data.evaluation_batches)
    inputs: list[Tensor] = []
    for batch in itertools.cycle(batches) if repeated else batches:
        inputs.append(module.evaluation_inputs(batch, block))
        if sum(x.shape[1] for x in inputs) >= count:
            break
    return torch.cat(inputs, 1)[:, :count]


def _sampled(networks: Autoencoder, module: EnsembleModule, std: Tensor) -> Float64[Tensor, " instance"]:
    W_enc, W_dec = matrices(networks)
    n_features, n_hidden = W_enc.shape[1:]
    noisy = bool(std.any())
    x = _inputs(module, repeated=noisy)
    rank = rotation_rank(n_features, n_hidden, tied=networks.W_dec is None)
    rotations = range(max(_ROTATIONS, min(_MOST_ROTATIONS, _NORMALS // (n_hidden * rank))))
    # One seed's draws for all instances: to draw matrices this large costs more than the objective.
    keys = random.make_keys(module.seed, "evaluation", torch.zeros(1, dtype=torch.long, device=W_enc.device))
    normals = (random.normal(keys.fold(_ROTATION + at), n_hidden, rank)[0] for at in rotations)
    quiet = _objective(networks, x, None)
    losses: Iterator[Callable[[Tensor, Tensor], Tensor]] = (quiet for _ in rotations)
    if noisy:
        losses = (_objective(networks, x, _noise(module, at, x.shape[1], std)) for at in rotations)
    return rotation_gap_by_frames(losses, W_enc, W_dec, normals)


def _objective(
    networks: Autoencoder, x: Tensor, noise: Tensor | None
) -> Callable[[Tensor, Tensor], Float[Tensor, " instance"]]:
    return lambda W_enc, W_dec: networks.with_weights(W_enc, W_dec).loss(x, noise)


def _noise(module: EnsembleModule, rotation: int, n_inputs: int, std: Tensor) -> Float[Tensor, "instance batch hidden"]:
    keys = module.data.keys("evaluation", range(rotation, rotation + 1))[0].fold(_NOISE)
    return random.noise(keys, module.noise, n_inputs, module.n_hidden).to(std.dtype).mul_(std[:, None, None])
