"""Ways to a faster one-hot step that were tried: python -m benchmarks.tried."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from benchmarks.bare import Bare
from benchmarks.cases import CASES, Case
from benchmarks.clock import now
from benchmarks.measure import calibrate
from polysemantic.engine.compiled import CompiledSteps
from polysemantic.engine.eager import EagerSteps, given
from polysemantic.engine.threaded import SpreadSteps

ROUNDS = 9
# Between two returns to the trainer.
_CHUNK_SECONDS = 0.25
ONE_HOT = [case for case in CASES if case.batch is None and not case.noise_std]


def ratio(one: Callable[[], object], other: Callable[[], object]) -> float:
    """Median over rounds of the time of one over that of another, taken in turns."""
    one(), other()
    rounds = []
    for _ in range(ROUNDS):
        seconds = []
        for call in (one, other):
            began = now()
            call()
            seconds.append(now() - began)
        rounds.append(seconds[0] / seconds[1])
    return statistics.median(rounds)


def gram_by_blocks(W: Tensor, out: Tensor, n_blocks: int) -> Tensor:
    """W W^T with the blocks below the diagonal copied from those above."""
    size = W.shape[1] // n_blocks
    for at in range(0, W.shape[1], size):
        rows = slice(at, at + size)
        out[:, rows, at:] = W[:, rows] @ W[:, at:].mT
        out[:, at + size :, rows] = out[:, rows, at + size :].mT
    return out


def gram_by_parts(W: Tensor, out: Tensor) -> Tensor:
    """W W^T from products of bfloat16 parts, as processors with matrix units compute them.

    With W = high + low, high high^T needs float32 sums, and of high low^T and its transpose, which are 2^-8 times as
    large, one product in bfloat16 is enough. An instance at a time, so that its parts stay in the cache.
    """
    for w, gram in zip(torch.split(W, 1), torch.split(out, 1), strict=True):
        high = w.bfloat16()
        low = (w - high).bfloat16()
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"  # type: ignore[attr-defined]
        torch.bmm(w, w.mT, out=gram)
        torch.backends.mkldnn.matmul.fp32_precision = "none"  # type: ignore[attr-defined]
        cross = torch.bmm(high, low.mT).float()
        gram.add_(cross).add_(cross.mT)
    return out


def tried(case: Case) -> Iterator[tuple[str, float]]:
    """What each way gains, in times as fast, with the share of the step that it concerns."""
    W = case.start()
    out = torch.empty(case.instances, case.features, case.features)

    def whole() -> Tensor:
        return torch.bmm(W, W.mT, out=out)

    yield "W W^T by 2 x 2 blocks", ratio(whole, lambda: gram_by_blocks(W, out, 2))
    yield "W W^T by 4 x 4 blocks", ratio(whole, lambda: gram_by_blocks(W, out, 4))
    yield "W W^T by bfloat16 parts", ratio(whole, lambda: gram_by_parts(W, out))
    bare = Bare(case, W)
    yield "share of W W^T in a step", ratio(whole, lambda: bare.run(1))
    chunk = max(1, round(_CHUNK_SECONDS / calibrate(bare)))
    chunks = [make(b.networks, b.optimizer) for make in (EagerSteps, SpreadSteps) for b in (Bare(case, W),)]
    yield "spread over threads, half of W W^T", ratio(*(lambda s=s: s(chunk, given(None, None)) for s in chunks))
    spread = [SpreadSteps(b.networks, b.optimizer, compiled=c) for c in (False, True) for b in (Bare(case, W),)]
    yield (
        "both products compiled for the processor's units, against spread steps with numpy's and torch's",
        ratio(*(lambda s=s: s(chunk, given(None, None)) for s in spread)),
    )
    steps = [make(b.networks, b.optimizer) for make in (EagerSteps, CompiledSteps) for b in (Bare(case, W),)]
    yield "step compiled, L1 and AdamW in one pass", ratio(*(lambda s=s: s(1, given(None, None)) for s in steps))


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    measured = [dict(tried(case)) for case in ONE_HOT]
    print("| way |" + "".join(f" {case.name} |" for case in ONE_HOT))
    print("| --- |" + " ---: |" * len(ONE_HOT))
    for way in measured[0]:
        print(f"| {way} |" + "".join(f" {row[way]:.2f} |" for row in measured))
