"""Predictions of incidental polysemanticity, in numbers and NumPy arrays; it imports nothing of ours.

n features, m neurons; lambda and t are in the paper's units (`paper_lambda`, `paper_time`). Source: arXiv:2312.03096.
What each prediction assumes is said in `results/predictions.py`.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class SparsificationPath(NamedTuple):
    """One feature on its way to one neuron, at log-spaced times."""

    t: NDArray[np.float64]
    n_neurons: NDArray[np.int64]
    l1_norm: NDArray[np.float64]


def polysemantic_neurons_paper(n_features: int, n_hidden: int) -> float:
    r"""The paper's curve for the number of polysemantic neurons, :math:`n^2 / 4m`.

    It goes to 0 with neurons to spare and is n / 4 at n = m, somewhat above the exact expected number of opposite-sign
    pairs.

    Args:
        n_features: Number of features, n.
        n_hidden: Number of neurons, m.

    Returns:
        The predicted count; nan when n > 2m, where it would exceed the number of neurons.

    Raises:
        ValueError: If a size is not positive.

    Example:
        >>> polysemantic_neurons_paper(256, 1024)
        16.0
    """
    _check_positive(n_features=n_features, n_hidden=n_hidden)
    return n_features**2 / (4 * n_hidden) if n_features <= 2 * n_hidden else math.nan


def expected_opposite_sign_pairs(n_features: int, n_hidden: int) -> float:
    r"""Expected pairs of features that share their largest neuron with opposite signs, :math:`n (n - 1) / 4m`.

    Exact at a random initialisation, where each feature's largest weight falls on any neuron with either sign alike;
    0 for one feature, and going to 0 with neurons to spare.

    Args:
        n_features: Number of features, n.
        n_hidden: Number of neurons, m.

    Returns:
        The expected number of pairs.

    Raises:
        ValueError: If a size is not positive.

    Example:
        >>> expected_opposite_sign_pairs(256, 1024)
        15.9375
    """
    _check_positive(n_features=n_features, n_hidden=n_hidden)
    return n_features * (n_features - 1) / (4 * n_hidden)


def expected_polysemantic_neurons(n_features: int, n_hidden: int) -> float:
    r"""Expected neurons with two features when features take distinct signed slots, :math:`n (n - 1) / 2 (2m - 1)`.

    Each neuron offers a positive and a negative slot, and n of the 2m are taken at random. A reference curve: trained
    networks stay 0 to 25 % below it. 0 for one feature, m when n = 2m fills every slot.

    Args:
        n_features: Number of features, n.
        n_hidden: Number of neurons, m.

    Returns:
        The expected count; nan when n > 2m, where the slots run out.

    Raises:
        ValueError: If a size is not positive.

    Example:
        >>> expected_polysemantic_neurons(512, 256)
        256.0
    """
    _check_positive(n_features=n_features, n_hidden=n_hidden)
    if n_features > 2 * n_hidden:
        return math.nan
    return n_features * (n_features - 1) / (2 * (2 * n_hidden - 1))


def paper_lambda(l1: float) -> float:
    r"""The paper's L1 rate for our coefficient, :math:`\lambda = l_1 / 4`.

    Its flow is :math:`\dot w = (1 - |w|^2) w - \lambda\,\mathrm{sign}(w)`: the factor 4 of the squared error's gradient
    is divided out. 0 means no sparsification.

    Args:
        l1: Coefficient of the L1 term of our loss.

    Returns:
        The rate, per unit of `paper_time`.

    Example:
        >>> paper_lambda(0.001)
        0.00025
    """
    return l1 / 4


def paper_time(learning_rate: float, steps: int, n_features: int) -> float:
    r"""Time of the paper's flow after some steps, :math:`t = 4\,\mathrm{lr}\,\mathrm{steps} / n`.

    Holds for plain gradient descent on every one-hot input per step, and our loss, which averages over inputs. 0 at
    initialisation; features are learned by a few units, and sparsified by 1 / lambda.

    Args:
        learning_rate: Of plain SGD.
        steps: Optimiser steps taken.
        n_features: Number of features, n, which is the batch size.

    Returns:
        The time.

    Raises:
        ValueError: If `n_features` is not positive.

    Example:
        >>> paper_time(learning_rate=0.5, steps=1000, n_features=8)
        250.0
    """
    _check_positive(n_features=n_features)
    return 4 * learning_rate * steps / n_features


def l1_norm_law(t: float | NDArray[np.float64], n_hidden: int, l1_rate: float) -> NDArray[np.float64]:
    r"""Predicted L1 norm of a feature, :math:`\max(1, 1 / (1 / \sqrt m + \lambda t))`.

    From sqrt(m), spread over all neurons, down to 1, on one neuron.

    Args:
        t: Times in the paper's units.
        n_hidden: Number of neurons, m.
        l1_rate: lambda in the paper's units.

    Returns:
        The norm at each time.

    Raises:
        ValueError: If `n_hidden` is not positive or `l1_rate` is negative.

    Example:
        >>> l1_norm_law(np.array([0.0, 300.0, 1e9]), n_hidden=100, l1_rate=0.0005)
        array([10.,  4.,  1.])
    """
    _check_positive(n_hidden=n_hidden)
    if not l1_rate >= 0:
        raise ValueError(f"`l1_rate` must be at least 0, got {l1_rate}.")
    return np.asarray(np.maximum(1.0, 1 / (1 / math.sqrt(n_hidden) + l1_rate * np.asarray(t))))


def sparsity_law(t: float | NDArray[np.float64], n_hidden: int, l1_rate: float) -> NDArray[np.float64]:
    r"""Predicted number of neurons that hold a feature, :math:`\max(1, 1 / (1 / \sqrt m + \lambda t)^2)`.

    From m down to 1. The law gives the slope; counts run up to 3 times above it, because the weights of a feature are
    not all equal: report the ratio.

    Args:
        t: Times in the paper's units.
        n_hidden: Number of neurons, m.
        l1_rate: lambda in the paper's units.

    Returns:
        The number at each time.

    Raises:
        ValueError: If `n_hidden` is not positive or `l1_rate` is negative.

    Example:
        >>> sparsity_law(np.array([0.0, 300.0, 1e9]), n_hidden=100, l1_rate=0.0005)
        array([100.,  16.,   1.])
    """
    return np.asarray(l1_norm_law(t, n_hidden, l1_rate) ** 2)


def simulate_sparsification(
    n_hidden: int = 100_000,
    l1_rate: float = 1e-5,
    step: float = 0.5,
    steps: int = 60_000,
    init_scale: float = 0.9,
    seed: int = 0,
    tolerance: float = 0.01,
    points: int = 60,
) -> SparsificationPath:
    r"""The paper's simulation of one feature under L1.

    .. math:: \dot w = (1 - |w|^2) w - \lambda\,\mathrm{sign}(w)

    in Euler steps. Weights that would cross zero stop there. The largest weight gains on the others until one neuron is
    left; the slopes of the laws hold from t = 1e3 to 3e4 at the default size. Source: arXiv:2312.03096, sparsification.

    Args:
        n_hidden: Number of neurons, m.
        l1_rate: lambda in the paper's units.
        step: Time per Euler step.
        steps: Number of Euler steps.
        init_scale: Initial weights are drawn from N(0, init_scale^2 / m).
        seed: Seed of the initial weights.
        tolerance: A neuron holds the feature while its weight exceeds this share of the largest.
        points: Number of log-spaced times, before those that fall on one step are merged.

    Returns:
        Times, number of neurons that hold the feature, and its L1 norm (both 0 if `l1_rate` is so large that all
        weights die).

    Raises:
        ValueError: If `n_hidden`, `steps` or `points` is not positive.

    Example:
        >>> path = simulate_sparsification(n_hidden=100, l1_rate=1e-3, steps=20_000, seed=0)
        >>> path.n_neurons[0].item() > 90, path.n_neurons[-1].item()
        (True, 1)
    """
    _check_positive(n_hidden=n_hidden, steps=steps, points=points)
    # Signs never change, so magnitudes suffice; a weight at zero stays there, so it can be dropped.
    w = np.abs(np.random.default_rng(seed).normal(0.0, init_scale / math.sqrt(n_hidden), n_hidden))
    records = np.unique(np.rint(np.geomspace(1, steps, points)).astype(np.int64))
    observed: list[tuple[int, float]] = []
    for done, record in zip(np.concatenate([[0], records[:-1]]), records, strict=True):
        for _ in range(record - done):
            w = w + step * ((1 - w @ w) * w - l1_rate)
            w = w[w > 0]
        observed.append((int((w > tolerance * w.max(initial=0.0)).sum()), float(w.sum())))
    n_neurons, l1_norm = zip(*observed, strict=True)
    return SparsificationPath(records.astype(np.float64) * step, np.array(n_neurons), np.array(l1_norm))


def _check_positive(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"`{name}` must be positive, got {size}.")
