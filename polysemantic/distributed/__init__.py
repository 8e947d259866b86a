from polysemantic.distributed.batch_parallel import BatchParallel
from polysemantic.distributed.choose import check_ranks, choose_strategy
from polysemantic.distributed.instance_parallel import InstanceParallel

__all__ = ["BatchParallel", "InstanceParallel", "check_ranks", "choose_strategy"]
