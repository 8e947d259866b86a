import itertools

import pytest
import torch

from polysemantic.engine.base import Plan, Training
from polysemantic.engine.batches import given_batches
from polysemantic.engine.eager import EagerEngine
from polysemantic.engine.fused_optimizer import use_fused_kernel
from polysemantic.model.autoencoder import Autoencoder
from polysemantic.model.objective import ClosedForm, Factors
from polysemantic.model.weights import Weights
from tests import reference

L1 = torch.tensor([0.3, 0.0, 0.02], dtype=torch.float64)
IMPORTANCE = torch.tensor([0.7, 1.0, 0.9], dtype=torch.float64)
NONE, ALL_ONE = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
SIZES = {"wide": (3, 4, 3, 5), "deep": (3, 2, 6, 3), "many inputs": (3, 24, 2, 8), "ones": (1, 1, 1, 1)}
KINDS = list(itertools.product([True, False], [True, False], ["linear", "relu"]))
EXTRAS = list(itertools.product([True, False], [True, False], [True, False]))


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def case(size, tied, bias, noisy, identity):
    """Inputs, parameters and noise in float64, with some inputs and weights exactly 0."""
    n_instances, n_inputs, n_features, n_hidden = SIZES[size]
    n_inputs = n_features if identity else n_inputs
    every_feature = torch.eye(n_features).double().repeat(n_instances, 1, 1)
    x = every_feature if identity else normal(n_instances, n_inputs, n_features)
    x = x.relu()
    W_enc = normal(n_instances, n_features, n_hidden)
    W_enc[:, 0, 0] = 0
    W_dec = None if tied else normal(n_instances, n_features, n_hidden)
    b_dec = normal(n_instances, n_features) if bias else None
    return x, Weights(W_enc, W_dec, b_dec), normal(n_instances, n_inputs, n_hidden) if noisy else None


def by_autograd(x, weights, noise, **options):
    leaves = weights.map(lambda w: w.clone().requires_grad_())
    loss = reference.objective(x, leaves.W_enc, leaves.W_dec, leaves.b_dec, noise, **options)
    loss.sum().backward()
    return loss.detach(), leaves.map(lambda w: w.grad)


def in_closed_form(x, weights, noise, *, act, l1, importance):
    rank = torch.arange(weights.W_enc.shape[1])
    factors = Factors(
        l1[:, None, None] if l1.any() else None,
        float(l1[0]) if (l1 == l1[0]).all() else None,
        None if (importance == 1).all() else importance[:, None, None] ** rank,
    )
    closed_form = ClosedForm(act, factors)
    gradient = weights.map(lambda w: torch.full_like(w, torch.nan))
    return closed_form(x, weights, gradient, noise, with_loss=True), gradient


def assert_same(one, other, **tolerance):
    torch.testing.assert_close(one[0], other[0], **tolerance)
    for name in ("W_enc", "W_dec", "b_dec"):
        mine, theirs = getattr(one[1], name), getattr(other[1], name)
        assert (mine is None) == (theirs is None)
        if mine is not None:
            torch.testing.assert_close(mine, theirs, **tolerance)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("identity", [True, False], ids=["identity", "dense"])
@pytest.mark.parametrize(("tied", "bias", "act"), KINDS)
def test_loss_and_gradient_are_those_of_a_loop_over_instances_and_inputs(tied, bias, act, identity, size):
    for penalised, weighed, noisy in EXTRAS:
        x, weights, noise = case(size, tied, bias, noisy, identity)
        options = {
            "act": act,
            "l1": (L1 if penalised else NONE)[: len(x)],
            "importance": (IMPORTANCE if weighed else ALL_ONE)[: len(x)],
        }
        literal = by_autograd(x, weights, noise, **options)
        assert_same(in_closed_form(None if identity else x, weights, noise, **options), literal)


@pytest.mark.parametrize(("tied", "bias", "act"), KINDS)
def test_the_gradient_is_the_slope_of_the_loss(tied, bias, act):
    x, weights, noise = case("wide", tied, bias, noisy=True, identity=False)
    # Away from the kinks, where there is one slope.
    weights.W_enc[:, 0, 0] = 0.5
    options = {"act": act, "l1": L1, "importance": IMPORTANCE}

    class Objective(torch.autograd.Function):
        @staticmethod
        def forward(context, *tensors):
            loss, gradient = in_closed_form(x, unpack(tensors), noise, **options)
            context.save_for_backward(*pack(gradient))
            return loss.sum()

        @staticmethod
        def backward(context, upstream):
            return tuple(upstream * gradient for gradient in context.saved_tensors)

    def pack(these):
        return [w for w in (these.W_enc, these.W_dec, these.b_dec) if w is not None]

    def unpack(tensors):
        rest = list(tensors[1:])
        return Weights(tensors[0], None if tied else rest.pop(0), rest.pop(0) if bias else None)

    assert torch.autograd.gradcheck(Objective.apply, [w.requires_grad_() for w in pack(weights)])


@pytest.mark.parametrize("identity", [True, False], ids=["identity", "dense"])
@pytest.mark.parametrize(("tied", "bias", "act"), KINDS)
def test_subgradients_at_zero_are_zero(tied, bias, act, identity):
    x, weights, _ = case("wide", tied, bias, noisy=False, identity=identity)
    weights.W_enc[:, :, 1] = 0
    if not tied:
        weights.W_dec[:, :, 2] = 0
    if bias:
        weights.b_dec[:] = 0
    options = {"act": act, "l1": L1, "importance": IMPORTANCE}
    loss, gradient = in_closed_form(None if identity else x, weights, None, **options)
    assert_same((loss, gradient), by_autograd(x, weights, None, **options))
    # A neuron that is off everywhere is pushed nowhere: not by the penalty, not through the decoder.
    assert not tied or (gradient.W_enc[:, :, 1] == 0).all()
    all_zero = weights.map(torch.zeros_like)
    _, still = in_closed_form(None if identity else x, all_zero, None, **options)
    assert (still.W_enc == 0).all()
    assert tied or (still.W_dec == 0).all()
    assert not bias or (still.b_dec == 0).all()


def test_kept_memory_serves_another_batch_size_and_another_type():
    closed_form = ClosedForm()
    for n_inputs, dtype in ((4, torch.float64), (7, torch.float64), (4, torch.float32)):
        x, weights = torch.rand(2, n_inputs, 3, dtype=dtype), Weights(torch.randn(2, 3, 2, dtype=dtype))
        gradient = weights.map(torch.empty_like)
        loss = closed_form(x, weights, gradient, with_loss=True)
        literal = by_autograd(x, weights, None, act="linear", l1=NONE.to(dtype), importance=ALL_ONE.to(dtype))
        assert_same((loss, gradient), literal)


def test_without_the_loss_the_gradient_is_the_same():
    for identity in (True, False):
        x, weights, noise = case("wide", tied=False, bias=True, noisy=True, identity=identity)
        closed_form = ClosedForm("relu", Factors(L1[:, None, None]))
        with_loss, without = (weights.map(torch.empty_like) for _ in range(2))
        given = None if identity else x
        assert closed_form(given, weights, with_loss, noise, with_loss=True) is not None
        assert closed_form(given, weights, without, noise) is None
        assert_same((torch.zeros(0), with_loss), (torch.zeros(0), without), rtol=0, atol=0)


@pytest.mark.parametrize("identity", [True, False])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("act", ["linear", "relu"])
def test_no_bit_of_an_instance_tells_whether_the_others_have_its_penalty(tied, act, identity):
    x, weights, noise = case("wide", tied, bias=False, noisy=False, identity=identity)
    x, weights = x.float(), weights.map(torch.Tensor.float)
    found = []
    for others in (0.3, 0.1):
        network = Autoencoder(weights.map(torch.clone), act, torch.tensor([0.3, others, others]))
        gradient = weights.map(torch.empty_like)
        assert (network.factors.l1_of_all is None) == (others != 0.3)
        ClosedForm(act, network.factors)(None if identity else x, weights, gradient, noise)
        found.append(gradient.map(lambda w: w[:1]))
    torch.testing.assert_close(*(vars(gradient) for gradient in found), rtol=0, atol=0)


def test_a_penalty_that_a_callback_changes_in_place_is_the_one_trained_with():
    x, weights, _ = case("wide", tied=True, bias=False, noisy=False, identity=False)
    changed, fresh = (networks(Autoencoder, weights, "linear") for _ in range(2))
    changed.backward(x)
    changed.l1.mul_(10)
    fresh.l1.mul_(10)
    for network in (changed, fresh):
        network.backward(x)
    assert_same((torch.zeros(0), gradients(changed)), (torch.zeros(0), gradients(fresh)), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["l1", "importance"])
@pytest.mark.parametrize("replaced", [False, True])
def test_factors_that_begin_without_effect_and_change_are_trained_with(name, replaced):
    x, weights, _ = case("wide", tied=True, bias=False, noisy=False, identity=False)
    changed, fresh = (Autoencoder(weights.map(torch.clone)) for _ in range(2))
    changed.backward(x)
    for network in (changed, fresh):
        if replaced:
            setattr(network, name, torch.full_like(getattr(network, name), 0.5))
        else:
            getattr(network, name).fill_(0.5)
    before = changed.W_enc.grad.clone()
    for network in (changed, fresh):
        network.backward(x)
    assert not torch.equal(before, changed.W_enc.grad)
    assert_same((torch.zeros(0), gradients(changed)), (torch.zeros(0), gradients(fresh)), rtol=0, atol=0)


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
@pytest.mark.parametrize("tied", [True, False])
def test_a_subclass_is_trained_to_the_same_weights_as_the_closed_form(tied, kind):
    x, weights, _ = case("wide", tied, bias=True, noisy=False, identity=False)
    x, weights, ends = x.float(), weights.map(torch.Tensor.float), []
    for network in (Autoencoder(weights.map(torch.clone)), Rewritten(weights.map(torch.clone))):
        optimizer = use_fused_kernel(kind(network.parameters(), lr=0.01))
        engine = Plan(EagerEngine).make(Training(network, optimizer))
        engine.run(30, given_batches(x.expand(30, *x.shape), None))
        assert not torch.allclose(network.W_enc, weights.W_enc, atol=0.01)
        ends.append(network.weights.map(torch.Tensor.detach))
    torch.testing.assert_close(*map(vars, ends), rtol=1e-4, atol=1e-5)


def test_a_parameter_that_is_not_trained_gets_no_gradient():
    x, weights, _ = case("wide", tied=False, bias=True, noisy=False, identity=False)
    for kind in (Autoencoder, Rewritten):
        network = networks(kind, weights, "linear")
        network.W_dec.requires_grad_(False)
        network.backward(x)
        assert network.W_dec.grad is None
        whole = networks(kind, weights, "linear")
        whole.backward(x)
        torch.testing.assert_close(network.W_enc.grad, whole.W_enc.grad)


class Biasless(Autoencoder):
    """Makes no use of its bias."""

    def decode(self, h):
        return (h @ self.decoder.mT).relu()


class Scaled(Autoencoder):
    """Another decoder of the same weights."""

    @property
    def decoder(self):
        return 2 * super().decoder


def test_a_subclass_may_leave_a_parameter_unused_or_give_another_decoder():
    x, weights, _ = case("wide", tied=True, bias=True, noisy=False, identity=False)
    unused = networks(Biasless, weights, "linear")
    unused.backward(x)
    assert unused.b_dec.grad is None
    assert unused.W_enc.grad.any()
    scaled = networks(Scaled, weights, "linear")
    torch.testing.assert_close(scaled.backward(x, with_loss=True), scaled.loss(x).detach())
    assert not scaled.is_standard


class Rewritten(Autoencoder):
    """The same network, said in another way."""

    def forward(self, x, noise=None):
        h = self.encode(x)
        return h, self.decode(h + (0 if noise is None else noise))


class Doubled(Autoencoder):
    """Another network."""

    def decode(self, h):
        return 2 * super().decode(h)


def networks(kind, weights, act):
    return kind(weights.map(torch.clone), act, L1, IMPORTANCE)


def gradients(network):
    return Weights(
        network.W_enc.grad,
        None if network.W_dec is None else network.W_dec.grad,
        None if network.b_dec is None else network.b_dec.grad,
    )


@pytest.mark.parametrize("identity", [True, False], ids=["identity", "dense"])
@pytest.mark.parametrize(("tied", "bias", "act"), KINDS)
def test_a_subclass_with_another_forward_trains_by_autograd_with_the_same_results(tied, bias, act, identity):
    x, weights, noise = case("wide", tied, bias, noisy=True, identity=identity)
    given = None if identity else x
    plain, rewritten = networks(Autoencoder, weights, act), networks(Rewritten, weights, act)
    answers = [network.backward(given, noise, with_loss=True) for network in (plain, rewritten)]
    assert_same((answers[0], gradients(plain)), (answers[1], gradients(rewritten)))
    torch.testing.assert_close(plain.loss(x, noise), answers[0])


def test_a_subclass_with_another_network_has_its_own_gradient():
    x, weights, _ = case("wide", tied=True, bias=False, noisy=False, identity=False)
    network = networks(Doubled, weights, "linear")
    loss = network.backward(x, with_loss=True)
    torch.testing.assert_close(loss, network.loss(x).detach())
    again = networks(Doubled, weights, "linear")
    again.loss(x).sum().backward()
    torch.testing.assert_close(network.W_enc.grad, again.W_enc.grad)
    plain = networks(Autoencoder, weights, "linear")
    assert not torch.allclose(plain.backward(x, with_loss=True), loss)
