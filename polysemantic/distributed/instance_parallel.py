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
    """Every process creates, trains and holds a slice of the instances; their training needs no communication.

    A checkpoint is one of the whole ensemble, which any number of processes can continue.
    """

    @override
    def setup_environment(self) -> None:
        super().setup_environment()
        module: Any = self.lightning_module
        shard = Shard(module.ensemble.n_instances, self.global_rank, self.world_size, self.root_device)
        check_instances(shard.length, shard.ranks)
        if module.autoencoder is not None and len(module.autoencoder.W_enc) != shard.size:
            raise ValueError("`module.networks` must not be made before each process knows its instances.")
        module.shard = shard

    @property
    def _shard(self) -> Shard:
        shard = self.lightning_module.shard  # type: ignore[union-attr]
        assert isinstance(shard, Shard)
        return shard

    @override
    def lightning_module_state_dict(self) -> dict[str, Any]:
        whole: dict[str, Any] = _each(super().lightning_module_state_dict(), self._shard.size, self._shard.collect)
        return whole

    @override
    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        whole: dict[str, Any] = _each(super().optimizer_state(optimizer), self._shard.size, self._shard.collect)
        return whole

    @override
    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        super().load_model_state_dict({"state_dict": self._held(checkpoint["state_dict"])}, strict)

    @override
    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        super().load_optimizer_state_dict({"optimizer_states": self._held(checkpoint["optimizer_states"])})

    def _held(self, state: Any) -> Any:
        held = self._shard.held
        # A copy: the optimiser goes on in this memory, which otherwise would be that of the whole ensemble.
        return _each(state, self._shard.length, lambda whole: whole[held].clone())

    @classmethod
    @override
    def register_strategies(cls, strategy_registry: Any) -> None:
        strategy_registry.register(
            "instance_parallel", cls, description="Every process holds a slice of the instances."
        )


def check_instances(n_instances: int, ranks: int) -> None:
    """Refuse more processes than there are instances to hold."""
    if ranks > n_instances:
        raise ValueError(f"`trainer.devices` must be at most one for each of {n_instances} instances, got {ranks}.")


def _each(state: Any, length: int, change: Callable[[Tensor], Tensor]) -> Any:
    """A nested state with every tensor changed that has an entry for each of so many instances."""
    if isinstance(state, dict):
        return {name: _each(value, length, change) for name, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(_each(value, length, change) for value in state)
    return change(state) if isinstance(state, Tensor) and state.ndim > 0 and len(state) == length else state


InstanceParallel.register_strategies(StrategyRegistry)
