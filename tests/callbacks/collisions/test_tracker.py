import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch import Callback, Trainer

import polysemantic
from polysemantic.callbacks import CollisionTracker, Measurements, prices
from polysemantic.callbacks.collisions.prices import interference_costs
from polysemantic.callbacks.collisions.records import LifeRecords
from polysemantic.data import HalfSplit, IndependentBernoulli, OneHot
from polysemantic.functional import (
    decode_collisions,
    interference_cost,
    interference_sums,
    large_weights,
    live_collisions,
)
from polysemantic.model.ensemble import Ensemble
from polysemantic.model.weights import Weights
from polysemantic.training.shard import Shard
from tests import reference
from tests.support.training import train as train_module

COLUMNS = [
    "instance",
    "neuron",
    "feature_i",
    "feature_j",
    "born_step",
    "settled_step",
    "last_seen_step",
    "resolved_step",
    "kind_at_birth",
    "kind_at_end",
    "cost_at_birth",
    "cost_at_end",
    "ended_by",
]


class Planted(torch.optim.Optimizer):
    """An optimiser that sets its one parameter to the next of given values."""

    def __init__(self, parameters, history):
        super().__init__(parameters, {})
        self.history = history

    @torch.no_grad()
    def step(self, closure=None):
        (parameter,) = self.param_groups[0]["params"]
        state = self.state[parameter]
        state["step"] = state.get("step", torch.tensor(0)) + 1
        parameter.copy_(self.history[state["step"] - 1])


class Interrupt(Callback):
    """Stops the run at a step, as a signal would."""

    def next_step(self, step):
        return 37 if step < 37 else step + 100

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == 37:
            raise KeyboardInterrupt


def wandering(shape, n_steps=60):
    """A random walk between -1 and 1 that crosses the thresholds often, in either direction."""
    w, history = torch.zeros(shape), []
    for _ in range(n_steps):
        w = (w + 0.25 * torch.randn(shape)).clamp(-1, 1)
        history.append(w)
    return history


def fit(tmp_path, history=None, data=None, every=1, seeds=3, **options):
    """A run whose weights follow a planted history, from zeros; or that trains."""
    data = data or OneHot(4)
    planted = {"init_scale": 0.0, "optimizer": lambda p: Planted(p, history), "max_steps": len(history or [])}
    defaults = planted if history else {"max_steps": 90, "optimizer": lambda p: torch.optim.Adam(p, lr=0.02)}
    arguments = {
        "n_hidden": 3,
        "ensemble": Ensemble(seeds),
        "compile": False,
        "collisions": CollisionTracker(every_n_steps=every),
        "measurements": Measurements(every_n_steps=30),
        **defaults,
        **options,
    }
    trainer = {"default_root_dir": str(tmp_path), "accelerator": "cpu", **arguments.pop("trainer", {})}
    return polysemantic.fit(data, trainer=trainer, **arguments)


def none_for_missing(values):
    return [None if pd.isna(value) else value for value in values]


def rows(table):
    """Lives in the form and order of the oracle."""
    names = ["instance", "neuron", "feature_i", "feature_j", "born_step", "settled_step", "resolved_step", "ended_by"]
    return sorted(zip(*(none_for_missing(table[name]) for name in names), strict=True), key=str)


def kind(w, life):
    instance, neuron, i, j, *_ = life
    return "opposite_sign" if w[instance, i, neuron] * w[instance, j, neuron] < 0 else "same_sign"


@pytest.mark.parametrize("inner_steps", [1, 100])
def test_the_file_tells_the_lives_of_a_planted_history(tmp_path, inner_steps):
    history = wandering((3, 4, 3))
    table = fit(tmp_path, history, inner_steps=inner_steps).collisions
    assert rows(table) == sorted(reference.collision_lives([torch.zeros(3, 4, 3), *history]), key=str)
    assert {"i", "j", "both"} <= set(none_for_missing(table["ended_by"]))


def costs_of(history):
    x = torch.eye(4).expand(3, 4, 4)
    return [reference.interference_cost(x, torch.relu(x @ w @ w.mT)) for w in history]


def test_costs_between_birth_and_the_end_of_the_fit_are_measured_now_and_then(tmp_path):
    history = [torch.zeros(3, 4, 3), *wandering((3, 4, 3))]
    table = fit(tmp_path, history[1:], collisions=CollisionTracker(1, cost_every=7)).collisions
    costs = costs_of(history)
    for row in table.itertuples():
        alive = pd.isna(row.resolved_step)
        last = len(history) - 1 if alive else row.resolved_step - 1
        ends = [[row.feature_i, row.feature_j], row.neuron]
        at = [
            step
            for step in range(row.born_step, last + 1)
            if step % 7 == 0
            or step in {row.born_step, last * alive}
            or history[step][row.instance, *ends].abs().min() < 0.5
        ]
        pair = (row.instance, row.feature_i, row.feature_j)
        assert row.cost_at_birth == pytest.approx(costs[row.born_step][pair].item(), rel=1e-5)
        assert row.cost_at_end == pytest.approx(costs[at[-1]][pair].item(), rel=1e-5)


@pytest.fixture(params=["together", "one by one"])
def way(request, monkeypatch):
    """Instances are priced either way, however small they are."""
    monkeypatch.setattr(prices, "_LARGE", 0 if request.param == "one by one" else 2**62)


INPUTS = [lambda n: IndependentBernoulli(n, 0.2, batch_size=32), OneHot, lambda n: HalfSplit(n, active_fraction=1 / 3)]


def priced(data, **options):
    """A few networks and all of their collisions, of any size."""
    module = train_module(data, (6, 4), Ensemble(5), max_steps=20, **options)
    codes = live_collisions(module.networks.W_enc.detach().abs() > 0.1)
    assert set(decode_collisions(codes, 6, 4).instance.tolist()) == set(range(5))
    return module, codes, interference_costs(module, codes)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("data", INPUTS)
def test_a_cost_is_the_same_whichever_collisions_are_priced_beside_it(data):
    module, codes, cost = priced(data)
    assert len(cost.unique()) > 5
    for held in ([2], [0, 1, 4], [0, 2, 4]):
        some = torch.isin(decode_collisions(codes, 6, 4).instance, torch.tensor(held))
        torch.testing.assert_close(interference_costs(module, codes[some]), cost[some], rtol=0, atol=0, equal_nan=True)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("options", [{}, {"tied": False, "bias": True, "act": "relu"}])
@pytest.mark.parametrize("data", INPUTS)
def test_a_cost_is_that_of_the_reconstructions_of_all_evaluation_draws(data, options):
    module, codes, cost = priced(data, **options)
    x = torch.cat([module.evaluation_inputs(batch) for batch in module.data.val_dataloader()], 1)
    key = decode_collisions(codes, 6, 4)
    with torch.no_grad():
        whole = interference_cost(*interference_sums(x, module.networks(x)[1]))
    expected = whole[key.instance, key.feature_i, key.feature_j]
    torch.testing.assert_close(cost, expected, rtol=1e-5, atol=1e-9, equal_nan=True)


def test_kind_cost_and_last_sight_are_those_of_the_planted_weights(tmp_path):
    history = [torch.zeros(3, 4, 3), *wandering((3, 4, 3))]
    table = fit(tmp_path, history[1:], collisions=CollisionTracker(1, cost_every=1)).collisions
    costs = costs_of(history)
    for row in table.itertuples():
        life = (row.instance, row.neuron, row.feature_i, row.feature_j)
        last = len(history) - 1 if pd.isna(row.resolved_step) else row.resolved_step - 1
        assert row.last_seen_step == last
        assert (row.kind_at_birth, row.kind_at_end) == (kind(history[row.born_step], life), kind(history[last], life))
        pair = (row.instance, row.feature_i, row.feature_j)
        assert row.cost_at_birth == pytest.approx(costs[row.born_step][pair].item(), rel=1e-5)
        assert row.cost_at_end == pytest.approx(costs[last][pair].item(), rel=1e-5)
    assert len(set(zip(table["kind_at_birth"], table["kind_at_end"], strict=True))) == 4


def test_observations_are_every_so_many_steps_and_after_the_last(tmp_path):
    history = wandering((3, 4, 3))
    table = fit(tmp_path, history, every=7).collisions
    seen = [torch.zeros(3, 4, 3), *history[6::7], history[-1]]
    step = [*range(0, 60, 7), 60]
    expected = [
        (*life[:4], *(at if at is None else step[at] for at in life[4:7]), life[7])
        for life in reference.collision_lives(seen)
    ]
    assert rows(table) == sorted(expected, key=str)


def test_thresholds_of_lives_are_arguments(tmp_path):
    history = wandering((3, 4, 3))
    halved = CollisionTracker(every_n_steps=1, born=0.25, ended=0.15, settled=0.35)
    table = fit(tmp_path, [w / 2 for w in history], collisions=halved).collisions
    assert rows(table) == sorted(reference.collision_lives([torch.zeros(3, 4, 3), *history]), key=str)


def test_columns_have_their_types_also_without_any_collision(tmp_path):
    whole = fit(tmp_path, wandering((3, 4, 3))).collisions
    empty = fit(tmp_path, [torch.zeros(3, 4, 3)] * 3).collisions
    for table in (whole, empty):
        assert list(table.columns) == COLUMNS
        numbers = table.dtypes[[name for name in COLUMNS if not name.startswith(("kind", "ended"))]].astype(str)
        assert set(numbers) == {"int64", "Int64", "float64"}
        assert list(numbers[numbers == "Int64"].index) == ["settled_step", "resolved_step"]
    assert len(empty) == 0


@pytest.mark.parametrize("data", [OneHot(8), IndependentBernoulli(8, probability=0.3), HalfSplit(8)])
def test_a_run_that_is_interrupted_and_resumed_writes_the_same_file(tmp_path, data):
    options = {"data": data, "n_hidden": 4, "every": 4, "seeds": 4}
    whole = fit(tmp_path / "whole", **options)
    # Lightning turns the interrupt into an orderly end with status 1.
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(tmp_path / "parts", callbacks=[Interrupt()], **options)
    parts = fit(tmp_path / "parts", ckpt_path="last", **options)
    assert len(whole.collisions) > 4
    pd.testing.assert_frame_equal(parts.collisions, whole.collisions)
    pd.testing.assert_frame_equal(parts.results, whole.results)
    pd.testing.assert_frame_equal(parts.history, whole.history)


def test_results_count_lives(tmp_path):
    run = fit(tmp_path, wandering((3, 4, 3)))
    by_instance = run.collisions.groupby("instance")
    for column, steps in {"born": "born_step", "settled": "settled_step", "resolved": "resolved_step"}.items():
        counts = run.results[f"collisions_{column}"]
        assert str(counts.dtype) == "Int64"
        assert counts.tolist() == by_instance[steps].count().tolist()


def observed(history, max_lives=100):
    records = LifeRecords(tuple(history[0].shape), max_lives)
    for step, w in enumerate(history):
        records.observe(step, large_weights(w), lambda codes: torch.zeros(len(codes)))
    return records


def planted(*columns):
    """One instance with one neuron, its weights given for each step."""
    return [torch.tensor(column).view(1, -1, 1) for column in columns]


def test_an_instance_with_too_many_collisions_is_not_followed_until_it_has_fewer():
    history = planted([0.9] * 4, [0.9] * 4, [0.9, 0.9, 0.1, 0.1], [0.9, 0.1, 0.1, 0.1])
    records = observed(history, max_lives=3)
    assert rows(records.table()) == [(0, 0, 0, 1, 2, 2, 3, "j")]
    assert all(math.isnan(count.item()) for count in records.counts().values())


def test_an_instance_that_fills_its_record_is_followed_no_further_and_its_lives_are_censored():
    history = planted([0.9, 0.9], [0.9, 0.1], [0.9, 0.9], [0.9, 0.1], [0.9, 0.9])
    table = observed(history, max_lives=2).table()
    assert rows(table) == [(0, 0, 0, 1, 0, 0, 1, "j"), (0, 0, 0, 1, 2, 2, 3, "j")]
    table = observed(planted([0.9] * 2 + [0] * 2, [0.9] * 4, [0.1] * 4), max_lives=1).table()
    assert rows(table) == [(0, 0, 0, 1, 0, 0, 2, "both")]


def test_the_limit_is_one_of_each_instance_alone():
    crowd, pair = torch.full((1, 4, 1), 0.9), torch.tensor([0.9, 0.9, 0.0, 0.0]).view(1, 4, 1)
    records = observed([torch.cat([crowd, pair])] * 2, max_lives=3)
    assert rows(records.table()) == [(1, 0, 0, 1, 0, 0, None, None)]
    assert records.counts()["born"].nan_to_num(-1).tolist() == [-1, 1]


def test_crowded_instances_are_reported_once(tmp_path, capsys):
    tracker = CollisionTracker(every_n_steps=1, max_lives=2)
    run = fit(tmp_path, [torch.full((3, 4, 3), 0.9)] * 4, collisions=tracker)
    assert len(run.collisions) == 0
    assert run.results["collisions_born"].isna().all()
    assert capsys.readouterr().err.count("3 of 3 instances have more than 2 collisions") == 1


def test_collisions_of_an_instance_that_diverged_count_as_alive_when_last_seen():
    history = planted([0.9, 0.9], [0.9, 0.9], [math.nan, 0.9], [math.nan, math.nan])
    table = observed(history).table()
    assert rows(table) == [(0, 0, 0, 1, 0, 0, None, None)]
    assert table["last_seen_step"].tolist() == [1]


def test_records_that_are_read_back_remember_which_instances_were_seen():
    records = observed(planted([0.9, 0.9], [math.nan, math.nan]))
    again = LifeRecords(records.shape, 100)
    again.load_state_dict(records.state_dict())
    for each in (records, again):
        each.price(lambda codes: torch.full((len(codes),), 99.0))
    pd.testing.assert_frame_equal(again.table(), records.table())
    assert records.table()["cost_at_end"].tolist() == [0.0]


@pytest.mark.usefixtures("unchecked")
def test_a_run_in_double_precision_has_lives(tmp_path):
    run = fit(tmp_path, max_steps=400, seeds=8, trainer={"precision": 64})
    assert run.collisions["settled_step"].notna().any()
    assert run.collisions["cost_at_end"].notna().all()


@pytest.mark.parametrize(
    ("optimizer", "interval"),
    [
        (lambda p: torch.optim.AdamW(p, lr=0.001), 100),
        (lambda p: torch.optim.AdamW(p, lr=0.3), 1),
        # One of 16 features is on at a time, and the gradient is as small.
        (lambda p: torch.optim.SGD(p, lr=0.1), 16),
    ],
)
def test_by_default_no_weight_moves_far_between_observations(tmp_path, optimizer, interval):
    tracker = CollisionTracker()
    fit(tmp_path, data=OneHot(16), collisions=tracker, optimizer=optimizer, max_steps=2)
    assert tracker.next_step(0) == interval


@pytest.mark.parametrize(
    ("n_features", "lr", "max_steps", "interval"),
    [
        (16, 0.001, 10**6, 100),  # what the rate asks for, whatever it takes
        (16, 0.01, 10**4, 10),
        (16, 0.01, 10**5, 100),
        (16, 0.01, 10**6, 1000),  # in whole blocks of compiled steps
        (16, 0.01, 10**7, 1024),  # steps of so few multiplications are quick
        (256, 0.01, 10**6, 10),
        (256, 0.3, 10**6, 4),
    ],
)
def test_long_runs_at_large_rates_are_observed_more_seldom(unchecked, n_features, lr, max_steps, interval):
    tracker = CollisionTracker()
    tracker.act = lambda *_: None
    module = SimpleNamespace(part=Shard(2), n_features=n_features, n_hidden=8, data=OneHot(n_features))
    trainer = Trainer(max_steps=max_steps, accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.strategy.optimizers = [torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=lr)]
    tracker.on_train_start(trainer, module)
    assert tracker.next_step(0) == interval


def test_what_did_not_change_need_not_be_looked_at_again():
    history = wandering((3, 5, 4), 40)
    history = [w for one in history for w in (one, one * 1.001, one, one)]  # crosses no threshold, but for a few
    looked, skipped, asked = LifeRecords((3, 5, 4), 10**4), LifeRecords((3, 5, 4), 10**4), [0, 0]
    n_at_rest = 0

    for step, w in enumerate(history):
        for at, records in enumerate((looked, skipped)):

            def cost(codes, at=at, step=step):
                asked[at] += 1
                return torch.full((len(codes),), float(step))

            cost_due = step % 10 == 0
            if records is looked or not records.pass_by(step, Weights(w)):
                records.observe(step, large_weights(w), cost, cost_due=cost_due)
            else:
                n_at_rest += 1
                if cost_due:
                    records.price(cost)
    assert n_at_rest > 5
    assert asked[0] == asked[1] > 0
    pd.testing.assert_frame_equal(looked.table(), skipped.table())
    assert skipped.table()["resolved_step"].notna().sum() > 20


def test_lives_that_ended_leave_less_room_for_those_seen_next():
    three, two = torch.zeros(1, 4, 3), torch.zeros(1, 4, 3)
    three[0, :2] = 1
    two[0, :2, 0] = two[0, 2:, 1] = two[0, 1, 2] = two[0, 3, 2] = 1
    always, records = (LifeRecords((1, 4, 3), max_lives=4) for _ in range(2))
    for step, w in enumerate([three, two, two, two]):
        for one in (always, records):
            if one is always or not one.pass_by(step, Weights(w)):
                one.observe(step, large_weights(w), lambda codes: torch.zeros(len(codes)), cost_due=False)
    assert bool(always.crowded) == bool(records.crowded) is True
    pd.testing.assert_frame_equal(always.table(), records.table())


def test_a_network_with_dense_weights_keeps_its_record_small():
    w = torch.randn(4, 64, 64) * 5 / 8
    records = observed([w] * 2, max_lives=2000)
    assert len(records.table()) == 0
    assert sum(column.numel() for column in records.state_dict()["living"].values()) == 0


def test_lives_are_in_order_and_reforming_is_a_new_life():
    history = planted([0.9, 0.9], [0.9, 0.1], [0.9, 0.9])
    table = observed(history).table()
    assert table["instance"].tolist() == [0, 0]
    assert table["born_step"].tolist() == [0, 2]
    assert np.array_equal(table["settled_step"].to_numpy(), [0, 2])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"max_lives": 0}, r"`max_lives` must be at least 1, got 0\."),
        ({"born": 0.0}, r"`born` must be positive and finite, got 0\.0\."),
        ({"ended": 0.6}, r"`ended` must lie in \(0, born = 0\.5\], got 0\.6\."),
        ({"settled": 0.4}, r"`settled` must be at least born = 0\.5, got 0\.4\."),
    ],
)
def test_bad_arguments_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        CollisionTracker(**options)
