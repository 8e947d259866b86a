import functools
import shutil

import pandas as pd
import pytest
import torch

from polysemantic import Ensemble, fit
from polysemantic.callbacks import CollisionTracker, Measurements
from polysemantic.data import OneHot
from polysemantic.report.command import main
from polysemantic.report.interactive import payload
from polysemantic.report.labels import MEASURES
from polysemantic.report.paper import arranged
from polysemantic.report.reading import read_material
from polysemantic.report.sections import frontier, width
from tests.support.reports import named, sections

pytest.importorskip("plotly")


@pytest.fixture(scope="module")
def diverged(tmp_path_factory):
    """Runs in which every network diverged: step by step, or so fast that their weights overflowed."""
    rates = {5.0: 0.0, 100.0: 0.9}
    return [
        fit(
            OneHot(8),
            ensemble=Ensemble(3),
            n_hidden=8,
            max_steps=300,
            l1=0.02,
            optimizer=functools.partial(torch.optim.SGD, lr=lr, momentum=momentum),
            measurements=Measurements(every_n_steps=100),
            collisions=CollisionTracker(every_n_steps=50),
            trainer={"default_root_dir": str(tmp_path_factory.mktemp("diverged")), "enable_progress_bar": False},
        ).directory
        for lr, momentum in rates.items()
    ]


@pytest.mark.parametrize(("which", "sound"), [([0], False), ([1], False), ([0, 1], True)])
def test_a_report_comes_out_and_says_what_diverged(which, sound, diverged, one_hot, tmp_path):
    runs = [*(diverged[at] for at in which), *([one_hot] if sound else [])]
    page, figures = tmp_path / "report.html", tmp_path / "figures"
    # Figures take longer than all else; without them where they would be the same.
    assert main([*map(str, runs), f"--output={page}", *([] if sound else [f"--figures={figures}"])]) == 0
    networks = 3 * len(which)
    assert f"{networks} networks diverged and are left out of these numbers: " in page.read_text()
    assert page.read_text().count("(3 of 3)") == len(which)
    assert "coverage nan" not in page.read_text()
    assert sound or any(figures.iterdir())


def test_collisions_and_phases_leave_out_what_diverged_and_say_so(grid, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(grid, run)
    results = pd.read_parquet(run / "results.parquet")
    results.loc[0, "diverged_step"] = 10
    results.loc[0, [name for name in MEASURES if name in results]] = None
    results.to_parquet(run / "results.parquet")
    lives = pd.read_parquet(run / "collisions.parquet").query("instance == 1")
    material, charts, made = sections(run)
    assert named(charts["survival"], "all", "line").detail[0].startswith(f"{len(lives)} lives")
    (table,) = next(section for section in made if section.title.startswith("Survival")).tables
    assert table.rows[0][table.columns.index("number")] == str(len(lives))
    assert next(iter(charts["lives"].views)).startswith(f"{material.points[0].label}, seed 1")
    assert material.points[0].label not in charts["thresholds"].views
    assert charts["phase"].table["networks"].tolist() == [1, 2, 2, 2]
    notes = [text for section in made for text in section.text if text == "1 of 8 networks diverged and are left out."]
    assert len(notes) == 2


def test_grid_points_keep_their_places_where_all_networks_diverged(grid, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(grid, run)
    results = pd.read_parquet(run / "results.parquet")
    results.loc[:1, [name for name in MEASURES if name in results]] = None
    results.assign(diverged_step=[10, 10, *[None] * 6]).to_parquet(run / "results.parquet")
    chart = sections(run)[1]["against"]
    mean = named(chart.charts["L1 coefficient"], "probability = 0.05", "mean")
    assert mean.x == [0.001, 0.01]
    assert [value == value for value in mean.y] == [False, True]
    assert payload(chart)["across"][0]["layout"]["xaxis"]["ticktext"] == ["0.001", "0.01"]
    for panel in arranged(chart).axes:
        assert [text.get_text() for text in panel.get_xticklabels()] == ["0.001", "0.01"]


def test_no_legend_names_what_diverged_altogether(sweep):
    material = read_material([sweep])
    lost = material.results["probability"] == 0.05
    material.results.loc[lost, [name for name in MEASURES if name in material.results]] = None
    for chart in [chart for make in (width, frontier) for chart in make(material).charts]:
        names = [series.name for series in chart.views[""] if series.kind != "theory"]
        assert names
        assert not any("probability" in name for name in names)
