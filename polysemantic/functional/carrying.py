from jaxtyping import Bool, Float, Int
from torch import Tensor


def carried(
    w: Float[Tensor, "*instance feature hidden"], threshold: float = 0.5
) -> Bool[Tensor, "*instance feature hidden"]:
    r"""Which neuron carries which feature, :math:`|w_{ik}| \ge \theta`.

    Args:
        w: Effective weights, one row per feature.
        threshold: Smallest magnitude that counts.

    Returns:
        True where neuron k carries feature i: nowhere in a dead network or a code spread over many neurons.

    Raises:
        ValueError: If `threshold` is not positive.

    Example:
        >>> carried(torch.tensor([[1.0, 0.1], [-0.5, 0.0]]))
        tensor([[ True, False],
                [ True, False]])
    """
    if not threshold > 0:
        raise ValueError(f"`threshold` must be positive, got {threshold}.")
    return w.abs() >= threshold


def coverage(w: Float[Tensor, "*instance feature hidden"], threshold: float = 0.5) -> Float[Tensor, "*instance"]:
    r"""Share of features that some neuron carries, :math:`\frac{1}{n} \sum_i [\max_k |w_{ik}| \ge \theta]`.

    0 for a dead network, and for codes spread over many neurons (see `represented`); 1 when every feature has a neuron.

    Args:
        w: Effective weights, one row per feature.
        threshold: Smallest magnitude that counts as carried.

    Returns:
        One share per instance, in float64.

    Example:
        >>> coverage(torch.tensor([[1.0, 0.1], [0.3, 0.3]])).item()
        0.5
    """
    return carried(w, threshold).any(-1).double().mean(-1)


def represented_features(
    W_enc: Float[Tensor, "*instance feature hidden"],
    W_dec: Float[Tensor, "*instance feature hidden"] | None = None,
    threshold: float = 0.5,
) -> Bool[Tensor, "*instance feature"]:
    r"""Which features the network gives back, :math:`e_i \cdot d_i \ge \theta`, on however many neurons.

    Args:
        W_enc: Encoder, one row per feature.
        W_dec: Decoder; `None` if tied.
        threshold: Smallest gain from a feature to its own output that counts.

    Returns:
        True for features whose own gain reaches the threshold: all once trained well, none in a dead network.

    Raises:
        ValueError: If `threshold` is not positive.

    Example:
        >>> represented_features(torch.tensor([[0.6, 0.6], [0.6, 0.0]]))
        tensor([ True, False])
    """
    if not threshold > 0:
        raise ValueError(f"`threshold` must be positive, got {threshold}.")
    return (W_enc * (W_enc if W_dec is None else W_dec)).sum(-1) >= threshold


def represented(
    W_enc: Float[Tensor, "*instance feature hidden"],
    W_dec: Float[Tensor, "*instance feature hidden"] | None = None,
    threshold: float = 0.5,
) -> Float[Tensor, "*instance"]:
    r"""Share of features that the network gives back, :math:`\frac{1}{n} \sum_i [e_i \cdot d_i \ge \theta]`.

    0 for a dead network, 1 when every feature is reconstructed; unlike `coverage` it does not depend on the basis.

    Args:
        W_enc: Encoder, one row per feature.
        W_dec: Decoder; `None` if tied.
        threshold: Smallest gain from a feature to its own output that counts.

    Returns:
        One share per instance, in float64.

    Example:
        >>> represented(torch.tensor([[0.6, 0.6], [0.6, 0.0]])).item()
        0.5
    """
    return represented_features(W_enc, W_dec, threshold).double().mean(-1)


def carriers(w: Float[Tensor, "*instance feature hidden"], threshold: float = 0.5) -> Float[Tensor, "*instance"]:
    r"""Carrying neurons per covered feature, :math:`\sum_{ik} c_{ik} / \sum_i \max_k c_{ik}`, c from `carried`.

    1 when every covered feature has one neuron; above 1.1 it flags transients or blocks of neurons that share features,
    where counts of polysemantic neurons mislead.

    Args:
        w: Effective weights, one row per feature.
        threshold: Smallest magnitude that counts as carried.

    Returns:
        One mean per instance, in float64; nan where no feature is covered.

    Example:
        >>> carriers(torch.tensor([[0.7, 0.7], [1.0, 0.0], [0.1, 0.1]])).item()
        1.5
    """
    carries = carried(w, threshold)
    return carries.sum((-2, -1)).double() / carries.any(-1).sum(-1)


def polysemantic_neurons(
    w: Float[Tensor, "*instance feature hidden"], threshold: float = 0.5
) -> Int[Tensor, "*instance"]:
    r"""Number of neurons that carry two features or more, :math:`\#\{k : \sum_i c_{ik} \ge 2\}`, c from `carried`.

    0 when every neuron is monosemantic, dead or part of a spread-out code (show `coverage` beside it); n_hidden when
    every neuron is shared.

    Args:
        w: Effective weights, one row per feature.
        threshold: Smallest magnitude that counts as carried.

    Returns:
        One count per instance.

    Example:
        >>> polysemantic_neurons(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])).item()
        1
    """
    return _shared(carried(w, threshold))


def polysemantic_neurons_band(
    w: Float[Tensor, "*instance feature hidden"], low: float = 0.8, high: float = 1.2
) -> Int[Tensor, "*instance"]:
    r"""The paper's count, :math:`\#\{k : \sum_i [l \le |w_{ik}| \le h] \ge 2\}`.

    For comparison with the paper only: it reads 0 on spread-out codes and misses weights that L1 shrank below the band.
    Source: arXiv:2312.03096, collisions figure.

    Args:
        w: Effective weights, one row per feature.
        low: Lower end of the band.
        high: Upper end of the band.

    Returns:
        One count per instance, from 0 to n_hidden.

    Raises:
        ValueError: If the band is empty or reaches down to 0.

    Example:
        >>> polysemantic_neurons_band(torch.tensor([[1.0, 1.0], [-0.9, 0.7]])).item()
        1
    """
    if not 0 < low <= high:
        raise ValueError(f"`low` must lie in (0, high = {high}], got {low}.")
    magnitude = w.abs()
    return _shared((magnitude >= low) & (magnitude <= high))


def _shared(carries: Bool[Tensor, "*instance feature hidden"]) -> Int[Tensor, "*instance"]:
    return (carries.sum(-2) >= 2).sum(-1)
