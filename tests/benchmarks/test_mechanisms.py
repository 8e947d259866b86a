import pytest
import torch

from benchmarks import mechanisms
from benchmarks.bare import Bare
from benchmarks.beside import DrawnByTorch
from benchmarks.cases import Case
from benchmarks.mechanisms import MECHANISMS
from benchmarks.turns import Job, fit_in_turns
from benchmarks.ways import ByHidden, Effort, Loop
from polysemantic.engine.select import ENGINES, KERNELS, select
from polysemantic.model.objective import ClosedForm

TINY = [Case(2, 4, 6), Case(2, 4, 6, noise_std=0.3, sgd=True), Case(2, 4, 6, 256, probability=0.3)]
SLOW = [one for one in MECHANISMS if one.of_fits or one.name.startswith("compiled")]
EFFORT = Effort(rounds=2, seconds=0.002, rounds_of_fits=2)
# What is timed is what users run, without the tests' checks of shapes and types.
pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.mark.parametrize("mechanism", [one for one in MECHANISMS if one not in SLOW], ids=lambda one: one.name)
def test_each_mechanism_has_a_row_with_its_gain_on_cases_that_can_use_it(mechanism):
    name, *gains, _, stays = mechanisms.row(mechanism, TINY, EFFORT, more=[])
    assert name == mechanism.name
    assert stays
    assert len(gains) == len(TINY)
    assert all(gain == "-" or float(gain.removesuffix("x")) > 0 for gain in gains)


@pytest.mark.slow
@pytest.mark.parametrize("mechanism", SLOW, ids=lambda one: one.name)
def test_mechanisms_of_whole_fits_and_compiled_graphs_have_a_gain(mechanism):
    assert [case for case, gain in mechanisms.measure(mechanism, TINY[:1], EFFORT) if gain > 0] == TINY[:1]


def test_every_engine_and_kernel_that_can_be_chosen_is_measured():
    names = " ".join(mechanism.name.replace("tensor cores", "tensor_cores") for mechanism in MECHANISMS)
    assert [one.name for one in (*ENGINES, *KERNELS) if one.name not in names] == []


@pytest.mark.parametrize("case", TINY, ids=lambda case: case.name)
def test_an_objective_by_hidden_activations_trains_as_the_engines_do(case):
    loops = [Loop(case, objective) for objective in (ClosedForm(), ByHidden())]
    bare = Bare(case, case.start(), select(case.problem(), "eager"))
    for loop in loops:
        loop.run(1)
    x, noise = case.draws(case.data(), range(1))
    for _ in range(2):
        W = bare.follow(x, noise, 1)
    for loop in loops:
        torch.testing.assert_close(loop.weights.W_enc, W)


def test_inputs_drawn_by_torch_are_those_of_a_fit():
    case = TINY[2]
    data, other = case.data(), DrawnByTorch(case.features, case.probability, batch_size=256)
    other.bind(case.ensemble())
    assert torch.equal(data.inputs(3), other.inputs(3))


def test_the_gain_is_the_ratio_of_seconds_in_turns_after_one_round():
    told = []

    def turn(name, seconds):
        return lambda: told.append(name) or next(seconds)

    pair = turn("with", iter([9.0, 1.0, 2.0])), turn("without", iter([9.0, 3.0, 4.0]))
    assert mechanisms.gain(pair, rounds=2) == [3.0, 2.0]
    assert told == ["without", "with", "with", "without", "without", "with"]


@pytest.mark.slow
def test_fits_take_turns_with_and_without_a_library_default():
    job = Job(TINY[0], steps=10, rounds=2, measure_every=10)
    with fit_in_turns(job) as usual, fit_in_turns(job, without="MKL_DISABLE_FAST_MM") as other:
        assert all(turn() > 0 for turn in (usual, other, usual, other))
