"""Sweeps that were interrupted, share their cells with other processes, or whose cells failed."""

import errno
import fcntl
import signal

import pandas as pd
import pytest
import yaml

from polysemantic.sweep.plan import make_plan
from polysemantic.sweep.run import run_cell
from polysemantic.sweep.spec import read_sweep
from tests.support.sweeping import SWEEP, beginnings, results, sweep_directory, write_sweep_files

LONE = "base: base.yaml\n"


def plan_of(text, directory):
    return make_plan(read_sweep(write_sweep_files(directory, text)))


def test_a_cell_that_was_killed_before_it_wrote_its_results_writes_the_same(done, finished, sweep, here):
    cell = next((done / "cells").iterdir())
    (cell / "results.parquet").unlink()
    assert sweep()[0] == 0
    first, second = beginnings(cell)
    assert first["step"] == 0
    assert second["step"] < 100
    pd.testing.assert_frame_equal(results(here), results(finished[0]), check_exact=True)


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGTERM, 143), (signal.SIGINT, 1)])
def test_an_interrupted_sweep_goes_on_in_the_middle_of_a_cell(number, expected, finished, sweep, here, monkeypatch):
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    # As at a terminal: a shell has what it runs in the background ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setenv("INTERRUPT", str(int(number)))
    assert sweep(SWEEP)[0] == expected
    for one, handler in before.items():
        signal.signal(one, handler)
    (cell,) = (sweep_directory(here) / "cells").iterdir()
    assert not (cell / "results.parquet").exists()
    monkeypatch.delenv("INTERRUPT")
    assert sweep()[0] == 0
    assert [told["step"] for told in beginnings(cell)] == [0, 50]
    pd.testing.assert_frame_equal(results(here), results(finished[0]), check_exact=True)


def test_a_damaged_checkpoint_makes_a_cell_begin_anew(done, finished, sweep, here):
    cell = next((done / "cells").iterdir())
    (cell / "results.parquet").unlink()
    for checkpoint in (cell / "checkpoints").iterdir():
        checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    assert sweep()[0] == 0
    assert [told["step"] for told in beginnings(cell)] == [0, 0]
    pd.testing.assert_frame_equal(results(here), results(finished[0]), check_exact=True)


def test_results_of_another_configuration_are_neither_taken_nor_overwritten(done, sweep):
    cell = next((done / "cells").iterdir())
    config = cell / "config.yaml"
    config.write_text(config.read_text().replace("seed_everything: 0", "seed_everything: 1"))
    before = (cell / "results.parquet").read_bytes()
    status, out, _ = sweep()
    assert status == 1
    assert "must hold the run of its name, got another configuration's." in out
    assert (cell / "results.parquet").read_bytes() == before


FAILING = """
import os
from lightning.pytorch import Callback

class Failing(Callback):
    def on_train_batch_end(self, trainer, module, *args):
        if module.n_hidden == 32 and trainer.global_step >= 50 and "MENDED" not in os.environ:
            raise RuntimeError("a mistake\\nof mine")
"""


def test_a_failed_cell_is_recorded_stops_no_other_and_goes_on_at_the_next_call(sweep, here, monkeypatch):
    (here / "failing.py").write_text(FAILING)
    callbacks = "[{class_path: watched.Watched}, {class_path: failing.Failing}]"
    text = f"{LONE}overrides: {{trainer.callbacks: {callbacks}}}\naxes: {{model.n_hidden: [16, 32, 48]}}\n"
    status, out, err = sweep(text)
    assert status == 1
    assert err == "error: 1 of 3 cells failed; the same command tries them again\n"
    assert "RuntimeError: a mistake of mine" in out
    table = results(here)
    assert table["n_hidden"].unique().tolist() == [16, 48]
    states = [yaml.safe_load(path.read_text()) for path in sweep_directory(here).glob("cells/*/cell.yaml")]
    assert {"state": "failed", "error": "RuntimeError: a mistake of mine"} in states
    monkeypatch.setenv("MENDED", "1")
    assert sweep()[0] == 0
    steps = [[told["step"] for told in beginnings(cell)] for cell in (sweep_directory(here) / "cells").iterdir()]
    assert sorted(steps) == [[0], [0], [0, 50]]
    assert results(here)["n_hidden"].unique().tolist() == [16, 32, 48]
    pd.testing.assert_frame_equal(results(here).query("n_hidden != 32").reset_index(drop=True), table)


def test_a_cell_that_another_process_is_at_is_left_to_it(here):
    (cell,) = plan_of(LONE, here).cells
    directory = here / "cells" / cell.hash
    directory.mkdir(parents=True)
    with (directory / ".cell.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert run_cell(directory, cell.config, here).state == "busy"
        assert not (directory / "config.yaml").exists()
    assert run_cell(directory, cell.config, here).state == "finished"


def test_a_cell_is_run_where_files_cannot_be_locked(here, monkeypatch):
    def refuse(file, mode):
        raise OSError(errno.ENOLCK, "No locks available")

    (cell,) = plan_of(LONE, here).cells
    monkeypatch.setattr(fcntl, "flock", refuse)
    assert run_cell(here / "cells" / cell.hash, cell.config, here).state == "finished"


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["auto", "instance_parallel"])
def test_a_cell_is_one_process_also_on_the_second_node_of_a_slurm_job(strategy, start_cli, here, monkeypatch):
    variables = {"NTASKS": 3, "NNODES": 3, "NTASKS_PER_NODE": 1, "JOB_NAME": "sweep", "JOB_ID": 7, "PROCID": 1}
    for name, value in (variables | {"LOCALID": 0, "NODEID": 1, "NODELIST": "localhost"}).items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    write_sweep_files(here, f"{LONE}overrides: {{trainer.strategy: {strategy}}}\n")
    process = start_cli("sweep", "--config=small.yaml")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, (out, err)
    assert len(results(here)) == 2


@pytest.mark.slow
def test_two_sweeps_at_once_share_the_cells(finished, sweep, start_cli, here):
    write_sweep_files(here)
    other = start_cli("sweep", "--config=small.yaml")
    while other.poll() is None and not list(here.glob("lightning_logs/sweeps/*/cells/*/began.txt")):
        pass
    assert sweep()[0] == 0
    assert other.wait(60) == 0, other.communicate()
    told = [beginnings(cell) for cell in (sweep_directory(here) / "cells").iterdir()]
    assert [len(one) for one in told] == [1, 1, 1]
    pd.testing.assert_frame_equal(results(here), results(finished[0]), check_exact=True)


@pytest.mark.slow
def test_workers_are_killed_and_the_table_is_that_of_one_process(finished, start_cli, here):
    (here / "killing.py").write_text(
        "import os, signal\n"
        "from pathlib import Path\n"
        "import watched\n"
        "class Killing(watched.Watched):\n"
        "    def on_train_batch_end(self, trainer, module, *args):\n"
        "        if module.n_hidden == 32 and trainer.global_step == 50 and not Path('killed').exists():\n"
        "            Path('killed').touch()\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    config = write_sweep_files(here)
    config.write_text(config.read_text().replace("watched.Watched", "killing.Killing"))
    process = start_cli("sweep", "--config=small.yaml", "--workers=2", threads=2)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, (out, err)
    assert (here / "killed").exists()
    told = [beginnings(cell) for cell in (sweep_directory(here) / "cells").iterdir()]
    assert len({one["pid"] for cell in told for one in cell}) == 3
    assert {one["threads"] for cell in told for one in cell} == {1}
    columns = [name for name in results(here) if name != "cell"]
    pd.testing.assert_frame_equal(results(here)[columns], results(finished[0])[columns], check_exact=True)
