from __future__ import annotations

from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.strategies import SingleDeviceStrategy, Strategy

from polysemantic.distributed.batch_parallel import BatchParallel
from polysemantic.distributed.instance_parallel import InstanceParallel, check_instances
from polysemantic.distributed.lockstep import LockstepStrategy
from polysemantic.model.ensemble import Ensemble
from polysemantic.validation.suggestions import did_you_mean

_STRATEGIES = {"instance_parallel": InstanceParallel, "ddp": BatchParallel}


def choose_strategy(strategy: Any) -> Strategy | None:
    """The strategy that `trainer.strategy` names, or None where the number of devices decides.

    Args:
        strategy: The option, a name or a strategy.

    Raises:
        ValueError: If it is neither one of ours nor a strategy of a single device.
    """
    if strategy in (None, "auto"):
        return None
    if isinstance(strategy, (LockstepStrategy, SingleDeviceStrategy)):
        return strategy
    if not isinstance(strategy, str) or strategy not in _STRATEGIES:
        given = strategy if isinstance(strategy, str) else type(strategy).__name__
        raise ValueError(
            "`trainer.strategy` must be instance_parallel (which divides the instances) or ddp (which divides the "
            f"batch), or be unset, got {given!r}{did_you_mean(given, _STRATEGIES)}"
        )
    return _STRATEGIES[strategy]()


def check_ranks(trainer: Trainer, ensemble: Ensemble) -> None:
    """Refuse more processes than instances before any process is started.

    Raises:
        ValueError: If a process would have no instance.
    """
    if isinstance(trainer.strategy, InstanceParallel):
        check_instances(ensemble.n_instances, trainer.world_size)
