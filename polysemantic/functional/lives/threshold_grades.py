from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int32, Int64
from torch import Tensor

from polysemantic.functional.common.cache_blocks import instance_blocks
from polysemantic.functional.common.effective_weight import effective_weight
from polysemantic.functional.lives.large_weights import LargeWeights

# Weights looked at together: few enough that what is beyond stays in a CPU's cache until it is counted.
_AT_ONCE = 2**18


class Grades(NamedTuple):
    """Which thresholds each large weight is past and on which side: a look tells whether all of it still holds.

    Looking takes a quarter of the time of `large_weights`.
    """

    bound: Float[Tensor, " bound"]  # where grades begin: thresholds and what is infinite, on both sides
    place: Int64[Tensor, " weight"]  # (instance * n_features + feature) * n_hidden + neuron
    grade: Int32[Tensor, " weight"]
    beyond: int  # weights past the lowest threshold, or nan

    @classmethod
    def of(cls, large: LargeWeights, *thresholds: float) -> Grades:
        """The grades of weights.

        Args:
            large: The weights.
            thresholds: Rising magnitudes, the first of them the least that is kept of `large`.
        """
        n_features, n_hidden = large.shape[1:]
        above = large.value.new_tensor([*thresholds, torch.inf])
        # Below zero, too, a weight of just a threshold is past it.
        below = torch.nextafter(-above, torch.zeros_like(above))
        bound = torch.cat([below.flip(0), above])
        slot, feature = large.place // n_features, large.place % n_features
        place = (slot // n_hidden * n_features + feature) * n_hidden + slot % n_hidden
        # An instance that has diverged is frozen with every weight nan.
        n_nan = int((~large.finite).sum()) * n_features * n_hidden
        return cls(bound, place, _grade(large.value, bound), len(place) + n_nan)

    def hold(
        self,
        W_enc: Float[Tensor, "instance feature hidden"],
        W_dec: Float[Tensor, "instance feature hidden"] | None = None,
    ) -> bool:
        """Whether effective weights have these grades, and no other is past the lowest threshold.

        Args:
            W_enc: Encoder, one row per feature.
            W_dec: Decoder; `None` if tied.
        """
        place = self.place.to(W_enc.device)[None]
        (held,) = effective_weight(W_enc.take(place), None if W_dec is None else W_dec.take(place)).cpu()
        return torch.equal(_grade(held, self.bound), self.grade) and self._count_beyond(W_enc, W_dec) == self.beyond

    def _count_beyond(self, W_enc: Tensor, W_dec: Tensor | None) -> int:
        _, n_features, n_hidden = W_enc.shape
        lowest = float(-self.bound[len(self.bound) // 2 - 1])
        count = 0
        for block in instance_blocks(W_enc, n_features * n_hidden, _AT_ONCE):
            w = effective_weight(W_enc[block], None if W_dec is None else W_dec[block])
            count += int(torch.nn.functional.hardshrink(w, lowest).count_nonzero())
        return count


def _grade(value: Float[Tensor, " weight"], bound: Float[Tensor, " bound"]) -> Int32[Tensor, " weight"]:
    return torch.bucketize(value, bound, right=True, out_int32=True)
