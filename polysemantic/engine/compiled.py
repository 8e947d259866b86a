from __future__ import annotations

import contextlib
import time
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor
from torch._inductor.cpp_builder import get_cpp_compiler
from torch._inductor.exc import InvalidCxxCompiler
from torch.optim import SGD, Optimizer
from torch.optim.sgd import sgd

from polysemantic.engine.eager import Draws, replaceable
from polysemantic.engine.fused_optimizer import SGD_OPTIONS, begin_state, decouples
from polysemantic.model.autoencoder import Autoencoder
from polysemantic.model.objective import Weights

# Below this many multiplications a step is bound by the cost of calls, and above as many steps compiling pays it back
# where it is done again, from the compiler's cache; the first time it takes twice as many.
_SMALL_STEP, _LONG_RUN = 2**16, 400_000


def compiling_pays(n_features: int, n_hidden: int, batch_size: int, max_steps: int) -> bool:
    """Whether compiling is worth its half minute; decided by one instance's shape and the length of the run alone."""
    return n_features * n_hidden * batch_size <= _SMALL_STEP and max_steps >= _LONG_RUN


def can_compile() -> bool:
    """Whether this machine has the compiler that graphs for the CPU need; says so if it has not."""
    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        rank_zero_warn("no C++ compiler found: optimiser steps are not compiled")
        return False
    return True


class CompiledSteps:
    """Optimiser steps unrolled into one graph for the CPU: small networks are bound by the cost of calls alone.

    Args:
        network: The networks, with their standard objective.
        optimizer: Their SGD, Adam or AdamW.

    Raises:
        ValueError: If the optimiser is another.
    """

    unrolled = 25

    def __init__(self, network: Autoencoder, optimizer: Optimizer) -> None:
        if not replaceable(network, optimizer):
            rule = "be false unless SGD, Adam or AdamW trains all parameters, without hooks"
            raise ValueError(f"`compile` must {rule}, got {type(optimizer).__name__}.")
        self.network, self.optimizer = network, optimizer
        self.parameters = [p for p in (network.W_enc, network.W_dec, network.b_dec) if p is not None]
        self._names = [name for name, _ in network.named_parameters()]
        self._objective = network.closed_form()
        self._graphs: dict[tuple[Any, ...], Callable[..., Tensor]] = {}
        self._options: dict[str, Any] = {}

    @torch.no_grad()
    def __call__(
        self,
        steps: int,
        draws: Draws,
        *,
        with_loss: bool = True,  # noqa: ARG002 - a graph without the losses would take as long to compile again
    ) -> Tensor:
        """See `Steps`."""
        self._objective.l1, self._objective.importance = self.network.factors
        self._forget_graphs_of_other_options()
        with _threads(self._n_threads):
            for some, x, noise in draws.in_turn(steps, len(self.network.W_enc), self.unrolled):
                whole = len(some) // self.unrolled * self.unrolled
                for start in range(0, whole, self.unrolled):
                    loss = self._block(
                        self.unrolled, _part(x, start, self.unrolled), _part(noise, start, self.unrolled)
                    )
                # What does not fill a block is stepped one by one, in a graph of its own.
                for start in range(whole, len(some)):
                    loss = self._block(1, _part(x, start, 1), _part(noise, start, 1))
        return loss

    def _block(self, steps: int, x: Tensor | None, noise: Tensor | None) -> Tensor:
        states = [begin_state(self.optimizer, parameter) for parameter in self.parameters]
        corrections = None if isinstance(self.optimizer, SGD) else self._corrections(steps, states)
        moving = [{name: value for name, value in state.items() if name != "step"} for state in states]
        arguments = (self, [p.data for p in self.parameters], moving, corrections, steps, x, noise)
        shapes = [None if block is None else block.shape for block in (x, noise)]
        key = (steps, *shapes, self._objective.l1 is None, self._objective.importance is None)
        loss = self._graphs[key](*arguments) if key in self._graphs else self._compile(key, arguments)
        for state in states:
            if "step" in state:
                state["step"] += steps
        return loss

    def _forget_graphs_of_other_options(self) -> None:
        """The optimiser's options are constants of a graph."""
        options = {name: value for name, value in self.optimizer.param_groups[0].items() if name != "params"}
        if options != self._options:
            self._graphs, self._options = {}, options

    def _compile(self, key: tuple[Any, ...], arguments: tuple[Any, ...]) -> Tensor:
        """Take steps by a graph that is yet to be made."""
        began, (steps, *_) = time.monotonic(), key
        graph = self._graphs[key] = self._new_graph()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler's own, about itself
            loss = graph(*arguments)
        rank_zero_info(f"compiled {steps} steps in {time.monotonic() - began:.1f} s")
        return loss

    def _new_graph(self) -> Callable[..., Tensor]:
        """A function that becomes one graph when it is called.

        The compiler keeps the graphs of one code object together, eight at the most in a process, and looks before each
        call for the one that fits, which takes longer than a step. So each has a code object of its own, and the key
        under which it is kept here holds whatever else it depends on.
        """
        unrolled = CompiledSteps._unrolled
        function = types.FunctionType(unrolled.__code__.replace(), unrolled.__globals__)
        # The calls between loops in C++ too: from Python they take longer than all the loops.
        options: dict[str, Any] = {"cpp.threads": self._n_threads, "cpp_wrapper": True, "guard_filter_fn": _none}
        compiled: Callable[..., Tensor] = torch.compile(function, fullgraph=True, dynamic=False, options=options)
        return compiled

    def _corrections(self, steps: int, states: list[dict[str, Tensor]]) -> Tensor:
        """Factors of both moments in each of an Adam's next steps, shape (step, 2).

        In the graph they would be computed anew for every few numbers that are updated. As numbers of Python they have
        the same bits whichever block a step is in.
        """
        group = self.optimizer.param_groups[0]
        rate, (beta1, beta2) = float(group["lr"]), map(float, group["betas"])
        begun = int(states[0]["step"])
        times = range(begun + 1, begun + 1 + steps)
        factors = [(rate / (1 - beta1**t), (1 - beta2**t) ** -0.5) for t in times]
        return torch.tensor(factors, dtype=self.parameters[0].dtype)

    @property
    def _n_threads(self) -> int:
        # Handing a few microseconds of work to a second thread costs more than the work, in products too.
        few = sum(p.numel() for p in self.parameters) < 2**15
        return 1 if few else torch.get_num_threads()

    def _unrolled(
        self,
        parameters: list[Tensor],
        states: list[dict[str, Tensor]],
        corrections: Tensor | None,
        steps: int,
        x: Tensor | None,
        noise: Tensor | None,
    ) -> Tensor:
        gradients = [torch.empty_like(parameter) for parameter in parameters]
        weights, gradient = (Weights(**dict(zip(self._names, ts, strict=True))) for ts in (parameters, gradients))
        loss = None
        for at in range(steps):
            last = at == steps - 1
            step_x, step_noise = (None if block is None else block[at] for block in (x, noise))
            loss = self._objective(step_x, weights, gradient, step_noise, with_loss=last)
            self._update(parameters, gradients, states, None if corrections is None else corrections[at])
        assert loss is not None
        return loss

    def _update(
        self,
        parameters: list[Tensor],
        gradients: list[Tensor],
        states: list[dict[str, Tensor]],
        corrections: Tensor | None,
    ) -> None:
        group = self.optimizer.param_groups[0]
        if corrections is None:
            options = {name: group[name] for name in SGD_OPTIONS}
            sgd(parameters, gradients, [state.get("momentum_buffer") for state in states], foreach=False, **options)
            return
        decoupled = decouples(type(self.optimizer), group)
        for parameter, gradient, state in zip(parameters, gradients, states, strict=True):
            _adam(parameter, gradient, state, corrections, group, decoupled=decoupled)


def _adam(
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


@contextlib.contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    if number != before:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        if number != before:
            torch.set_num_threads(before)


def _none(guards: Sequence[Any]) -> list[bool]:
    return [False] * len(guards)


def _part(block: Tensor | None, start: int, steps: int) -> Tensor | None:
    return None if block is None else block[start : start + steps]
