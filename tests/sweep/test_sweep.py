import math
import os
import re
import shutil
import signal
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

import polysemantic
from polysemantic.sweep.command import main
from polysemantic.sweep.plan import make_plan
from polysemantic.sweep.spec import read_sweep
from tests.support.sweeping import results, sweep_directory

SWEEPS = sorted((Path(__file__).parents[2] / "configs/sweeps").glob("*.yaml"))
LONE = "base: base.yaml\n"


def test_a_cell_is_an_ordinary_run_named_by_the_hash_of_its_configuration(finished):
    directory = sweep_directory(finished[0])
    cells = sorted((directory / "cells").iterdir())
    plan = make_plan(read_sweep(finished[0] / "small.yaml"))
    assert [cell.name for cell in cells] == sorted(cell.hash for cell in plan.cells)
    for cell in cells:
        run = polysemantic.load(cell)
        assert run.results["step"].tolist() == [100] * 4
        assert run.config["ensemble"]["vary"] == {"l1": [0.0, 0.01]}
        assert (cell / "checkpoints/last.ckpt").is_file()
        assert run.collisions is not None


def test_the_table_is_the_union_of_the_cells_with_their_axes(finished):
    table = results(finished[0])
    assert table["n_hidden"].tolist() == [16] * 4 + [32] * 4 + [48] * 4
    assert table["l1"].tolist() == [0.0, 0.0, 0.01, 0.01] * 3
    for cell, rows in table.groupby("cell"):
        own = polysemantic.load(sweep_directory(finished[0]) / "cells" / cell).results
        pd.testing.assert_frame_equal(rows[list(own)].reset_index(drop=True), own, check_exact=True)


def test_a_cell_has_the_results_of_the_same_fit_alone(done, run_cli):
    cell = results(Path())["cell"].iloc[0]
    assert run_cli("fit", f"--config={done / 'cells' / cell / 'config.yaml'}").status == 0
    alone = polysemantic.load("lightning_logs/version_0")
    pd.testing.assert_frame_equal(polysemantic.load(done / "cells" / cell).history, alone.history, check_exact=True)


def test_the_end_shows_every_grid_point_with_interval_and_theory(finished):
    rows = [line.split() for line in finished[1].splitlines()]
    assert [row[:2] for row in rows if len(row) > 5 and row[0] in ("16", "32", "48")] == [
        [m, l1] for m in ("16", "32", "48") for l1 in ("0", "0.01")
    ]
    assert "±" in finished[1]
    assert [row[-3:] for row in rows if row[:2] == ["32", "0"]] == [["-", "-", "0/2"]]
    assert [row[-3] for row in rows if row[:2] == ["32", "0.01"]] == [f"{16**2 / (4 * 32):g}"]
    told = " ".join(finished[1].split())
    assert "converged 0 of 12 None had converged" in told
    assert "lacks something that theory assumes, that is one-hot inputs" in told
    assert f"sweep directory: {sweep_directory(finished[0])}\n" in finished[1]


def test_a_finished_cell_is_never_run_again(done, sweep):
    before = {path: path.stat().st_mtime_ns for path in done.glob("cells/**/*") if not path.name.endswith(".lock")}
    assert sweep()[0] == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_collecting_rebuilds_the_table_from_the_cells(done, finished, here, capsys):
    expected = (done / "results.parquet").read_bytes()
    for path in (done, here / "small.yaml"):
        (done / "results.parquet").unlink()
        assert main([f"--collect={path}"]) == 0
        assert (done / "results.parquet").read_bytes() == expected
    shutil.rmtree(next((done / "cells").iterdir()))
    assert main([f"--collect={done}"]) == 0
    assert len(results(here)) == 8


@pytest.mark.slow
@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_sweep_plans_and_runs_small(path, sweep, here, capsys):
    assert path.read_text().startswith("# ")
    assert main([f"--config={path}", "--dry_run"]) == 0
    planned = capsys.readouterr().out
    assert re.match(r"\d+ cells, \d+ instances, about ", planned)
    small = yaml.safe_load(path.read_text()) | {"base": str(path.parent / "../collisions.yaml")}
    sizes = {"data.n_features": 16, "ensemble.seeds": 2, "trainer.max_steps": 3, "model.n_hidden": 16}
    small["overrides"] = small.get("overrides", {}) | sizes
    small["axes"].pop("model.n_hidden", None)
    status, _, err = sweep(yaml.safe_dump(small))
    assert status == 0, err
    zipped = [next(iter(axes.values())) for axes in small.get("zip", [])]
    points = math.prod(map(len, [*small["axes"].values(), *zipped]))
    assert len(results(here)) == 2 * points
    assert not (here / "lightning_logs/version_0").exists()


def test_a_dry_run_writes_nothing_and_shows_what_the_ensemble_holds(sweep, here):
    status, out, _ = sweep("base: base.yaml\naxes: {model.n_hidden: [16, 32], model.l1: [0, 0.01]}\n", "--dry_run")
    assert status == 0
    assert "2 cells, 8 instances, about " in out
    assert out.count("[0, 0.01]") == 2
    assert "GB" in out
    assert not (here / "lightning_logs").exists()


def test_tensorboard_has_a_row_for_each_cell_and_grid_point(done):
    groups, infos = session_groups(done)
    assert {(group.hparams["n_hidden"].number_value, group.hparams["l1"].number_value) for group in groups} == {
        (m, l1) for m in (16, 32, 48) for l1 in (0, 0.01)
    }
    assert {"data", "lr", "n_features", "noise_std", "optimizer"} <= infos
    table = results(Path()).groupby(["n_hidden", "l1"])["polysemantic_neurons"].mean()
    for group in groups:
        point = group.hparams["n_hidden"].number_value, group.hparams["l1"].number_value
        values = {metric.name.tag: metric.value for metric in group.metric_values}
        assert values["collisions/polysemantic_neurons"] == pytest.approx(table[point])


def session_groups(directory):
    """The rows and the hyperparameters of TensorBoard's HParams tab."""
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

    events = EventMultiplexer().AddRunsFromDirectory(str(directory))
    events.Reload()
    provider = MultiplexerDataProvider(events, str(directory))
    context, request = backend_context.Context(TBContext(data_provider=provider)), RequestContext()
    metadata = context.hparams_metadata(request, "")
    experiment = context.experiment_from_metadata(request, "", True, metadata, [])
    asked = api_pb2.ListSessionGroupsRequest(start_index=0, slice_size=100, allowed_statuses=[0, 1, 2, 3])
    rows = list_session_groups.Handler(request, context, "", asked).run().session_groups
    return rows, {info.name for info in experiment.hparam_infos}


def test_a_terminal_shows_cells_and_the_time_left_while_they_run(sweep, monkeypatch):
    for name, value in {"FORCE_COLOR": "1", "COLUMNS": "120", "SLOW": "0.1"}.items():
        monkeypatch.setenv(name, value)
    status, out, _ = sweep(f"{LONE}overrides: {{trainer.callbacks: [{{class_path: watched.Watched}}]}}\n")
    assert status == 0
    shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", out)
    elapsed, left = r"\d:\d\d:\d\d", r"(\d:\d\d:\d\d|-:--:--)"
    assert re.search(rf"0 of 1 done, 1 running, 0 failed \S+ {elapsed} {left}", shown)


def test_a_missing_ray_says_how_to_install_it(sweep, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    # What is set there for Ray is not for other tests.
    monkeypatch.setattr(os, "environ", dict(os.environ))
    before = signal.getsignal(signal.SIGTERM)
    status, _, err = sweep(LONE, "--engine=ray")
    assert signal.getsignal(signal.SIGTERM) is before
    assert status == 2
    assert err == "error: `engine` ray must have Ray installed, got none; pip install 'polysemantic[ray]' installs it\n"
