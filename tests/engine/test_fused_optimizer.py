import functools

import pytest
import torch
from torch.optim import SGD, Adam, AdamW, RMSprop
from torch.optim.optimizer import register_optimizer_step_pre_hook

from polysemantic.engine.fused_optimizer import is_kernel, next_update

KINDS = {
    "SGD": functools.partial(SGD, lr=0.1),
    "SGD with momentum": functools.partial(SGD, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "SGD with dampening": functools.partial(SGD, lr=0.1, momentum=0.9, dampening=0.5, maximize=True),
    "Adam": functools.partial(Adam, lr=0.01, weight_decay=0.1),
    "AdamW": functools.partial(AdamW, lr=0.01, weight_decay=0.1, betas=(0.8, 0.99), eps=1e-6),
    "AdamW, uphill": functools.partial(AdamW, lr=0.01, maximize=True),
}
OTHERS = {
    "amsgrad": functools.partial(AdamW, lr=0.01, amsgrad=True, fused=True),
    "not fused": functools.partial(AdamW, lr=0.01, foreach=True),
    "another kind": functools.partial(RMSprop, lr=0.01),
    "a rate that is a tensor": lambda parameters: AdamW(parameters, lr=torch.tensor(0.01), fused=True),
    "a subclass": lambda parameters: type("Mine", (AdamW,), {})(parameters, lr=0.01, fused=True),
    "two groups": lambda parameters: AdamW([{"params": [p]} for p in parameters], lr=0.01, fused=True),
}


def weights():
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((3, 5, 7), (3, 5))]


def train(parameters, optimizer, update_after_first):
    """Ten steps down |w - 1|^2 at a falling rate and changing momentum."""
    for at in range(10):
        for parameter in parameters:
            parameter.grad = torch.empty_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad.copy_(2 * (parameter.detach() - 1))
        optimizer.step() if at == 0 else update_after_first()
        if at == 0:
            update_after_first = update_after_first or next_update(optimizer)
        change(optimizer.param_groups[0], at)
    return parameters


def change(options, at):
    """What schedules do."""
    options["lr"] *= 0.9
    if "betas" in options:
        options["betas"] = (0.9 - 0.05 * at, options["betas"][1])
    elif "nesterov" in options and at == 5:
        options["momentum"] = 0.5 - options["momentum"] / 2


@pytest.mark.parametrize("kind", KINDS)
def test_updates_have_the_bits_of_the_optimiser_itself(kind):
    mine, its = weights(), weights()
    optimizer, other = KINDS[kind](mine, fused=True), KINDS[kind](its, fused=True)
    train(its, other, other.step)
    train(mine, optimizer, None)
    assert next_update(optimizer) != optimizer.step  # not the method, so it was the kernel that was tested
    for one, two in zip(mine, its, strict=True):
        assert (one - 1).abs().max() > 0.01
        torch.testing.assert_close(one, two, rtol=0, atol=0)
        for name, value in other.state[two].items():
            torch.testing.assert_close(optimizer.state[one][name], value, rtol=0, atol=0)


def test_no_state_is_invented():
    parameters = weights()
    optimizer = SGD(parameters, lr=0.1, fused=True)
    for _ in range(10):
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        next_update(optimizer)()
    assert optimizer.state_dict()["state"] == {}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_optimisers_step_by_themselves(kind):
    parameters = weights()
    optimizer = OTHERS[kind](parameters)
    train(parameters, optimizer, None)
    assert next_update(optimizer) == optimizer.step


def test_a_hooked_optimiser_steps_by_itself():
    parameters, called = weights(), []
    optimizer = AdamW(parameters, lr=0.01, fused=True)
    optimizer.register_step_post_hook(lambda *_: called.append(1))
    train(parameters, optimizer, None)
    assert len(called) == 10


def test_a_hook_for_all_optimisers_is_called():
    parameters, called = weights(), []
    hook = register_optimizer_step_pre_hook(lambda *_: called.append(1))
    try:
        train(parameters, AdamW(parameters, lr=0.01, fused=True), None)
    finally:
        hook.remove()
    assert len(called) == 10


@pytest.mark.parametrize(
    ("kind", "options", "kernel"),
    [
        (AdamW, {"fused": True}, True),
        (SGD, {"fused": True, "momentum": 0.9}, True),
        (AdamW, {"fused": True, "amsgrad": True}, False),
        (Adam, {"foreach": True}, False),
        (RMSprop, {}, False),
    ],
)
def test_an_update_is_a_kernel_where_it_is_fused_and_nothing_else(kind, options, kernel):
    assert is_kernel(kind([torch.nn.Parameter(torch.zeros(2))], lr=0.1, **options)) is kernel
