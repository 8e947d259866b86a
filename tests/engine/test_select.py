"""Which plan a problem has: a table, as the choice is one pure function."""

import functools
import logging
import re
import sys
from typing import get_args

import pytest
import torch
from torch.optim.lr_scheduler import StepLR

from polysemantic.data import IndependentBernoulli, OneHot
from polysemantic.engine.base import StepEngine
from polysemantic.engine.select import ENGINES, KERNELS, EngineName, prepare, select
from polysemantic.engine.threaded import cache_block
from polysemantic.kernels.problem import Problem, Processor, Update
from polysemantic.model.autoencoder import Autoencoder
from polysemantic.model.ensemble import Ensemble
from polysemantic.runtime.trainer import build_trainer
from polysemantic.training.module import EnsembleModule
from tests.support.one_line import ONE_HOT, REST

INTEL = Processor(amx=True, avx512=True, library_avx512=True)
INTEL_WITHOUT_AMX = Processor(avx512=True, library_avx512=True)
AMD = Processor(avx512=True, library_avx512=False)
OLD = Processor(library_avx512=False)
H200, OTHER_GPU = Processor(tensor_cores=True), Processor()
LARGE = {"n_features": 256, "n_hidden": 1024, "n_instances": 16}
TINY = {"n_features": 8, "n_hidden": 16, "n_instances": 5}
MIDDLE = {"n_features": 64, "n_hidden": 128, "n_instances": 16, "batch": 128}
TABLE = [
    # Processor, sizes and what else the problem is; engine and kernel.
    (INTEL, LARGE, {}, "threaded", "amx"),
    (INTEL_WITHOUT_AMX, LARGE, {}, "threaded", "symmetric"),
    (INTEL_WITHOUT_AMX, LARGE, {"n_hidden": 511}, "threaded", "torch"),
    (AMD, LARGE, {}, "threaded", "avx512"),
    (AMD, LARGE, {"n_hidden": 1000}, "threaded", "symmetric"),
    (AMD, LARGE, {"dtype": torch.float64}, "threaded", "symmetric"),
    (OLD, LARGE, {}, "threaded", "symmetric"),
    (OLD, LARGE, {"n_hidden": 500}, "threaded", "symmetric"),
    (OLD, LARGE, {"batch": 64}, "threaded", "symmetric"),
    (OLD, LARGE, {"n_instances": 2}, "threaded", "symmetric"),
    # A large network alone leaves a thread without work, and is trained by all threads together.
    (OLD, LARGE, {"n_instances": 1}, "eager", "torch"),
    (AMD, LARGE, {"dtype": torch.bfloat16}, "eager", "torch"),
    (AMD, LARGE, {"tied": False}, "eager", "torch"),
    (AMD, LARGE, {"act": "relu"}, "eager", "torch"),
    (AMD, LARGE, {"standard": False}, "eager", "torch"),
    (AMD, LARGE, {"divided": True}, "eager", "torch"),
    (AMD, LARGE, {"update": Update(plain=False)}, "eager", "torch"),
    (AMD, LARGE, {"update": Update(scheduled=True)}, "eager", "torch"),
    (AMD, LARGE, {"update": Update(clipped=True)}, "threaded", "avx512"),
    (AMD, LARGE, {"update": Update(fused=False)}, "threaded", "avx512"),
    # Networks of some size are trained in threads where a kernel for one thread is quicker, and there are many.
    (AMD, MIDDLE, {}, "threaded", "avx512"),
    (INTEL_WITHOUT_AMX, MIDDLE, {}, "eager", "torch"),
    (OLD, MIDDLE, {"n_instances": 1000}, "eager", "torch"),
    # Few of them are not, but have the kernel of many, as no bit must depend on how many there are.
    (AMD, MIDDLE, {"n_instances": 2}, "eager", "avx512"),
    (AMD, MIDDLE, {"n_instances": 2, "act": "relu"}, "eager", "torch"),
    (AMD, TINY, {}, "eager", "torch"),
    (AMD, TINY, {"max_steps": 400_000}, "compiled", "torch"),
    (AMD, TINY, {"max_steps": 399_999}, "eager", "torch"),
    (AMD, TINY, {"max_steps": 400_000, "tied": False, "act": "relu"}, "compiled", "torch"),
    (AMD, TINY, {"max_steps": 400_000, "update": Update(scheduled=True)}, "eager", "torch"),
    (AMD, TINY, {"max_steps": 400_000, "update": Update(clipped=True)}, "eager", "torch"),
    (AMD, TINY, {"max_steps": 400_000, "update": Update(plain=False)}, "eager", "torch"),
    (AMD, TINY, {"max_steps": 400_000, "standard": False}, "eager", "torch"),
    (AMD, TINY, {"max_steps": 400_000, "divided": True}, "eager", "torch"),
    (AMD, LARGE, {"max_steps": 400_000}, "threaded", "avx512"),
    (OTHER_GPU, LARGE, {"device": "cuda"}, "cuda_graph", "torch"),
    (H200, TINY, {"device": "cuda"}, "cuda_graph", "torch"),
    (H200, LARGE, {"device": "cuda"}, "cuda_graph", "tensor_cores"),
    (H200, LARGE, {"device": "cuda", "tied": False, "act": "relu", "batch": 64}, "cuda_graph", "tensor_cores"),
    (H200, LARGE, {"device": "cuda", "n_instances": 1}, "cuda_graph", "tensor_cores"),
    (H200, LARGE, {"device": "cuda", "update": Update(clipped=True)}, "cuda_graph", "tensor_cores"),
    (H200, LARGE, {"device": "cuda", "n_features": 192}, "cuda_graph", "torch"),
    (H200, LARGE, {"device": "cuda", "n_hidden": 1000}, "cuda_graph", "torch"),
    (H200, LARGE, {"device": "cuda", "dtype": torch.float64}, "cuda_graph", "torch"),
    (H200, LARGE, {"device": "cuda", "update": Update(scheduled=True)}, "eager", "tensor_cores"),
    (H200, LARGE, {"device": "cuda", "update": Update(fused=False)}, "eager", "tensor_cores"),
    (H200, LARGE, {"device": "cuda", "standard": False}, "eager", "tensor_cores"),
    (H200, LARGE, {"device": "cuda", "divided": True}, "eager", "tensor_cores"),
    (OTHER_GPU, LARGE, {"device": "mps"}, "eager", "torch"),
]


def problem(processor, sizes, options=None):
    return Problem(threads=2, processor=processor, **sizes | (options or {}))


@pytest.mark.parametrize(("processor", "sizes", "options", "engine", "kernel"), TABLE, ids=str)
def test_a_problem_has_its_plan(processor, sizes, options, engine, kernel):
    plan = select(problem(processor, sizes, options))
    assert (plan.engine.name, plan.matmul.name) == (engine, kernel)


@pytest.mark.parametrize(("processor", "sizes", "options", "engine", "kernel"), TABLE, ids=str)
def test_torch_alone_multiplies_where_it_was_asked_for(processor, sizes, options, engine, kernel):
    plan = select(problem(processor, sizes, options), kernels="torch")
    assert plan.matmul.name == "torch"
    assert plan.engine.name == engine or (engine == "threaded" and sizes is MIDDLE)


@pytest.mark.parametrize(("processor", "sizes", "options", "engine", "kernel"), TABLE, ids=str)
def test_any_run_can_be_taken_eagerly(processor, sizes, options, engine, kernel):
    plan = select(problem(processor, sizes, options), engine="eager")
    assert plan.engine.name == "eager"
    # numpy's BLAS threads, which the symmetric kernel uses, would fight with torch's.
    assert plan.matmul.name != "symmetric"


@pytest.mark.parametrize(("processor", "sizes", "options", "engine", "kernel"), TABLE, ids=str)
def test_an_engine_that_is_chosen_can_also_be_asked_for(processor, sizes, options, engine, kernel):
    asked = problem(processor, sizes, options)
    assert select(asked, engine=engine) == select(asked)


def test_whether_zeros_are_skipped_is_part_of_the_plan():
    sparse = {"n_features": 64, "n_hidden": 512, "n_instances": 3, "batch": 64}
    for density, processor, expected in (
        (0.02, OLD, True), (0.1, OLD, True), (0.11, OLD, False), (0.08, AMD, False), (0.07, AMD, True),
    ):  # fmt: skip
        assert select(problem(processor, sparse, {"density": density})).sparse_inputs == expected
    assert not select(problem(OLD, sparse, {"density": 0.02, "device": "cuda"})).sparse_inputs
    assert not select(problem(OLD, sparse, {"density": 0.02, "standard": False})).sparse_inputs


@pytest.mark.parametrize(
    ("engine", "options"),
    [
        ("compiled", {"update": Update(clipped=True)}),
        ("compiled", {"n_features": 256}),
        ("threaded", {"tied": False}),
        ("cuda_graph", {}),
    ],
)
def test_an_engine_that_cannot_take_the_steps_is_refused_with_what_it_needs(engine, options):
    with pytest.raises(ValueError, match=f"`model.engine` must be auto for a run like this, got {engine}: it needs a "):
        select(problem(AMD, TINY, options), engine=engine)


def test_what_could_not_be_built_is_passed_over():
    large = problem(INTEL, LARGE)
    assert select(large.without("amx")).matmul.name == "symmetric"
    assert select(large.without("amx").without("symmetric")).matmul.name == "torch"
    tiny = problem(AMD, TINY, {"max_steps": 400_000})
    assert select(tiny.without("compiled")).engine.name == "eager"
    assert select(tiny.without("compiled"), engine="compiled").engine.name == "eager"


def test_without_triton_the_library_multiplies_on_a_gpu_and_a_line_says_so(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    # A device that no other test asks about, as what was found of a device is kept.
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 7)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.warns(UserWarning, match=r"no kernels for this GPU's tensor cores \(Triton is not installed\)"):
        plan = prepare(problem(H200, LARGE, {"device": "cuda"}))
    assert (plan.engine.name, plan.matmul.name) == ("cuda_graph", "torch")


def test_options_name_the_engines_that_there_are():
    assert set(get_args(EngineName)) == {"auto", *(engine.name for engine in ENGINES)}
    assert all(issubclass(engine, StepEngine) for engine in ENGINES)
    assert ENGINES[-1].name == "eager"
    assert KERNELS[-1].name == "torch"


def test_a_cache_block_is_an_even_share_that_stays_in_the_cache_and_is_worth_its_calls():
    def block(n_instances, n_features, n_hidden, batch=None, threads=2):
        return cache_block(Problem(n_instances, n_features, n_hidden, batch, threads=threads))

    assert block(16, 256, 1024) == 1
    assert block(16, 256, 256) == 4
    assert block(1000, 16, 5) == 500  # the calls for fewer would cost more than their products
    assert block(16, 250, 1024) == 1  # no whole vector registers
    assert block(3, 32, 48, threads=2) == 2


def test_a_plan_says_what_it_is():
    large = problem(AMD, LARGE)
    assert str(select(large)) == "engine threaded, kernel avx512, dense inputs, blocks of 1"


class Mine(Autoencoder):
    def encode(self, x):
        return super().encode(x)


CASES = [
    (OneHot, (128, 128), {}, "threaded"),
    (OneHot, (128, 127), {}, "eager"),
    (OneHot, (128, 128), {"noise_std": 0.1}, "threaded"),
    (OneHot, (128, 128), {"lr_scheduler": lambda optimizer: StepLR(optimizer, 5)}, "eager"),
    (OneHot, (128, 128), {"act": "relu"}, "eager"),
    (OneHot, (128, 128), {"tied": False}, "eager"),
    (OneHot, (128, 128), {"optimizer": lambda parameters: torch.optim.RMSprop(parameters, lr=0.01)}, "eager"),
    (
        OneHot,
        (128, 128),
        {"autoencoder": type("Mine", (Autoencoder,), {"encode": lambda self, x: x @ self.W_enc})},
        "eager",
    ),
    (OneHot, (8, 8), {"engine": "threaded"}, "threaded"),
    (OneHot, (128, 128), {"engine": "eager"}, "eager"),
    (functools.partial(OneHot, batch_size=9), (128, 128), {}, "threaded"),
    (functools.partial(IndependentBernoulli, probability=0.1, batch_size=16), (128, 128), {}, "threaded"),
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("data", "size", "options", "engine"), CASES)
def test_a_run_says_its_plan_in_one_line_at_debug_level(data, size, options, engine, caplog):
    caplog.set_level(logging.DEBUG, "polysemantic.engine.select")
    module = EnsembleModule(*size, Ensemble(2), kernels="torch", **options)
    trainer = build_trainer([], None, logged=False, accelerator="cpu", enable_progress_bar=False, max_steps=2)
    trainer.fit(module, datamodule=data(size[0]))
    (line,) = plan_lines(caplog)
    assert line.startswith(f"engine {engine}, kernel torch, dense inputs")
    assert f"n_features={size[0]}, n_hidden={size[1]}" in line


def plan_lines(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "polysemantic.engine.select"]


def test_the_command_logs_the_plan_of_a_run_at_debug_level(run_cli, caplog):
    caplog.set_level(logging.DEBUG, "polysemantic.engine.select")
    assert run_cli(*ONE_HOT, *REST, "--model.engine=auto").status == 0
    (line,) = plan_lines(caplog)
    assert re.match(r"engine eager, kernel torch, dense inputs, blocks of 1, for Problem\(n_instances=2, ", line)
    assert {record.levelno for record in caplog.records if record.getMessage() == line} == {logging.DEBUG}
