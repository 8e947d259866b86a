"""The optimiser's update, one path for each engine.

- `next_update`: the fused kernel itself, for eager steps. To look its tensors up in each step, as `torch.optim` does,
  takes several times as long as the update of a small network.
- `of_instances`, `copy_options`, `copy_counts`: optimisers of some of the instances, for threads.
- `traced_update`: the same mathematics in operations that a compiler can fuse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim import optimizer as hooks
from torch.optim.sgd import sgd

Update = Callable[[], Any]

_OPTIONS = ("lr", "weight_decay", "eps", "maximize")
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")
_SGD_OPTIONS = ("lr", "weight_decay", "momentum", "dampening", "nesterov", "maximize")


def next_update(optimizer: Optimizer) -> Update:
    """What does the same as `optimizer.step` after a first call of that, as long as options and tensors stay.

    Args:
        optimizer: An optimiser that has taken a step. Of fused SGD, Adam and AdamW the kernel itself is given, of any
            other the method.
    """
    group = optimizer.param_groups[0]
    parameters = [p for p in group["params"] if p.grad is not None]
    if not is_kernel(optimizer) or len({(p.device, p.dtype) for p in parameters}) != 1:
        return optimizer.step
    kind, tensors = type(optimizer), [parameters, [p.grad for p in parameters]]
    if kind is SGD:
        buffers = _states(optimizer, parameters, "momentum_buffer") if group["momentum"] else []
        return _sgd(optimizer, group, [*tensors, buffers])
    return _adam(kind, group, tensors + [_states(optimizer, parameters, name) for name in _MOMENTS])


def is_kernel(optimizer: Optimizer) -> bool:
    """Whether an update is the fused kernel of SGD, Adam or AdamW and nothing else."""
    group, *more = optimizer.param_groups
    if more or not group.get("fused") or isinstance(group["lr"], Tensor) or is_hooked(optimizer):
        return False
    adam = type(optimizer) in (Adam, AdamW)
    return type(optimizer) is SGD or (adam and not group["amsgrad"] and not isinstance(group["betas"][0], Tensor))


def begins_with_zeros(optimizer: Optimizer) -> bool:
    """Whether `begin_state` knows how an optimiser begins: SGD without dampening, Adam or AdamW, of one group."""
    group, *more = optimizer.param_groups
    return type(optimizer) in (SGD, Adam, AdamW) and not more and not group.get("dampening")


def begin_state(optimizer: Optimizer, parameter: Tensor) -> dict[str, Tensor]:
    """The optimiser's own state of a parameter, begun as the optimiser begins it, so that checkpoints hold it."""
    group = optimizer.param_groups[0]
    if isinstance(optimizer, SGD):
        names = ["momentum_buffer"] if group["momentum"] else []
    else:
        names = ["exp_avg", "exp_avg_sq", "step"] + (["max_exp_avg_sq"] if group["amsgrad"] else [])
    if not names:
        return {}
    state: dict[str, Tensor] = optimizer.state[parameter]
    if not state:
        state.update((name, torch.zeros_like(parameter)) for name in names if name != "step")
        if "step" in names:
            state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
    return state


def of_instances(optimizer: Optimizer, parameters: list[Tensor], instances: slice) -> Optimizer:
    """An optimiser of some instances with the same options, and its state in the same memory except counts of steps.

    Args:
        optimizer: An optimiser of the parameters of all instances that `begins_with_zeros`.
        parameters: The slices of the parameters that belong to these instances.
        instances: Which instances.
    """
    group = optimizer.param_groups[0]
    of_all = group["params"]
    kind: type[Any] = type(optimizer)
    twin: Optimizer = kind([group | {"params": parameters}])
    for full, parameter in zip(of_all, parameters, strict=True):
        state = begin_state(optimizer, full)
        if state:
            twin.state[parameter] = {
                name: value[instances] if value.shape == full.shape else value.clone() for name, value in state.items()
            }
    return twin


def copy_options(optimizer: Optimizer, other: Optimizer) -> None:
    """Have another optimiser of the same kind go on with the same options."""
    other.param_groups[0].update((k, v) for k, v in optimizer.param_groups[0].items() if k != "params")


def copy_counts(optimizer: Optimizer, other: Optimizer) -> None:
    """Have another optimiser of the same kind go on from the same count of steps."""
    pairs = zip(*(each.param_groups[0]["params"] for each in (optimizer, other)), strict=True)
    for parameter, its in pairs:
        if "step" in begin_state(optimizer, parameter):
            other.state[its]["step"].copy_(optimizer.state[parameter]["step"])


def decouples(kind: type[Optimizer], group: dict[str, Any]) -> bool:
    """Whether weights decay beside the gradient: an Adam may too, and in newer versions of torch AdamW is one."""
    return kind is AdamW or bool(group.get("decoupled_weight_decay"))


def _adam(kind: type[Optimizer], group: dict[str, Any], tensors: list[Any]) -> Update:
    kernel: Callable[..., None] = torch._fused_adamw_ if decouples(kind, group) else torch._fused_adam_
    *moving, steps = tensors
    one = torch.ones_like(steps[0])  # to make a tensor of a number takes longer than to add it

    def update() -> None:
        for step in steps:
            step.add_(one)
        # A schedule may change any option from one step to the next.
        beta1, beta2 = group["betas"]
        options = {name: group[name] for name in _OPTIONS}
        kernel(*moving, [], steps, beta1=beta1, beta2=beta2, amsgrad=False, **options)

    return update


def _sgd(optimizer: Optimizer, group: dict[str, Any], tensors: list[Any]) -> Update:
    def update() -> None:
        if bool(group["momentum"]) == bool(tensors[-1]):
            torch._fused_sgd_(*tensors, is_first_step=False, **{name: group[name] for name in _SGD_OPTIONS})
        else:
            optimizer.step()

    return update


def _states(optimizer: Optimizer, parameters: list[Tensor], name: str) -> list[Tensor]:
    return [optimizer.state[p][name] for p in parameters]


def is_hooked(optimizer: Optimizer) -> bool:
    """Whether somebody wants to be told of each step."""
    of_all = (hooks._global_optimizer_pre_hooks, hooks._global_optimizer_post_hooks)
    return any((*of_all, optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks))


def traced_update(
    optimizer: Optimizer,
    parameters: list[Tensor],
    gradients: list[Tensor],
    states: list[dict[str, Tensor]],
    corrections: Tensor | None,
) -> None:
    """One update in operations that a compiler can trace.

    Args:
        optimizer: SGD, Adam or AdamW, for its options.
        parameters: What is updated.
        gradients: Their gradients.
        states: Their states without counts of steps.
        corrections: Factors of Adam's two moments in this step, shape (2,); None for SGD.
    """
    group = optimizer.param_groups[0]
    if corrections is None:
        options = {name: group[name] for name in _SGD_OPTIONS}
        sgd(parameters, gradients, [state.get("momentum_buffer") for state in states], foreach=False, **options)
        return
    decoupled = decouples(type(optimizer), group)
    for parameter, gradient, state in zip(parameters, gradients, states, strict=True):
        _traced_adam(parameter, gradient, state, corrections, group, decoupled=decoupled)


def _traced_adam(
    parameter: Tensor,
    gradient: Tensor,
    state: dict[str, Tensor],
    corrections: Tensor,
    group: dict[str, Any],
    *,
    decoupled: bool,
) -> None:
    """One update as in arXiv:1412.6980 or, if weights decay beside the gradient, arXiv:1711.05101."""
    if group["maximize"]:
        gradient = -gradient
    if decoupled:
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
    elif group["weight_decay"]:
        gradient = gradient + group["weight_decay"] * parameter
    beta1, beta2 = group["betas"]
    first = state["exp_avg"].lerp_(gradient, 1 - beta1)
    second = state["exp_avg_sq"].lerp_(gradient * gradient, 1 - beta2)
    if group["amsgrad"]:
        second = state["max_exp_avg_sq"].copy_(torch.maximum(state["max_exp_avg_sq"], second))
    rate, root = corrections
    parameter.sub_(rate * first / (second.sqrt() * root + group["eps"]))


def is_plain(optimizer: Optimizer, parameters: list[Tensor]) -> bool:
    """Whether an optimiser trains exactly these parameters, begins with zeros, and nobody watches its steps."""
    held = [id(parameter) for parameter in optimizer.param_groups[0]["params"]]
    trains_all = held == [id(parameter) for parameter in parameters] and all(p.requires_grad for p in parameters)
    return trains_all and begins_with_zeros(optimizer) and not is_hooked(optimizer)


def use_fused_kernel(optimizer: Optimizer) -> Optimizer:
    """The optimiser in one pass over memory instead of a dozen, unless the user chose an implementation."""
    if type(optimizer) in (Adam, AdamW, SGD):
        for group in optimizer.param_groups:
            if group.get("fused") is None and group.get("foreach") is None:
                group["fused"] = True
    return optimizer
