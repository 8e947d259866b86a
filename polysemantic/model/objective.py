r"""The objective and its gradient in closed form.

With :math:`h = \mathrm{act}(x W_{enc})`, noise :math:`\epsilon` and B inputs x in a batch, the loss of one instance is

.. math::
    \frac{1}{B} \sum_x \Big[ \sum_i \alpha_i (\hat x_i - x_i)^2 + \lambda \sum_k c_k |h_k| \Big],
    \qquad \hat x = \mathrm{relu}((h + \epsilon) W_{dec}^T + b)

with :math:`c_k = 1` if the weights are tied and :math:`c_k = |W_{dec, :k}|_2` if not. Its derivative by what enters the
output's relu is :math:`G = \frac{2}{B} \alpha (\hat x - x) [\hat x > 0]`, and so the gradients are

- decoder: :math:`G^T (h + \epsilon)`, and through c what the penalty adds,
- encoder: :math:`x^T (G W_{dec} + \frac{\lambda}{B} c \, \mathrm{sign}(h))`, where h is active,
- tied weights: the sum of both,
- bias: the column sums of G.

Subgradients at 0 are 0, as in autograd.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from polysemantic.kernels.matmul import Products
from polysemantic.kernels.sparse import SparseInputs

Act = Literal["linear", "relu"]
Inputs = Float[Tensor, "instance batch feature"] | SparseInputs | None
"""A batch; None stands for the identity, every feature once, which is then never multiplied with."""

# Hidden activations whose magnitudes are copied at a time.
_AT_ONCE = 2**17


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
        """Each tensor changed alike, what is not there left out."""
        W_enc = change(self.W_enc)
        assert W_enc is not None
        W_dec, b_dec = (None if w is None else change(w) for w in (self.W_dec, self.b_dec))
        return Weights(W_enc, W_dec, b_dec)

    @property
    def decoder(self) -> Float[Tensor, "instance feature hidden"]:
        """The decoder, tied or not."""
        return self.W_enc if self.W_dec is None else self.W_dec


def penalty(
    h: Float[Tensor, "instance batch hidden"], W_dec: Float[Tensor, "instance feature hidden"] | None
) -> Float[Tensor, " instance"]:
    r""":math:`\sum_x \sum_k c_k |h_k|`, in a pass over h that copies little of it at a time.

    Args:
        h: Hidden activations.
        W_dec: Decoder; None if the weights are tied.
    """
    # Norms of order 1 by torch take three to ten times as long.
    some = max(1, _AT_ONCE * h.shape[1] // max(1, h.numel()))
    parts = torch.split(h, some, dim=1)
    if W_dec is None:
        return torch.cat([part.abs().sum(2) for part in parts], 1).sum(1)
    by_neuron = torch.stack([part.abs().sum(1) for part in parts]).sum(0)
    weighted: Tensor = by_neuron * torch.linalg.vector_norm(W_dec, dim=1)
    return weighted.sum(1)


@runtime_checkable
class Memory(Protocol):
    """Where tensors are kept by name, as in a dict."""

    def get(self, name: str, /) -> Tensor | None:
        """The tensor of that name, if there is one."""

    def __setitem__(self, name: str, tensor: Tensor, /) -> None: ...


class ClosedForm:
    """Loss and gradient of an ensemble without autograd, in memory that is kept between steps.

    Args:
        act: Activation of the hidden units.
        l1: Weight of the L1 penalty, shape (instance, 1, 1); None without a penalty.
        importance: Weight of each output's squared error, shape (instance, 1, feature); None weighs all alike.
        products: How large products are computed; by torch's library if None.
        kept: Where to keep memory between steps, if ensembles that take turns are to share it.
    """

    def __init__(
        self,
        act: Act = "linear",
        l1: Float[Tensor, "instance 1 1"] | None = None,
        importance: Float[Tensor, "instance 1 feature"] | None = None,
        products: Products | None = None,
        kept: Memory | None = None,
    ) -> None:
        self.act = act
        self.l1 = l1
        self.importance = importance
        self.products = products or Products()
        self._nonzero: SparseInputs | None = None
        self._kept: Memory = {} if kept is None else kept
        self._diagonal: tuple[Tensor, Tensor, Tensor] | None = None
        self._l1_of: tuple[Tensor | None, int, int] = (None, 0, 0)
        self._l1_share: Tensor
        self._l1_of_all: float | None = None

    def __call__(
        self,
        inputs: Inputs,
        weights: Weights,
        gradient: Weights,
        noise: Float[Tensor, "instance batch hidden"] | None = None,
        *,
        with_loss: bool = False,
    ) -> Float[Tensor, " instance"] | None:
        """Write the gradient of the summed loss into `gradient` and give the losses if asked.

        Args:
            inputs: The batch; sparse if so few features are on that products with it had better skip the zeros.
            weights: The parameters.
            gradient: Where to write; every tensor that `weights` has.
            noise: Hidden noise, already scaled by its standard deviation.
            with_loss: Whether to compute the losses, one more pass over the outputs.
        """
        self._nonzero = inputs if isinstance(inputs, SparseInputs) else None
        x = inputs.x if isinstance(inputs, SparseInputs) else inputs
        h = self._encode(x, weights)
        z = h if noise is None else torch.add(h, noise, out=self._keep("z", h.shape, h))
        residual, loss = self._residual(x, z, weights, with_loss)
        if loss is not None and self.l1 is not None:
            loss += self.l1[:, 0, 0] * penalty(h, weights.W_dec) / h.shape[1]
        if self.act == "linear" and self._overlap_pays(x, weights):
            self._gradient_by_overlap(x, h, noise, residual, weights, gradient)
        else:
            self._encoder_gradient(x, h, residual, weights, gradient)
            self._decoder_gradient(h, z, residual, weights, gradient)
        if gradient.b_dec is not None:
            torch.sum(residual, 1, out=gradient.b_dec).mul_(2 / h.shape[1])
        return loss

    def _keep(self, name: str, shape: torch.Size | tuple[int, ...], like: Tensor) -> Tensor:
        if torch.compiler.is_compiling():
            return torch.empty(shape, dtype=like.dtype, device=like.device)
        kept = self._kept.get(name)
        if kept is None or kept.shape != shape or kept.device != like.device or kept.dtype != like.dtype:
            kept = self._kept[name] = torch.empty(shape, dtype=like.dtype, device=like.device)
        return kept

    def _encode(self, x: Tensor | None, weights: Weights) -> Tensor:
        W = weights.W_enc
        if x is None:
            return W if self.act == "linear" else torch.clamp_min(W, 0, out=self._keep("h", W.shape, W))
        h = self._keep("h", (*x.shape[:2], W.shape[2]), W)
        if self._nonzero is None:
            self.products.times(x, W, h)
        else:
            self._nonzero.times(W, h)
        return h if self.act == "linear" else h.relu_()

    def _transposed_times(self, x: Tensor, y: Tensor, out: Tensor) -> Tensor:
        """The product of x transposed and y."""
        if self._nonzero is not None:
            return self._nonzero.transposed_times(y, out)
        self.products.transposed_times(x, y, out)
        return out

    def _residual(self, x: Tensor | None, z: Tensor, weights: Weights, with_loss: bool) -> tuple[Tensor, Tensor | None]:
        """B/2 G, the weighted error of the outputs that are on, and the reconstruction loss if asked."""
        decoder = weights.decoder
        out = self._keep("out", (*z.shape[:2], decoder.shape[1]), z)
        self.products.times_transposed(z, decoder, out)
        if weights.b_dec is not None:
            out += weights.b_dec.unsqueeze(1)
        if x is None:
            loss = self._identity_error(out.relu_(), with_loss)
        else:
            loss = self._squared_error(out.relu() - x) if with_loss else None
            error = torch.sub(out, x, out=self._keep("error", out.shape, out))
            torch.ops.aten.threshold_backward.grad_input(error, out, 0, grad_input=out)
        if self.importance is not None:
            out *= self.importance
        return out, loss

    def _identity_error(self, x_hat: Tensor, with_loss: bool) -> Tensor | None:
        # Off the diagonal the error is the output itself; only the diagonal needs more.
        diagonal, signs = self._diagonal_of(x_hat)
        loss = None
        if with_loss:
            loss = self._squared_error(x_hat - torch.eye(x_hat.shape[1], dtype=x_hat.dtype, device=x_hat.device))
        diagonal.sub_(torch.sign(diagonal, out=signs))
        return loss

    def _diagonal_of(self, square: Tensor) -> tuple[Tensor, Tensor]:
        """The diagonals and memory of their size, found once: in small networks that takes as long as to use them."""
        if self._diagonal is not None and self._diagonal[0] is square:
            return self._diagonal[1:]
        diagonal = square.diagonal(dim1=1, dim2=2)
        found = square, diagonal, torch.empty_like(diagonal)
        if not torch.compiler.is_compiling():
            self._diagonal = found
        return found[1:]

    def _squared_error(self, error: Tensor) -> Tensor:
        squared = error.square_()
        if self.importance is not None:
            squared *= self.importance
        return squared.sum(-1).mean(-1)

    def _l1_per_input(self, n_inputs: int) -> Tensor:
        assert self.l1 is not None
        if torch.compiler.is_compiling():
            return self.l1 / n_inputs
        of = (self.l1, n_inputs, self.l1._version)
        if self._l1_of[0] is not self.l1 or self._l1_of[1:] != of[1:]:
            share = self._l1_share = self.l1 / n_inputs
            self._l1_of, self._l1_of_all = of, float(share[0]) if bool((share == share[0]).all()) else None
        return self._l1_share

    def _signs(self, h: Tensor, weights: Weights, out: Tensor) -> None:
        """The penalty's derivative by h but for its factor l1 / B, written to `out`."""
        torch.sign(h, out=out)
        if weights.W_dec is not None:
            out.mul_(weights.W_dec.norm(dim=1, keepdim=True))

    def _penalty_by_hidden(self, h: Tensor, weights: Weights, out: Tensor) -> float:
        """The penalty's derivative by h, as `out` times the number given: 0 if there is none, `out` stays as it is."""
        if self.l1 is None:
            return 0
        self._signs(h, weights, out)
        share = self._l1_per_input(h.shape[1])
        if weights.W_dec is None and self._l1_of_all is not None and not torch.compiler.is_compiling():
            return self._l1_of_all  # times 1, 0 or -1 it is exact: no bit tells whether the instances share it
        out.mul_(share)
        return 1

    def _overlap_pays(self, x: Tensor | None, weights: Weights) -> bool:
        """Whether the gradient by the overlap of features costs fewer multiplications than by hidden activations.

        Decided by shapes alone, as if there were a penalty and no noise: no instance's path depends on those of others.
        """
        n_features, n_hidden = weights.W_enc.shape[1:]
        batch = n_features if x is None else x.shape[1]
        products = 1 if weights.W_dec is None else 2
        overlap = products * n_features**2 * n_hidden
        hidden = 2 * batch * n_features * n_hidden
        if x is not None:
            overlap += batch * n_features * (n_features + n_hidden)
            hidden += batch * n_features * n_hidden
        return overlap < 0.9 * hidden

    def _gradient_by_overlap(
        self, x: Tensor | None, h: Tensor, noise: Tensor | None, residual: Tensor, weights: Weights, gradient: Weights
    ) -> None:
        r"""Only :math:`W_{enc} W_{dec}^T` matters without a hidden nonlinearity; its gradient is :math:`x^T G`."""
        scale = 2 / h.shape[1]
        by_overlap = residual
        if x is not None:
            n_features = x.shape[2]
            kept = self._keep("by_overlap", (len(x), n_features, n_features), x)
            by_overlap = self._transposed_times(x, residual, kept)
        penalised = self._penalty_by_encoder(x, h, weights, gradient.W_enc)
        if weights.W_dec is not None and gradient.W_dec is not None:
            self.products.times(by_overlap, weights.W_dec, gradient.W_enc, beta=penalised, alpha=scale)
            penalised = self._penalty_by_decoder(h, weights, gradient.W_dec)
            self.products.transposed_times(by_overlap, weights.W_enc, gradient.W_dec, beta=penalised, alpha=scale)
            by_decoder = gradient.W_dec
        else:
            by_decoder = gradient.W_enc
            if x is None and weights.b_dec is None and self.importance is None and noise is None:
                scale *= 2  # G is symmetric
            else:
                kept = self._keep("both", by_overlap.shape, by_overlap)
                by_overlap = torch.add(by_overlap, by_overlap.mT, out=kept)
            self.products.times(by_overlap, weights.W_enc, gradient.W_enc, beta=penalised, alpha=scale)
        if noise is not None:
            self.products.transposed_times(residual, noise, by_decoder, beta=1, alpha=2 / h.shape[1])

    def _penalty_by_encoder(self, x: Tensor | None, h: Tensor, weights: Weights, out: Tensor) -> float:
        """The penalty's derivative by the encoder, likewise."""
        if x is None:
            return self._penalty_by_hidden(h, weights, out)
        if self.l1 is None:
            return 0
        # In the place of h, unless the decoder's penalty still asks for it.
        by_h = h if weights.W_dec is None else self._keep("by_h", h.shape, h)
        self._signs(h, weights, by_h)
        self._transposed_times(x, by_h, out).mul_(self._l1_per_input(h.shape[1]))
        return 1

    def _encoder_gradient(
        self, x: Tensor | None, h: Tensor, residual: Tensor, weights: Weights, gradient: Weights
    ) -> None:
        by_h = gradient.W_enc if x is None else self._keep("by_h", h.shape, h)
        penalised = self._penalty_by_hidden(h, weights, by_h)
        self.products.times(residual, weights.decoder, by_h, beta=penalised, alpha=2 / h.shape[1])
        if self.act == "relu":
            torch.ops.aten.threshold_backward.grad_input(by_h, h, 0, grad_input=by_h)
        if x is not None:
            self._transposed_times(x, by_h, gradient.W_enc)

    def _decoder_gradient(self, h: Tensor, z: Tensor, residual: Tensor, weights: Weights, gradient: Weights) -> None:
        scale = 2 / h.shape[1]
        if weights.W_dec is None or gradient.W_dec is None:
            self.products.transposed_times(residual, z, gradient.W_enc, beta=1, alpha=scale)
        else:
            penalised = self._penalty_by_decoder(h, weights, gradient.W_dec)
            self.products.transposed_times(residual, z, gradient.W_dec, beta=penalised, alpha=scale)

    def _penalty_by_decoder(self, h: Tensor, weights: Weights, out: Tensor) -> int:
        """The penalty's derivative by an untied decoder, likewise."""
        if self.l1 is None or weights.W_dec is None:
            return 0
        norm = weights.W_dec.norm(dim=1, keepdim=True)
        pull = self.l1 * h.abs().mean(1, keepdim=True) / norm
        torch.mul(weights.W_dec, pull.masked_fill_(norm == 0, 0), out=out)
        return 1
