"""The weights that the networks of a run start from: drawn, or those of an earlier run."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import torch
from jaxtyping import Float64, Int64, UInt8
from torch import Tensor

from polysemantic import random
from polysemantic.functional import effective_weight, pack_signs, strongest
from polysemantic.model import initialisation
from polysemantic.model.ensemble import Ensemble
from polysemantic.model.weights import Weights
from polysemantic.storage.checkpoints import read_checkpoint


class InitialTraits(NamedTuple):
    """What measurements ask of the effective weights at initialisation, in a sixteenth of their memory.

    Args:
        led_at_start: The neuron of each feature's largest weight.
        signs_at_start: All signs (`functional.pack_signs`).
    """

    led_at_start: Int64[Tensor, "instance feature"]
    signs_at_start: UInt8[Tensor, "instance feature octet"]

    @classmethod
    def of(cls, weights: Weights) -> InitialTraits:
        """The traits of initial weights."""
        w = effective_weight(weights.W_enc, weights.W_dec)
        return cls(strongest(w).neuron, pack_signs(w))


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How initial weights are made; the same recipe gives the same weights whenever it is asked.

    Args:
        init: Their law.
        init_from: Checkpoint of an earlier run whose weights to take instead.
        n_features: Input coordinates.
        n_hidden: Neurons.
        tied: Whether the decoder is the encoder itself.
        bias: Whether the outputs have a bias.
        ensemble: The instances of the run.
        seed: Root of all random draws.
    """

    init: initialisation.Init
    init_from: str | None
    n_features: int
    n_hidden: int
    tied: bool
    bias: bool
    ensemble: Ensemble
    seed: int

    def make(self, instances: slice, init_scale: Float64[Tensor, " instance"]) -> Weights:
        """The weights of some instances, in torch's default precision.

        Args:
            instances: Which instances of the run.
            init_scale: Factor of each one's drawn weights.
        """
        if self.init_from is None:
            keys = random.make_keys(self.seed, "init", self.ensemble.seed_index[instances])
            start = initialisation.draw(self.init, keys, len(init_scale), self.n_features, self.n_hidden)
            start.W_enc *= init_scale.to(start.W_enc)[:, None, None]
        else:
            start = self._of_earlier_run(self.init_from).map(lambda w: w[instances])
        if not self.tied and start.W_dec is None:
            start.W_dec = start.W_enc.clone()
        if self.bias and start.b_dec is None:
            start.b_dec = start.W_enc.new_zeros(start.W_enc.shape[:2])
        dtype = torch.get_default_dtype()
        return start.map(lambda w: w.to(dtype))

    def identity(self) -> dict[str, Any]:
        """The settings that a checkpoint must share to hold weights of these networks."""
        return {
            "n_features": self.n_features,
            "n_hidden": self.n_hidden,
            "tied": self.tied,
            "bias": self.bias,
            "ensemble": self.ensemble.as_dict(),
            "seed": self.seed,
        }

    def _of_earlier_run(self, path: str) -> Weights:
        """The weights of all instances, from a checkpoint.

        A run that varied nothing gives each instance the weights of its seed, any other must have the same ensemble. A
        tied network can start an untied one, and a network without bias one with; nothing that was learnt is dropped.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the checkpoint does not fit or is damaged.
        """
        checkpoint = read_checkpoint(path, option="init_from")
        found: dict[str, Any] = checkpoint["polysemantic"]
        for name in ("n_features", "n_hidden"):
            _require(found[name] == getattr(self, name), name, getattr(self, name), found[name])
        for name, may_be in (("tied", True), ("bias", False)):
            _require(found[name] in (getattr(self, name), may_be), name, getattr(self, name), found[name])
        theirs, ours = found["ensemble"], self.ensemble
        _require(not theirs["vary"] or theirs == ours.as_dict(), "ensemble", ours.as_dict(), theirs)
        _require(theirs["seeds"] >= ours.seeds, "seeds", f"at least {ours.seeds}", theirs["seeds"])
        index = torch.arange(ours.n_instances) if theirs["vary"] else ours.seed_index
        state = {name.rpartition(".")[2]: values[index] for name, values in checkpoint["state_dict"].items()}
        return Weights(state["W_enc"], state.get("W_dec"), state.get("b_dec"))


def _require(kept: bool, name: str, rule: object, given: object) -> None:
    if not kept:
        raise ValueError(f"`init_from` must hold {name} {rule}, got {given}.")
