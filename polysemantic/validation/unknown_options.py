"""What users may have meant by options that `fit` and `EnsembleModule` do not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polysemantic.validation.arguments import short_repr
from polysemantic.validation.replaced import REPLACED, replaced_option
from polysemantic.validation.suggestions import did_you_mean

# Words that people and other libraries use for an option of ours, which no likeness of letters would find.
_MEANT = {
    "max_steps": "steps n_steps num_steps epochs n_epochs num_epochs max_epochs iterations n_iter max_iter iters",
    "n_hidden": "hidden hidden_size hidden_dim hidden_features d_hidden num_hidden neurons n_neurons width m d_model",
    "l1": "l1_coef l1_coeff l1_coefficient l1_weight l1_penalty l1_lambda lam lambda_ lmbda sparsity sparsity_penalty",
    "tied": "untied tie tie_weights tied_weights",
    "bias": "biases use_bias b_dec",
    "act": "activation activation_fn nonlinearity",
    "noise": "noise_law noise_type noise_kind noise_distribution",
    "noise_std": "noise_scale noise_level sigma std",
    "init": "initialization initialisation weight_init",
    "init_scale": "scale init_std",
    "init_from": "weights pretrained load_from warm_start",
    "optimizer": "optim optimiser opt",
    "lr_scheduler": "scheduler lr_schedule schedule",
    "clip_norm": "clip grad_clip gradient_clip gradient_clip_val max_grad_norm max_norm",
    "autoencoder": "model network net",
    "ckpt_path": "ckpt checkpoint_path resume resume_from",
    "seed_everything": "seed random_seed random_state rng",
    "seed": "seed_everything random_seed random_state rng",
}
_OF_OPTIMIZER = ("lr", "learning_rate", "weight_decay", "momentum", "betas", "eps", "nesterov", "amsgrad")


def meant_by(name: str, arguments: Mapping[str, Any], known: list[str]) -> str:
    """What an unknown option may have meant: what `known_as` finds, or a name that is spelt alike.

    Args:
        name: The unknown name.
        arguments: All arguments that were given.
        known: The names of the options that there are.

    Raises:
        ValueError: If the option is one of an earlier version.

    Example:
        >>> meant_by("lr", {"lr": 0.01}, ["l1", "optimizer"])
        ': it is an option of the optimiser, such as optimizer=lambda p: torch.optim.AdamW(p, lr=0.01)'
        >>> meant_by("steps", {"steps": 10}, ["max_steps"]), meant_by("ties", {"ties": True}, ["tied"])
        ('; did you mean max_steps?', '; did you mean tied?')
    """
    return known_as(name, arguments, known) or did_you_mean(name, known)


def known_as(name: str, arguments: Mapping[str, Any], known: list[str]) -> str:
    """What an unknown option is called here; nothing if it is unknown under any name.

    Args:
        name: The unknown name.
        arguments: All arguments that were given.
        known: The names of the options that there are.

    Raises:
        ValueError: If the option is one of an earlier version.
    """
    if f"model.{name}" in REPLACED:
        raise ValueError(replaced_option(f"model.{name}", arguments[name]))
    if name in _OF_OPTIMIZER:
        option = "lr" if name == "learning_rate" else name
        kind = "SGD(p, lr=0.1, " if option in ("momentum", "nesterov") else "AdamW(p, "
        given = f"optimizer=lambda p: torch.optim.{kind}{option}={short_repr(arguments[name])})"
        return f": it is an option of the optimiser, such as {given}"
    meant = (option for option in known if name.lower() in _MEANT.get(option, "").split())
    return next((f"; did you mean {option}?" for option in meant), "")
