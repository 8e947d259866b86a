from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


class CollisionKey(NamedTuple):
    """Where each collision is: features i < j meet on a neuron of an instance."""

    instance: Int64[Tensor, " collision"]
    neuron: Int64[Tensor, " collision"]
    feature_i: Int64[Tensor, " collision"]
    feature_j: Int64[Tensor, " collision"]


class Lives(NamedTuple):
    """Collisions alive at one observation, all that the next one needs to know."""

    on: Bool[Tensor, "instance feature hidden"]
    codes: Int64[Tensor, " collision"]  # sorted
    settled: Bool[Tensor, " collision"]


class LifeEvents(NamedTuple):
    """What changed between two observations; the codes are sorted."""

    born: Int64[Tensor, " birth"]
    settled: Int64[Tensor, " settlement"]
    resolved: Int64[Tensor, " death"]
    i_left: Bool[Tensor, " death"]  # feature i is off; at least one of i and j is
    j_left: Bool[Tensor, " death"]


def hysteresis(
    on: Bool[Tensor, "*instance feature hidden"],
    w: Float[Tensor, "*instance feature hidden"],
    *,
    born: float = 0.5,
    ended: float = 0.3,
) -> Bool[Tensor, "*instance feature hidden"]:
    r"""Weights that are on, from :math:`|w| \ge` `born` until :math:`|w| <` `ended`.

    With `ended` = `born` it is a plain threshold, which counts every jitter of the optimiser around it as a new life.
    With `ended` = 0 nothing ever goes off.

    Args:
        on: Weights that were on when last seen.
        w: Effective weights now.
        born: Magnitude from which a weight is on.
        ended: Magnitude below which it is off again.

    Returns:
        A mask like `on`.

    Raises:
        ValueError: If `ended` does not lie in [0, born].

    Example:
        >>> from polysemantic.functional import hysteresis
        >>> hysteresis(torch.tensor([[True, False, True]]), torch.tensor([[0.4, 0.4, -0.2]]))
        tensor([[ True, False, False]])
    """
    if not 0 <= ended <= born:
        raise ValueError(f"`ended` must lie in [0, {born}], got {ended}.")
    magnitude = w.abs()
    return (magnitude >= born) | (on & (magnitude >= ended))


def live_collisions(on: Bool[Tensor, "instance feature hidden"]) -> Int64[Tensor, " collision"]:
    r"""Codes of all pairs of features i < j that are on at one neuron.

    The code is :math:`((\mathrm{instance} \cdot m + \mathrm{neuron}) \cdot n + i) \cdot n + j`; `decode` reads it.
    Work and memory grow with the collisions found and one pass over the mask, not with all possible pairs.

    Args:
        on: Weights that are on.

    Returns:
        Sorted, unique codes; empty if every neuron is monosemantic.

    Example:
        >>> from polysemantic.functional import live_collisions
        >>> live_collisions(torch.tensor([[[True, False], [True, True], [True, False]]]))
        tensor([1, 2, 5])
    """
    n_features = on.shape[1]
    crowded = on.sum(1) >= 2
    slot = crowded.flatten().nonzero().squeeze(-1)
    group, feature = on.mT[crowded].nonzero(as_tuple=True)
    # Each entry pairs with those after it in its group; entries come in order of group, then feature.
    position = torch.arange(len(group), device=on.device)
    last = torch.searchsorted(group, group, right=True)
    partners = last - position - 1
    first = position.repeat_interleave(partners)
    rank_in_first = torch.arange(len(first), device=on.device) - (partners.cumsum(0) - partners)[first]
    second = first + 1 + rank_in_first
    return (slot[group[first]] * n_features + feature[first]) * n_features + feature[second]


def decode(codes: Int64[Tensor, " collision"], n_features: int, n_hidden: int) -> CollisionKey:
    """Instance, neuron and features of collision codes, the inverse of `live_collisions`.

    Args:
        codes: Codes from `live_collisions`.
        n_features: Number of features of the mask they came from.
        n_hidden: Number of its neurons.

    Returns:
        Four vectors of indices.

    Example:
        >>> from polysemantic.functional import decode
        >>> [index.item() for index in decode(torch.tensor([5]), n_features=3, n_hidden=2)]
        [0, 0, 1, 2]
    """
    slot, pair = codes // n_features**2, codes % n_features**2
    return CollisionKey(slot // n_hidden, slot % n_hidden, pair // n_features, pair % n_features)


def no_lives(w: Float[Tensor, "instance feature hidden"]) -> Lives:
    """The state before the first observation: nothing is on, no collision lives.

    Args:
        w: Effective weights, for their shape and device.

    Returns:
        A state to `advance` from.

    Example:
        >>> from polysemantic.functional import no_lives
        >>> no_lives(torch.ones(1, 2, 3)).codes
        tensor([], dtype=torch.int64)
    """
    nothing = torch.zeros(0, device=w.device)
    return Lives(torch.zeros_like(w, dtype=torch.bool), nothing.long(), nothing.bool())


def _both_at_least(
    w: Float[Tensor, "instance feature hidden"], codes: Int64[Tensor, " collision"], threshold: float
) -> Bool[Tensor, " collision"]:
    key = decode(codes, *w.shape[1:])
    i, j = w[key.instance, key.feature_i, key.neuron], w[key.instance, key.feature_j, key.neuron]
    return (i.abs() >= threshold) & (j.abs() >= threshold)


def advance(
    lives: Lives,
    w: Float[Tensor, "instance feature hidden"],
    *,
    born: float = 0.5,
    ended: float = 0.3,
    settled: float = 0.7,
) -> tuple[Lives, LifeEvents]:
    r"""Next observation of the collisions' lives: who was born, who settled, who resolved, and which feature left.

    A life runs while both features are on (`hysteresis`) at the neuron, and settles once, at the first observation
    with both :math:`|w| \ge` `settled`, perhaps the one it is born at. A collision that re-forms is born anew,
    unsettled. Lives that begin and end between two observations are not seen: the caller stamps events with the step
    observed.

    Args:
        lives: State after the previous observation; `no_lives` before the first.
        w: Effective weights now.
        born: Magnitude from which a weight is on.
        ended: Magnitude below which it is off again.
        settled: Magnitude that both weights must reach for the collision to settle.

    Returns:
        The state to keep, and the events since the previous one.

    Raises:
        ValueError: If `ended` does not lie in [0, born], or `w` has not the shape of the state's mask.

    Example:
        >>> from polysemantic.functional import advance, no_lives
        >>> lives, events = advance(no_lives(torch.ones(1, 2, 1)), torch.tensor([[[0.9], [0.6]]]))
        >>> events.born.tolist(), events.settled.tolist()
        ([1], [])
        >>> lives, events = advance(lives, torch.tensor([[[0.9], [0.1]]]))
        >>> events.resolved.tolist(), events.i_left.tolist(), events.j_left.tolist()
        ([1], [False], [True])
    """
    if w.shape != lives.on.shape:
        raise ValueError(f"`w` must have the shape of the state, {tuple(lives.on.shape)}, got {tuple(w.shape)}.")
    on = hysteresis(lives.on, w, born=born, ended=ended)
    codes = live_collisions(on)
    resolved = lives.codes[~torch.isin(lives.codes, codes, assume_unique=True)]
    gone = decode(resolved, *w.shape[1:])
    already_settled = torch.isin(codes, lives.codes[lives.settled], assume_unique=True)
    now_settled = _both_at_least(w, codes, settled) & ~already_settled
    events = LifeEvents(
        born=codes[~torch.isin(codes, lives.codes, assume_unique=True)],
        settled=codes[now_settled],
        resolved=resolved,
        i_left=~on[gone.instance, gone.feature_i, gone.neuron],
        j_left=~on[gone.instance, gone.feature_j, gone.neuron],
    )
    return Lives(on, codes, already_settled | now_settled), events
