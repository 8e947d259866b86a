import functools

import pandas as pd
import pytest
import torch

from benchmarks import __main__ as benchmarks
from benchmarks import clock, draws, memory, ranks, report, scaling
from benchmarks import measure as measuring
from benchmarks.bare import Bare
from benchmarks.cases import CASES, Case, Targets
from benchmarks.measure import contenders, peak_rate
from benchmarks.standard import Standard

TINY = [
    Case(2, 4, 6, targets=Targets(1, 0.5, 0.1)),
    Case(2, 4, 6, noise_std=0.3, sgd=True),
    Case(2, 4, 6, 256, probability=0.3),
]
# JAX compiles each number of steps that its speed is judged by.
measure = functools.partial(measuring.measure, enough=0.001)
# What is timed and compiled is what users run, without the tests' checks of shapes and types.
pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture(autouse=True)
def _one_thread():
    # Where other tests use the cores, two threads wait milliseconds for one another at every tiny operation.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def use_device():
    """Train on another device until the test ends."""
    yield clock.use_device
    clock.use_device(torch.device("cpu"))


# A run of the shorter length has too few steps to be compiled.
@pytest.mark.parametrize("run_seconds", [0.01, pytest.param(0.2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", TINY, ids=lambda case: case.name)
def test_contenders_end_at_the_same_weights_and_all_are_timed(case, run_seconds):
    measured = measure(case, rounds=2, seconds=0.005, run_seconds=run_seconds)
    assert {"ours", "standard", "bare"} <= measured.apart.keys()
    assert max(measured.apart.values()) < 1e-4
    assert len(measured.rounds) == len(measured.peak) == 2
    assert all(row["ours"] > 0 and row["standard"] > 0 and row["bare"] > 0 for row in measured.rounds)
    assert report.cases_table([measured]).count("\n") == 2


@pytest.mark.slow
@pytest.mark.parametrize("case", TINY, ids=lambda case: case.name)
def test_jax_trains_as_the_standard_formulation_does(case):
    pytest.importorskip("jax")
    pytest.importorskip("optax")
    from benchmarks.jax_loop import JaxLoop

    W, given = case.start(), case.draws(case.data(), range(20))
    theirs = JaxLoop(case, W)
    torch.testing.assert_close(theirs.follow(*given, 20), Standard(case, W).follow(*given, 20), rtol=1e-3, atol=1e-4)
    theirs.run(3)


def test_the_bare_loop_on_its_own_draws_follows_those_of_a_fit():
    case = TINY[2]
    bare, given = Bare(case, case.start()), case.draws(case.data(), range(20))
    bare.run(20)
    torch.testing.assert_close(bare.networks.W_enc.detach(), Bare(case, case.start()).follow(*given, 20))


class Dishonest(Bare):
    """Ends elsewhere."""

    def follow(self, *arguments):
        return super().follow(*arguments) + 1


def test_a_contender_that_trains_otherwise_is_refused():
    others = [each for each in contenders(TINY[0]) if not isinstance(each, Bare)]
    others.append(Dishonest(TINY[0], TINY[0].start()))
    with pytest.raises(AssertionError, match="bare must end where standard does"):
        measure(TINY[0], rounds=1, seconds=0.005, run_seconds=0.01, others=others)


def test_every_kind_of_draw_is_measured():
    table = draws.measure_draws(Case(2, 12, 4, 3, probability=0.2), rounds=1)
    assert len(table) == 9 + 4
    assert table["share"].between(0, 1).all()
    assert "inputs KHot" in report.draws_table(table)


def test_scaling_is_measured_along_each_axis_and_drawn(tmp_path):
    axes = {"instances": (1, 2), "batch": (128, 256)}
    rows = scaling.measure_scaling(0.002, 1, Case(2, 4, 6, 128), axes, run_seconds=0.2, passes=2, enough=0.001)
    table = pd.DataFrame(rows)
    assert list(table["size"]) == [1, 2, 1, 2, 128, 256, 128, 256]
    assert scaling.slopes(table).keys() == axes.keys()
    assert "batch" in report.scaling_table(table)
    scaling.draw_scaling(table, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").stat().st_size > 0


def test_slopes_are_of_the_sizes_that_keep_the_cores_busy():
    sizes = [(1, False, 9.0), (4, True, 1.0), (16, True, 4.0), (64, True, 4.0)]
    table = pd.DataFrame(
        {
            "axis": "features",
            "size": size,
            "threaded": threaded,
            "flop_per_step": size,
            "seconds_per_step": took * noise,
        }
        for size, threaded, took in sizes
        for noise in (0.5, 1, 1, 1, 2)
    )
    busy, end = scaling.slopes(table)["features"], scaling.slopes(table, largest=2)["features"]
    assert busy.value == pytest.approx(0.5)
    assert end.value == pytest.approx(0)
    assert busy.low < 0.5 < busy.high
    assert end.high - end.low > busy.high - busy.low


def test_peak_memory_is_that_of_a_process_of_its_own():
    assert memory.in_parameters("standard", Case(4, 128, 256)) > 1


def test_the_speed_of_two_ranks_is_judged_by_the_median_of_each_round_s_ratio():
    rounds = [{"case": "tiny", "target": 1.8, "ranks_1": one, "ranks_2": 1.0} for one in (1.0, 1.9, 5.0)]
    assert report.ranks_table(pd.DataFrame(rounds)).splitlines()[-1] == "| tiny | 0.5263 | 1 | 1.90x (>= 1.8x) |"


@pytest.mark.slow
def test_two_ranks_are_timed_against_one():
    rows = list(ranks.measure_ranks(rounds=3, seconds=0.1, cases={Case(4, 8, 8): 1.3}))
    assert [row["round"] for row in rows] == [1, 2]
    assert all(row["ranks_1"] > 0 and row["ranks_2"] > 0 for row in rows)


def test_the_rate_of_products_is_positive():
    assert peak_rate(TINY[2], 0.003) > 0


def test_tables_are_saved_between_the_markers(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.save(readme, "new")
    report.save(readme, "newer")
    assert readme.read_text() == f"before\n{report.BEGIN}\n\nnewer\n\n{report.END}\nafter\n"


def test_the_command_names_its_cases(capsys):
    with pytest.raises(SystemExit) as ended:
        benchmarks.main(["--list"])
    assert ended.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) == len(CASES)


@pytest.mark.parametrize("name", ["cuda", "abacus"])
def test_a_device_that_is_not_here_is_refused_in_one_line(monkeypatch, capsys, name):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        benchmarks.main(["--device", name])
    assert ended.value.code == f"`device` must be what torch finds here, cpu, got {name!r}."
    assert capsys.readouterr().out == ""


def test_all_is_made_on_the_device_and_the_clock_waits_for_it(use_device, monkeypatch):
    waited, multiplied, multiply = [], set(), torch.bmm
    use_device(torch.device("meta"))
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda: waited.append(True))
    monkeypatch.setattr(torch, "bmm", lambda a, b, **out: multiplied.add(a.device.type) or multiply(a, b, **out))
    assert TINY[0].start().is_meta
    assert TINY[2].data().seed_index.is_meta
    clock.now()
    assert len(waited) == 1
    assert peak_rate(TINY[2], 0.003) > 0
    assert multiplied == {"meta"}


def test_what_is_asked_of_cpus_is_not_asked_of_other_devices(use_device):
    rounds = [{"ours": 1.0, "standard": 0.5, "bare": 0.5}]
    measured = measuring.Measured(TINY[0], rounds, [1.0], [0.5], {"standard": 0.0, "ours": 1e-6, "bare": 1e-6})
    assert report.cases_table([measured]).count("(asked") == 2
    use_device(torch.device("meta"))
    row = "| one-hot 2, 4, 6 | 1 s | 0.50x | 50% | 76800% | - | 50.0% | 1e-06 |"
    assert report.cases_table([measured]).splitlines()[-1] == row


@pytest.mark.gpu
@pytest.mark.skipif(not torch.accelerator.is_available(), reason="no accelerator")
@pytest.mark.parametrize("case", TINY, ids=lambda case: case.name)
def test_contenders_end_at_the_same_weights_on_an_accelerator(use_device, case):
    use_device(torch.accelerator.current_accelerator())
    measured = measure(case, rounds=2, seconds=0.005, run_seconds=0.01)
    assert {"ours", "standard", "bare"} <= measured.apart.keys()
    assert all(min(row.values()) > 0 for row in measured.rounds)
