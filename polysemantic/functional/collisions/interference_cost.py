import torch
from jaxtyping import Bool, Float
from torch import Tensor

from polysemantic.functional.carrying.carried import carried


def _sum_where_one_is_on(
    on: Float[Tensor, "*instance batch feature"], squared: Float[Tensor, "*instance batch feature"]
) -> Float[Tensor, "*instance feature feature"]:
    off = 1 - on
    i_on_j_off = (on * squared).mT @ off
    of_off = off * squared
    if bool(of_off.any()):  # inputs that are off are 0, as a rule
        i_on_j_off += on.mT @ of_off
    return i_on_j_off + i_on_j_off.mT


def interference_sums(
    x: Float[Tensor, "*instance batch feature"], x_hat: Float[Tensor, "*instance batch feature"]
) -> tuple[Float[Tensor, "*instance feature feature"], Float[Tensor, "*instance feature feature"]]:
    r"""Squared error and squared input of every pair of features, over inputs with exactly one of the two on.

    :math:`N_{ij} = \sum_x (e_i^2 + e_j^2)` and :math:`D_{ij} = \sum_x (x_i^2 + x_j^2)`, with
    :math:`e = \hat{x} - x`, over the inputs in which exactly one of :math:`x_i, x_j` is above 0.

    Both add up over batches, so that a stream of inputs needs no more than two matrices.
    A denominator of 0 says that the batch never had exactly one of the two on.

    Args:
        x: Inputs.
        x_hat: Their reconstructions.

    Returns:
        Numerator and denominator, symmetric, in double precision, with a zero diagonal.

    Raises:
        ValueError: If the shapes of `x` and `x_hat` differ.

    Example:
        >>> from polysemantic.functional import interference_sums
        >>> x = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
        >>> numerator, denominator = interference_sums(x, torch.tensor([[1.0, 0.5], [9.0, 9.0]]))
        >>> numerator[0, 1].item(), denominator[0, 1].item()
        (0.25, 1.0)
    """
    if x.shape != x_hat.shape:
        raise ValueError(f"`x_hat` must have the shape of `x`, {tuple(x.shape)}, got {tuple(x_hat.shape)}.")
    on = (x > 0).double()
    error = x_hat.double() - x.double()
    return _sum_where_one_is_on(on, error.square()), _sum_where_one_is_on(on, x.double().square())


def interference_cost(
    numerator: Float[Tensor, "*instance feature feature"], denominator: Float[Tensor, "*instance feature feature"]
) -> Float[Tensor, "*instance feature feature"]:
    r"""Interference cost of every pair of features, :math:`N_{ij} / D_{ij}`.

    0: the network tells the two apart without loss whenever exactly one is on. 1: as bad as an output of zero.
    Same-sign features that nothing separates approach 1/2 at best.

    Args:
        numerator: Summed squared errors from `interference_sums`.
        denominator: Summed squared inputs from `interference_sums`.

    Returns:
        A symmetric matrix; nan for pairs never seen with exactly one on, the diagonal among them.

    Example:
        >>> from polysemantic.functional import interference_cost
        >>> interference_cost(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([[0.0, 4.0], [4.0, 0.0]]))
        tensor([[   nan, 0.2500],
                [0.2500,    nan]])
    """
    return numerator / denominator  # 0 / 0 is the nan we want


def shares_neuron(
    w: Float[Tensor, "*instance feature hidden"], threshold: float = 0.5
) -> Bool[Tensor, "*instance feature feature"]:
    r"""Pairs of features that some neuron carries together, :math:`\exists k: |w_{ik}|, |w_{jk}| \ge` `threshold`.

    All false off the diagonal: every neuron is monosemantic. All true: one neuron carries everything.

    Args:
        w: Effective weights.
        threshold: Magnitude from which a neuron carries a feature.

    Returns:
        A symmetric mask; on its diagonal, whether the feature is carried at all.

    Example:
        >>> from polysemantic.functional import shares_neuron
        >>> shares_neuron(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]))
        tensor([[ True,  True, False],
                [ True,  True, False],
                [False, False,  True]])
    """
    on = carried(w, threshold=threshold).to(w.dtype)
    return on @ on.mT > 0


def _nan_median(values: Float[Tensor, "*instance pair"]) -> Float[Tensor, "*instance"]:
    # torch.nanmedian takes the lower of two middle values, and torch.nanquantile stops at 16 million elements.
    count = values.isnan().logical_not().sum(-1, keepdim=True)
    ordered = values.sort(dim=-1).values  # nan last
    middle = torch.cat([(count - 1).clamp(min=0) // 2, count // 2], dim=-1)
    # With no value at all both indices are 0 and read a nan.
    return ordered.gather(-1, middle).mean(-1)


def excess_cost(
    cost: Float[Tensor, "*instance feature feature"], shared: Bool[Tensor, "*instance feature feature"]
) -> Float[Tensor, "*instance feature feature"]:
    """Interference cost minus the instance's median cost of pairs that share no neuron.

    The median is what reconstruction costs any two features in this network (shrinkage by L1, bias, noise).
    0: sharing a neuron costs nothing on top. Negative: the pair is cheaper than an ordinary one.

    Args:
        cost: Interference cost of every pair, nan where it was not observed.
        shared: Pairs that share a neuron, from `shares_neuron`.

    Returns:
        A symmetric matrix; nan where the cost is, and everywhere if no pair that shares no neuron was observed.

    Raises:
        ValueError: If the shapes of `cost` and `shared` differ.

    Example:
        >>> from polysemantic.functional import excess_cost
        >>> cost = torch.tensor([[0.0, 0.5, 0.1], [0.5, 0.0, 0.3], [0.1, 0.3, 0.0]])
        >>> shared = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
        >>> round(excess_cost(cost, shared)[0, 1].item(), 4)
        0.3
    """
    if cost.shape != shared.shape:
        raise ValueError(f"`shared` must have the shape of `cost`, {tuple(cost.shape)}, got {tuple(shared.shape)}.")
    apart = (~shared).triu(diagonal=1)
    ordinary = _nan_median(cost.masked_fill(~apart, torch.nan).flatten(-2))
    return cost - ordinary[..., None, None]
