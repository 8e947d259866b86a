"""Optimiser steps without what `torch.optim` does anew in each of them to find its tensors.

In small networks that takes several times as long as the update itself, which is the same kernel on the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim import optimizer as hooks

Update = Callable[[], Any]

_OPTIONS = ("lr", "weight_decay", "eps", "maximize")
_SGD_OPTIONS = ("lr", "weight_decay", "momentum", "dampening", "nesterov", "maximize")


def next_updates(optimizer: Optimizer) -> Update:
    """What does the same as `optimizer.step` after a first call of that, as long as options and tensors stay.

    Args:
        optimizer: An optimiser that has taken a step. Of fused SGD, Adam and AdamW the kernel itself is given, of any
            other the method.
    """
    groups = optimizer.param_groups
    group = groups[0]
    parameters = [p for p in group["params"] if p.grad is not None]
    alone = len(groups) == 1 and len({(p.device, p.dtype) for p in parameters}) == 1
    if not alone or not group.get("fused") or isinstance(group["lr"], Tensor) or _is_hooked(optimizer):
        return optimizer.step
    kind, gradients = type(optimizer), [p.grad for p in parameters]
    states: list[dict[str, Tensor]] = [optimizer.state[p] for p in parameters]
    if kind in (Adam, AdamW) and not group["amsgrad"] and not isinstance(group["betas"][0], Tensor):
        return _adam(kind, group, (parameters, gradients, *_moments(states)))
    if kind is SGD:
        buffers = [state["momentum_buffer"] for state in states if group["momentum"]]
        return _sgd(group, (parameters, gradients, buffers))
    return optimizer.step


def _adam(kind: type[Optimizer], group: dict[str, Any], tensors: tuple[Any, ...]) -> Update:
    # Since torch 2.8 AdamW is an Adam that decouples the decay, before that a class of its own.
    decoupled = kind is AdamW or group.get("decoupled_weight_decay", False)
    kernel: Callable[..., None] = torch._fused_adamw_ if decoupled else torch._fused_adam_
    (beta1, beta2), steps = group["betas"], tensors[-1]

    def update() -> None:
        torch._foreach_add_(steps, 1)
        options = {name: group[name] for name in _OPTIONS}
        kernel(*tensors[:4], [], steps, beta1=beta1, beta2=beta2, amsgrad=False, **options)

    return update


def _sgd(group: dict[str, Any], tensors: tuple[Any, ...]) -> Update:
    def update() -> None:
        torch._fused_sgd_(*tensors, is_first_step=False, **{name: group[name] for name in _SGD_OPTIONS})

    return update


def _moments(states: list[dict[str, Tensor]]) -> list[list[Tensor]]:
    return [[state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step")]


def _is_hooked(optimizer: Optimizer) -> bool:
    of_all = (hooks._global_optimizer_pre_hooks, hooks._global_optimizer_post_hooks)
    return any((*of_all, optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks))
