"""The options of `fit`, `validate` and `test`, known from the source of the classes that have them."""

from __future__ import annotations

import ast
import functools

from polysemantic.cli.kinds import Kinds, kinds
from polysemantic.cli.sources import Parameter, names, parameters, texts_of

DATA = "polysemantic.data"
BASE = "InputDataModule"
"""The class of `DATA` that all input distributions subclass."""
CALLBACKS = {
    "measurements": "polysemantic.callbacks.measurements.Measurements",
    "collisions": "polysemantic.callbacks.collisions.tracker.CollisionTracker",
    "snapshots": "polysemantic.callbacks.snapshots.Snapshots",
    "checkpoint": "polysemantic.callbacks.checkpoint.Checkpoint",
    "convergence": "polysemantic.callbacks.convergence.Convergence",
}
"""The callbacks of every run whose arguments are options, and the name of their group."""
GROUPS = {
    "model": "polysemantic.training.module.EnsembleModule",
    "ensemble": "polysemantic.model.ensemble.Ensemble",
    "trainer": "lightning.pytorch.trainer.trainer.Trainer",
    **CALLBACKS,
}
"""The classes whose arguments are options, and the names of their groups."""
LINKED = {"model.n_features": "data.n_features", "model.ensemble": "ensemble", "model.seed": "seed_everything"}
"""Arguments that are no options, and the options whose values they get."""
NEEDED = ("trainer.max_steps",)
"""Options that must have a value although their class has a default."""
SINGLE = {
    "seed_everything": Kinds(("int",)),
    "quiet": Kinds(("bool",)),
    "ckpt_path": Kinds(texts=True, null=True),
    "data": Kinds(texts=True, mappings=True, null=True),
}
"""Options that belong to no group."""
CLASSES = {"data": DATA, "model.optimizer": "torch.optim", "model.lr_scheduler": "torch.optim.lr_scheduler"}
"""Options that name a class, and the module whose classes may be given by their bare names."""
BY_PATH = ("model.autoencoder", "trainer.callbacks", "measurements.metrics")
"""Options that name a class, or several, with its package."""
# Arguments that come from the run and not from options: what is optimised, and whose rate is scheduled.
_GIVEN = {"model.optimizer": {"params"}, "model.lr_scheduler": {"optimizer"}}


@functools.cache
def group(name: str) -> dict[str, Parameter]:
    """The options of a group without the group's name; empty if the source does not tell."""
    return {key: value for key, value in (parameters(GROUPS[name]) or {}).items() if f"{name}.{key}" not in LINKED}


@functools.cache
def classes(option: str) -> frozenset[str]:
    """The classes that an option of `CLASSES` takes by their bare names."""
    public = {name for name in names(CLASSES[option]) if name[0].isupper()}
    return frozenset(public - {BASE, "Optimizer", "LRScheduler", "Tensor", "Any"})


def arguments(option: str, name: str) -> dict[str, Parameter] | None:
    """The arguments of a class that an option of `CLASSES` names; None if its source does not tell.

    Args:
        option: The option.
        name: The class, bare or with its package.
    """
    path = name if "." in name else f"{CLASSES[option]}.{name}"
    found = parameters(path)
    return None if found is None else {key: value for key, value in found.items() if key not in _GIVEN.get(option, ())}


def can_vary(data: str) -> set[str] | None:
    """The names that an ensemble can vary with some inputs; None if the source does not tell.

    Args:
        data: The class of the inputs, bare or with its package.
    """
    of_model = texts_of(GROUPS["model"], "can_vary")
    of_data = texts_of(data if "." in data else f"{DATA}.{data}", "can_vary")
    return None if of_model is None or of_data is None else {*of_model, *of_data}


def default_class(option: str) -> str | None:
    """The class that an option of `CLASSES` names by default; None if it names none."""
    section, _, key = option.partition(".")
    parameter = group(section).get(key) if section in GROUPS else None
    made = parameter.default if parameter is not None else None
    if isinstance(made, ast.Lambda) and isinstance(made.body, ast.Call):
        return ast.unparse(made.body.func)
    return None


def kinds_of(name: str) -> Kinds | None:
    """What an option accepts; None if it is none, or if the source does not tell."""
    if name in SINGLE:
        return SINGLE[name]
    section, _, key = name.partition(".")
    parameter = group(section).get(key) if section in GROUPS else None
    return None if parameter is None else kinds(parameter)


def is_option(name: str) -> bool:
    """Whether a name is that of an option or of a group."""
    section, _, key = name.partition(".")
    return name in SINGLE or name in GROUPS or (section in GROUPS and key in group(section))


def options() -> set[str]:
    """The names of all options, those of every input distribution and of torch's usual optimisers among them."""
    listed = {f"{section}.{key}" for section in GROUPS for key in group(section)}
    listed |= {f"data.{key}" for name in classes("data") for key in arguments("data", name) or ()}
    usual = [arguments("model.optimizer", name) or () for name in ("AdamW", "SGD")]
    listed |= {f"model.optimizer.{key}" for found in usual for key in found}
    return listed | set(SINGLE) | set(GROUPS) | {"config", "print_config", "help"}


def required() -> list[str]:
    """The options that must have a value, but for those of classes that other options name."""
    listed = [f"{section}.{key}" for section in GROUPS for key, value in group(section).items() if value.required]
    return ["data", *listed, *NEEDED]
