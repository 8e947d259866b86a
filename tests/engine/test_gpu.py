"""What holds on a CPU, repeated on an accelerator."""

import functools
import subprocess
import sys

import pandas as pd
import pytest
import torch

import polysemantic
from polysemantic.callbacks import CollisionTracker, Convergence, Measurements
from polysemantic.data import OneHot
from polysemantic.engine.base import Plan
from polysemantic.engine.cuda_graph import CudaGraphEngine
from polysemantic.engine.eager import EagerEngine
from polysemantic.functional import pack_flags, unpack_flags
from polysemantic.kernels.matmul import TorchMatmul
from polysemantic.kernels.sparse import SparseInputs
from polysemantic.kernels.tensor_cores import TensorCoreMatmul
from polysemantic.model.ensemble import Ensemble
from polysemantic.runtime.trainer import build_trainer
from polysemantic.training.module import EnsembleModule
from polysemantic.training.step_callback import StepCallback
from tests.support.commands import COMMAND, run_commands
from tests.support.ranks import assert_same_ends, free_port
from tests.support.tables import without_run
from tests.support.training import DATA, OPTIMISERS, assert_equal_weights, train

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
def test_an_instance_ends_alike_in_any_ensemble_and_in_chunks_of_any_length(data, optimizer):
    model = {"optimizer": OPTIMISERS[optimizer], "noise_std": 0.1}
    pair = train_on_gpu(DATA[data], (8, 16), Ensemble(2), inner_steps=100, **model)
    assert_equal_weights(pair, train_on_gpu(DATA[data], (8, 16), Ensemble(5), inner_steps=100, **model), CLOSE)
    for inner_steps in (1, 7):
        chunks = train_on_gpu(DATA[data], (8, 16), Ensemble(2), inner_steps=inner_steps, **model)
        assert_equal_weights(pair, chunks, {"rtol": 0, "atol": 0})


def replays(monkeypatch):
    """A list that gets an entry for each graph that is replayed."""
    replay, seen = torch.cuda.CUDAGraph.replay, []
    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", lambda graph: seen.append(replay(graph)))
    return seen


GRAPHED = {
    "tied": {},
    "noise": {"noise_std": 0.1},
    "clipped": {"clip_norm": 0.5, "noise_std": 0.1, "noise": "gaussian"},
    "untied relu": {"tied": False, "bias": True, "act": "relu", "importance": 0.9},
}


@pytest.mark.parametrize("optimizer", OPTIMISERS)
@pytest.mark.parametrize("model", GRAPHED)
@pytest.mark.parametrize("data", DATA)
def test_replayed_steps_have_the_bits_of_steps_one_by_one(data, model, optimizer, monkeypatch):
    options = {"optimizer": OPTIMISERS[optimizer], **GRAPHED[model]}
    seen = replays(monkeypatch)
    one_by_one = train_on_gpu(DATA[data], (8, 16), Ensemble(3), max_steps=170, inner_steps=1, **options)
    assert not seen
    replayed = train_on_gpu(DATA[data], (8, 16), Ensemble(3), max_steps=170, inner_steps=50, **options)
    assert len(seen) == 3
    assert_equal_weights(one_by_one, replayed, {"rtol": 0, "atol": 0})


def of_float32(product, reference):
    """How far a product is from that of double precision, in its own size."""
    return float((product.double() - reference).norm() / reference.norm())


@pytest.fixture
def tensor_cores():
    """The kernel for tensor cores, whether or not this GPU's are quicker than the rest of it."""
    if torch.cuda.get_device_capability() < (8, 0) or not TensorCoreMatmul.can_be_built():
        pytest.skip("needs tensor cores and Triton")
    return TensorCoreMatmul


@pytest.mark.parametrize("sizes", [(3, 64, 128, 64), (2, 256, 384, 192)])
def test_products_on_tensor_cores_are_those_of_double_precision_but_for_what_the_split_leaves_out(sizes, tensor_cores):
    n_instances, n_rows, n_features, n_hidden = sizes
    kernel, W = tensor_cores(), torch.randn(n_instances, n_features, n_hidden, device="cuda")
    x = torch.rand(n_instances, n_rows, n_features, device="cuda")
    hidden = torch.full((n_instances, n_rows, n_hidden), torch.nan, device="cuda")
    kernel.nn(x, W, hidden)
    assert of_float32(hidden, x.double() @ W.double()) < 1e-5
    for y in (hidden, torch.randn_like(x)):
        out = torch.full((n_instances, n_features, y.shape[2]), torch.nan, device="cuda")
        kernel.tn(x, y, out)
        assert of_float32(out, x.double().mT @ y.double()) < 1e-5
    for h in (W, hidden):
        out = torch.full((n_instances, h.shape[1], n_features), torch.nan, device="cuda")
        kernel.nt(h, W, out)
        assert of_float32(out, h.double() @ W.double().mT) < 1e-5
    overlap = torch.randn(n_instances, n_features, n_features, device="cuda")
    for beta, out in ((0, torch.full_like(W, torch.nan)), (2, torch.randn_like(W))):
        wanted = 0.5 * overlap.double() @ W.double() + (beta * out.double() if beta else 0)
        kernel.nn(overlap, W, out, beta=beta, alpha=0.5)
        assert of_float32(out, wanted) < 1e-5


@pytest.mark.parametrize("engine", [EagerEngine, CudaGraphEngine])
@pytest.mark.parametrize("data", DATA)
def test_large_networks_on_tensor_cores_end_where_the_library_ends(data, engine, tensor_cores):
    sizes, ensemble, model = (128, 64), Ensemble(3), {"noise_std": 0.05, "max_steps": 90}
    own, library = (
        train_on_gpu(DATA[data], sizes, ensemble, plan=Plan(EagerEngine, kernel), inner_steps=45, **model)
        for kernel in (tensor_cores, TorchMatmul)
    )
    again = train_on_gpu(DATA[data], sizes, ensemble, plan=Plan(engine, tensor_cores), inner_steps=45, **model)
    assert_equal_weights(own, again, {"rtol": 0, "atol": 0})
    moved = (library.cpu().networks.W_enc - library.w_start.cpu()).norm()
    assert (own.cpu().networks.W_enc - library.networks.W_enc).norm() < 0.02 * moved


@pytest.mark.parametrize("options", [{"amsgrad": True}, {"foreach": True}], ids=str)
def test_updates_that_are_no_kernel_are_not_recorded(options, monkeypatch):
    seen = replays(monkeypatch)
    optimizer = functools.partial(torch.optim.AdamW, lr=0.01, **options)
    module = train_on_gpu(OneHot, (8, 16), Ensemble(2), optimizer=optimizer)
    assert not seen
    assert module.networks.W_enc.isfinite().all()


class Slower(StepCallback):
    def act(self, trainer, module):
        if trainer.global_step == 100:
            trainer.optimizers[0].param_groups[0]["lr"] /= 10
            module.networks.l1 *= 2


def test_a_graph_is_recorded_again_for_other_options(monkeypatch):
    seen, ends = replays(monkeypatch), []
    for inner_steps in (1, 40):
        module = EnsembleModule(8, 16, Ensemble(3), l1=0.01, inner_steps=inner_steps)
        options = {**ON_GPU, "enable_progress_bar": False, "max_steps": 200}
        build_trainer([Slower(100)], None, logged=False, **options).fit(module, datamodule=OneHot(8))
        ends.append(module)
    assert len(seen) == 4
    assert_equal_weights(*ends, {"rtol": 0, "atol": 0})


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
            by_row = sparse.nn(W.to(device), torch.empty(3, 16, 4, device=device))
            by_column = sparse.tn(y.to(device), torch.empty(3, 8, 4, device=device))
            found.append([by_row.cpu(), by_column.cpu()])
    torch.testing.assert_close(found[:2], found[2:])


@pytest.mark.parametrize("data", DATA)
def test_a_whole_run_on_a_gpu_ends_with_the_tables_of_one_on_a_cpu(data, tmp_path):
    def fit(accelerator):
        return polysemantic.fit(
            DATA[data](16), n_hidden=16, ensemble=Ensemble(3), max_steps=300, l1=0.01, noise_std=0.1,
            measurements=Measurements(50), collisions=CollisionTracker(20), convergence=Convergence(50),
            trainer={"default_root_dir": str(tmp_path / accelerator), "accelerator": accelerator, "devices": 1},
        )  # fmt: skip

    on_cpu, on_gpu = fit("cpu"), fit("gpu")
    pd.testing.assert_frame_equal(on_cpu.results, on_gpu.results, atol=1e-3, rtol=1e-3)
    pd.testing.assert_frame_equal(on_cpu.history, on_gpu.history, atol=1e-3, rtol=1e-3)
    places = ["instance", "feature_i", "feature_j", "neuron"]
    pd.testing.assert_frame_equal(on_cpu.collisions[places], on_gpu.collisions[places])


def test_a_run_that_is_continued_ends_with_the_bits_of_one_that_was_not(here):
    cadences = ["--collisions.every_n_steps=10", "--convergence.every_n_steps=10"]
    whole = [*COMMAND_ON_GPU, "--trainer.devices=1", "--model.noise_std=0.1", *cadences]
    run_commands([whole], here)
    run_commands([[*whole, "--trainer.max_steps=30"]], here)
    run_commands([[*whole, "--ckpt_path=lightning_logs/version_1/checkpoints/last.ckpt"]], here)
    assert_same_ends(*(polysemantic.load(f"lightning_logs/version_{at}") for at in (0, 1)))


def test_more_instances_than_fit_are_one_line(here):
    most = subprocess.run(
        [sys.executable, *COMMAND_ON_GPU, "--ensemble.seeds=200000000"], capture_output=True, text=True, check=False
    )
    assert most.returncode != 0
    assert most.stderr.splitlines()[-1].startswith("error: `ensemble` must fit into memory, got 200000000 instances")


COMMAND_ON_GPU = [word for word in COMMAND if "accelerator" not in word] + ["--trainer.accelerator=gpu"]


def assert_same_runs_on_gpus():
    alone, together = (polysemantic.load(f"lightning_logs/version_{at}") for at in (0, 1))
    assert alone.model.keys() == together.model.keys()
    for name, values in alone.model.items():
        torch.testing.assert_close(together.model[name], values, **CLOSE)
    pd.testing.assert_frame_equal(without_run(alone.results), without_run(together.results), atol=1e-4)


@pytest.mark.parametrize("strategy", ["instance_parallel", "ddp"])
def test_two_nodes_that_speak_over_nccl_end_as_one_process_does(strategy, here):
    rows = 1 if strategy == "instance_parallel" else 2
    batch = [f"--data.batch_size={256 // at}" for at in (1, rows)]
    run_commands([[*COMMAND_ON_GPU, batch[0], "--trainer.devices=1"]], here)
    launcher = ["-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--master-addr=127.0.0.1"]
    port, nodes = f"--master-port={free_port()}", ["--trainer.num_nodes=2", "--trainer.devices=1"]
    fitted = [*COMMAND_ON_GPU, batch[1], *nodes, f"--trainer.strategy={strategy}"]
    # Nodes that say that they are two may use the same GPU, and speak over the network.
    names = [{"NCCL_HOSTID": str(at), "NCCL_SOCKET_IFNAME": "lo"} for at in (0, 1)]
    run_commands([[*launcher, port, f"--node-rank={at}", *fitted] for at in (0, 1)], here, names)
    assert_same_runs_on_gpus()


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two accelerators")
def test_two_gpus_end_as_one_does(here):
    run_commands([[*COMMAND_ON_GPU, "--trainer.devices=1"]], here)
    run_commands([[*COMMAND_ON_GPU, "--trainer.devices=2", "--trainer.strategy=instance_parallel"]], here)
    assert_same_runs_on_gpus()
