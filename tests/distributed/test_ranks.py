import functools
import os
import signal
import sys
import unittest.mock

import pandas as pd
import pytest
import torch
import torch.distributed as dist
from lightning.pytorch.strategies import SingleDeviceStrategy

import polysemantic
from polysemantic.callbacks import Convergence
from polysemantic.cli.main import main
from polysemantic.data import IndependentBernoulli, OneHot
from polysemantic.distributed import BatchParallel, InstanceParallel
from polysemantic.model.ensemble import Ensemble
from polysemantic.runtime.trainer import build_trainer
from polysemantic.training.step_callback import StepCallback
from tests.support.commands import COMMAND, run_commands
from tests.support.ranks import (
    assert_same_drawings,
    assert_same_ends,
    assert_same_runs,
    finish,
    fit,
    fit_on,
    free_port,
    launch,
    start,
)
from tests.support.tables import without_run

pytestmark = pytest.mark.usefixtures("unchecked")

SLOW = {"marks": pytest.mark.slow}
# The last of each is the numbers of ranks; three do not divide the instances evenly.
CASES = [
    ("every feature once", "AdamW", {"noise_std": 0.1}, (2, 3)),
    ("bernoulli", "SGD", {"inner_steps": 1, "max_steps": 40}, (3,)),
    ("one-hot", "Adam", {"inner_steps": 100, "tied": False, "bias": True, "noise_std": 0.1, "noise": "gaussian"}, (3,)),
    ("bernoulli", "AdamW", {"ensemble": Ensemble(2, {"probability": [0.05, 0.3], "l1": [0.0, 0.01]})}, (3,)),
    pytest.param("bernoulli", "RMSprop", {"inner_steps": 100, "noise_std": 0.2, "act": "relu"}, (2, 3), **SLOW),
    pytest.param("every feature once", "Adagrad", {"inner_steps": 1, "bias": True, "clip_norm": 0.5}, (2, 3), **SLOW),
    pytest.param("bernoulli", "AdamW", {"inner_steps": 1, "tied": False, "max_steps": 1000}, (2, 3), **SLOW),
    pytest.param("one-hot", "SGD", {"inner_steps": 100, "noise_std": 0.1, "max_steps": 1000}, (2, 3), **SLOW),
]


@pytest.mark.parametrize(("data", "optimizer", "options", "numbers"), CASES)
def test_two_and_three_ranks_end_with_the_bits_of_one(tmp_path, data, optimizer, options, numbers):
    alone = fit_on(1, tmp_path / "1", data, optimizer, **options)
    assert len(alone.collisions)
    for ranks in numbers:
        several = fit_on(ranks, tmp_path / str(ranks), data, optimizer, **options)
        assert_same_runs(alone, several)
        assert_same_drawings(alone, several)


def test_a_run_moves_between_numbers_of_ranks_and_ends_with_the_bits_of_an_uninterrupted_one(tmp_path):
    options = {"data": "bernoulli", "noise_std": 0.1, "bias": True}
    whole, checkpoint = fit_on(1, tmp_path / "whole", max_steps=160, **options), None
    for ranks, until in ((1, 40), (2, 80), (3, 120), (1, 160)):
        run = fit_on(ranks, tmp_path / "moved", max_steps=until, ckpt_path=checkpoint, **options)
        checkpoint = run.directory / "checkpoints" / "last.ckpt"
    assert [path.name for path in (tmp_path / "moved" / "lightning_logs").iterdir()] == ["version_0"]
    assert_same_ends(whole, run)


def test_a_diverged_instance_is_frozen_on_its_rank_and_announced_once(tmp_path):
    options = {
        "optimizer": "SGD", "ensemble": Ensemble(2, {"init_scale": [1.0, 30.0, 0.5]}), "convergence": Convergence(20),
    }  # fmt: skip
    alone = fit_on(1, tmp_path / "1", **options)
    assert alone.results["diverged_step"].notna().tolist() == [False, False, True, True, False, False]
    said = launch(3, tmp_path / "3", functools.partial(fit, tmp_path / "3", devices=3, **options))
    assert_same_runs(alone, polysemantic.load(tmp_path / "3" / "lightning_logs" / "version_0"))
    lines = [line for text in said for line in text.splitlines() if line.startswith("diverged by step")]
    assert lines == ["diverged by step 4 and frozen: instance 2 and 1 more, see `diverged_step`."]


def test_ranks_stop_together_when_the_last_instance_has_converged(tmp_path):
    options = {"l1": 0.1, "max_steps": 2000, "convergence": Convergence(50, stop=True), "inner_steps": None}
    alone = fit_on(1, tmp_path / "1", **options)
    assert alone.results["step"].max() < 2000
    assert_same_runs(alone, fit_on(2, tmp_path / "2", **options))


def command(*arguments):
    sys.argv = ["polysemantic"]  # Lightning warns where the process has arguments of its own
    assert main([str(argument) for argument in arguments]) == 0


def test_ranks_test_a_checkpoint_as_one_process_does(tmp_path, run_cli):
    fitted = [*COMMAND[2:], "--trainer.max_steps=20"]
    assert run_cli(*fitted).status == 0
    tested = ["test", *fitted[1:], "--ckpt_path=lightning_logs/version_0/checkpoints/last.ckpt"]
    assert run_cli(*tested).status == 0
    launch(2, tmp_path, command, *tested, "--trainer.devices=2")
    alone, together = (pd.read_parquet(f"lightning_logs/version_{at}/test.parquet") for at in (1, 2))
    pd.testing.assert_frame_equal(without_run(alone), without_run(together), check_exact=True)


class Ends(StepCallback):
    """Sends this process a signal at a step, on one rank."""

    def __init__(self, number, rank, step=60):
        super().__init__(every_n_steps=step)
        self.number, self.rank, self.step = number, rank, step

    def act(self, trainer, module):
        if trainer.global_step == self.step and trainer.global_rank == self.rank:
            os.kill(os.getpid(), self.number)

    def state_dict(self):
        return {}  # it is not there when the run is resumed


@pytest.mark.parametrize(("number", "rank"), [(signal.SIGTERM, 1), (signal.SIGINT, 0)])
def test_a_signal_to_one_rank_ends_all_at_one_step_which_can_be_continued(tmp_path, number, rank):
    whole = fit_on(1, tmp_path / "whole")
    ended = functools.partial(fit, tmp_path / "2", devices=2, callbacks=[Ends(number, rank)])
    statuses, said = finish(start(2, tmp_path / "2", ended), tmp_path / "2")
    assert statuses == [1, 1], said
    assert all(("SIGTERMException" if number == signal.SIGTERM else "SystemExit") in text for text in said), said
    checkpoint = tmp_path / "2" / "lightning_logs" / "version_0" / "checkpoints" / "last.ckpt"
    assert torch.load(checkpoint, weights_only=True)["global_step"] == 60
    assert_same_ends(whole, fit_on(2, tmp_path / "2", ckpt_path=checkpoint))


BATCHES = [
    (functools.partial(IndependentBernoulli, probability=0.1), "AdamW", {"noise_std": 0.1}),
    (functools.partial(OneHot), "SGD", {"tied": False, "bias": True, "clip_norm": 0.5, "noise_std": 0.1}),
    (OneHot, "AdamW", {"noise_std": 0.1, "inner_steps": 7}),
]


def fit_batch(root, make, sizes, optimizer, devices, options):
    options = {"trainer": {"strategy": "ddp"} if devices > 1 else {}, **options}
    fit(root, functools.partial(make, **sizes), optimizer, devices, max_steps=100, **options)


@pytest.mark.parametrize(("make", "optimizer", "options"), BATCHES)
def test_ranks_that_divide_the_batch_take_the_steps_of_one_with_all_of_it(tmp_path, make, optimizer, options):
    sizes = [{}, {}] if "inner_steps" in options else [{"batch_size": 128}, {"batch_size": 64}]
    fit_batch(tmp_path / "1", make, sizes[0], optimizer, 1, options)
    launch(2, tmp_path / "2", fit_batch, tmp_path / "2", make, sizes[1], optimizer, 2, options)
    alone, divided = (polysemantic.load(tmp_path / name / "lightning_logs" / "version_0") for name in ("1", "2"))
    for name, values in alone.model.items():
        torch.testing.assert_close(divided.model[name], values, rtol=0, atol=1e-5)
    for name in ("loss", "coverage", "exposures", "expected_companions", "step"):
        pd.testing.assert_series_equal(divided.results[name], alone.results[name], rtol=1e-4)


def count_all_reduces(root):
    calls, all_reduce = [], dist.all_reduce
    with unittest.mock.patch.object(dist, "all_reduce", lambda *a, **k: (calls.append(1), all_reduce(*a, **k))[1]):
        fit_batch(root, OneHot, {"batch_size": 64}, "AdamW", 2, {"inner_steps": 100, "tied": False, "bias": True})
    (root / f"calls_{dist.get_rank()}.txt").write_text(str(len(calls)))


def test_the_batch_is_divided_at_the_price_of_one_all_reduce_a_step(tmp_path):
    launch(2, tmp_path, count_all_reduces, tmp_path)
    for path in tmp_path.glob("calls_*.txt"):
        # Chunks, of which callbacks end some forty in these 100 steps, take one each on top.
        assert 100 < int(path.read_text()) < 150


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--trainer.strategy=ddp_spawn", "--trainer.devices=2"], "`trainer.strategy` must be instance_parallel"),
        (
            ["--trainer.strategy=fsdp", "--trainer.devices=2"],
            "or ddp (which divides the batch), or be unset, got 'fsdp'",
        ),
        (["--trainer.strategy=instance_paralel"], "did you mean instance_parallel?"),
        (["--trainer.devices=4"], "`trainer.devices` must be at most one for each of 3 instances, got 4."),
    ],
)
def test_what_would_train_otherwise_is_refused_in_one_line(run_cli, options, sentence):
    answer = run_cli("fit", "--data=OneHot", "--data.n_features=8", "--model.n_hidden=6", "--ensemble.seeds=3",
                     "--trainer.max_steps=10", "--trainer.accelerator=cpu", *options)  # fmt: skip
    assert answer.status == 2
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
    assert sentence in answer.err


def test_several_devices_divide_the_instances_unless_told_otherwise():
    options = {"max_steps": 1, "accelerator": "cpu", "logged": False}
    assert isinstance(build_trainer([], None, devices=2, **options).strategy, InstanceParallel)
    assert isinstance(build_trainer([], None, devices=2, strategy="ddp", **options).strategy, BatchParallel)
    assert isinstance(build_trainer([], None, devices=1, **options).strategy, SingleDeviceStrategy)


@pytest.fixture
def alone(run_cli):
    """The run of one process, in the working directory."""
    assert run_cli(*COMMAND[2:]).status == 0
    return polysemantic.load("lightning_logs/version_0")


@pytest.mark.slow
def test_two_nodes_under_torchrun_end_with_the_bits_of_one_process(alone, here):
    launcher = ["-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--master-addr=127.0.0.1"]
    port, nodes = f"--master-port={free_port()}", "--trainer.num_nodes=2"
    run_commands([[*launcher, port, f"--node-rank={at}", *COMMAND, nodes] for at in (0, 1)], here)
    assert_same_runs(alone, polysemantic.load("lightning_logs/version_1"))


def of_slurm(task, port):
    """What SLURM tells a task, one on each of two nodes."""
    told = {"JOB_ID": 1, "JOB_NAME": "fit", "NTASKS": 2, "NNODES": 2, "NTASKS_PER_NODE": 1, "LOCALID": 0}
    variables = {f"SLURM_{name}": str(value) for name, value in told.items()}
    address = {"SLURM_NODELIST": "127.0.0.1", "MASTER_PORT": str(port)}
    return variables | address | {"SLURM_PROCID": str(task), "SLURM_NODEID": str(task)}


@pytest.mark.slow
def test_two_nodes_under_slurm_end_with_the_bits_of_one_process(alone, here):
    port = free_port()
    run_commands([[*COMMAND, "--trainer.num_nodes=2"]] * 2, here, [of_slurm(task, port) for task in (0, 1)])
    assert_same_runs(alone, polysemantic.load("lightning_logs/version_1"))


@pytest.mark.slow
def test_processes_that_the_command_starts_end_with_the_bits_of_one(alone, here):
    run_commands([[*COMMAND, "--trainer.devices=2", "--trainer.strategy=instance_parallel"]], here)
    assert_same_runs(alone, polysemantic.load("lightning_logs/version_1"))
