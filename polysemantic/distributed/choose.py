from __future__ import annotations

from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.strategies import SingleDeviceStrategy, Strategy

from polysemantic.distributed.batch_parallel import BatchParallel
from polysemantic.distributed.instance_parallel import InstanceParallel, check_instances
from polysemantic.distributed.lockstep import LockstepStrategy
from polysemantic.model.ensemble import Ensemble
from polysemantic.validation.suggestions import did_you_mean

_OURS = {"instance_parallel": InstanceParallel, "ddp": BatchParallel}


def choose_strategy(strategy: Any) -> Strategy | None:
    """The strategy that `trainer.strategy` names, or None where the number of devices is to decide.

    Raises:
        ValueError: If it is another one that runs several processes.
    """
    if strategy in (None, "auto"):
        return None
    if isinstance(strategy, (LockstepStrategy, SingleDeviceStrategy)):
        return strategy
    if not isinstance(strategy, str) or strategy not in _OURS:
        given = strategy if isinstance(strategy, str) else type(strategy).__name__
        raise ValueError(
            "`trainer.strategy` must be instance_parallel (which divides the instances) or ddp (which divides the "
            f"batch), or be unset, got {given!r}{did_you_mean(given, _OURS)}"
        )
    return _OURS[strategy]()


def check_ranks(trainer: Trainer, ensemble: Ensemble) -> None:
    """Refuse more processes than instances before any is started.

    Raises:
        ValueError: If there are.
    """
    if isinstance(trainer.strategy, InstanceParallel):
        check_instances(ensemble.n_instances, trainer.world_size)
