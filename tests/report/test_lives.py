import shutil

import numpy as np
import pandas as pd

from tests.support.reports import named, sections


def test_lives_stand_in_the_order_of_their_neurons(grid):
    for view in sections(grid)[1]["lives"].views.values():
        places = list(dict.fromkeys(view[0].y))
        neurons = [int(place.partition(":")[0]) for place in places]
        assert neurons == sorted(neurons)
        assert {place for series in view for place in series.y if place} == set(places)


def test_curves_on_top_of_one_another_differ_in_pattern(grid):
    view = next(iter(sections(grid)[1]["survival"].views.values()))
    assert len({series.dash for series in view}) == len(view) > 2


def test_survival_is_told_beside_coverage(grid):
    material, charts, made = sections(grid)
    coverage = material.results.query("point == 0")["coverage"].mean()
    told = named(charts["survival"], "all", "line").detail[0]
    assert told.endswith(f"coverage {coverage:.3g}")
    (table,) = next(section for section in made if section.title.startswith("Survival")).tables
    assert table.rows[0][table.columns.index("coverage")] == f"{coverage:.3g}"


def test_survival_counts_every_life_of_a_kind(grid):
    material, charts, _ = sections(grid)
    lives = material.points[0].table("collisions")
    every = named(charts["survival"], "all", "line")
    assert every.detail[0].startswith(f"{len(lives)} lives")
    assert (every.x[0], every.y[0]) == (0, 1)
    assert (np.diff(every.y) <= 0).all()
    same = (lives["kind_at_birth"] == "same_sign").sum()
    assert named(charts["survival"], "all, same sign at birth", "line").detail[0].startswith(f"{same} lives")


def test_a_collisions_life_tells_who_shared_which_neuron_when(grid):
    material, charts, _ = sections(grid)
    life = material.points[0].table("collisions").query("instance == 0").iloc[0]
    view = next(iter(charts["lives"].views.values()))
    words = [text for series in view for text in series.detail]
    story = f"features {life.feature_i} and {life.feature_j} on neuron {life.neuron}, born at step {life.born_step}"
    assert any(text.startswith(story) for text in words)
    assert f"{life.neuron}: {life.feature_i}, {life.feature_j}" in [y for series in view for y in series.y]
    resolved = material.points[0].table("collisions").query("instance == 0 and resolved_step.notna()")
    marks = [x for series in view if (series.name, series.kind) == ("resolved", "mark") for x in series.x]
    assert sorted(marks) == sorted(resolved["resolved_step"])


def test_a_table_without_any_life_of_collisions_is_no_section(one_hot, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(one_hot, run)
    path = run / "collisions.parquet"
    pd.read_parquet(path).iloc[:0].to_parquet(path)
    assert not {"survival", "lives"} & set(sections(run)[1])
