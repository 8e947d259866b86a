import functools
import math
import os
import resource
from pathlib import Path

import pytest
import torch

from polysemantic.model.ensemble import Ensemble
from polysemantic.runtime.memory import bytes_per_instance, memory_line
from polysemantic.runtime.trainer import build_trainer
from polysemantic.training.module import EnsembleModule
from tests.support.faults import error_line, run

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.mark.parametrize(
    ("optimizer", "options", "numbers"),
    [
        (functools.partial(torch.optim.AdamW, lr=0.1), {}, 32 * 64 * 3.6),
        (functools.partial(torch.optim.SGD, lr=0.1), {}, 32 * 64 * 1.6),
        (functools.partial(torch.optim.AdamW, lr=0.1), {"tied": False}, 32 * 64 * 7.2),
    ],
)
def test_an_instance_takes_its_weights_gradient_states_start_and_activations(optimizer, options, numbers):
    module = EnsembleModule(32, 64, Ensemble(2), optimizer=optimizer, **options)
    passing = 32 * 64 * (1 if module.tied else 2) + 10 * (2 * 32 + 64)
    assert bytes_per_instance(module, 10) == math.ceil(4 * (numbers + passing))
    assert bytes_per_instance(module, 10, spread=True) == math.ceil(4 * numbers)


@pytest.mark.parametrize(("ranks", "fit"), [(1, 10), (2, 10)])
def test_what_fits_is_counted_over_all_processes_of_the_machine(ranks, fit):
    module = EnsembleModule(8, 8, Ensemble(16))
    trainer = build_trainer([], None, logged=False, max_steps=1, accelerator="cpu", devices=ranks)
    each = bytes_per_instance(module, 8)
    assert f"enough for {fit}." in memory_line(trainer, module, 8, 10.5 * each)
    assert memory_line(trainer, module, 8, 16 * each) is None


@pytest.mark.parametrize("ranks", [1, 2])
def test_instances_that_cannot_fit_are_refused_in_one_line_before_anything_is_made(tmp_path, ranks, befell):
    statuses, said = run(tmp_path, "--ensemble.seeds=1000000000", ranks=ranks)
    assert statuses == [2] * ranks, said
    assert "`ensemble` must fit into memory, got 1000000000 instances that take" in error_line(said[0])
    assert said[0].count("\n") == 1
    assert not (tmp_path / "lightning_logs").exists()
    befell("instances that cannot fit", "refused in one line")


def fail_to_allocate(step):
    steps, taken = EnsembleModule.training_step, []

    def greedy(self, batch, batch_idx):
        if self.trainer.global_step >= step:
            size = int(os.sysconf("SC_PAGE_SIZE")) * int(Path("/proc/self/statm").read_text().split()[0])
            resource.setrlimit(resource.RLIMIT_AS, (size + 2**28, resource.RLIM_INFINITY))
            taken.append(torch.empty(2**30))
        return steps(self, batch, batch_idx)

    EnsembleModule.training_step = greedy


def test_an_allocation_that_fails_while_training_is_one_line(tmp_path, befell):
    statuses, said = run(tmp_path, prepare=functools.partial(fail_to_allocate, 400))
    assert statuses == [1], said
    line = error_line(said[0])
    assert line.startswith("error: out of memory; each instance takes")
    assert "at step 400" in line
    assert "GB are free on cpu" in line
    assert said[0].count("\n") == 1
    befell("allocation that fails while training", "one line")
