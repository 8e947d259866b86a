import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch._inductor.exc import InvalidCxxCompiler

import polysemantic
from polysemantic.data import OneHot
from polysemantic.engine.compiled import CompiledSteps, compiling_pays
from polysemantic.engine.eager import EagerSteps, given
from polysemantic.model.ensemble import Ensemble
from polysemantic.training.module import EnsembleModule

# In a process of its own: the tests' checks of shapes and types wrap what torch would have to compile.
SCRIPT = """
import sys
import torch
from polysemantic.engine.compiled import CompiledSteps
from polysemantic.model.ensemble import Ensemble
from polysemantic.training.module import EnsembleModule
from polysemantic.engine.eager import EagerSteps, given

CompiledSteps.unrolled = 2  # a graph of more steps takes longer to compile
torch._dynamo.config.recompile_limit = 1  # of each function that is compiled; in a process there may be many runs
kind, options = {
    "SGD": (torch.optim.SGD, {"momentum": 0.9}),
    "AdamW": (torch.optim.AdamW, {}),
    "Adam": (torch.optim.Adam, {"weight_decay": 0.5, "decoupled_weight_decay": True}),
}[sys.argv[1]]
noise = 0.1 * torch.randn(5, 3, 4, 8, generator=torch.Generator().manual_seed(0))
ends = []
for make, parts in ((EagerSteps, (2, 2, 1)), (CompiledSteps, (2, 2, 1)), (CompiledSteps, (2, 3))):
    network = EnsembleModule(4, 8, Ensemble(seeds=3)).networks
    start = network.W_enc.detach().clone()
    optimizer = kind(network.parameters(), lr=0.01, **options)
    steps = make(network, optimizer)
    for at, part in enumerate(noise.split(parts)):
        optimizer.param_groups[0]["lr"] = 0.02 if at else 0.01
        loss = steps(len(part), given(None, part))
    ends.append((loss, network.W_enc.detach()))
    assert not torch.equal(start, network.W_enc)
torch.testing.assert_close(ends[0], ends[1])
assert torch.equal(ends[1][1], ends[2][1])
"""


@pytest.mark.parametrize("kind", ["AdamW", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("SGD", "Adam"))])
def test_compiled_steps_equal_eager_ones_and_do_not_depend_on_the_blocks_they_come_in(kind):
    done = subprocess.run([sys.executable, "-c", SCRIPT, kind], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
@pytest.mark.parametrize("options", [{}, {"amsgrad": True}, {"maximize": True}, {"weight_decay": 0.5}])
def test_what_is_compiled_updates_as_the_optimiser_does(kind, options):
    noise = 0.1 * torch.randn(60, 3, 4, 8)
    ends = []
    for make in (EagerSteps, CompiledSteps):
        network = EnsembleModule(4, 8, Ensemble(seeds=3)).networks
        optimizer = kind(network.parameters(), lr=0.01, **options)
        steps = make(network, optimizer)
        if make is CompiledSteps:
            steps._new_graph = lambda: CompiledSteps._unrolled  # the same operations one by one
        steps(len(noise), given(None, noise))
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

    monkeypatch.setattr("polysemantic.engine.compiled.get_cpp_compiler", none)
    with pytest.warns(UserWarning, match="no C\\+\\+ compiler found: optimiser steps are not compiled") as said:
        run = polysemantic.fit(
            OneHot(n_features=4),
            ensemble=Ensemble(seeds=2),
            n_hidden=8,
            compile=True,
            max_steps=4,
            trainer={"default_root_dir": str(tmp_path), "accelerator": "cpu", "enable_progress_bar": False},
        )
    assert sum("no C++ compiler" in str(warning.message) for warning in said) == 1
    assert run.results["loss"].notna().all()


def test_an_optimiser_without_a_graph_is_refused():
    network = EnsembleModule(4, 8, Ensemble(seeds=2)).networks
    hooked = torch.optim.AdamW(network.parameters())
    hooked.register_step_post_hook(lambda *_: None)
    for optimizer in (torch.optim.RMSprop(network.parameters()), hooked):
        with pytest.raises(ValueError, match="trains all parameters, without hooks, got " + type(optimizer).__name__):
            CompiledSteps(network, optimizer)


def test_only_long_runs_of_small_networks_are_compiled_by_themselves():
    assert compiling_pays(8, 16, 8, max_steps=10**6)
    assert not compiling_pays(8, 16, 8, max_steps=10**4)
    assert not compiling_pays(256, 256, 256, max_steps=10**6)
