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

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from polysemantic.kernels.matmul import Matmul, TorchMatmul
from polysemantic.kernels.workspace import KeptWorkspace, Workspace
from polysemantic.model.weights import Weights

Act = Literal["linear", "relu"]

# Hidden activations whose magnitudes are copied at a time.
_AT_ONCE = 2**17


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
    slices = torch.split(h, some, dim=1)
    if W_dec is None:
        return torch.cat([rows.abs().sum(2) for rows in slices], 1).sum(1)
    by_neuron = torch.stack([rows.abs().sum(1) for rows in slices]).sum(0)
    weighted: Tensor = by_neuron * torch.linalg.vector_norm(W_dec, dim=1)
    return weighted.sum(1)


class Factors(NamedTuple):
    """Weights of the terms of the objective; None where a term changes nothing.

    Args:
        l1: Weight of the L1 penalty, shape (instance, 1, 1); None without a penalty.
        l1_of_all: The same as one number, where all instances share it.
        importance: Weight of each output's squared error, shape (instance, 1, feature); None weighs all alike.
    """

    l1: Float[Tensor, "instance 1 1"] | None = None
    l1_of_all: float | None = None
    importance: Float[Tensor, "instance 1 feature"] | None = None


_NO_FACTORS = Factors()


class ClosedForm:
    """Loss and gradient of an ensemble without autograd.

    Args:
        act: Activation of the hidden units.
        factors: Weights of the penalty and of the outputs.
        matmul: How products are computed; by torch's library if None.
        workspace: Where memory is kept between steps; its own if None.
    """

    def __init__(
        self,
        act: Act = "linear",
        factors: Factors = _NO_FACTORS,
        matmul: Matmul | None = None,
        workspace: Workspace | None = None,
    ) -> None:
        self.act = act
        self.factors = factors
        self.matmul = matmul or TorchMatmul()
        self.workspace = workspace or KeptWorkspace()

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
            x: The batch; None stands for the identity, every feature once, which is then never multiplied with.
            weights: The parameters.
            gradient: Where to write; every tensor that `weights` has.
            noise: Hidden noise, already scaled by its standard deviation.
            with_loss: Whether to compute the losses, one more pass over the outputs.
        """
        h = self._encode(x, weights)
        z = h if noise is None else torch.add(h, noise, out=self.workspace.empty("z", h.shape, h))
        residual, loss = self._residual(x, z, weights, with_loss)
        if loss is not None and self.factors.l1 is not None:
            loss += self.factors.l1[:, 0, 0] * penalty(h, weights.W_dec) / h.shape[1]
        if self.act == "linear" and overlap_pays(x, weights):
            self._gradient_by_overlap(x, h, noise, residual, weights, gradient)
        else:
            self._encoder_gradient(x, h, residual, weights, gradient)
            self._decoder_gradient(h, z, residual, weights, gradient)
        if gradient.b_dec is not None:
            torch.sum(residual, 1, out=gradient.b_dec).mul_(2 / h.shape[1])
        return loss

    def _encode(self, x: Tensor | None, weights: Weights) -> Tensor:
        W = weights.W_enc
        if x is None:
            return W if self.act == "linear" else torch.clamp_min(W, 0, out=self.workspace.empty("h", W.shape, W))
        h = self.workspace.empty("h", (*x.shape[:2], W.shape[2]), W)
        self.matmul.nn(x, W, h)
        return h if self.act == "linear" else h.relu_()

    def _residual(self, x: Tensor | None, z: Tensor, weights: Weights, with_loss: bool) -> tuple[Tensor, Tensor | None]:
        """B/2 G, the weighted error of the outputs that are on, and the reconstruction loss if asked."""
        decoder = weights.decoder
        out = self.workspace.empty("out", (*z.shape[:2], decoder.shape[1]), z)
        self.matmul.nt(z, decoder, out)
        if weights.b_dec is not None:
            out += weights.b_dec.unsqueeze(1)
        if x is None:
            loss = self._identity_error(out.relu_(), with_loss)
        else:
            loss = self._squared_error(out.relu() - x) if with_loss else None
            error = torch.sub(out, x, out=self.workspace.empty("error", out.shape, out))
            torch.ops.aten.threshold_backward.grad_input(error, out, 0, grad_input=out)
        if self.factors.importance is not None:
            out *= self.factors.importance
        return out, loss

    def _identity_error(self, x_hat: Tensor, with_loss: bool) -> Tensor | None:
        # Off the diagonal the error is the output itself; only the diagonal needs more.
        diagonal, signs = self.workspace.diagonals(x_hat)
        loss = None
        if with_loss:
            loss = self._squared_error(x_hat - torch.eye(x_hat.shape[1], dtype=x_hat.dtype, device=x_hat.device))
        diagonal.sub_(torch.sign(diagonal, out=signs))
        return loss

    def _squared_error(self, error: Tensor) -> Tensor:
        squared = error.square_()
        if self.factors.importance is not None:
            squared *= self.factors.importance
        return squared.sum(-1).mean(-1)

    def _gradient_by_overlap(
        self, x: Tensor | None, h: Tensor, noise: Tensor | None, residual: Tensor, weights: Weights, gradient: Weights
    ) -> None:
        r"""Only :math:`W_{enc} W_{dec}^T` matters without a hidden nonlinearity; its gradient is :math:`x^T G`."""
        scale = 2 / h.shape[1]
        by_overlap = residual
        if x is not None:
            by_overlap = self.workspace.empty("by_overlap", (len(x), x.shape[2], x.shape[2]), x)
            self.matmul.tn(x, residual, by_overlap)
        beta = self._penalty_by_encoder(x, h, weights, gradient.W_enc)
        if weights.W_dec is not None and gradient.W_dec is not None:
            self.matmul.nn(by_overlap, weights.W_dec, gradient.W_enc, beta=beta, alpha=scale)
            beta = self._penalty_by_decoder(h, weights, gradient.W_dec)
            self.matmul.tn(by_overlap, weights.W_enc, gradient.W_dec, beta=beta, alpha=scale)
            by_decoder = gradient.W_dec
        else:
            by_decoder = gradient.W_enc
            if x is None and weights.b_dec is None and self.factors.importance is None and noise is None:
                scale *= 2  # G is symmetric
            else:
                both = self.workspace.empty("both", by_overlap.shape, by_overlap)
                by_overlap = torch.add(by_overlap, by_overlap.mT, out=both)
            self.matmul.nn(by_overlap, weights.W_enc, gradient.W_enc, beta=beta, alpha=scale)
        if noise is not None:
            self.matmul.tn(residual, noise, by_decoder, beta=1, alpha=2 / h.shape[1])

    def _encoder_gradient(
        self, x: Tensor | None, h: Tensor, residual: Tensor, weights: Weights, gradient: Weights
    ) -> None:
        by_h = gradient.W_enc if x is None else self.workspace.empty("by_h", h.shape, h)
        beta = self._penalty_by_hidden(h, weights, by_h)
        self.matmul.nn(residual, weights.decoder, by_h, beta=beta, alpha=2 / h.shape[1])
        if self.act == "relu":
            torch.ops.aten.threshold_backward.grad_input(by_h, h, 0, grad_input=by_h)
        if x is not None:
            self.matmul.tn(x, by_h, gradient.W_enc)

    def _decoder_gradient(self, h: Tensor, z: Tensor, residual: Tensor, weights: Weights, gradient: Weights) -> None:
        scale = 2 / h.shape[1]
        if weights.W_dec is None or gradient.W_dec is None:
            self.matmul.tn(residual, z, gradient.W_enc, beta=1, alpha=scale)
        else:
            beta = self._penalty_by_decoder(h, weights, gradient.W_dec)
            self.matmul.tn(residual, z, gradient.W_dec, beta=beta, alpha=scale)

    # The three derivatives of the penalty below are `out` times the number that they give. A product is then added to
    # that in one pass, by its beta. Where there is no penalty the number is 0, and `out` need not hold anything.

    def _penalty_by_hidden(self, h: Tensor, weights: Weights, out: Tensor) -> float:
        """The penalty's derivative by h."""
        if self.factors.l1 is None:
            return 0
        _penalty_signs(h, weights, out)
        if weights.W_dec is None and self.factors.l1_of_all is not None:
            return self.factors.l1_of_all / h.shape[1]  # times 1, 0 or -1 it is exact, as each instance's own would be
        out.mul_(self.workspace.share(self.factors.l1, h.shape[1]))
        return 1

    def _penalty_by_encoder(self, x: Tensor | None, h: Tensor, weights: Weights, out: Tensor) -> float:
        """The penalty's derivative by the encoder."""
        if x is None:
            return self._penalty_by_hidden(h, weights, out)
        if self.factors.l1 is None:
            return 0
        # It takes the place of h, unless the decoder's penalty still needs h.
        by_h = h if weights.W_dec is None else self.workspace.empty("by_h", h.shape, h)
        _penalty_signs(h, weights, by_h)
        self.matmul.tn(x, by_h, out)
        out.mul_(self.workspace.share(self.factors.l1, h.shape[1]))
        return 1

    def _penalty_by_decoder(self, h: Tensor, weights: Weights, out: Tensor) -> float:
        """The penalty's derivative by an untied decoder."""
        if self.factors.l1 is None or weights.W_dec is None:
            return 0
        norm = weights.W_dec.norm(dim=1, keepdim=True)
        pull = self.factors.l1 * h.abs().mean(1, keepdim=True) / norm
        torch.mul(weights.W_dec, pull.masked_fill_(norm == 0, 0), out=out)
        return 1


def overlap_pays(x: Float[Tensor, "instance batch feature"] | None, weights: Weights) -> bool:
    """Whether the gradient by the overlap of features takes fewer multiplications than by hidden activations.

    Shapes alone decide, as if there were a penalty and no noise: an instance's path then never depends on the
    hyperparameters of others.

    Args:
        x: The batch; None for every feature once.
        weights: The parameters.
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


def _penalty_signs(h: Tensor, weights: Weights, out: Tensor) -> None:
    """The penalty's derivative by h without its factor l1 / B, written to `out`."""
    torch.sign(h, out=out)
    if weights.W_dec is not None:
        out.mul_(weights.W_dec.norm(dim=1, keepdim=True))
