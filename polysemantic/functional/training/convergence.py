import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def all_finite(*parameters: Float[Tensor, "instance ..."] | None) -> Bool[Tensor, " instance"]:
    """Which instances consist of finite numbers alone: not those that diverged.

    Args:
        *parameters: Their weights, or anything else that has an entry for each instance; None is left out.

    Returns:
        One flag per instance.

    Example:
        >>> from polysemantic.functional import all_finite
        >>> all_finite(torch.tensor([[0.0, 1.0], [0.0, torch.inf]]), None, torch.tensor([1.0, 1.0]))
        tensor([ True, False])
    """
    # A sum is finite only if all its terms are: one pass over memory, without a mask.
    sums = [w.reshape(len(w), -1).sum(1) for w in parameters if w is not None]
    return torch.stack(sums).isfinite().all(0)


def relative_change(
    previous: Float[Tensor, "*instance"], current: Float[Tensor, "*instance"]
) -> Float[Tensor, "*instance"]:
    r"""Relative change of a measurement, :math:`|b - a| / |a|`.

    0: unchanged, 0 to 0 included. Infinite: away from 0.

    Args:
        previous: Value a before.
        current: Value b now.

    Returns:
        One change per instance; nan where either value is.

    Example:
        >>> from polysemantic.functional import relative_change
        >>> relative_change(torch.tensor([4.0, 0.0, 0.0]), torch.tensor([5.0, 0.0, 1.0]))
        tensor([0.2500, 0.0000,    inf])
    """
    change = (current - previous).abs()
    return torch.where(change == 0, 0, change / previous.abs())


def max_move(
    previous: Float[Tensor, "*instance feature hidden"], current: Float[Tensor, "*instance feature hidden"]
) -> Float[Tensor, "*instance"]:
    r"""Largest move of any weight, :math:`\max_{ik} |W_{ik}(t) - W_{ik}(t - K)|`.

    Args:
        previous: Weights before.
        current: Weights now.

    Returns:
        One distance per instance, 0 if nothing moved.

    Example:
        >>> from polysemantic.functional import max_move
        >>> max_move(torch.zeros(1, 2, 2), torch.tensor([[[0.1, 0.0], [0.0, -0.5]]]))
        tensor([0.5000])
    """
    return (current - previous).abs().amax((-2, -1))


def is_still(
    change: Float[Tensor, "*instance"],
    previous_on: Bool[Tensor, "*instance feature hidden"],
    on: Bool[Tensor, "*instance feature hidden"],
    move: Float[Tensor, "*instance"],
    *,
    max_change: float = 1e-3,
    tolerance: float = 0.02,
) -> Bool[Tensor, "*instance"]:
    """Whether nothing worth noting happened since the previous check, by three criteria that must all hold.

    Each alone stops early: the fourth norm and the carried set rest on plateaus before features move, and single
    weights barely move while thousands of others still shrink.

    Args:
        change: Relative change of the window mean of the fourth norm.
        previous_on: Weights carried at the previous check, with hysteresis.
        on: Weights carried now.
        move: Largest move of any weight since; untied: of encoder and decoder.
        max_change: Bound on `change`, itself not still.
        tolerance: Bound on `move`, itself not still.

    Returns:
        One flag per instance; false where a measurement is nan.

    Example:
        >>> from polysemantic.functional import is_still
        >>> on = torch.tensor([[[True]], [[True]]])
        >>> is_still(torch.tensor([0.0, 0.1]), on, on, torch.tensor([0.0, 0.0]))
        tensor([ True, False])
    """
    unchanged = (on == previous_on).all(-1).all(-1)
    return (change < max_change) & unchanged & (move < tolerance)


def has_converged(
    n_still: Int[Tensor, "*instance"],
    privilege: Float[Tensor, "*instance"],
    privileging: Bool[Tensor, "*instance"],
    *,
    step: int,
    min_steps: int = 0,
    n_checks: int = 2,
    min_privilege: float = 0.5,
) -> Bool[Tensor, "*instance"]:
    """Whether training is over, per instance: still for long enough, late enough, and on a basis if it seeks one.

    Under L1 or noise a network that is still but has no privileged basis rests on a plateau it will leave.

    Args:
        n_still: Checks in a row, up to now, that found the instance still (`is_still`).
        privilege: 0: no special basis, 1: fully aligned; nan, undefined, holds nobody back.
        privileging: Whether the instance trains under L1 or noise.
        step: Optimiser step of this check.
        min_steps: First step at which to stop.
        n_checks: Still checks in a row that are needed.
        min_privilege: Privilege that a privileging instance must reach.

    Returns:
        One flag per instance.

    Example:
        >>> from polysemantic.functional import has_converged
        >>> n_still, privilege = torch.tensor([2, 2, 1]), torch.tensor([0.9, 0.1, 0.9])
        >>> has_converged(n_still, privilege, torch.tensor([True, True, True]), step=5000)
        tensor([ True, False, False])
    """
    on_plateau = privileging & (privilege < min_privilege)
    return (n_still >= n_checks) & ~on_plateau & torch.full_like(privileging, step >= min_steps)
