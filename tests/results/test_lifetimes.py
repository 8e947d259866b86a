import dataclasses
import functools
import io
import math

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import polysemantic
from polysemantic.data import OneHot
from polysemantic.functional import (
    Interval,
    bootstrap_lives,
    bootstrap_over_instances,
    kaplan_meier,
    median_life,
    resolution_rate,
)
from polysemantic.model.ensemble import Ensemble
from polysemantic.results.lifetimes import durations, in_words, lifetimes, summary


def lives(*rows):
    """Lives as (instance, born, settled, last seen, resolved)."""
    names = ["instance", "born_step", "settled_step", "last_seen_step", "resolved_step"]
    table = pd.DataFrame(rows, columns=names, dtype="Int64")
    return table.astype(dict.fromkeys(["instance", "born_step", "last_seen_step"], "int64"))


def random_lives(n_instances=12, per_instance=20):
    rng = np.random.default_rng(0)
    rows = []
    for instance in range(n_instances):
        for _ in range(rng.integers(per_instance)):
            born, length, settles = rng.integers(100), rng.integers(1, 100), rng.integers(1, 60)
            settled = born + settles if settles < length and born + settles <= 150 else pd.NA
            resolved = born + length if born + length <= 150 else pd.NA
            rows.append((instance, born, settled, min(born + length - 1, 150), resolved))
    return lives(*rows)


def values(table, since):
    duration, resolved, instance = durations(table, since)
    return duration.tolist(), resolved.tolist(), instance.tolist()


def test_lives_last_from_birth_or_settlement_to_their_end_or_the_last_sight_of_them():
    table = lives((0, 10, 30, 90, 100), (1, 0, pd.NA, 40, 50), (1, 20, 50, 120, pd.NA))
    assert values(table, "birth") == ([90, 50, 100], [True, True, False], [0, 1, 1])
    assert values(table, "settlement") == ([70, 70], [True, False], [0, 1])


@pytest.mark.parametrize("since", ["birth", "settlement"])
@pytest.mark.parametrize("n_instances", [2, 5])
def test_the_bootstrap_of_lives_is_that_over_instances(since, n_instances):
    duration, resolved, instance = durations(random_lives(n_instances), since)
    rows = np.stack([duration, resolved], axis=1)
    by_instance = [rows[instance == k] for k in range(n_instances)]
    options = {"n_resamples": 30, "confidence": 0.8}
    found = bootstrap_lives(
        duration, resolved, instance, n_instances=n_instances, rng=np.random.default_rng(1), **options
    )

    def literal(statistic):
        return bootstrap_over_instances(by_instance, statistic, rng=np.random.default_rng(1), **options)

    def survival_at(time, lives):
        curve = kaplan_meier(lives[:, 0], lives[:, 1] == 1)
        return np.append(1.0, curve.survival)[np.searchsorted(curve.times, time, side="right")]

    low, high = literal(lambda lives: resolution_rate(lives[:, 0], lives[:, 1] == 1))
    assert found.resolution_rate == pytest.approx((max(0, low), high))
    times = np.unique(duration)
    bands = [literal(functools.partial(survival_at, time)) for time in times]
    ends = (next((t for t, band in zip(times, bands, strict=True) if band[end] <= 0.5), math.inf) for end in (0, 1))
    assert found.median_life == tuple(ends)


@pytest.mark.parametrize("n_instances", [2, 3, 4])
def test_intervals_of_lives_cover_as_often_as_they_say(n_instances):
    rng, repeats = np.random.default_rng(0), 200
    covered = np.zeros(2)
    for _ in range(repeats):
        instance = np.repeat(np.arange(n_instances), rng.poisson(20, n_instances))
        life = rng.exponential(size=len(instance))
        found = bootstrap_lives(
            np.minimum(life, 1), life < 1, instance, n_instances=n_instances, rng=rng, n_resamples=300
        )
        covered += [low <= true <= high for (low, high), true in zip(found, (np.log(2), 1), strict=True)]
    assert (covered / repeats > 0.93 - 5 * (0.93 * 0.07 / repeats) ** 0.5).all()


def test_the_interval_of_a_median_ends_at_infinity_where_it_may_be_there():
    duration, instance = np.full(16, 10), np.repeat(np.arange(8), 2)
    rng = np.random.default_rng(0)
    assert bootstrap_lives(duration, instance % 2 == 0, instance, n_instances=8, rng=rng).median_life == (10, math.inf)


def test_the_bootstrap_is_undefined_without_lives_or_with_those_of_one_instance():
    for size, n_instances in ((0, 4), (3, 1), (3, 2)):
        number, flag = np.ones(size, dtype=int), np.ones(size, dtype=bool)
        found = bootstrap_lives(number, flag, number - 1, n_instances=n_instances, rng=np.random.default_rng(0))
        assert all(math.isnan(end) for interval in found for end in interval)


def test_each_grid_point_has_its_own_lifetimes():
    ensemble = Ensemble(seeds=6, vary={"l1": [0.0, 0.001]})
    table = random_lives()
    rows = lifetimes(table, ensemble)
    assert [(row.point, row.kind) for row in rows] == [
        (point, kind) for point in ("l1=0", "l1=0.001") for kind in ("all", "settled")
    ]
    second = lifetimes(table[table["instance"] >= 6].assign(instance=lambda t: t["instance"] - 6), Ensemble(seeds=6))
    assert rows[2].median_life == second[0].median_life
    assert rows[2].median_life_interval == second[0].median_life_interval
    assert sum(row.lives for row in rows if row.since == "birth") == len(table)
    assert rows[2].alive == table[table["instance"] >= 6]["resolved_step"].isna().sum()


def shown(rows, width=80):
    console = Console(file=io.StringIO(), width=width)
    console.print(summary(rows))
    return console.file.getvalue()


def test_the_table_is_readable_at_80_columns():
    text = shown(lifetimes(random_lives(), Ensemble(seeds=6, vary={"l1": [0.0, 0.001]})))
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("l1=0.001") == 1
    assert "…" not in text
    assert "[95 % interval over seeds]" in text


def test_lives_that_outlast_the_run_have_an_infinite_median_in_the_table():
    text = shown(lifetimes(lives((0, 0, 5, 100, pd.NA), (1, 0, 5, 100, pd.NA)), Ensemble(seeds=2)))
    assert "most outlived the run" in text
    assert "most outlived the run [" not in text  # with none resolved, nothing says how far from it the median may be
    assert "∞" not in text
    assert "inf" not in text


def test_an_interval_that_ends_beyond_the_run_says_its_lower_end():
    some = random_lives().assign(resolved_step=lambda t: t["resolved_step"].where(t.index % 2 == 0))
    (row, *_) = lifetimes(some, Ensemble(seeds=12))
    row = dataclasses.replace(row, median_life=math.inf, median_life_interval=Interval(40.0, math.inf))
    assert in_words(row)[3] == "most outlived the run [≥ 40]"
    assert in_words(dataclasses.replace(row, median_life=60.0))[3] == "60 [≥ 40]"


def scalars(directory):
    events = EventAccumulator(str(directory)).Reload()
    return {tag: events.Scalars(tag) for tag in events.Tags()["scalars"] if tag.startswith("survival/")}


def test_survival_of_each_grid_point_is_drawn_and_printed(tmp_path, capsys):
    run = polysemantic.fit(
        OneHot(12),
        n_hidden=6,
        max_steps=120,
        ensemble=Ensemble(3, {"l1": [0.001, 0.1]}),
        optimizer=lambda p: torch.optim.Adam(p, lr=0.02),
        trainer={"default_root_dir": str(tmp_path), "accelerator": "cpu", "enable_progress_bar": False},
    )
    printed = capsys.readouterr().out
    for at, point in enumerate(("l1=0.001", "l1=0.1")):
        lives = run.collisions[run.collisions["instance"].floordiv(3) == at]
        for kind, since in {"all": "birth", "settled": "settlement"}.items():
            duration, resolved, _ = durations(lives, since)
            curve, rate = kaplan_meier(duration, resolved), resolution_rate(duration, resolved)
            points = scalars(run.directory / point / "survival")[f"survival/{kind}"]
            assert [one.step for one in points] == [0, *curve.times.astype(int)]
            assert [one.value for one in points] == pytest.approx([1, *curve.survival])
            ends = scalars(run.directory / point / "mean")
            expected = {f"survival/median_life_{kind}": median_life(curve), f"survival/resolution_rate_{kind}": rate}
            for tag, number in expected.items():
                drawn = [(one.step, pytest.approx(one.value)) for one in ends.get(tag, [])]
                assert drawn == ([(120, number)] if math.isfinite(number) else [])
        assert point in printed
    assert "median life" in printed
