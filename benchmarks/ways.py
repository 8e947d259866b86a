"""Pairs of ways to take steps, with a mechanism for speed and without it, for `benchmarks.mechanisms`."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from contextlib import ExitStack

import torch
from torch import Tensor
from typing_extensions import override

from benchmarks.bare import Bare
from benchmarks.cases import Case
from benchmarks.measure import Way, calibrate, seconds_per_step
from polysemantic.engine.base import Plan
from polysemantic.engine.fused_optimizer import next_update
from polysemantic.engine.select import ENGINES, KERNELS, EngineName, select
from polysemantic.engine.threaded import ThreadedEngine
from polysemantic.kernels.matmul import TorchMatmul
from polysemantic.kernels.workspace import KeptWorkspace, NoWorkspace
from polysemantic.model.autoencoder import Autoencoder
from polysemantic.model.objective import ClosedForm, overlap_pays
from polysemantic.model.weights import Weights
from polysemantic.training.loop import CHUNK_SECONDS

TOO_LARGE = 2**24
"""Parameters from which on a case takes a quick look, and whole fits, too long."""
# Numbers of steps in one call are multiples of this, so that engines that unroll steps find whole graphs.
_STEPS = 25

Turn = Callable[[], float]
"""Takes steps for a while and gives the seconds of one."""
Pair = tuple[Turn, Turn]
"""With a mechanism, and without it."""


@dataclasses.dataclass(frozen=True)
class Effort:
    """How long to measure.

    Args:
        rounds: Rounds of steps; one before them warms up.
        seconds: Seconds of a turn, twice as many of a whole fit.
        rounds_of_fits: Rounds of whole fits; 0 leaves them out.
    """

    rounds: int = 9
    seconds: float = CHUNK_SECONDS
    rounds_of_fits: int = 6


def turn(way: Way, effort: Effort) -> Turn:
    """A turn of a way in this process."""
    # As many in one call as a fit takes between two returns to its trainer, if a turn is as long as these.
    at_once = max(1, round(min(effort.seconds, CHUNK_SECONDS) / calibrate(way)))
    if at_once > _STEPS:
        at_once -= at_once % _STEPS
    return functools.partial(seconds_per_step, way, at_once, effort.seconds)


def plans(case: Case, effort: Effort, one: Plan, other: Plan) -> Pair:
    """Steps by two plans."""
    return turn(Bare(case, case.start(), one), effort), turn(Bare(case, case.start(), other), effort)


def engine(name: EngineName, case: Case, effort: Effort, _: ExitStack) -> Pair | None:
    """An engine against the eager one, both as `select` plans them."""
    problem = case.problem()
    (kind,) = (kind for kind in ENGINES if kind.name == name)
    if not kind.supports(problem) or not kind.can_be_built():
        return None
    return plans(case, effort, *(select(problem, each) for each in (name, "eager")))


def kernel(name: str, case: Case, effort: Effort, _: ExitStack) -> Pair | None:
    """A kernel against torch's library, by the same engine."""
    problem = case.problem()
    kind = next((kind for kind in KERNELS if kind.name == name), None)
    if kind is None or not kind.supports(problem) or not kind.can_be_built():
        return None
    plan = select(problem)
    return plans(case, effort, *(dataclasses.replace(plan, matmul=each) for each in (kind, TorchMatmul)))


def sparse_inputs(case: Case, effort: Effort, _: ExitStack) -> Pair | None:
    """Products with the inputs that skip zeros, whether or not this is chosen for the case."""
    if case.batch is None:
        return None
    plan = select(case.problem())
    return plans(case, effort, *(dataclasses.replace(plan, sparse_inputs=sparse) for sparse in (True, False)))


class Loop:
    """Steps of a given objective in a loop without an engine.

    Args:
        case: What to train.
        objective: What sets the gradient.
        direct: Whether the optimiser's fused kernel is called itself, and not by `optimizer.step`.
        fused: Whether `optimizer.step` is one pass over memory.
    """

    def __init__(self, case: Case, objective: ClosedForm, *, direct: bool = True, fused: bool = True) -> None:
        self.case, self.data, self.objective = case, case.data(), objective
        networks = Autoencoder(Weights(case.start()), l1=torch.full((case.instances,), case.l1))
        objective.factors = networks.factors
        self.optimizer = case.optimizer(networks.parameters(), fused=fused)
        self.weights, self.gradient = networks.weights.map(torch.Tensor.detach), networks.gradients()
        self.update = self.optimizer.step
        self.run(1)  # begins the optimiser's state
        if direct:
            self.update = next_update(self.optimizer)

    @torch.no_grad()
    def run(self, steps: int) -> None:
        """Take some steps, each on the first draws of a run."""
        for start in range(0, steps, self.case.steps_at_once):
            some = range(start, min(start + self.case.steps_at_once, steps))
            x, noise = self.case.draws(self.data, some)
            for at in range(len(some)):
                batch, added = (None if drawn is None else drawn[at] for drawn in (x, noise))
                self.objective(batch, self.weights, self.gradient, added)
                self.update()


class ByHidden(ClosedForm):
    """The gradient by hidden activations for every shape."""

    @override
    def _gradient_by_overlap(
        self, x: Tensor | None, h: Tensor, noise: Tensor | None, residual: Tensor, weights: Weights, gradient: Weights
    ) -> None:
        z = h if noise is None else self.workspace.empty("z", h.shape, h)  # the caller has just written it there
        self._encoder_gradient(x, h, residual, weights, gradient)
        self._decoder_gradient(h, z, residual, weights, gradient)


def direct_update(case: Case, effort: Effort, _: ExitStack) -> Pair:
    """The optimiser's fused kernel called itself against `optimizer.step`."""
    return turn(Loop(case, ClosedForm()), effort), turn(Loop(case, ClosedForm(), direct=False), effort)


def fused_update(case: Case, effort: Effort, _: ExitStack) -> Pair:
    """`optimizer.step` in one pass over memory against what torch does unasked."""
    one, other = (Loop(case, ClosedForm(), direct=False, fused=fused) for fused in (True, False))
    return turn(one, effort), turn(other, effort)


def cache_block(case: Case, effort: Effort, _: ExitStack) -> Pair | None:
    """Instances trained few at a time by each thread against a thread's whole share at once."""
    problem = case.problem()
    plan, share = select(problem), -(-problem.n_instances // problem.threads)
    if plan.engine is not ThreadedEngine or plan.block == share:
        return None
    return plans(case, effort, plan, dataclasses.replace(plan, block=share))


def overlap(case: Case, effort: Effort, _: ExitStack) -> Pair | None:
    """The gradient by the overlap of features against the gradient by hidden activations."""
    x = None if case.batch is None else torch.empty(1, case.batch, case.features)
    if not overlap_pays(x, Weights(torch.empty(1, case.features, case.hidden))):
        return None
    return turn(Loop(case, ClosedForm()), effort), turn(Loop(case, ByHidden()), effort)


def workspace(case: Case, effort: Effort, _: ExitStack) -> Pair:
    """Memory kept between steps against fresh memory in each."""
    kept, fresh = (ClosedForm(workspace=each) for each in (KeptWorkspace(), NoWorkspace()))
    return turn(Loop(case, kept), effort), turn(Loop(case, fresh), effort)
