"""What a run's steps compute, in one frozen description: the choice of engine and kernel reads nothing else."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import torch

# Below this many multiplications of a product, the calls take longer than what they compute.
_SMALL_PRODUCT = 2**16
# From this many multiplications of one instance's W W^T on, the product is worth a thread of its own.
_LARGE_PRODUCT = 2**21


@dataclasses.dataclass(frozen=True)
class Processor:
    """What the processor has that a kernel of ours can use.

    Args:
        amx: Whether it has matrix units that multiply bfloat16 (Intel AMX).
        avx512: Whether it has registers of 512 bits.
        library_avx512: Whether torch's BLAS library multiplies in registers of 512 bits. It does so on Intel alone.
        tensor_cores: Whether it is a GPU whose tensor cores multiply bfloat16 more than ten times as fast as the rest
            multiplies float32 (A100, H100, B100 and their kin; measured on an H200).
    """

    amx: bool = False
    avx512: bool = False
    library_avx512: bool = True
    tensor_cores: bool = False


@dataclasses.dataclass(frozen=True)
class Update:
    """What the update of a step consists of.

    Args:
        plain: Whether SGD without dampening, Adam or AdamW trains all parameters in one group, without hooks.
        fused: Whether the update is torch's fused kernel and nothing else.
        scheduled: Whether a learning-rate schedule steps after it.
        clipped: Whether gradients are clipped before it.
    """

    plain: bool = True
    fused: bool = True
    scheduled: bool = False
    clipped: bool = False


@dataclasses.dataclass(frozen=True)
class Problem:
    """What the optimiser steps of a run compute, and where.

    Args:
        n_instances: Networks that this process holds.
        n_features: Input coordinates.
        n_hidden: Neurons.
        batch: Inputs of one step; None if they are every feature once, which are never multiplied with.
        dtype: Precision of the weights.
        device: Kind of device, such as `cpu` or `cuda`.
        tied: Whether the decoder is the encoder itself.
        act: Activation of the hidden units, `linear` or `relu`.
        standard: Whether the network is `Autoencoder` itself, whose gradient has a closed form.
        update: The update of a step.
        divided: Whether several processes divide the batch of each step.
        density: Largest expected share of features that are on.
        max_steps: Length of the run.
        threads: Threads of this process.
        processor: What the processor has.
        missing: Names of engines and kernels that could not be built here.
    """

    n_instances: int
    n_features: int
    n_hidden: int
    batch: int | None = None
    dtype: torch.dtype = torch.float32
    device: str = "cpu"
    tied: bool = True
    act: str = "linear"
    standard: bool = True
    update: Update = dataclasses.field(default_factory=Update)
    divided: bool = False
    density: float = 1.0
    max_steps: int = 1
    threads: int = 1
    processor: Processor = dataclasses.field(default_factory=Processor)
    missing: frozenset[str] = frozenset()

    @property
    def rows(self) -> int:
        """Inputs of one step."""
        return self.n_features if self.batch is None else self.batch

    @property
    def multiplications(self) -> int:
        """Multiplications of one instance's product of a batch and its encoder."""
        return self.rows * self.n_features * self.n_hidden

    @property
    def gram_multiplications(self) -> int:
        """Multiplications of one instance's product W W^T."""
        return self.n_features**2 * self.n_hidden

    @property
    def is_small(self) -> bool:
        """Whether a step is bound by the cost of calls."""
        return self.multiplications <= _SMALL_PRODUCT

    @property
    def is_large(self) -> bool:
        """Whether one instance's product W W^T is worth a thread of its own."""
        return self.gram_multiplications >= _LARGE_PRODUCT

    @property
    def ensemble_is_large(self) -> bool:
        """Whether one product of all instances together is worth two threads."""
        return self.n_instances * self.multiplications >= 2 * _LARGE_PRODUCT

    def without(self, name: str) -> Problem:
        """The same problem on a machine where one engine or kernel could not be built."""
        return dataclasses.replace(self, missing=self.missing | {name})


@functools.cache
def this_processor(device: torch.device) -> Processor:
    """What the processor of a device has."""
    if device.type == "cpu":
        amx = torch.cpu._is_amx_tile_supported() and torch.cpu._is_avx512_bf16_supported()
        # The system must permit the use of matrix units, and is asked here.
        amx = amx and torch.cpu._init_amx()
        avx512 = torch.cpu._is_avx512_supported()
        return Processor(amx, avx512, library_uses_avx512(torch.backends.cpu.get_cpu_capability(), _vendor()))
    nvidia = device.type == "cuda" and torch.version.cuda is not None
    quick = nvidia and torch.cuda.get_device_capability(device) in {(8, 0), (9, 0), (10, 0)}
    return Processor(tensor_cores=quick)


def library_uses_avx512(capability: str, vendor: str) -> bool:
    """Whether torch's BLAS library multiplies in registers of 512 bits.

    Args:
        capability: What torch itself uses, such as `AVX2` or `AVX512`.
        vendor: The processor's vendor; an unknown one is taken for Intel, for which the library is made.
    """
    return "AVX512" in capability and vendor in ("GenuineIntel", "")


def _vendor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id")), "other")
