from collections.abc import Callable, Iterable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

Matrices = tuple[Float[Tensor, "instance feature hidden"], Float[Tensor, "instance feature hidden"]]


def rotation_rank(n_features: int, n_hidden: int, *, tied: bool) -> int:
    """Directions of the hidden space that a network uses at most, :math:`min(n, m)`, untied :math:`min(2 n, m)`.

    Example:
        >>> from polysemantic.functional import rotation_rank
        >>> rotation_rank(256, 4096, tied=False)
        512
    """
    return min(n_features if tied else 2 * n_features, n_hidden)


def rotated_networks(
    W_enc: Float[Tensor, "instance feature hidden"],
    W_dec: Float[Tensor, "instance feature hidden"],
    normals: Iterable[Float[Tensor, "hidden rank"]],
) -> Iterator[Matrices]:
    r"""Networks whose hidden spaces are turned by random rotations, without any matrix of :math:`m \times m`.

    Rows W span at most r directions, :math:`W = T B` with orthonormal rows of B. A uniformly random Q turns B into a
    uniformly random frame S of r orthonormal rows, so :math:`T S` has the law of :math:`W Q`. S comes from the
    Cholesky factor of :math:`G^T G`, G standard normal, and so is the factor of its QR decomposition
    (arXiv:math-ph/0609050). The instances share the frames.

    Args:
        W_enc: Encoder.
        W_dec: Decoder; tied: `W_enc` itself.
        normals: Standard normals for each rotation, with the rank from `rotation_rank`.

    Yields:
        For each rotation encoder and decoder; one and the same tensor if they were before.

    Raises:
        ValueError: If `normals` is not of the networks' rank.

    Example:
        >>> from polysemantic.functional import rotated_networks
        >>> W = torch.randn(2, 3, 5)
        >>> rotated, _ = next(rotated_networks(W, W, torch.randn(1, 5, 3)))
        >>> torch.allclose(rotated @ rotated.mT, W @ W.mT, atol=1e-5)
        True
    """
    tied = W_dec is W_enc
    _, n_features, n_hidden = W_enc.shape
    expected = (n_hidden, rotation_rank(n_features, n_hidden, tied=tied))
    rows = (W_enc if tied else torch.cat([W_enc, W_dec], dim=1)).double()
    coordinates = torch.linalg.qr(rows.mT, mode="reduced").R.mT
    for G in normals:
        if G.shape != expected:
            raise ValueError(f"`normals` must have the shape {expected}, got {tuple(G.shape)}.")
        lower = torch.linalg.cholesky(G.double().mT @ G.double())
        whitened = torch.linalg.solve_triangular(lower, coordinates, upper=False, left=False)
        rotated = whitened.to(W_enc.dtype) @ G.mT.to(W_enc.dtype)
        yield (rotated, rotated) if tied else (rotated[:, :n_features], rotated[:, n_features:])


def rotation_gap_by_frames(
    losses: Iterable[Callable[[Tensor, Tensor], Float[Tensor, " instance"]]],
    W_enc: Float[Tensor, "instance feature hidden"],
    W_dec: Float[Tensor, "instance feature hidden"],
    normals: Iterable[Float[Tensor, "hidden rank"]],
) -> Float[Tensor, " instance"]:
    r"""Loss that random rotations of the hidden space add, :math:`\langle L(W^{enc} Q, W^{dec} Q) \rangle_Q - L`.

    0: the neuron basis is not special. Positive: training gains from the basis it is in. Negative: an average basis
    would be cheaper than the present one. The rotated networks are those of `rotated_networks`.

    Args:
        losses: For each rotation the loss per instance of an encoder and a decoder. It compares the network with its
            rotated copy, so both must see the same inputs and the same noise. Fresh noise for each rotation is best:
            the scatter of the network's own loss over noise is otherwise the larger part of the error.
        W_enc: Encoder.
        W_dec: Decoder; tied: `W_enc` itself.
        normals: Standard normals for each rotation, with the rank from `rotation_rank`.

    Returns:
        One gap per instance, in double precision.

    Raises:
        ValueError: If there is no loss, not one of `normals` for each, or `normals` is not of the networks' rank.

    Example:
        >>> from polysemantic.functional import rotation_gap_by_frames
        >>> def l1_of_one_hot_inputs(W_enc, W_dec):
        ...     return W_enc.abs().sum(-1).mean(-1)
        >>> W = torch.eye(4)[None]
        >>> (rotation_gap_by_frames([l1_of_one_hot_inputs] * 16, W, W, torch.randn(16, 4, 4)) > 0).item()
        True
    """
    gaps, measured = [], None
    for loss, rotated in zip(losses, rotated_networks(W_enc, W_dec, normals), strict=True):
        if loss is not measured:
            base, measured = loss(W_enc, W_dec).double(), loss
        gaps.append(loss(*rotated) - base)
    if not gaps:
        raise ValueError("`losses` must hold at least one loss, got none.")
    return torch.stack(gaps).mean(0)
