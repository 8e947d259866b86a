import io
import re

import pandas as pd
import pytest
from rich.console import Console

from polysemantic import Ensemble
from polysemantic.results import lifetimes
from polysemantic.results.tables import labels, mean_and_interval, narrow, summary
from polysemantic.sweep.table import summary as sweep_summary

FIT = [
    "fit", "--data=IndependentBernoulli", "--data.n_features=8", "--data.probability=0.2", "--data.batch_size=16",
    "--model.n_hidden=6", "--ensemble.seeds=2", '--ensemble.vary={"l1": [0.01, 0.02], "probability": [0.1, 0.5]}',
    "--trainer.max_steps=30", "--measurements.every_n_steps=10", "--model.inner_steps=5",
]  # fmt: skip
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


@pytest.fixture
def terminal(monkeypatch):
    """What rich takes for a terminal, 80 columns wide."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


def test_the_bar_shows_loss_counts_coverage_and_the_time_left_within_80_columns(terminal, run_cli):
    answer = run_cli(*FIT)
    assert answer.status == 0, answer.err
    drawn = [line for line in re.split(r"[\r\n]", plain(answer.out)) if "/30" in line]
    assert max(map(len, drawn)) <= 80
    shown = r"30/30 .*\d:\d\d:\d\d loss [0-9.e-]+ polysemantic [0-9.]+ coverage [0-9.]+"
    assert re.search(shown, drawn[-1]), drawn[-1]


def test_output_to_a_file_has_no_control_codes_and_no_bar(run_cli):
    answer = run_cli(*FIT)
    assert answer.status == 0, answer.err
    assert "grid point" in answer.out
    assert not CONTROL.search(answer.out + answer.err)
    assert "30/30" not in answer.out


def test_a_quiet_fit_prints_nothing_and_writes_everything(terminal, run_cli, here):
    answer = run_cli(*FIT, "--quiet")
    assert (answer.status, answer.out, answer.err) == (0, "", "")
    run = here / "lightning_logs/version_0"
    assert {"results.parquet", "history.parquet", "config.yaml"} <= {path.name for path in run.iterdir()}
    assert "quiet" not in (run / "config.yaml").read_text()


def test_a_quiet_fit_still_says_what_is_wrong(run_cli):
    answer = run_cli(*FIT, "--quiet", "--model.n_hidden=0")
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith("error: `n_hidden` must")


def test_values_that_agree_in_six_digits_are_told_apart(run_cli, here):
    answer = run_cli(*FIT, '--ensemble.vary={"l1": [0.123457, 0.12345678, 0.001]}')
    assert answer.status == 0, answer.err
    run = here / "lightning_logs/version_0"
    assert {path.name for path in run.glob("l1=*")} == {"l1=0.123457", "l1=0.12345678", "l1=0.001"}
    assert re.findall(r"(?m)^ *l1 = (\S+)", answer.out) == ["0.123457", "0.1234568", "0.001"]


def test_a_run_that_may_take_no_step_is_one_line_and_leaves_nothing(run_cli, here):
    answer = run_cli(*FIT, "--trainer.max_time=00:00:00:00")
    assert (answer.status, answer.err.count("\n")) == (2, 1)
    assert answer.err.startswith("error: `trainer.max_time` must let a run take a step, got none.")
    assert list((here / "lightning_logs").iterdir()) == []


@pytest.mark.parametrize("varied", [(), ("l1",), ("l1", "probability"), ("l1", "probability", "noise_std")])
def test_the_final_table_keeps_every_number_whole_at_80_columns(varied):
    shares = ["coverage", "carriers"]
    counts = ["polysemantic_neurons", "polysemantic_neurons_band", "collisions_opposite_sign", "collisions_same_sign"]
    table = pd.DataFrame({name: [1034.2, 1078.1, 1013.3, 1066.6] for name in counts} | dict.fromkeys(varied, 0.00025))
    table = table.assign(n_features=2048, n_hidden=2048, step=100, coverage=[0.91, 0.98, 1.03, 1.22])
    table = table.assign(carriers=table["coverage"])
    console = Console(file=io.StringIO(), width=80)
    console.print(summary(table, list(varied)))
    printed = console.file.getvalue()
    for columns in (shares, counts):
        number = mean_and_interval(table[columns[0]]).replace(" ", " ?")
        assert len(re.findall(number, printed)) == len(columns) - (columns is counts and "in band" not in printed)
    assert all(f" {name} " in printed for name in varied)
    assert printed.count(" 0.00025 ") == len(varied)
    assert "…" not in printed
    told = " ".join(printed.split())
    assert "converged 0 of 4 None had converged" in told
    assert all(f" {word}: " in f" {told}" for word in ("polysemantic", "coverage", "carriers", "opposite", "same sign"))


@pytest.mark.parametrize("varied", [(), ("l1",), ("l1", "probability", "noise_std")])
def test_the_final_table_keeps_intervals_whole_that_end_early(varied):
    counts = ["polysemantic_neurons", "polysemantic_neurons_band", "collisions_opposite_sign", "collisions_same_sign"]
    table = pd.DataFrame({name: [1034.2, 0.0, 2013.3, 11.6] for name in counts} | dict.fromkeys(varied, 0.00025))
    table = table.assign(n_features=2048, n_hidden=2048, step=100, coverage=[0.6, 0.98, 1, 1], carriers=[1, 1, 1, 1.8])
    console = Console(file=io.StringIO(), width=80)
    console.print(summary(table, list(varied)))
    printed = console.file.getvalue()
    for name in ("polysemantic_neurons", "coverage", "carriers"):
        first, ends = narrow(mean_and_interval(table[name])).split("\n")
        assert first in printed
        assert ends in printed
    assert "…" not in printed


def test_the_table_of_lives_keeps_every_number_and_every_name_whole_at_80_columns():
    ensemble = Ensemble(2, {"pair_probability": [0.1, 0.3], "l1": [0.00025]})
    lives = pd.DataFrame({"instance": [0, 1, 2, 3] * 300, "born_step": 0, "settled_step": 10, "last_seen_step": 3000})
    lives = lives.assign(resolved_step=pd.Series([1234.0, None, None, None] * 300))
    console = Console(file=io.StringIO(), width=80)
    rows = lifetimes.lifetimes(lives, ensemble)
    console.print(lifetimes.summary(rows))
    printed = console.file.getvalue()
    assert "…" not in printed
    assert all(part in printed for row in rows for cell in lifetimes.in_words(row) for part in cell.split(" ["))
    assert all(name in printed for name in ("pair_probability=0.1 ", "pair_probability=0.3 ", "l1=0.00025 "))


def test_tables_of_a_grid_in_powers_of_a_root_have_few_digits_and_curves_all():
    rates = [0.001, 10**-2.5]
    lives = pd.DataFrame({"instance": [0, 1], "born_step": 0, "settled_step": 10, "last_seen_step": 30})
    rows = lifetimes.lifetimes(lives.assign(resolved_step=pd.NA), Ensemble(1, {"l1": rates}))
    assert [row.point for row in rows[::2]] == ["l1=0.001", "l1=0.0031622776601683794"]
    counts = {"polysemantic_neurons": 1.0, "polysemantic_neurons_band": 1.0, "coverage": 1.0, "carriers": 1.0}
    signs = {"collisions_opposite_sign": 1.0, "collisions_same_sign": 1.0}
    results = labels(Ensemble(1, {"l1": rates}), 4, 4, "OneHot").assign(step=1, **counts, **signs)
    for table in (lifetimes.summary(rows), summary(results, ["l1"])):
        console = Console(file=io.StringIO(), width=80)
        console.print(table)
        assert "0.00316 " in console.file.getvalue()


@pytest.mark.parametrize("axes", [[], ["l1", "n_hidden"]])
@pytest.mark.parametrize("polysemantic", [[1034.2, 1078.1], [10.0, 2078.1], [0.0, 1.0]])
def test_an_output_of_a_sweep_names_its_columns_whole_at_80_columns(polysemantic, axes):
    columns = {"cell": "a", "n_hidden": 2048, "n_features": 2048, "expected_polysemantic_neurons": 512.3}
    counts = {"polysemantic_neurons": polysemantic, "coverage": [0.91, 0.98], "carriers": [1.03, 1.22]}
    console = Console(file=io.StringIO(), width=80)
    console.print(sweep_summary(pd.DataFrame(counts).assign(**columns, l1=0.0005), axes))
    printed = console.file.getvalue()
    assert "…" not in printed
    for name, values in counts.items():
        number = mean_and_interval(pd.Series(values, name=name))
        assert number in printed or all(part in printed for part in narrow(number).split("\n"))
    assert all(name in printed for name in ("polysemantic", "coverage", "carriers", "n²/4m", "2(2m-1)", "converged"))
