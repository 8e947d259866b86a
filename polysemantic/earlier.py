from __future__ import annotations

from typing import Any

import torch

from polysemantic.checkpoints import read_checkpoint
from polysemantic.ensemble import Ensemble
from polysemantic.objective import Weights


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
