from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from polysemantic.functional.lives.collision_codes import codes_of_pairs, count_pairs
from polysemantic.functional.lives.large_weights import LargeWeights, collision_places, collision_weights, large_weights


class Lives(NamedTuple):
    """Collisions alive at one observation, all that the next one needs to know."""

    shape: tuple[int, int, int]  # instances, features, neurons
    on: Int64[Tensor, " weight"]  # places of the weights that are on, as in `LargeWeights`
    codes: Int64[Tensor, " collision"]  # sorted
    settled: Bool[Tensor, " collision"]
    seen: Bool[Tensor, " instance"]  # whether the observation took the instance in


class LifeEvents(NamedTuple):
    """What changed between two observations; the codes are sorted."""

    born: Int64[Tensor, " birth"]
    settled: Int64[Tensor, " settlement"]
    resolved: Int64[Tensor, " death"]
    i_left: Bool[Tensor, " death"]  # feature i is off; at least one of i and j is
    j_left: Bool[Tensor, " death"]


def no_lives(w: Float[Tensor, "instance feature hidden"]) -> Lives:
    """The state before the first observation: nothing is on, no collision lives.

    Args:
        w: Effective weights, for their shape and device.

    Returns:
        A state to `follow_lives` from.

    Example:
        >>> from polysemantic.functional import no_lives
        >>> no_lives(torch.ones(1, 2, 3)).codes
        tensor([], dtype=torch.int64)
    """
    n_instances, n_features, n_hidden = w.shape
    nothing = torch.zeros(0, device=w.device)
    seen = torch.ones(n_instances, dtype=torch.bool, device=w.device)
    return Lives((n_instances, n_features, n_hidden), nothing.long(), nothing.long(), nothing.bool(), seen)


def _switch(on: Int64[Tensor, " was_on"], large: LargeWeights, born: float, ended: float) -> Int64[Tensor, " is_on"]:
    magnitude = large.value.abs()
    stays = (magnitude >= ended) & _is_in(large.place, on)
    return large.place[(magnitude >= born) | stays]


def _is_in(item: Int64[Tensor, " item"], rising: Int64[Tensor, " other"]) -> Bool[Tensor, " item"]:
    # torch.isin sorts both again.
    if len(rising) == 0:
        return torch.zeros_like(item, dtype=torch.bool)
    return rising[torch.searchsorted(rising, item).clamp(max=len(rising) - 1)] == item


def _of(seen: Bool[Tensor, " instance"], number: Int64[Tensor, " item"], per_instance: int) -> Bool[Tensor, " item"]:
    """Whether the instance was seen to which a place or code belongs."""
    return seen[number // per_instance]


def follow_lives(
    lives: Lives,
    w: Float[Tensor, "instance feature hidden"] | LargeWeights,
    *,
    born: float = 0.5,
    ended: float = 0.3,
    settled: float = 0.7,
    room: Int64[Tensor, " instance"] | None = None,
) -> tuple[Lives, LifeEvents]:
    r"""Next observation of the collisions' lives: who was born, who settled, who resolved, and which feature left.

    A life runs while both features are on (`hysteresis`) at the neuron, and settles once, at the first observation
    with both :math:`|w| \ge` `settled`, perhaps the one it is born at. A collision that re-forms is born again,
    unsettled. Lives that begin and end between two observations are not seen: the caller stamps events with the step
    observed.

    An instance with weights that are not finite, or with more collisions than there is `room` for, is passed over: its
    lives stay as they were, and what happens to them meanwhile is seen at the next observation that takes it in.

    Args:
        lives: State after the previous observation; `no_lives` before the first.
        w: Effective weights now, or those of at least `ended` (`large_weights`).
        born: Magnitude from which a weight is on.
        ended: Magnitude below which it is off again.
        settled: Magnitude that both weights must reach for the collision to settle.
        room: Collisions that each instance may have; None for any number.

    Returns:
        The state to keep, and the events since the previous one.

    Raises:
        ValueError: If `ended` does not lie in [0, born], or `w` has not the shape of the state.

    Example:
        >>> from polysemantic.functional import follow_lives, no_lives
        >>> lives, events = follow_lives(no_lives(torch.ones(1, 2, 1)), torch.tensor([[[0.9], [0.6]]]))
        >>> events.born.tolist(), events.settled.tolist()
        ([1], [])
        >>> lives, events = follow_lives(lives, torch.tensor([[[0.9], [0.1]]]))
        >>> events.resolved.tolist(), events.i_left.tolist(), events.j_left.tolist()
        ([1], [False], [True])
    """
    if not 0 <= ended <= born:
        raise ValueError(f"`ended` must lie in [0, {born}], got {ended}.")
    if tuple(w.shape) != lives.shape:
        raise ValueError(f"`w` must have the shape of the state, {lives.shape}, got {tuple(w.shape)}.")
    large = w if isinstance(w, LargeWeights) else large_weights(w, threshold=ended)
    on, seen = _take_in(lives, _switch(lives.on, large, born, ended), large.finite, room)
    n_features = lives.shape[1]
    codes = codes_of_pairs(on, n_features)
    resolved = lives.codes[~_is_in(lives.codes, codes)]
    already_settled = _is_in(codes, lives.codes[lives.settled])
    i, j = collision_weights(large, codes)
    strong = (i.abs() >= settled) & (j.abs() >= settled)
    now_settled = strong & ~already_settled & _of(seen, codes, n_features**2 * lives.shape[2])
    gone_i, gone_j = collision_places(resolved, n_features)
    events = LifeEvents(
        born=codes[~_is_in(codes, lives.codes)],
        settled=codes[now_settled],
        resolved=resolved,
        i_left=~_is_in(gone_i, on),
        j_left=~_is_in(gone_j, on),
    )
    return Lives(lives.shape, on, codes, already_settled | now_settled, seen), events


def _take_in(
    lives: Lives,
    on: Int64[Tensor, " switched_on"],
    finite: Bool[Tensor, " instance"],
    room: Int64[Tensor, " instance"] | None,
) -> tuple[Int64[Tensor, " is_on"], Bool[Tensor, " instance"]]:
    """The weights that are on, as they were where an instance is passed over, and the instances that are not."""
    seen = finite if room is None else finite & (count_pairs(on, lives.shape) <= room)
    per_instance = lives.shape[1] * lives.shape[2]
    kept = lives.on[~_of(seen, lives.on, per_instance)]
    return torch.cat([kept, on[_of(seen, on, per_instance)]]).sort().values, seen
