"""Optimiser steps of small networks, unrolled into one graph by torch's compiler."""

from __future__ import annotations

import contextlib
import time
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import torch
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor
from torch._inductor import cpp_builder
from torch._inductor.exc import InvalidCxxCompiler
from torch.optim import SGD
from typing_extensions import override

from polysemantic.engine.base import Plan, PlannedEngine, Training
from polysemantic.engine.batches import BatchStream
from polysemantic.engine.fused_optimizer import begin_state, traced_update
from polysemantic.kernels.matmul import TorchMatmul
from polysemantic.kernels.problem import Problem
from polysemantic.kernels.workspace import NoWorkspace
from polysemantic.model.objective import ClosedForm
from polysemantic.model.weights import Weights

# From so many steps on, a run wins back the time of compiling from the compiler's cache. The first time takes twice as
# long.
_LONG_RUN = 400_000


class CompiledEngine(PlannedEngine):
    """Optimiser steps unrolled into one graph for the CPU, where a step is bound by the cost of calls alone.

    Args:
        training: What it trains, without a schedule or clipping.
        plan: Names no kernel: the compiler computes the products.
    """

    name: ClassVar[str] = "compiled"
    needs: ClassVar[str] = (
        "a CPU and a C++ compiler, networks of our own class with at most 2^16 multiplications in a batch's product, "
        "SGD, Adam or AdamW without hooks, neither an lr_scheduler nor a clip_norm, and a whole batch per process"
    )
    uses_kernels: ClassVar[bool] = False
    unrolled: ClassVar[int] = 25
    """Steps of one graph."""

    def __init__(self, training: Training, plan: Plan) -> None:
        super().__init__(training, plan)
        network = training.networks
        self._parameters = network.weights.tensors
        self._names = [name for name, _ in network.named_parameters()]
        self._objective = ClosedForm(network.act, workspace=NoWorkspace())
        self._graphs: dict[tuple[Any, ...], Callable[..., Tensor]] = {}
        self._options: dict[str, Any] = {}

    @classmethod
    @override
    def supports(cls, problem: Problem) -> bool:
        update = problem.update.plain and not problem.update.scheduled and not problem.update.clipped
        return problem.device == "cpu" and problem.standard and problem.is_small and update and not problem.divided

    @classmethod
    @override
    def pays(cls, problem: Problem, matmul: type[TorchMatmul]) -> bool:
        return problem.max_steps >= _LONG_RUN

    @classmethod
    @override
    def can_be_built(cls) -> bool:
        try:
            cpp_builder.get_cpp_compiler()
        except InvalidCxxCompiler:
            rank_zero_warn("no C++ compiler found: optimiser steps are not compiled")
            return False
        return True

    @override
    @torch.no_grad()
    def run(
        self,
        steps: int,
        batches: BatchStream,
        *,
        with_loss: bool = True,
    ) -> Tensor | None:
        # One number for the penalty of all would become a constant of the graph.
        self._objective.factors = self.training.networks.factors._replace(l1_of_all=None)
        self._forget_graphs_of_other_options()
        loss = None
        with _threads(self._n_threads):
            for some, x, noise in batches.read(steps, len(self.training.networks.W_enc), self.unrolled):
                in_graphs = len(some) // self.unrolled * self.unrolled
                for start in range(0, in_graphs, self.unrolled):
                    stop = start + self.unrolled
                    loss = self._run_graph(self.unrolled, _cut(x, start, stop), _cut(noise, start, stop))
                # The steps that are left have a graph of one step.
                for start in range(in_graphs, len(some)):
                    loss = self._run_graph(1, _cut(x, start, start + 1), _cut(noise, start, start + 1))
        return loss

    def _run_graph(self, steps: int, x: Tensor | None, noise: Tensor | None) -> Tensor:
        optimizer = self.training.optimizer
        states = [begin_state(optimizer, parameter) for parameter in self._parameters]
        corrections = None if isinstance(optimizer, SGD) else self._corrections(steps, states)
        moving = [{name: value for name, value in state.items() if name != "step"} for state in states]
        arguments = (self, [p.data for p in self._parameters], moving, corrections, steps, x, noise)
        shapes = [None if draws is None else draws.shape for draws in (x, noise)]
        factors = self._objective.factors
        key = (steps, *shapes, factors.l1 is None, factors.importance is None)
        loss = self._graphs[key](*arguments) if key in self._graphs else self._compile(key, arguments)
        for state in states:
            if "step" in state:
                state["step"] += steps
        return loss

    def _forget_graphs_of_other_options(self) -> None:
        """The optimiser's options are constants of a graph."""
        group = self.training.optimizer.param_groups[0]
        options = {name: value for name, value in group.items() if name != "params"}
        if options != self._options:
            self._graphs, self._options = {}, options

    def _compile(self, key: tuple[Any, ...], arguments: tuple[Any, ...]) -> Tensor:
        """Take steps with a new graph."""
        began, (steps, *_) = time.monotonic(), key
        graph = self._graphs[key] = self.new_graph()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler's own, about itself
            loss = graph(*arguments)
        rank_zero_info(f"compiled {steps} steps in {time.monotonic() - began:.1f} s")
        return loss

    def new_graph(self) -> Callable[..., Tensor]:
        """A function that becomes one graph when it is called.

        The compiler keeps at most eight graphs of one code object in a process, and before each call looks for the one
        that fits, which takes longer than a step. So each graph has a code object of its own, and the key under which
        it is kept here holds whatever else it depends on.
        """
        unrolled = CompiledEngine.unrolled_steps
        function = types.FunctionType(unrolled.__code__.replace(), unrolled.__globals__)
        # The calls between loops are in C++ too: from Python they take longer than all the loops.
        options: dict[str, Any] = {"cpp.threads": self._n_threads, "cpp_wrapper": True, "guard_filter_fn": _none}
        compiled: Callable[..., Tensor] = torch.compile(function, fullgraph=True, dynamic=False, options=options)
        return compiled

    def _corrections(self, steps: int, states: list[dict[str, Tensor]]) -> Tensor:
        """Factors of both moments in each of Adam's next steps, shape (step, 2).

        A graph would compute them again for every few numbers that it updates. As Python numbers they have the same
        bits whichever graph a step is in.
        """
        group = self.training.optimizer.param_groups[0]
        rate, (beta1, beta2) = float(group["lr"]), map(float, group["betas"])
        begun = int(states[0]["step"])
        times = range(begun + 1, begun + 1 + steps)
        factors = [(rate / (1 - beta1**t), (1 - beta2**t) ** -0.5) for t in times]
        return torch.tensor(factors, dtype=self._parameters[0].dtype)

    @property
    def _n_threads(self) -> int:
        # Handing a few microseconds of work to a second thread costs more than the work.
        few = sum(p.numel() for p in self._parameters) < 2**15
        return 1 if few else torch.get_num_threads()

    def unrolled_steps(
        self,
        parameters: list[Tensor],
        states: list[dict[str, Tensor]],
        corrections: Tensor | None,
        steps: int,
        x: Tensor | None,
        noise: Tensor | None,
    ) -> Tensor:
        """What a graph computes: so many steps, with the losses of the last."""
        gradients = [torch.empty_like(parameter) for parameter in parameters]
        weights, gradient = (Weights(**dict(zip(self._names, ts, strict=True))) for ts in (parameters, gradients))
        loss = None
        for at in range(steps):
            last = at == steps - 1
            step_x, step_noise = (None if draws is None else draws[at] for draws in (x, noise))
            loss = self._objective(step_x, weights, gradient, step_noise, with_loss=last)
            step_corrections = None if corrections is None else corrections[at]
            traced_update(self.training.optimizer, parameters, gradients, states, step_corrections)
        assert loss is not None
        return loss


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


def _cut(draws: Tensor | None, start: int, stop: int) -> Tensor | None:
    return None if draws is None else draws[start:stop]
