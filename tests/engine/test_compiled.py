import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch._inductor.exc import InvalidCxxCompiler

import polysemantic
from polysemantic.data import OneHot
from polysemantic.engine.base import Plan, Training
from polysemantic.engine.batches import given_batches
from polysemantic.engine.compiled import CompiledEngine
from polysemantic.engine.eager import EagerEngine
from polysemantic.model.ensemble import Ensemble
from polysemantic.training.module import EnsembleModule

# In a process of its own: the tests' checks of shapes and types wrap what torch would have to compile.
SCRIPT = """
import sys
import torch
from polysemantic.engine.base import Plan, Training
from polysemantic.engine.batches import given_batches
from polysemantic.engine.compiled import CompiledEngine
from polysemantic.engine.eager import EagerEngine
from polysemantic.model.ensemble import Ensemble
from polysemantic.training.module import EnsembleModule

CompiledEngine.unrolled = 2  # a graph of more steps takes longer to compile
torch._dynamo.config.recompile_limit = 1  # of each function that is compiled; in a process there may be many runs
kind, options = {
    "SGD": (torch.optim.SGD, {"momentum": 0.9}),
    "AdamW": (torch.optim.AdamW, {}),
    "Adam": (torch.optim.Adam, {"weight_decay": 0.5, "decoupled_weight_decay": True}),
}[sys.argv[1]]
noise = 0.1 * torch.randn(4, 3, 4, 8, generator=torch.Generator().manual_seed(0))
ends = []
# Each number of steps at each rate is compiled, and a graph of two steps takes longer: one of them is enough.
for make, parts in ((EagerEngine, (2, 1, 1)), (CompiledEngine, (2, 1, 1)), (CompiledEngine, (3, 1))):
    network = EnsembleModule(4, 8, Ensemble(seeds=3)).networks
    start = network.W_enc.detach().clone()
    optimizer = kind(network.parameters(), lr=0.01, **options)
    engine = Plan(make).make(Training(network, optimizer))
    for at, part in enumerate(noise.split(parts)):
        optimizer.param_groups[0]["lr"] = 0.01 if at < len(parts) - 1 else 0.02
        loss = engine.run(len(part), given_batches(None, part))
    ends.append((loss, network.W_enc.detach()))
    assert not torch.equal(start, network.W_enc)
torch.testing.assert_close(ends[0], ends[1])
assert torch.equal(ends[1][1], ends[2][1])
"""


@pytest.mark.parametrize("kind", ["AdamW", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("SGD", "Adam"))])
def test_compiled_steps_equal_eager_ones_and_do_not_depend_on_the_blocks_they_come_in(kind):
    done = subprocess.run([sys.executable, "-c", SCRIPT, kind], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class Traced(CompiledEngine):
    """The operations that a graph consists of, one by one."""

    def new_graph(self):
        return CompiledEngine.unrolled_steps


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
@pytest.mark.parametrize("options", [{}, {"amsgrad": True}, {"maximize": True}, {"weight_decay": 0.5}])
def test_what_is_compiled_updates_as_the_optimiser_does(kind, options):
    noise = 0.1 * torch.randn(60, 3, 4, 8)
    ends = []
    for make in (EagerEngine, Traced):
        network = EnsembleModule(4, 8, Ensemble(seeds=3)).networks
        optimizer = kind(network.parameters(), lr=0.01, **options)
        Plan(make).make(Training(network, optimizer)).run(len(noise), given_batches(None, noise))
        (state,) = optimizer.state.values()
        assert state["step"] == len(noise)
        ends.append({"W_enc": network.W_enc.detach(), **state})
    torch.testing.assert_close(*ends, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_compiled_runs_that_are_resumed_or_divided_among_processes_end_with_the_same_bits(tmp_path):
    command = [sys.executable, "-m", "tests.support.compiled_runs", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr


def test_a_machine_without_a_compiler_goes_on_uncompiled_and_says_so(monkeypatch, tmp_path):
    def none():
        raise InvalidCxxCompiler

    monkeypatch.setattr("torch._inductor.cpp_builder.get_cpp_compiler", none)
    with pytest.warns(UserWarning, match="no C\\+\\+ compiler found: optimiser steps are not compiled") as said:
        run = polysemantic.fit(
            OneHot(n_features=4),
            ensemble=Ensemble(seeds=2),
            n_hidden=8,
            engine="compiled",
            max_steps=4,
            trainer={"default_root_dir": str(tmp_path), "accelerator": "cpu", "enable_progress_bar": False},
        )
    assert sum("no C++ compiler" in str(warning.message) for warning in said) == 1
    assert run.results["loss"].notna().all()
