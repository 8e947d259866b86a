import functools
import itertools

import pandas as pd
import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import OneCycleLR, StepLR

import polysemantic
from polysemantic.data import IndependentBernoulli, OneHot
from polysemantic.model.ensemble import Ensemble
from polysemantic.training.module import EnsembleModule
from tests.support.tables import without_run
from tests.support.training import (
    CLOSE,
    DATA,
    EXACT,
    OPTIMISERS,
    SIZES,
    assert_equal_weights,
    assert_independent_of_ensemble_and_chunks,
    train,
)

LAWS = ["bernoulli", "uniform", "gaussian", "laplace"]


pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.mark.parametrize("size", ["8 x 6", "16 x 5"])
@pytest.mark.parametrize("optimizer", OPTIMISERS)
@pytest.mark.parametrize("data", DATA)
def test_an_instance_has_the_same_bits_in_any_ensemble_and_in_chunks_of_any_length(data, optimizer, size):
    assert_independent_of_ensemble_and_chunks(DATA[data], SIZES[size], optimizer=OPTIMISERS[optimizer])


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("data", DATA)
def test_noise_has_the_same_bits_in_any_ensemble_and_in_chunks_of_any_length(data, law):
    assert_independent_of_ensemble_and_chunks(DATA[data], SIZES["8 x 6"], noise=law, noise_std=0.1)


@pytest.mark.parametrize("act", ["linear", "relu"])
@pytest.mark.parametrize("data", DATA)
def test_every_parameter_has_the_same_bits_in_any_ensemble_and_in_chunks_of_any_length(data, act):
    model = {"tied": False, "bias": True, "act": act, "importance": 0.9, "noise_std": 0.1, "clip_norm": 0.5}
    assert_independent_of_ensemble_and_chunks(DATA[data], SIZES["16 x 5"], **model)


@pytest.mark.parametrize("optimizer", OPTIMISERS)
@pytest.mark.parametrize("data", DATA)
def test_sizes_of_no_whole_vectors_agree_within_1e_5_in_any_ensemble(data, optimizer):
    assert_independent_of_ensemble_and_chunks(DATA[data], SIZES["5 x 3"], CLOSE, optimizer=OPTIMISERS[optimizer])


@pytest.mark.parametrize("data", DATA)
def test_an_instance_alone_agrees_within_1e_5(data):
    alone, pair = (train(DATA[data], SIZES["8 x 6"], Ensemble(seeds), noise_std=0.1) for seeds in (1, 2))
    assert_equal_weights(alone, pair, CLOSE)


def test_two_threads_and_many_numbers_change_no_bit():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        data = functools.partial(IndependentBernoulli, probability=0.1, batch_size=128)
        pair, larger = (train(data, (128, 64), Ensemble(seeds), max_steps=5, noise_std=0.1) for seeds in (2, 5))
    finally:
        torch.set_num_threads(threads)
    assert_equal_weights(pair, larger, EXACT)


GRID = {
    "l1": [0.0, 0.01],
    "noise_std": [0.0, 0.2],
    "init_scale": [0.5, 1.0],
    "importance": [0.8, 1.0],
    "probability": [0.1, 0.5],
}
KINDS = {"tied": {}, "untied relu": {"tied": False, "act": "relu"}, "untied": {"tied": False}}


def assert_grid_points_are_runs_of_their_own(make_data, vary, size, tolerance, **model):
    ensemble = Ensemble(2, vary)
    grid = train(make_data, size, ensemble, max_steps=30, **model)
    for index, point in enumerate(ensemble.points):
        inputs = {name: point.pop(name) for name in set(point) & {"probability"}}
        own = train(functools.partial(make_data, **inputs), size, Ensemble(2), max_steps=30, **point, **model)
        assert_equal_weights(own, grid, tolerance, first=2 * index)


@pytest.mark.parametrize("model", KINDS.values(), ids=KINDS)
def test_a_grid_point_has_the_same_bits_as_a_run_of_its_own(model):
    assert_grid_points_are_runs_of_their_own(DATA["bernoulli"], GRID, SIZES["8 x 6"], EXACT, **model)


@pytest.mark.parametrize(("size", "tolerance"), [("8 x 6", EXACT), ("5 x 3", CLOSE)])
@pytest.mark.parametrize("model", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("data", ["every feature once", "one-hot"])
def test_a_grid_point_of_one_hot_inputs_is_a_run_of_its_own(data, model, size, tolerance):
    vary = {name: GRID[name] for name in ("l1", "noise_std", "importance")}
    assert_grid_points_are_runs_of_their_own(DATA[data], vary, SIZES[size], tolerance, **model)


def test_a_seed_starts_from_the_same_weights_and_sees_the_same_draws_at_every_grid_point():
    ensemble = Ensemble(3, {"l1": [0.0, 0.01], "probability": [0.3, 0.3000001]})
    module = train(DATA["bernoulli"], SIZES["8 x 6"], ensemble, max_steps=1)
    start = module.w_start.view(4, 3, 8, 6)
    assert torch.equal(start, start[:1].expand_as(start))
    assert not torch.equal(start[0, 0], start[0, 1])
    inputs = module.data.inputs(5).view(4, 3, 24, 8)
    assert torch.equal(inputs, inputs[:1].expand_as(inputs))
    assert not torch.equal(inputs[0, 0], inputs[0, 1])


def test_another_seed_everything_is_another_run():
    one, other = (train(DATA["bernoulli"], SIZES["8 x 6"], Ensemble(2), seed=seed, max_steps=1) for seed in (0, 1))
    assert not torch.isclose(one.networks.W_enc, other.networks.W_enc).any()
    assert not torch.equal(one.data.inputs(0), other.data.inputs(0))


@pytest.mark.parametrize(("max_steps", "inner_steps"), [(1, 7), (7, 7), (10, 7), (5, 100), (23, 1)])
def test_training_stops_at_max_steps_whether_or_not_chunks_divide_it(max_steps, inner_steps):
    module = train(OneHot, (8, 6), Ensemble(2), max_steps, inner_steps=inner_steps)
    assert module.trainer.global_step == max_steps
    state = module.trainer.optimizers[0].state[module.networks.W_enc]
    assert int(state["step"]) == max_steps


@pytest.mark.parametrize("inner_steps", [7, 100])
def test_a_schedule_of_momentum_has_the_same_bits_in_chunks_of_any_length(inner_steps):
    schedule = functools.partial(OneCycleLR, max_lr=0.01, total_steps=41)
    each, chunks = (
        train(OneHot, (8, 6), Ensemble(2), 40, inner_steps=steps, lr_scheduler=schedule) for steps in (1, inner_steps)
    )
    assert_equal_weights(each, chunks, EXACT)


@pytest.mark.parametrize("inner_steps", [1, 7, 100])
def test_the_schedule_steps_once_for_each_optimiser_step(inner_steps):
    schedule = functools.partial(StepLR, step_size=3, gamma=0.5)
    module = train(OneHot, (8, 6), Ensemble(2), 20, inner_steps=inner_steps, lr_scheduler=schedule)
    assert module.trainer.optimizers[0].param_groups[0]["lr"] == 0.001 * 0.5 ** (20 // 3)


def test_each_instance_is_clipped_by_its_own_norm():
    sgd = functools.partial(SGD, lr=1.0)
    before = train(
        OneHot, (8, 6), ensemble := Ensemble(2, {"init_scale": [0.1, 3.0]}), 1, optimizer=functools.partial(SGD, lr=0.0)
    )
    free, clipped = (train(OneHot, (8, 6), ensemble, 1, optimizer=sgd, clip_norm=norm) for norm in (None, 0.2))
    moved, moved_clipped = (
        (module.networks.W_enc - before.networks.W_enc).flatten(1).norm(dim=1) for module in (free, clipped)
    )
    assert moved.min() < 0.2 < moved.max()
    torch.testing.assert_close(moved_clipped, moved.clamp(max=0.2))


def test_clipping_does_not_couple_instances():
    ensemble = Ensemble(2, {"init_scale": [0.1, 3.0]})
    grid = train(OneHot, (8, 6), ensemble, clip_norm=0.2)
    for index, point in enumerate(ensemble.points):
        own = train(OneHot, (8, 6), Ensemble(2), clip_norm=0.2, **point)
        assert_equal_weights(own, grid, EXACT, first=2 * index)


@pytest.mark.parametrize("data", DATA)
def test_double_precision_trains_in_double_precision(data):
    model = {"noise_std": 0.1, "noise": "gaussian", "tied": False, "bias": True}
    single, double = (
        train(DATA[data], (5, 3), Ensemble(2), 50, {"precision": precision}, **model) for precision in (32, 64)
    )
    for name, values in double.state_dict().items():
        assert values.dtype == torch.float64
        torch.testing.assert_close(values.float(), single.state_dict()[name], rtol=0, atol=1e-5)
        assert not torch.equal(values, values.float().double())
    assert torch.get_default_dtype() == torch.float32


def test_a_grid_point_in_double_precision_has_the_numbers_of_a_run_of_its_own():
    numbers = {"l1": 0.001, "noise_std": 0.1, "init_scale": 0.7, "importance": 0.9}
    grid, own = (
        train(OneHot, (4, 16), ensemble, 200, {"precision": 64}, optimizer=OPTIMISERS["SGD"], **fixed)
        for ensemble, fixed in ((Ensemble(2, {name: [v] for name, v in numbers.items()}), {}), (Ensemble(2), numbers))
    )
    assert_equal_weights(own, grid, EXACT)
    assert own.networks.l1[0].item() == 0.001


COMMAND = [
    "fit", "--data=IndependentBernoulli", "--data.n_features=8", "--data.probability=0.2", "--data.batch_size=16",
    "--model.n_hidden=6", "--model.noise_std=0.1", "--ensemble.seeds=2", '--ensemble.vary={"l1": [0, 0.01]}',
    "--model.lr_scheduler=torch.optim.lr_scheduler.StepLR", "--model.lr_scheduler.step_size=25",
    "--measurements.every_n_steps=20",
]  # fmt: skip


def test_the_same_command_gives_the_same_tables(run_cli, here):
    for _ in range(2):
        assert run_cli(*COMMAND, "--trainer.max_steps=40").status == 0
    runs = [here / "lightning_logs" / run for run in ("version_0", "version_1")]
    one, other = (run / "history.parquet" for run in runs)
    assert one.read_bytes() == other.read_bytes()
    one, other = (without_run(pd.read_parquet(run / "results.parquet")) for run in runs)
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_a_resumed_run_equals_an_uninterrupted_one(run_cli, here):
    assert run_cli(*COMMAND, "--trainer.max_steps=100").status == 0
    assert run_cli(*COMMAND, "--trainer.max_steps=40").status == 0
    first = here / "lightning_logs/version_1"
    checkpoint = first / "checkpoints/last.ckpt"
    assert run_cli(*COMMAND, "--trainer.max_steps=100", f"--ckpt_path={checkpoint}").status == 0
    assert not (here / "lightning_logs/version_2").exists()
    whole, resumed = (polysemantic.load(here / "lightning_logs" / run) for run in ("version_0", "version_1"))
    pd.testing.assert_frame_equal(*(without_run(run.results) for run in (whole, resumed)), check_exact=True)
    # A run that was finished has measured more at its end than one on its way.
    measured = whole.history.notna()
    pd.testing.assert_frame_equal(whole.history, resumed.history.where(measured), check_exact=True)
    for name, values in whole.model.items():
        assert torch.equal(values, resumed.model[name])


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("stop", [1, 33])
def test_stopping_anywhere_and_resuming_changes_no_bit(law, stop, here):
    def fit(max_steps, root, **more):
        return polysemantic.fit(
            OneHot(8), n_hidden=6, ensemble=Ensemble(2), noise=law, noise_std=0.1, max_steps=max_steps,
            measurements=polysemantic.callbacks.Measurements(every_n_steps=1000),
            trainer={"default_root_dir": root}, **more,
        )  # fmt: skip

    whole = fit(50, "whole")
    part = fit(stop, "part")
    resumed = fit(50, "part", ckpt_path=part.directory / "checkpoints/last.ckpt")
    assert resumed.directory == part.directory
    for name, values in whole.model.items():
        assert torch.equal(values, resumed.model[name])


def test_every_pair_of_names_is_varied_independently():
    ensemble = Ensemble(2, GRID)
    module = EnsembleModule(8, 6, ensemble)
    points = list(itertools.product(*GRID.values()))
    for name, column in zip(GRID, zip(*points, strict=True), strict=True):
        assert module.ensemble.values(name).tolist() == [value for value in column for _ in range(2)]
