"""How often something happens in a run: intervals between measurements, and lengths of chunks of steps."""

from __future__ import annotations

import math

from torch.optim import SGD, Optimizer

from polysemantic.data import InputDataModule

# Long intervals are multiples of this number of steps, so that what happens at several of them happens together.
_ROUND = 25


def steps_to_move(distance: float, optimizer: Optimizer, data: InputDataModule) -> int | None:
    """Steps in which an optimiser could move a weight by so much, None if it moves none.

    Adaptive optimisers move a weight by the learning rate in a step; SGD by the learning rate times a gradient, which
    is as small as its feature is rare.

    Args:
        distance: How far.
        optimizer: The optimiser.
        data: The inputs.
    """
    group = optimizer.param_groups[0]
    # A schedule may start low; the rate it starts from is the one that was asked for.
    pace = float(group.get("initial_lr", group.get("lr", 0)))
    if isinstance(optimizer, SGD):
        pace *= float(data.of(slice(None)).marginals().mean())
    return max(1, round(distance / pace)) if pace > 0 else None


def default_interval(max_steps: int, n_features: int = 1, batch_size: int = 1) -> int:
    """Steps between two measurements: a thirty-second of the run, but 150 steps if that leaves eight measurements.

    Measuring costs as much as several steps, and short runs would do little else. Where features are many and batches
    small it costs as much as many steps: five times their quotient, or a twentieth of the steps between two.
    """
    affordable = min(100 * n_features // batch_size, max_steps // 8)
    return rounded_interval(max(1, affordable, max_steps // min(32, max(8, max_steps // 150))))


def rounded_interval(interval: int, times: int = 1) -> int:
    """An interval, if long as the next multiple of `times` round numbers of steps."""
    multiple = times * _ROUND
    return interval if interval < 10 * multiple else -(-interval // multiple) * multiple


def chunk_length(seconds: float, seconds_per_step: float) -> int:
    """Steps of the next chunk, between two returns to the trainer, by the clock.

    Args:
        seconds: How long a chunk should take.
        seconds_per_step: What a step took in the chunk before; nan if there was none.
    """
    return 1 if math.isnan(seconds_per_step) else max(1, int(seconds / seconds_per_step))


def rounded_chunk(steps: int) -> int:
    """The next round number of steps.

    The clock decides how long chunks are, and must not decide where they end, as engines may take many steps at a time.
    So from one awaited step to the next, chunks of small steps have round numbers of steps.
    """
    return -(-steps // _ROUND) * _ROUND
