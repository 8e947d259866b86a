import pandas as pd
import pytest
import torch
from lightning.pytorch import Trainer

import polysemantic
from polysemantic.callbacks import CollisionTracker, Measurements
from polysemantic.data import HalfSplit, IndependentBernoulli, OneHot
from polysemantic.model.ensemble import Ensemble
from polysemantic.training.module import EnsembleModule
from polysemantic.training.step_callback import StepCallback
from tests import reference
from tests.support.lives import none_for_missing, rows, wandering
from tests.support.tables import without_run

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


class Interrupt(StepCallback):
    """Stops the run at a step, as a signal would."""

    def __init__(self):
        super().__init__(every_n_steps=37)

    def act(self, trainer, module):
        if trainer.global_step == 37:
            raise KeyboardInterrupt

    def state_dict(self):
        return {}  # it is not there when the run is resumed


def fit(tmp_path, history=None, data=None, every=1, seeds=3, **options):
    """A run whose weights follow a planted history, from next to nothing; or that trains."""
    data = data or OneHot(4)
    planted = {"init_scale": 1e-30, "optimizer": lambda p: Planted(p, history), "max_steps": len(history or [])}
    defaults = planted if history else {"max_steps": 90, "optimizer": lambda p: torch.optim.Adam(p, lr=0.02)}
    arguments = {
        "n_hidden": 3,
        "ensemble": Ensemble(seeds),
        "collisions": CollisionTracker(every_n_steps=every),
        "measurements": Measurements(every_n_steps=30),
        **defaults,
        **options,
    }
    trainer = {"default_root_dir": str(tmp_path), "accelerator": "cpu", **arguments.pop("trainer", {})}
    return polysemantic.fit(data, trainer=trainer, **arguments)


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
    pd.testing.assert_frame_equal(without_run(parts.results), without_run(whole.results))
    pd.testing.assert_frame_equal(parts.history, whole.history)


def test_results_count_lives(tmp_path):
    run = fit(tmp_path, wandering((3, 4, 3)))
    by_instance = run.collisions.groupby("instance")
    for column, steps in {"born": "born_step", "settled": "settled_step", "resolved": "resolved_step"}.items():
        counts = run.results[f"collisions_{column}"]
        assert str(counts.dtype) == "Int64"
        assert counts.tolist() == by_instance[steps].count().tolist()


def test_crowded_instances_are_reported_once(tmp_path, capsys):
    tracker = CollisionTracker(every_n_steps=1, max_lives=2)
    run = fit(tmp_path, [torch.full((3, 4, 3), 0.9)] * 4, collisions=tracker)
    assert len(run.collisions) == 0
    assert run.results["collisions_born"].isna().all()
    assert capsys.readouterr().err.count("3 of 3 instances have more than 2 collisions") == 1


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
    tracker, module = CollisionTracker(), EnsembleModule(n_features, 8, Ensemble(2))
    module.trainer = trainer = Trainer(max_steps=max_steps, accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.datamodule = OneHot(n_features)
    trainer.strategy.optimizers = [torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=lr)]
    tracker.on_train_start(trainer, module)
    assert tracker.next_step(0) == interval


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
