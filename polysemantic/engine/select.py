"""Which engine takes a run's steps, and which kernel computes its products: decided once, by one pure function."""

from __future__ import annotations

import logging
from typing import Literal

from lightning.pytorch.utilities import rank_zero_only

from polysemantic.engine.base import Plan, PlannedEngine
from polysemantic.engine.compiled import CompiledEngine
from polysemantic.engine.cuda_graph import CudaGraphEngine
from polysemantic.engine.eager import EagerEngine
from polysemantic.engine.threaded import ThreadedEngine, cache_block
from polysemantic.kernels.matmul import TorchMatmul
from polysemantic.kernels.native.amx import AmxMatmul
from polysemantic.kernels.native.avx512 import Avx512Matmul
from polysemantic.kernels.problem import Problem
from polysemantic.kernels.sparse import skipping_zeros_pays
from polysemantic.kernels.symmetric import SymmetricMatmul
from polysemantic.kernels.tensor_cores import TensorCoreMatmul

_log = logging.getLogger(__name__)

EngineName = Literal["auto", "eager", "threaded", "cuda_graph", "compiled"]
"""What `model.engine` may be."""
KernelsName = Literal["auto", "torch"]
"""What `model.kernels` may be."""

ENGINES: tuple[type[PlannedEngine], ...] = (
    # On a GPU, replaying recorded steps is never slower than launching them: 1.0 to 8.4 times as fast on an H200.
    CudaGraphEngine,
    # Small networks in runs of 400 000 steps or more, which win back the half minute of compiling.
    CompiledEngine,
    # Large networks (2^21 multiplications in W W^T), and many smaller ones with a kernel of ours for one thread.
    ThreadedEngine,
    EagerEngine,
)
"""The quickest first; the first one that supports a problem and pays is taken. Figures: benchmarks/README.md."""


KERNELS: tuple[type[TorchMatmul], ...] = (
    # Steps are 1.25 to 1.6 times as fast on tensor cores (H200), 1.4 to 1.6 times on matrix units (Xeon), 1.9 to 2.3
    # times in registers of 512 bits (EPYC).
    TensorCoreMatmul,
    AmxMatmul,
    Avx512Matmul,
    SymmetricMatmul,
    TorchMatmul,
)
"""The quickest first; the first one that supports a problem is taken.

Each supports only problems large enough for it to be quicker than the kernels after it.
"""


def select(problem: Problem, engine: EngineName = "auto", kernels: KernelsName = "auto") -> Plan:
    """The plan for a problem; without side effects.

    Args:
        problem: What is computed.
        engine: The engine's name, or `auto` for the quickest.
        kernels: `auto` for the quickest kernel, or `torch` for torch's own library.

    Raises:
        ValueError: If the engine that was asked for cannot take the problem's steps.
    """
    candidates = KERNELS if kernels == "auto" else (TorchMatmul,)
    fastest = next(kernel for kernel in candidates if kernel.name not in problem.missing and kernel.supports(problem))
    chosen = _asked_for(problem, engine) if engine != "auto" else None
    if chosen is None:
        left = (kind for kind in ENGINES if kind.name not in problem.missing and kind.supports(problem))
        chosen = next(kind for kind in left if kind.pays(problem, fastest))
    block = cache_block(problem) if chosen is ThreadedEngine else 1
    if not chosen.uses_kernels:
        return Plan(chosen)
    # On a CPU, eager steps use the kernel that a larger ensemble would use in threads, so that results do not depend on
    # the number of instances. Kernels of the BLAS library's own threads would fight with torch's there.
    shared = ThreadedEngine.supports(problem) and (chosen is ThreadedEngine or fastest.pays_by_thread)
    matmul = fastest if shared or problem.device != "cpu" else TorchMatmul
    return Plan(chosen, matmul, skipping_zeros_pays(problem, fastest.sparse_up_to), block)


def _asked_for(problem: Problem, engine: EngineName) -> type[PlannedEngine] | None:
    """The engine that was asked for; None if it could not be built here, which was said."""
    (kind,) = (kind for kind in ENGINES if kind.name == engine)
    if not kind.supports(problem):
        rule = f"be auto for a run like this, got {engine}: it needs {kind.needs}"
        raise ValueError(f"`model.engine` must {rule}.")
    return None if engine in problem.missing else kind


def prepare(problem: Problem, engine: EngineName = "auto", kernels: KernelsName = "auto") -> Plan:
    """The plan for a problem, of what could be built on this machine, after a line in the log at debug level."""
    plan = select(problem, engine, kernels)
    if not plan.engine.can_be_built():
        return prepare(problem.without(plan.engine.name), engine, kernels)
    if not plan.matmul.can_be_built():
        return prepare(problem.without(plan.matmul.name), engine, kernels)
    if getattr(rank_zero_only, "rank", 0) == 0:
        _log.debug("%s, for %s", plan, problem)
    return plan
