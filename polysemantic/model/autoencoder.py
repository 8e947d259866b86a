from __future__ import annotations

import copy
import operator

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from typing_extensions import override

from polysemantic.model.objective import Act, ClosedForm, Factors, penalty
from polysemantic.model.weights import Weights


class Autoencoder(nn.Module):
    r"""Every instance of a run: :math:`\hat x = \mathrm{relu}((\mathrm{act}(x W_{enc}) + \epsilon) W_{dec}^T + b)`.

    A subclass may override `encode`, `decode`, `forward`, `loss` or `objective`; its gradients come from autograd, not
    from the closed form.

    Args:
        start: Initial weights; tied if there is no decoder, without bias if there is none.
        act: Activation of the hidden units.
        l1: Weight of the L1 penalty on hidden activations, shape (instance,).
        importance: Ratio of one feature's weight in the loss to the feature's before it, shape (instance,).
    """

    l1: Tensor
    importance: Tensor

    def __init__(
        self,
        start: Weights,
        act: Act = "linear",
        l1: Float[Tensor, " instance"] | None = None,
        importance: Float[Tensor, " instance"] | None = None,
    ) -> None:
        super().__init__()
        like = start.W_enc
        n_instances, n_features, _ = like.shape
        l1 = like.new_zeros(n_instances) if l1 is None else l1.to(like)
        importance = like.new_ones(n_instances) if importance is None else importance.to(like)
        self.W_enc = nn.Parameter(start.W_enc)
        self.W_dec = None if start.W_dec is None else nn.Parameter(start.W_dec)
        self.b_dec = None if start.b_dec is None else nn.Parameter(start.b_dec)
        self.act = act
        rank = torch.arange(n_features, device=like.device)
        # Both come from the configuration, so a checkpoint need not hold them.
        self.register_buffer("l1", l1[:, None, None], persistent=False)
        self.register_buffer("importance", importance[:, None, None] ** rank, persistent=False)
        self._factors_of: tuple[Tensor, Tensor, int, int] | None = None
        self._factors = Factors()

    @property
    def weights(self) -> Weights:
        """The parameters."""
        return Weights(self.W_enc, self.W_dec, self.b_dec)

    @property
    def decoder(self) -> Float[Tensor, "instance feature hidden"]:
        """The decoder, tied or not."""
        return self.weights.decoder

    def with_weights(
        self, W_enc: Float[Tensor, "instance feature hidden"], W_dec: Float[Tensor, "instance feature hidden"]
    ) -> Autoencoder:
        """These networks with another encoder and decoder (tied: the encoder), all else shared."""
        twin = copy.copy(self)
        twin.__dict__["_parameters"] = dict(self._parameters)
        twin.W_enc = nn.Parameter(W_enc, requires_grad=False)
        if self.W_dec is not None:
            twin.W_dec = nn.Parameter(W_dec, requires_grad=False)
        return twin

    def subset(self, instances: slice) -> Autoencoder:
        """Some of these networks, in the same memory; all of them if the class is a user's, which may mix instances."""
        if not self.is_standard:
            return self
        return self._twin(self.weights.map(operator.itemgetter(instances)), self.importance[instances], instances)

    def of_features(self, instance: Int64[Tensor, " network"], feature: Int64[Tensor, "network few"]) -> Autoencoder:
        """A copy for each of some instances with a few of its features, for inputs in which no other is ever on."""
        rows = instance.unsqueeze(-1)
        importance = self.importance[rows, 0, feature].unsqueeze(1)
        return self._twin(self.weights.map(operator.itemgetter((rows, feature))), importance, instance)

    def _twin(self, weights: Weights, importance: Tensor, instances: slice | Tensor) -> Autoencoder:
        twin = copy.copy(self)
        frozen = weights.map(lambda w: nn.Parameter(w.detach(), requires_grad=False))
        twin.__dict__["_parameters"] = dict(vars(frozen))
        twin.__dict__["_buffers"] = {"l1": self.l1[instances], "importance": importance}
        return twin

    def encode(self, x: Float[Tensor, "instance batch feature"]) -> Float[Tensor, "instance batch hidden"]:
        """Hidden activations, before noise."""
        h = x @ self.W_enc
        return h.relu() if self.act == "relu" else h

    def decode(
        self, h: Float[Tensor, "instance batch hidden"], features: slice | Int64[Tensor, " some"] = slice(None)
    ) -> Float[Tensor, "instance batch some"]:
        """Reconstructions of hidden activations, or of some features from them."""
        out = h @ self.decoder[:, features].mT
        return (out if self.b_dec is None else out + self.b_dec[:, None, features]).relu()

    @override
    def forward(
        self, x: Float[Tensor, "instance batch feature"], noise: Float[Tensor, "instance batch hidden"] | None = None
    ) -> tuple[Float[Tensor, "instance batch hidden"], Float[Tensor, "instance batch feature"]]:
        """Hidden activations before noise, and reconstructions after it."""
        h = self.encode(x)
        return h, self.decode(h if noise is None else h + noise)

    def loss(
        self, x: Float[Tensor, "instance batch feature"], noise: Float[Tensor, "instance batch hidden"] | None = None
    ) -> Float[Tensor, " instance"]:
        """The objective of each instance on its batch."""
        h, x_hat = self.forward(x, noise)
        return self.objective(x, h, x_hat)

    def objective(
        self,
        x: Float[Tensor, "instance batch feature"],
        h: Float[Tensor, "instance batch hidden"],
        x_hat: Float[Tensor, "instance batch feature"],
    ) -> Float[Tensor, " instance"]:
        """The objective of given hidden activations and reconstructions."""
        error = (self.importance * (x_hat - x).square()).sum(-1).mean(-1)
        return torch.add(error, self.l1[:, 0, 0] * penalty(h, self.W_dec) / h.shape[1])

    def backward(
        self,
        x: Float[Tensor, "instance batch feature"] | None,
        noise: Float[Tensor, "instance batch hidden"] | None = None,
        *,
        with_loss: bool = False,
    ) -> Float[Tensor, " instance"] | None:
        """Set every parameter's gradient, in closed form where this class's own objective is trained.

        Args:
            x: Inputs; None for every feature once.
            noise: Hidden noise, scaled.
            with_loss: Whether to give the losses.
        """
        if self.is_standard:
            closed_form = ClosedForm(self.act, self.factors)
            weights = self.weights.map(torch.Tensor.detach)
            return closed_form(x, weights, self.gradients(), noise, with_loss=with_loss)
        with torch.enable_grad():
            if x is None:
                x = torch.eye(self.W_enc.shape[1]).to(self.W_enc).expand(len(self.W_enc), -1, -1)
            loss = self.loss(x, noise)
            parameters = [parameter for parameter in self.parameters() if parameter.requires_grad]
            gradients = torch.autograd.grad(loss.sum(), parameters, allow_unused=True)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                # Autograd may give it transposed, and fused optimisers pass over memory without a look at strides.
                parameter.grad = None if gradient is None else gradient.contiguous()
        return loss.detach()

    def gradients(self) -> Weights:
        """Where the gradient of each parameter goes; of one that is not trained, memory that nobody else sees."""
        return self.weights.map(_gradient)

    @property
    def is_standard(self) -> bool:
        """Whether this class's own objective is trained, whose gradient has a closed form."""
        return has_standard_objective(type(self))

    @property
    def factors(self) -> Factors:
        """Weights of the penalty and of the outputs as they are now, None where they change nothing."""
        l1, importance, known = self.l1, self.importance, self._factors_of
        versions = l1._version, importance._version
        # On an accelerator, reading a tensor's numbers waits for all that is under way.
        if known is None or known[0] is not l1 or known[1] is not importance or known[2:] != versions:
            first = l1[:1]
            self._factors = Factors(
                l1 if bool(l1.any()) else None,
                float(first) if bool((l1 == first).all()) else None,
                None if bool((importance == 1).all()) else importance,
            )
            self._factors_of = l1, importance, *versions
        return self._factors


def has_standard_objective(kind: type[Autoencoder]) -> bool:
    """Whether a class trains `Autoencoder`'s own objective, whose gradient has a closed form."""
    own = ("weights", "decoder", "encode", "decode", "forward", "loss", "objective", "backward")
    return all(getattr(kind, name) is getattr(Autoencoder, name) for name in own)


def _gradient(parameter: Tensor) -> Tensor:
    if not parameter.requires_grad:
        return torch.empty_like(parameter)
    if parameter.grad is None:
        parameter.grad = torch.empty_like(parameter)
    return parameter.grad
