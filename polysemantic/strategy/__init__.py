from polysemantic.strategy.batch_parallel import BatchParallel
from polysemantic.strategy.choose import check_ranks, choose_strategy
from polysemantic.strategy.instance_parallel import InstanceParallel

__all__ = ["BatchParallel", "InstanceParallel", "check_ranks", "choose_strategy"]
