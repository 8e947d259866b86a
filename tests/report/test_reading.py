import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from polysemantic.report.reading import read_material
from tests.support.reports import sections
from tests.support.small_runs import make_sweep


def test_a_sweep_spans_widths_and_what_varies_within_its_cells(sweep):
    material, charts, _ = sections(sweep)
    assert set(material.axes) == {"n_hidden", "l1", "probability", "devices"}
    assert len(material.points) == 8
    assert len({point.label for point in material.points}) == 8
    assert len(charts["phase"].table) == 8


def test_several_runs_differ_along_what_their_configurations_say(grid, one_hot):
    material, charts, _ = sections(grid, one_hot)
    assert {"data", "n_features", "n_hidden", "l1", "optimizer", "max_steps"} <= set(material.axes)
    assert set(material.results["l1"]) == {0.001, 0.01, 0.02}
    assert "dose" in charts


def test_a_run_under_two_names_is_one_run(grid, sweep, monkeypatch):
    monkeypatch.chdir(grid.parent)
    assert len(read_material([grid, Path(grid.name)]).results) == 8
    cells = sorted((sweep / "cells").iterdir())
    for paths in ([sweep, cells[0]], [cells[0], sweep], [sweep, sweep / "cells" / ".."]):
        material = read_material(paths)
        assert len(material.results) == 16
        assert "devices" in material.axes


def test_grid_points_stand_in_the_order_of_their_values(sweep):
    cells = sorted((sweep / "cells").iterdir())
    for paths in (cells, cells[::-1]):
        material = read_material(paths)
        assert [point.label for point in material.points] == [
            f"neurons m = {m}, L1 coefficient = {l1}, probability = {probability}"
            for m in (12, 16)
            for l1 in (0.001, 0.01)
            for probability in (0.05, 0.3)
        ]


def test_cells_of_a_sweep_are_named_by_their_settings(sweep):
    material, charts, (what_was_run, *_) = sections(sweep)
    names = ["neurons m = 12, devices = 1", "neurons m = 16, devices = 2"]
    assert [row[0] for row in what_was_run.tables[0].rows] == names
    assert [*what_was_run.files] == [f"Sweep {sweep.name}", *(f"Configuration of {name}" for name in names)]
    for row, source in zip(what_was_run.tables[0].rows, material.sources, strict=True):
        assert str(source.directory) in row[-1]
        assert f"devices = {source.results['devices'].iloc[0]}" in row[0]
    for name in names:
        told = [text for one in charts["width"].views[""] if one.kind == "points" for text in one.detail]
        assert any(text.startswith(f"{name}, seed 0") for text in told)


def test_cells_of_equal_settings_keep_their_directories_name(sweep, grid, tmp_path):
    for cell in (sweep / "cells").iterdir():
        shutil.copytree(cell, tmp_path / "cells" / cell.name)
    twice = [shutil.copytree(grid, tmp_path / "cells" / f"copy{at}") for at in range(2)]
    run = shutil.copytree(grid, tmp_path / "by_hand")
    named = read_material([*(tmp_path / "cells").iterdir(), run]).run_names
    assert named["by_hand"] == "by_hand"
    assert {named[copy.name] for copy in twice} == {"neurons m = 12 (copy0)", "neurons m = 12 (copy1)"}
    assert list(named.values()).count("neurons m = 16") == 1


def test_an_optimiser_with_its_arguments_is_one_axis(grid, tmp_path):
    classes = {"SGD(lr=0.1)": ("SGD", 0.1), "SGD(lr=0.2)": ("SGD", 0.2), "Adam(lr=0.1)": ("Adam", 0.1)}
    sweep = make_sweep(tmp_path / "optimisers", [grid] * 3, [{"model.optimizer": name} for name in classes])
    for path in (sweep / "cells").iterdir():
        table = pd.read_parquet(sweep / "results.parquet")
        name, rate = classes[table[table["cell"] == path.name]["optimizer"].iloc[0]]
        config = yaml.safe_load((path / "config.yaml").read_text())
        config["model"]["optimizer"] = {"class_path": f"torch.optim.{name}", "init_args": {"lr": rate}}
        (path / "config.yaml").write_text(yaml.safe_dump(config))
    material = read_material([sweep])
    assert set(material.axes) == {"optimizer", "l1", "probability"}
    assert list(material.run_names.values()) == [f"optimiser = {name}" for name in sorted(classes)]
    # Without the sweep's own table, settings are told one by one.
    assert {"optimizer", "lr"} < set(read_material(list((sweep / "cells").iterdir())).axes)


def test_sizes_are_listed_as_people_do(sweep):
    assert read_material([sweep]).description.endswith("10 features, 12 and 16 neurons, 16 networks")


@pytest.mark.parametrize(
    ("rates", "shown"),
    [
        ([0.001, 10**-2.5], ["0.001", "0.00316"]),
        ([0.1234567, 0.1234568], ["0.1234567", "0.1234568"]),
    ],
)
def test_grid_points_are_told_apart_in_few_digits(rates, shown, grid, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(grid, run)
    config = yaml.safe_load((run / "config.yaml").read_text())
    results = pd.read_parquet(run / "results.parquet")
    config["ensemble"]["vary"]["l1"] = rates
    results["l1"] = np.repeat(rates, 4)
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    results.to_parquet(run / "results.parquet")
    material, charts, made = sections(run)
    labels = [f"L1 coefficient = {rate}, probability = {probability}" for rate in shown for probability in (0.05, 0.3)]
    assert [point.label for point in material.points] == labels == list(charts["training"].views)
    assert [row[0] for row in made[1].tables[0].rows] == [shown[0], shown[0], shown[1], shown[1]]


def test_cells_without_results_are_named_with_how_far_they_came(grid, tmp_path):
    sweep = make_sweep(tmp_path / "half", [grid], [{"model.n_hidden": 12}])
    optimizer = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.5}}
    planned = {"a": {"model.n_hidden": 13}, "b": {"model.n_hidden": 14}, "c": {"model.optimizer": optimizer}}
    finished = [cell.name for cell in (sweep / "cells").iterdir()]
    (sweep / "sweep.yaml").write_text(yaml.safe_dump({"cells": {name: {} for name in finished} | planned}))
    for name in ("a", "c", "unplanned"):
        (sweep / "cells" / name).mkdir()
    (sweep / "cells" / "a" / "cell.yaml").write_text("{state: failed, error: no memory}")
    (sweep / "cells" / "c" / "cell.yaml").write_text("{state: running}")
    material, _, made = sections(sweep)
    assert material.missing == [
        "neurons m = 13: failed (no memory)",
        "neurons m = 14: not begun",
        "optimiser = SGD, learning rate = 0.5: begun, and not finished",
        "unplanned: begun, and not finished",
    ]
    told = f"4 cells of the sweep without results, missing here: {'; '.join(material.missing)}."
    assert told in made[0].text
