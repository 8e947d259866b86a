"""The weights that the networks of a run start from, drawn or those of an earlier run."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from polysemantic import random
from polysemantic.functional import effective_weight, pack_signs, strongest
from polysemantic.model import initialisation
from polysemantic.model.ensemble import Ensemble
from polysemantic.model.objective import Weights
from polysemantic.storage.checkpoints import read_checkpoint


class Start(NamedTuple):
    """What measurements ask of the effective weights at initialisation, in a sixteenth of their memory.

    Args:
        led_at_start: The neuron of each feature's largest weight.
        signs_at_start: All signs (`functional.pack_signs`).
    """

    led_at_start: Int64[Tensor, "instance feature"]
    signs_at_start: UInt8[Tensor, "instance feature octet"]

    @classmethod
    def of(cls, weights: Weights) -> Start:
        """What is kept of initial weights."""
        w = effective_weight(weights.W_enc, weights.W_dec)
        return cls(strongest(w).neuron, pack_signs(w))


def initial_weights(module: Any) -> Weights:
    """The weights that the networks held here start from, the same whenever they are asked for.

    Args:
        module: The `EnsembleModule`.
    """
    if module.init_from is None:
        keys = random.make_keys(module.seed, "init", module.ensemble.seed_index[module.instances])
        start = initialisation.draw(module.init, keys, module.shard.size, module.n_features, module.n_hidden)
        start.W_enc *= module.number("init_scale").to(start.W_enc)[:, None, None]
    else:
        earlier = weights_of_earlier_run(module.init_from, module.identity(), module.ensemble)
        start = earlier.map(lambda w: w[module.instances])
    if not module.tied and start.W_dec is None:
        start.W_dec = start.W_enc.clone()
    if module.bias and start.b_dec is None:
        start.b_dec = start.W_enc.new_zeros(start.W_enc.shape[:2])
    dtype = torch.get_default_dtype()
    return start.map(lambda w: w.to(dtype))


def weights_of_earlier_run(path: str, identity: dict[str, Any], ensemble: Ensemble) -> Weights:
    """The weights that a run starts from if it continues another with a fresh optimiser.

    A run that varied nothing gives each instance the weights of its seed, any other must have the same ensemble. A tied
    network can start an untied one, and a network without bias one with; nothing that was learnt is dropped.

    Args:
        path: A checkpoint.
        identity: `n_features`, `n_hidden`, `tied` and `bias` of the run that starts.
        ensemble: Its instances.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the checkpoint does not fit or is damaged.
    """
    checkpoint = read_checkpoint(path, option="init_from")
    found = checkpoint["polysemantic"]
    for name in ("n_features", "n_hidden"):
        _require(found[name] == identity[name], name, identity[name], found[name])
    for name, may_be in (("tied", True), ("bias", False)):
        _require(found[name] in (identity[name], may_be), name, identity[name], found[name])
    theirs = found["ensemble"]
    _require(not theirs["vary"] or theirs == ensemble.as_dict(), "ensemble", ensemble.as_dict(), theirs)
    _require(theirs["seeds"] >= ensemble.seeds, "seeds", f"at least {ensemble.seeds}", theirs["seeds"])
    index = torch.arange(ensemble.n_instances) if theirs["vary"] else ensemble.seed_index
    state = {name.rpartition(".")[2]: values[index] for name, values in checkpoint["state_dict"].items()}
    return Weights(state["W_enc"], state.get("W_dec"), state.get("b_dec"))


def _require(kept: bool, name: str, rule: object, given: object) -> None:
    if not kept:
        raise ValueError(f"`init_from` must hold {name} {rule}, got {given}.")
