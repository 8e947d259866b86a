from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Float64
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from polysemantic import random
from polysemantic.autoencoder import Autoencoder
from polysemantic.callbacks.measurements import Measurements
from polysemantic.functional import (
    all_finite,
    classify_same_sign,
    collision_counts,
    disambiguation_by_ablation,
    effective_weight,
    excess_cost,
    find_collisions,
    interference_cost,
    interference_sums,
    rotation_gap_by_frames,
    rotation_gap_closed_form,
    rotation_rank,
    same_sign_counts,
    shares_neuron,
)

# One in so many measurements takes these in.
_EVERY = 10
# Inputs that each rotated network is evaluated on. 16 rotations with fresh noise leave an error of 0.3 % of the loss;
# without noise 0.1 % of the gap at 64 neurons but 3 % at 4, where more of them cost little.
_INPUTS, _ROTATIONS = 256, 16
_MOST_ROTATIONS, _NORMALS = 64, 2**13
# Collisions of one instance beyond which they are not told apart: an untrained dense network has millions.
_COLLISIONS = 100_000
# Numbers in one matrix of a block of instances.
_AT_ONCE = 2**20
# Draws of the same evaluation keys for other purposes than inputs, whose own are small numbers.
_NOISE, _ROTATION = 1000, 1001


class CostlyMeasurements(Callback):
    """What takes too long to be measured every time: the rotation gap and what same-sign collisions cost.

    A rotation gap without closed form takes 17 evaluations of the objective or more, and telling collisions apart the
    interference cost of every pair of features. Both are measured at every tenth measurement and the last one, and are
    missing from the history in between.

    Args:
        measurements: The callback that measures, to whose history these columns are added.
    """

    def __init__(self, measurements: Measurements) -> None:
        self.measurements = measurements
        kinds = ("collisions_compensated", "collisions_disambiguated", "collisions_costly")
        measurements.tags |= {name: f"collisions/{name}" for name in kinds}
        measurements.tags |= {"rotation_gap": "basis/rotation_gap"}
        measurements.whole |= {*kinds, "disambiguation_neuron"}

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._follow(trainer, pl_module)

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._follow(trainer, pl_module)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._follow(trainer, pl_module)

    def _follow(self, trainer: Trainer, module: Any) -> None:
        """Add a row for each measurement that has none yet."""
        steps, history = self.measurements.steps, self.measurements.history
        last = trainer.global_step >= trainer.max_steps or trainer.should_stop
        for at in range(len(history.get("rotation_gap", [])), len(steps)):
            due = steps[at] == trainer.global_step and (at % _EVERY == 0 or last)
            for name, values in (self.measure(module) if due else _missing(module)).items():
                history.setdefault(name, []).append(values)

    @torch.no_grad()
    def measure(self, module: Any) -> dict[str, Float64[Tensor, " instance"]]:
        """The costly columns for each instance, on the CPU; nan where they do not apply."""
        columns = _same_sign(module) | {"rotation_gap": _rotation_gap(module)}
        return {name: values.double().cpu() for name, values in columns.items()}


def _missing(module: Any) -> dict[str, Tensor]:
    nothing = torch.full((len(module.networks.W_enc),), torch.nan, dtype=torch.float64)
    names = ("compensated", "disambiguated", "costly")
    return {f"collisions_{name}": nothing for name in names} | {
        "disambiguation_neuron": nothing,
        "rotation_gap": nothing,
    }


def _blanked(networks: Autoencoder, usable: Bool[Tensor, " instance"]) -> Autoencoder:
    """The networks with zeros in place of instances that cannot be measured."""
    if bool(usable.all()):
        return networks
    keep = usable[:, None, None]
    return networks.with_weights(networks.W_enc.where(keep, 0), networks.decoder.where(keep, 0))


def _matrices(networks: Autoencoder) -> tuple[Tensor, Tensor]:
    W_enc = networks.W_enc.detach()
    return W_enc, W_enc if networks.W_dec is None else networks.W_dec.detach()


def _same_sign(module: Any) -> dict[str, Tensor]:
    """What became of same-sign collisions, and which neuron disambiguates."""
    weights, data = module.networks.weights, module.data
    few = torch.stack(collision_counts(weights.W_enc, weights.W_dec)).sum(0) <= _COLLISIONS
    usable = few & all_finite(weights.W_enc, weights.W_dec, weights.b_dec)
    networks = _blanked(module.networks, usable)
    batches = [data.evaluation_inputs(batch).to(weights.W_enc.dtype) for batch in data.val_dataloader()]
    x = torch.cat(batches, 1)

    def reconstruct(twin: Autoencoder) -> Tensor:
        return torch.cat([twin(part)[1] for part in batches], 1)

    cooccurrence = data.cooccurrence()
    counts = _kinds(*_matrices(networks), x, reconstruct(networks), cooccurrence)
    columns = {f"collisions_{name}": count for name, count in counts.items()}
    columns["disambiguation_neuron"] = torch.full_like(counts["costly"], torch.nan)
    if data.partition is not None:
        found = disambiguation_by_ablation(
            lambda W_enc, W_dec: reconstruct(networks.with_weights(W_enc, W_dec)),
            x,
            *_matrices(networks),
            data.partition,
            cooccurrence,
        )
        columns["disambiguation_neuron"] = found.neuron.double().masked_fill(found.neuron < 0, torch.nan)
    return {name: values.where(usable, torch.nan) for name, values in columns.items()}


def _kinds(
    W_enc: Tensor, W_dec: Tensor, x: Tensor, x_hat: Tensor, cooccurrence: Tensor
) -> dict[str, Float64[Tensor, " instance"]]:
    n_instances, n_inputs, n_features = x.shape
    block = max(1, _AT_ONCE // (max(n_inputs, n_features) * n_features))
    parts: list[dict[str, Tensor]] = []
    for at in range(0, n_instances, block):
        enc, dec = W_enc[at : at + block], W_dec[at : at + block]
        w_dec = None if W_dec is W_enc else dec
        cost = interference_cost(*interference_sums(x[at : at + block], x_hat[at : at + block]))
        collisions = find_collisions(enc, w_dec)
        excess = excess_cost(cost, shares_neuron(enc if w_dec is None else effective_weight(enc, w_dec)))
        kinds = classify_same_sign(collisions, enc, dec, excess, cooccurrence[at : at + block])
        parts.append(same_sign_counts(collisions, kinds, len(enc))._asdict())
    return {name: torch.cat([part[name] for part in parts]).double() for name in parts[0]}


def _rotation_gap(module: Any) -> Float64[Tensor, " instance"]:
    """Closed form for instances that have one, sampled for the others."""
    weights, std = module.networks.weights, module.number("noise_std").to(module.networks.W_enc)
    usable = all_finite(weights.W_enc, weights.W_dec, weights.b_dec)
    networks = _blanked(module.networks, usable)
    closed = networks.is_standard and networks.act == "linear" and networks.W_dec is None
    gap = torch.full_like(std, torch.nan, dtype=torch.float64)
    inputs = _inputs(module)
    if not closed or bool(std.any()):
        gap = _sampled(networks, module, inputs, std)
    if closed:
        h = torch.cat([networks.encode(x) for x in inputs], 1)
        gap = gap.where(std > 0, rotation_gap_closed_form(h, networks.l1[:, 0, 0].double()))
    return gap.where(usable, torch.nan)


def _inputs(module: Any) -> list[Tensor]:
    """At least so many evaluation inputs, over again if there are fewer: noise may still differ between them."""
    data = module.data
    batches = range(-(-_INPUTS // data.batch_size))
    dtype = module.networks.W_enc.dtype
    return [data.evaluation_inputs(batch % data.evaluation_batches).to(dtype) for batch in batches]


def _sampled(networks: Autoencoder, module: Any, inputs: list[Tensor], std: Tensor) -> Float64[Tensor, " instance"]:
    W_enc, W_dec = _matrices(networks)
    n_features, n_hidden = W_enc.shape[1:]
    rank = rotation_rank(n_features, n_hidden, tied=networks.W_dec is None)
    rotations = range(max(_ROTATIONS, min(_MOST_ROTATIONS, _NORMALS // (n_hidden * rank))))
    # One seed's draws for all instances: orthogonal matrices this large cost more than the objective.
    keys = random.make_keys(module.seed, "evaluation", torch.zeros(1, dtype=torch.long, device=W_enc.device))
    normals = (random.normal(keys.fold(_ROTATION + at), n_hidden, rank)[0] for at in rotations)
    quiet = _objective(networks, inputs, [None] * len(inputs))
    losses: Iterator[Callable[[Tensor, Tensor], Tensor]] = (quiet for _ in rotations)
    if bool(std.any()):
        losses = (_objective(networks, inputs, _noises(module, at, len(inputs), std)) for at in rotations)
    return rotation_gap_by_frames(losses, W_enc, W_dec, normals)


def _objective(
    networks: Autoencoder, inputs: list[Tensor], noises: Sequence[Tensor | None]
) -> Callable[[Tensor, Tensor], Float[Tensor, " instance"]]:
    def loss(W_enc: Tensor, W_dec: Tensor) -> Tensor:
        twin = networks.with_weights(W_enc, W_dec)
        losses = [twin.loss(x, noise) for x, noise in zip(inputs, noises, strict=True)]
        return torch.stack(losses).mean(0)

    return loss


def _noises(module: Any, rotation: int, batches: int, std: Tensor) -> list[Tensor]:
    steps = module.data.keys("evaluation", range(rotation * batches, (rotation + 1) * batches)).fold(_NOISE)
    draws = random.noise(steps, module.noise, module.data.batch_size, module.n_hidden)
    return list(draws.to(std.dtype).mul_(std[:, None, None]))
