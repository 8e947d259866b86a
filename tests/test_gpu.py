"""What holds on a CPU, repeated on an accelerator."""

import functools

import pandas as pd
import pytest
import torch
from test_equalities import DATA, OPTIMISERS, assert_equal_weights, train
from test_ranks import COMMAND, run_commands

import polysemantic
from polysemantic.ensemble import Ensemble
from polysemantic.functional import pack_flags, unpack_flags
from polysemantic.sparse import SparseInputs

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator"),
    pytest.mark.usefixtures("unchecked", "without_tf32"),
]
# A library may multiply matrices otherwise where there are more of them.
CLOSE = {"rtol": 0, "atol": 1e-5}
ON_GPU = {"accelerator": "gpu", "devices": 1}


@pytest.fixture
def without_tf32():
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32 = before


train_on_gpu = functools.partial(train, options=ON_GPU)


@pytest.mark.parametrize("optimizer", OPTIMISERS)
@pytest.mark.parametrize("data", DATA)
def test_an_instance_ends_alike_in_any_company_and_in_chunks_of_any_length(data, optimizer):
    model = {"optimizer": OPTIMISERS[optimizer], "noise_std": 0.1}
    pair = train_on_gpu(DATA[data], (8, 16), Ensemble(2), inner_steps=100, **model)
    assert_equal_weights(pair, train_on_gpu(DATA[data], (8, 16), Ensemble(5), inner_steps=100, **model), CLOSE)
    for inner_steps in (1, 7):
        chunks = train_on_gpu(DATA[data], (8, 16), Ensemble(2), inner_steps=inner_steps, **model)
        assert_equal_weights(pair, chunks, {"rtol": 0, "atol": 0})


@pytest.mark.parametrize("data", DATA)
def test_a_gpu_trains_as_a_cpu_does(data):
    model = {"tied": False, "bias": True, "importance": 0.9, "noise_std": 0.1}
    on_cpu = train(DATA[data], (8, 16), Ensemble(2), **model)
    on_gpu = train_on_gpu(DATA[data], (8, 16), Ensemble(2), **model).cpu()
    assert_equal_weights(on_gpu, on_cpu, {"rtol": 0, "atol": 1e-4})


@pytest.mark.parametrize("data", DATA)
def test_draws_happen_on_the_device_of_the_instances_and_are_those_of_a_cpu(data):
    module = train_on_gpu(DATA[data], (8, 16), Ensemble(2), max_steps=1)
    inputs = module.data.inputs(3)
    assert inputs.device == module.data.device
    assert inputs.device.type == "cuda"
    on_cpu = DATA[data](8)
    on_cpu.bind(Ensemble(2))
    assert torch.equal(inputs.cpu(), on_cpu.inputs(3))


def test_flags_in_bits_are_those_of_a_cpu():
    flags = torch.rand(3, 19) < 0.5
    octets = pack_flags(flags.cuda())
    assert torch.equal(octets.cpu(), pack_flags(flags))
    assert torch.equal(unpack_flags(octets, 19).cpu(), flags)


def test_products_that_skip_zeros_are_those_of_a_cpu():
    x = (torch.rand(2, 3, 16, 8) < 0.2) * torch.rand(2, 3, 16, 8)
    W, y = torch.randn(3, 8, 4), torch.randn(3, 16, 4)
    found = []
    for device in ("cpu", "cuda"):
        for sparse in SparseInputs.of_steps(x.to(device)):
            by_row = sparse.times(W.to(device), torch.empty(3, 16, 4, device=device))
            by_column = sparse.transposed_times(y.to(device), torch.empty(3, 8, 4, device=device))
            found.append([by_row.cpu(), by_column.cpu()])
    torch.testing.assert_close(found[:2], found[2:])


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two accelerators")
def test_two_gpus_end_as_one_does(here):
    command = [word for word in COMMAND if "accelerator" not in word] + ["--trainer.accelerator=gpu"]
    run_commands([[*command, "--trainer.devices=1"]], here)
    run_commands([[*command, "--trainer.devices=2", "--trainer.strategy=instance_parallel"]], here)
    alone, together = (polysemantic.load(f"lightning_logs/version_{at}") for at in (0, 1))
    for name, values in alone.model.items():
        torch.testing.assert_close(together.model[name], values, **CLOSE)
    pd.testing.assert_frame_equal(alone.results, together.results, atol=1e-4)
