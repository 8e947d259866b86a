from __future__ import annotations

import torch
from jaxtyping import Float32, Float64
from scipy.special import owens_t
from torch import Tensor
from typing_extensions import override

from polysemantic import random
from polysemantic.data.base import InputDataModule, Magnitude
from polysemantic.data.feature_groups import check_group_size, group_matrix
from polysemantic.validation.arguments import checked_arguments


class GaussianCopula(InputDataModule):
    r"""Every feature on with probability p, namely where a latent normal, correlated in blocks, is low.

    .. math:: x_i > 0 \iff \sqrt{\rho} \, g + \sqrt{1 - \rho} \, e_i < t, \qquad t = \Phi^{-1}(p)

    with standard normals g, one for each block, and :math:`e_i`, one for each feature.

    :math:`\rho` is the correlation of the latent normals, not :math:`\phi`, that of "i is on" and "j is on":
    :math:`\phi < \rho` between the extremes, and far below it for rare features; `phi()` gives it.
    :math:`\rho = 0`: independent. :math:`\rho = 1`: a block is on or off as one. Between, every feature of a block
    becomes a little likelier at once, where `CooccurrenceDial` mixes the two extremes (Emrich and Piedmonte, "A method
    for generating high-dimensional multivariate binary variates", The American Statistician 1991).

    Args:
        n_features: Input coordinates.
        probability: p. Can vary.
        correlation: The latent correlation :math:`\rho` within a block. Can vary.
        block_size: Consecutive features that share g; None: all features.
        batch_size: Inputs of one step.
        magnitude: Value of an active feature: `one`, or `uniform` in (0, 1].

    Raises:
        ValueError: If `probability` or `correlation` lies outside [0, 1], or `block_size` does not divide `n_features`.

    Example:
        >>> GaussianCopula(n_features=2, probability=0.01, correlation=0.5).phi()[0, 0, 1]
        tensor(0.1206, dtype=torch.float64)
    """

    can_vary = ("probability", "correlation")

    @checked_arguments()
    def __init__(
        self,
        n_features: int,
        probability: float,
        correlation: float,
        block_size: int | None = None,
        batch_size: int = 256,
        magnitude: Magnitude = "one",
    ) -> None:
        if not 0 <= probability <= 1:
            raise ValueError(f"`probability` must lie in [0, 1], got {probability}.")
        if not 0 <= correlation <= 1:
            raise ValueError(f"`correlation` must lie in [0, 1], got {correlation}.")
        self.probability = probability
        self.correlation = correlation
        self.block_size = block_size
        super().__init__(n_features, batch_size, magnitude)
        self._size = n_features if block_size is None else block_size
        check_group_size("block_size", self._size, n_features)

    @override
    def sample(self, keys: random.Keys) -> Float32[Tensor, "*step instance batch feature"]:
        rho = self.knob("correlation")
        threshold = torch.special.ndtri(self.knob("probability"))
        shared = random.normal(keys.fold(1), self.batch_size, self.n_features // self._size).double()
        # Given g the features are independent: their own normals need not be drawn. Where rho = 1 nothing is left of
        # these, and a tiny scale sends the quotient to -inf or inf.
        scale = (2 * (1 - rho)).sqrt().clamp_min(1e-300)
        # erfc: ten times as fast as torch.special.ndtr.
        given_shared = torch.erfc((rho.sqrt() * shared - threshold) / scale).div_(2).unsqueeze(-1)
        on = random.bernoulli(keys, given_shared, self.batch_size, self.n_features // self._size, self._size)
        return self.activate(on.flatten(-2), keys)

    @override
    def cooccurrence(self) -> Float64[Tensor, "instance feature feature"]:
        p, rho = self.knob("probability"), self.knob("correlation")
        # Owen's T gives the orthant probability of two equal thresholds (Owen, Annals of Mathematical Statistics 1956).
        tail = owens_t(torch.special.ndtri(p).cpu().numpy(), ((1 - rho) / (1 + rho)).sqrt().cpu().numpy())
        within = p - 2 * torch.from_numpy(tail).to(p)
        return group_matrix(self.n_features, self._size, diagonal=p, within=within, across=p**2)
