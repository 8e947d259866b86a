from __future__ import annotations

import dataclasses
from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor


@dataclasses.dataclass
class Weights:
    """What one ensemble learns, or the gradient of it.

    Args:
        W_enc: Encoder, shape (instance, feature, hidden).
        W_dec: Decoder, of the same shape; None if it is the encoder itself (tied).
        b_dec: Output bias, shape (instance, feature); None without.
    """

    W_enc: Float[Tensor, "instance feature hidden"]
    W_dec: Float[Tensor, "instance feature hidden"] | None = None
    b_dec: Float[Tensor, "instance feature"] | None = None

    def map(self, change: Callable[[Tensor], Tensor | None]) -> Weights:
        """Each tensor changed by the same function; a missing tensor stays missing."""
        W_enc = change(self.W_enc)
        assert W_enc is not None
        W_dec, b_dec = (None if w is None else change(w) for w in (self.W_dec, self.b_dec))
        return Weights(W_enc, W_dec, b_dec)

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors that there are."""
        return [w for w in (self.W_enc, self.W_dec, self.b_dec) if w is not None]

    @property
    def decoder(self) -> Float[Tensor, "instance feature hidden"]:
        """The decoder, tied or not."""
        return self.W_enc if self.W_dec is None else self.W_dec
