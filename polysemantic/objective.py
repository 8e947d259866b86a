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
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Act = Literal["linear", "relu"]


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


class ClosedForm:
    """Loss and gradient of an ensemble without autograd, in memory that is kept between steps.

    Args:
        act: Activation of the hidden units.
        l1: Weight of the L1 penalty, shape (instance, 1, 1); None without a penalty.
        importance: Weight of each output's squared error, shape (instance, 1, feature); None weighs all alike.
    """

    def __init__(
        self,
        act: Act = "linear",
        l1: Float[Tensor, "instance 1 1"] | None = None,
        importance: Float[Tensor, "instance 1 feature"] | None = None,
    ) -> None:
        self.act = act
        self.l1 = l1
        self.importance = importance
        self._kept: dict[str, Tensor] = {}

    def __call__(
        self,
        x: Float[Tensor, "instance batch feature"] | None,
        weights: Weights,
        gradient: Weights,
        noise: Float[Tensor, "instance batch hidden"] | None = None,
        *,
        with_loss: bool = False,
    ) -> Float[Tensor, " instance"] | None:
        """Write the gradient of the summed loss into `gradient` and give the losses if asked.

        Args:
            x: Inputs; None stands for the identity, every feature once, which is then never multiplied with.
            weights: The parameters.
            gradient: Where to write; every tensor that `weights` has.
            noise: Hidden noise, already scaled by its standard deviation.
            with_loss: Whether to compute the losses, one more pass over the outputs.
        """
        h = self._encode(x, weights)
        z = h if noise is None else torch.add(h, noise, out=self._keep("z", h.shape, h))
        residual, loss = self._residual(x, z, weights, with_loss)
        if loss is not None and self.l1 is not None:
            scale = 1.0 if weights.W_dec is None else weights.W_dec.norm(dim=1)
            loss += self.l1[:, 0, 0] * (h.abs().sum(1) * scale).sum(-1) / h.shape[1]
        alone = x is None and noise is None and self.act == "linear" and weights.W_dec is None
        if alone:
            self._tied_gradient(residual, weights, gradient)
        else:
            self._encoder_gradient(x, h, residual, weights, gradient)
            self._decoder_gradient(h, z, residual, weights, gradient)
        if gradient.b_dec is not None:
            torch.sum(residual, 1, out=gradient.b_dec).mul_(2 / h.shape[1])
        return loss

    def _keep(self, name: str, shape: torch.Size | tuple[int, ...], like: Tensor) -> Tensor:
        kept = self._kept.get(name)
        if kept is None or kept.shape != shape or kept.device != like.device or kept.dtype != like.dtype:
            kept = self._kept[name] = torch.empty(shape, dtype=like.dtype, device=like.device)
        return kept

    def _encode(self, x: Tensor | None, weights: Weights) -> Tensor:
        W = weights.W_enc
        if x is None:
            return W if self.act == "linear" else torch.clamp_min(W, 0, out=self._keep("h", W.shape, W))
        h = torch.bmm(x, W, out=self._keep("h", (*x.shape[:2], W.shape[2]), W))
        return h if self.act == "linear" else h.relu_()

    def _residual(self, x: Tensor | None, z: Tensor, weights: Weights, with_loss: bool) -> tuple[Tensor, Tensor | None]:
        """B/2 G, the weighted error of the outputs that are on, and the reconstruction loss if asked."""
        decoder = weights.decoder
        out = torch.bmm(z, decoder.mT, out=self._keep("out", (*z.shape[:2], decoder.shape[1]), z))
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
        diagonal = x_hat.diagonal(dim1=1, dim2=2)
        loss = None
        if with_loss:
            loss = self._squared_error(x_hat - torch.eye(x_hat.shape[1], dtype=x_hat.dtype, device=x_hat.device))
        diagonal.sub_((diagonal > 0).to(x_hat.dtype))
        return loss

    def _squared_error(self, error: Tensor) -> Tensor:
        squared = error.square_()
        if self.importance is not None:
            squared *= self.importance
        return squared.sum(-1).mean(-1)

    def _penalty_gradient(self, h: Tensor, weights: Weights, out: Tensor) -> Tensor | None:
        """The penalty's derivative by h, written to `out`; None without a penalty."""
        if self.l1 is None:
            return None
        torch.sign(h, out=out).mul_(self.l1 / h.shape[1])
        return out if weights.W_dec is None else out.mul_(weights.W_dec.norm(dim=1, keepdim=True))

    def _tied_gradient(self, residual: Tensor, weights: Weights, gradient: Weights) -> None:
        """One product in place of two: W enters as encoder and as decoder with the same inputs."""
        W, grad = weights.W_enc, gradient.W_enc
        penalty = self._penalty_gradient(W, weights, grad)
        if weights.b_dec is None and self.importance is None:
            both, scale = residual, 4 / W.shape[1]
        else:
            both, scale = (
                torch.add(residual, residual.mT, out=self._keep("both", residual.shape, residual)),
                2 / W.shape[1],
            )
        grad.baddbmm_(both, W, beta=0 if penalty is None else 1, alpha=scale)

    def _encoder_gradient(
        self, x: Tensor | None, h: Tensor, residual: Tensor, weights: Weights, gradient: Weights
    ) -> None:
        by_h = gradient.W_enc if x is None else self._keep("by_h", h.shape, h)
        penalty = self._penalty_gradient(h, weights, by_h)
        by_h.baddbmm_(residual, weights.decoder, beta=0 if penalty is None else 1, alpha=2 / h.shape[1])
        if self.act == "relu":
            torch.ops.aten.threshold_backward.grad_input(by_h, h, 0, grad_input=by_h)
        if x is not None:
            torch.bmm(x.mT, by_h, out=gradient.W_enc)

    def _decoder_gradient(self, h: Tensor, z: Tensor, residual: Tensor, weights: Weights, gradient: Weights) -> None:
        scale = 2 / h.shape[1]
        if weights.W_dec is None or gradient.W_dec is None:
            gradient.W_enc.baddbmm_(residual.mT, z, alpha=scale)
            return
        if self.l1 is None:
            gradient.W_dec.baddbmm_(residual.mT, z, beta=0, alpha=scale)
            return
        norm = weights.W_dec.norm(dim=1, keepdim=True)
        pull = self.l1 * h.abs().mean(1, keepdim=True) / norm
        torch.mul(weights.W_dec, pull.masked_fill_(norm == 0, 0), out=gradient.W_dec)
        gradient.W_dec.baddbmm_(residual.mT, z, alpha=scale)
