"""What each mechanism for speed gains: the time of a step without it over the time with it.

`python -m benchmarks.mechanisms [--device cuda] [--quick] [--busy] [--only WORD...]`
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import statistics
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor
from typing_extensions import override

from benchmarks import clock, report
from benchmarks.bare import Bare
from benchmarks.cases import CASES, Case
from benchmarks.measure import Way, calibrate, seconds_per_step
from benchmarks.ours import RUN_SECONDS
from benchmarks.turns import Job, fit_in_turns
from polysemantic import random
from polysemantic.data import IndependentBernoulli, InputDataModule, OneHot
from polysemantic.engine.base import Plan
from polysemantic.engine.fused_optimizer import next_update
from polysemantic.engine.select import ENGINES, KERNELS, EngineName, select
from polysemantic.kernels.matmul import TorchMatmul
from polysemantic.kernels.workspace import KeptWorkspace, NoWorkspace
from polysemantic.model.autoencoder import Autoencoder
from polysemantic.model.objective import ClosedForm, overlap_pays
from polysemantic.model.weights import Weights
from polysemantic.random.draws import bernoulli_by_torch
from polysemantic.random.splitmix64 import library_for
from polysemantic.training.allocator import raise_malloc_thresholds
from polysemantic.training.cadence import default_interval
from polysemantic.training.evaluation import evaluate

SMALL = [Case(64, 16, 32), Case(64, 16, 32, 64, probability=0.1)]
"""Networks whose step is bound by the cost of calls."""
SHARES = [Case(16, 256, n, 256, probability=p) for n in (256, 512, 1024) for p in (0.005, 0.05, 0.1, 0.2)]
"""Where the choice between sparse and dense inputs changes."""
# Numbers of steps in one call are multiples of this, so that engines that unroll steps find whole graphs.
_STEPS = 25
# Parameters from which on a case takes a quick look, and whole fits, too long.
_TOO_LARGE = 2**24


Turn = Callable[[], float]
"""Takes steps for a while and gives the seconds of one."""
Pair = tuple[Turn, Turn]
"""With a mechanism, and without it."""


@dataclasses.dataclass(frozen=True)
class Effort:
    """How long to measure.

    Args:
        rounds: Rounds of steps; one before them warms up.
        seconds: Seconds of a turn, four times as many of a whole fit.
        rounds_of_fits: Rounds of whole fits; 0 leaves them out.
    """

    rounds: int = 9
    seconds: float = 0.2
    rounds_of_fits: int = 6


@dataclasses.dataclass(frozen=True)
class Mechanism:
    """Something that should make steps quicker.

    Args:
        name: What it is.
        pair: Makes both ways for a case; None where the case cannot use it.
        stays: Why it stays.
        more: Cases that it is for, beside `CASES`.
        in_threads: Whether it is for several threads, so that one thread does not show what it gains.
        of_fits: Whether whole fits are measured.
    """

    name: str
    pair: Callable[[Case, Effort, ExitStack], Pair | None]
    stays: str
    more: Sequence[Case] = ()
    in_threads: bool = False
    of_fits: bool = False


def turn(way: Way, effort: Effort) -> Turn:
    """A turn of a way in this process."""
    at_once = max(1, round(effort.seconds / 4 / calibrate(way)))
    if at_once > _STEPS:
        at_once -= at_once % _STEPS
    return functools.partial(seconds_per_step, way, at_once, effort.seconds)


def plans(case: Case, effort: Effort, one: Plan, other: Plan) -> Pair:
    """Steps by two plans."""
    return turn(Bare(case, case.start(), one), effort), turn(Bare(case, case.start(), other), effort)


def engine(name: EngineName, case: Case, effort: Effort, _: ExitStack) -> Pair | None:
    """An engine against the eager one."""
    problem = case.problem()
    (kind,) = (kind for kind in ENGINES if kind.name == name)
    if not kind.supports(problem) or not kind.can_be_built():
        return None
    return plans(case, effort, select(problem, name), select(problem, "eager"))


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


class DrawnByTorch(IndependentBernoulli):
    """The same inputs, drawn by torch's operations."""

    @override
    def sample(self, keys: random.Keys) -> Tensor:
        limit = torch.tensor(round(self.probability * 2**31) - 1, dtype=torch.int32, device=self.device)
        return self.activate(bernoulli_by_torch(keys, limit, (self.batch_size, self.n_features)), keys)


def splitmix64(case: Case, effort: Effort, _: ExitStack) -> Pair | None:
    """Inputs drawn by the native kernel, with the steps that they are for."""
    if case.batch is None:
        return None
    other = DrawnByTorch(case.features, case.probability, batch_size=case.batch)
    other.bind(case.ensemble(), device=clock.device())
    own = Bare(case, case.start())
    if library_for(own.data.keys("data", range(case.steps_at_once)).values, case.batch * case.features) is None:
        return None
    return turn(own, effort), turn(Bare(case, case.start(), data=other), effort)


class Loop:
    """Steps of a given objective in a loop without an engine.

    Args:
        case: What to train.
        objective: What sets the gradient.
        direct: Whether the optimiser's fused kernel is called itself, and not by `optimizer.step`.
    """

    def __init__(self, case: Case, objective: ClosedForm, *, direct: bool = True) -> None:
        self.case, self.data, self.objective = case, case.data(), objective
        networks = Autoencoder(Weights(case.start()), l1=torch.full((case.instances,), case.l1))
        objective.factors = networks.factors
        self.optimizer = case.optimizer(networks.parameters(), fused=True)
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


class DrawnOneHot(OneHot):
    """Evaluation draws that are made at each evaluation."""

    keeps_evaluation_inputs = False


class DrawnBernoulli(IndependentBernoulli):
    """Evaluation draws that are made at each evaluation."""

    keeps_evaluation_inputs = False


class Evaluations:
    """Evaluations of untrained networks; a step is one evaluation.

    Args:
        case: The networks.
        data: The inputs, bound to the instances.
    """

    def __init__(self, case: Case, data: InputDataModule) -> None:
        self.networks, self.data = Autoencoder(Weights(case.start())), data

    def run(self, steps: int) -> None:
        """Evaluate so many times."""
        once = self.data.every_feature_once
        for _ in range(steps):
            for batch in range(self.data.evaluation_batches):
                evaluate(self.networks, self.data.evaluation_inputs(batch), every_feature_once=once)


def kept_evaluation_inputs(case: Case, effort: Effort, _: ExitStack) -> Pair | None:
    """Evaluations on draws that are kept against evaluations that draw; a measurement takes several times as long."""
    data = case.data()
    if not data.keeps_evaluation_inputs:
        return None
    other: InputDataModule = DrawnOneHot(case.features)
    if case.batch is not None:
        other = DrawnBernoulli(case.features, case.probability, batch_size=case.batch)
    other.bind(case.ensemble(), device=clock.device())
    return turn(Evaluations(case, data), effort), turn(Evaluations(case, other), effort)


def of_fits(
    case: Case,
    effort: Effort,
    stack: ExitStack,
    *,
    without: str | None = None,
    inner_steps: int | None = None,
    raises_malloc_thresholds: bool = True,
) -> Pair | None:
    """A whole fit as users run it against one with other settings, each in a process of its own."""
    if case.parameters >= _TOO_LARGE or not effort.rounds_of_fits:
        return None
    step = calibrate(Bare(case, case.start()))
    every = default_interval(max(1, round(RUN_SECONDS / step)), case.features, case.rows)
    steps = every * max(1, round(4 * effort.seconds / step / every))
    usual = Job(case, steps, effort.rounds_of_fits + 1, measure_every=every, busy=not clock.is_wall())
    other = dataclasses.replace(usual, inner_steps=inner_steps, raises_malloc_thresholds=raises_malloc_thresholds)
    with_it, without_it = fit_in_turns(usual), fit_in_turns(other, without=without)
    return stack.enter_context(with_it), stack.enter_context(without_it)


MECHANISMS = [
    Mechanism("threaded engine, against eager", functools.partial(engine, "threaded"), "", in_threads=True),
    Mechanism("compiled engine, against eager", functools.partial(engine, "compiled"), "", SMALL),
    Mechanism("cuda_graph engine, against eager", functools.partial(engine, "cuda_graph"), "", SMALL),
    Mechanism("symmetric kernel, against torch", functools.partial(kernel, "symmetric"), ""),
    Mechanism("avx512 kernel, against torch", functools.partial(kernel, "avx512"), ""),
    Mechanism("amx kernel, against torch", functools.partial(kernel, "amx"), ""),
    Mechanism("tensor cores, against torch", functools.partial(kernel, "tensor_cores"), ""),
    Mechanism("sparse inputs, against dense", sparse_inputs, "", SHARES),
    Mechanism("splitmix64 kernel, against torch's operations", splitmix64, "", SMALL),
    Mechanism("fused update called directly, against `optimizer.step`", direct_update, "", SMALL),
    Mechanism("gradient by overlap, against by hidden activations", overlap, "", SMALL),
    Mechanism("memory kept between steps, against fresh memory", workspace, "", SMALL),
    Mechanism("evaluation inputs kept, against drawn (an evaluation)", kept_evaluation_inputs, "", SMALL),
    Mechanism(
        "malloc thresholds raised, against default",
        functools.partial(of_fits, raises_malloc_thresholds=False),
        "",
        of_fits=True,
    ),
    Mechanism(
        "OpenMP spin-wait of 0.2 ms, against 3 ms",
        functools.partial(of_fits, without="GOMP_SPINCOUNT"),
        "",
        in_threads=True,
        of_fits=True,
    ),
    Mechanism(
        "MKL_DISABLE_FAST_MM set, against unset",
        functools.partial(of_fits, without="MKL_DISABLE_FAST_MM"),
        "",
        of_fits=True,
    ),
    Mechanism(
        "chunks of steps, against inner_steps=1",
        functools.partial(of_fits, inner_steps=1),
        "",
        SMALL,
        of_fits=True,
    ),
]


def gain(pair: Pair, rounds: int) -> list[float]:
    """Time without a mechanism over time with it, for each round after one to warm up; who goes first alternates."""
    ratios = []
    for at in range(rounds + 1):
        took: dict[bool, float] = {}
        for with_it in (True, False) if at % 2 else (False, True):
            took[with_it] = pair[not with_it]()
        ratios.append(took[False] / took[True])
    return ratios[1:]


def measure(mechanism: Mechanism, cases: Sequence[Case], effort: Effort) -> Iterator[tuple[Case, float]]:
    """The median gain on each case that can use a mechanism."""
    if mechanism.in_threads and not clock.is_wall():
        return
    rounds = effort.rounds_of_fits if mechanism.of_fits else effort.rounds
    for case in [*cases, *mechanism.more]:
        with ExitStack() as stack:
            pair = mechanism.pair(case, effort, stack)
            if pair is not None:
                ratios = gain(pair, rounds)
                low, middle, high = statistics.quantiles(ratios, n=4)
                print(
                    f"{mechanism.name}: {case.name}: {middle:.2f} [{low:.2f}, {high:.2f}]", file=sys.stderr, flush=True
                )
                yield case, middle


def row(mechanism: Mechanism, cases: Sequence[Case], effort: Effort) -> list[str]:
    """A row of the table."""
    gains = {case: f"{ratio:.2f}x" for case, ratio in measure(mechanism, cases, effort)}
    others = ", ".join(f"{case.name}: {gains[case]}" for case in mechanism.more if case in gains)
    return [mechanism.name, *(gains.get(case, "-") for case in cases), others or "-", mechanism.stays]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mechanisms", description=__doc__)
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu, or cuda")
    parser.add_argument("--quick", action="store_true", help="short rounds, all but the largest case, no whole fits")
    parser.add_argument("--busy", action="store_true", help="one thread and processor time, on a machine with others")
    parser.add_argument("--only", nargs="*", default=[""], metavar="WORD", help="mechanisms whose name holds one")
    options = parser.parse_args()
    clock.use_device(clock.find_device(options.device))
    if options.busy:
        clock.use_processor_time()
    # Lightning calls torch functions that torch has deprecated since.
    warnings.filterwarnings("ignore", module="lightning")
    raise_malloc_thresholds()  # as in every fit
    effort = Effort(4, 0.1, 0) if options.quick else Effort(rounds_of_fits=6 if clock.on_cpu() else 0)
    cases = [case for case in CASES if case.parameters < _TOO_LARGE or not options.quick]
    chosen = [one for one in MECHANISMS if any(word in one.name for word in options.only)]
    print(report.setting(" ".join(["python -m benchmarks.mechanisms", *sys.argv[1:]])), end="\n\n")
    header = ["mechanism", *(case.name for case in cases), "other cases", "why it stays"]
    print(report.markdown(header, [row(mechanism, cases, effort) for mechanism in chosen]))


if __name__ == "__main__":
    main()
