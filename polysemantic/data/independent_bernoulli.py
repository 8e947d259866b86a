from __future__ import annotations

import torch
from jaxtyping import Float32, Float64
from torch import Tensor
from typing_extensions import override

from polysemantic import random
from polysemantic.data.base import InputDataModule, Magnitude
from polysemantic.validation.arguments import checked_arguments


class IndependentBernoulli(InputDataModule):
    r"""Each feature on independently, with :math:`p_i = p \, (i + 1)^{-z}` (Toy Models of Superposition, 2022).

    A small p leaves features alone; n p is the expected number of features on together.

    Args:
        n_features: Input coordinates.
        probability: p, the probability that feature 0 is on. Can vary.
        zipf_exponent: z; 0 makes all features equally frequent. Can vary.
        batch_size: Inputs of one step.
        magnitude: Value of an active feature: `one`, or `uniform` in (0, 1].

    Raises:
        ValueError: If `probability` lies outside [0, 1] or `zipf_exponent` is negative.
    """

    can_vary = ("probability", "zipf_exponent")

    @checked_arguments()
    def __init__(
        self,
        n_features: int,
        probability: float,
        zipf_exponent: float = 0.0,
        batch_size: int = 256,
        magnitude: Magnitude = "one",
    ) -> None:
        if not 0 <= probability <= 1:
            raise ValueError(f"`probability` must lie in [0, 1], got {probability}.")
        if not 0 <= zipf_exponent < float("inf"):
            raise ValueError(f"`zipf_exponent` must be at least 0 and finite, got {zipf_exponent}.")
        self.probability = probability
        self.zipf_exponent = zipf_exponent
        super().__init__(n_features, batch_size, magnitude)

    def _probabilities(self) -> Float64[Tensor, "instance 1 feature"]:
        rank = torch.arange(1, self.n_features + 1, dtype=torch.float64, device=self.device)
        return self.knob("probability") * rank ** -self.knob("zipf_exponent")

    @override
    def sample(self, keys: random.Keys) -> Float32[Tensor, "*step instance batch feature"]:
        on = random.bernoulli(keys, self._probabilities(), self.batch_size, self.n_features)
        return self.activate(on, keys)

    @override
    def cooccurrence(self) -> Float64[Tensor, "instance feature feature"]:
        p = self._probabilities().squeeze(-2)
        joint = p.unsqueeze(-1) * p.unsqueeze(-2)
        return joint.diagonal_scatter(p, dim1=-2, dim2=-1)
