from collections.abc import Iterable, Iterator

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
