from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lightning.pytorch.strategies import StrategyRegistry
from torch import Tensor
from torch.optim import Optimizer
from typing_extensions import override

from polysemantic.distributed.lockstep import LockstepStrategy
from polysemantic.training.shard import Shard


class InstanceParallel(LockstepStrategy):
    """Every process creates, trains and holds a shard of the instances, whose training needs no communication.

    A checkpoint holds the whole ensemble, so any number of processes can continue it.
    """

    @override
    def setup_environment(self) -> None:
        super().setup_environment()
        module = self.module
        shard = Shard(module.ensemble.n_instances, self.global_rank, self.world_size, self.root_device)
        check_instances(shard.length, shard.ranks)
        if module.autoencoder is not None and len(module.autoencoder.W_enc) != shard.size:
            raise ValueError("`module.networks` must not be made before each process knows its instances.")
        module.shard = shard

    @override
    def lightning_module_state_dict(self) -> dict[str, Any]:
        shard = self.module.shard
        whole: dict[str, Any] = _map_tensors(super().lightning_module_state_dict(), shard.size, shard.collect)
        return whole

    @override
    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        shard = self.module.shard
        whole: dict[str, Any] = _map_tensors(super().optimizer_state(optimizer), shard.size, shard.collect)
        return whole

    @override
    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        super().load_model_state_dict({"state_dict": self._held(checkpoint["state_dict"])}, strict)

    @override
    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        super().load_optimizer_state_dict({"optimizer_states": self._held(checkpoint["optimizer_states"])})

    def _held(self, state: Any) -> Any:
        shard = self.module.shard
        # A clone, because the optimiser keeps this tensor, and a view would keep the whole ensemble's memory alive.
        return _map_tensors(state, shard.length, lambda whole: whole[shard.held].clone())

    @classmethod
    @override
    def register_strategies(cls, strategy_registry: Any) -> None:
        strategy_registry.register(
            "instance_parallel", cls, description="Every process holds a shard of the instances."
        )


def check_instances(n_instances: int, ranks: int) -> None:
    """Refuse more processes than instances."""
    if ranks > n_instances:
        raise ValueError(f"`trainer.devices` must be at most one for each of {n_instances} instances, got {ranks}.")


def _map_tensors(state: Any, length: int, change: Callable[[Tensor], Tensor]) -> Any:
    """A nested state in which every tensor with `length` entries along its first axis is changed."""
    if isinstance(state, dict):
        return {name: _map_tensors(value, length, change) for name, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(_map_tensors(value, length, change) for value in state)
    return change(state) if isinstance(state, Tensor) and state.ndim > 0 and len(state) == length else state


InstanceParallel.register_strategies(StrategyRegistry)
