import functools
import itertools

import pytest
import torch
from torch.optim import SGD, AdamW

from polysemantic import Ensemble, fit, random
from polysemantic.callbacks import Measurements
from polysemantic.data import HalfSplit, OneHot
from polysemantic.model import initialisation
from polysemantic.model.autoencoder import Autoencoder
from polysemantic.model.weights import Weights

STILL = functools.partial(SGD, lr=0.0)


def keys(n_instances):
    return random.make_keys(0, "init", torch.arange(n_instances))


def half_split_inputs(n_features, count):
    """Inputs with exactly half of one half of the features on, alternately of either half."""
    half = n_features // 2
    x = torch.zeros(count, n_features)
    for row in range(count):
        chosen = torch.randperm(half)[: half // 2]
        x[row, chosen + half * (row % 2)] = 1
    return x


def test_the_disambiguation_solution_has_no_error_on_half_split_inputs():
    start = initialisation.disambiguation(n_instances=3, n_features=32, n_hidden=17)
    x = half_split_inputs(32, 200).expand(3, -1, -1)
    _, x_hat = Autoencoder(start)(x)
    assert torch.equal(x_hat, x)


def test_the_disambiguation_solution_has_no_error_on_any_half_split_input_of_8_features():
    x = torch.zeros(12, 8)
    for row, (half, pair) in enumerate(itertools.product((0, 4), itertools.combinations(range(4), 2))):
        x[row, [half + i for i in pair]] = 1
    _, x_hat = Autoencoder(initialisation.disambiguation(1, 8, 9))(x[None])
    assert torch.equal(x_hat, x[None])


def test_a_run_that_starts_from_the_disambiguation_solution_has_no_error(here):
    options = {"bias": True, "init": "disambiguation", "optimizer": STILL}
    run = fit(HalfSplit(32), n_hidden=20, ensemble=Ensemble(2), max_steps=1, **options)
    assert run.results["reconstruction_error"].tolist() == [0.0, 0.0]
    assert run.results["partition_energy"].tolist() == pytest.approx([2.0, 2.0])


VARIED_SCALE = Ensemble(2, {"init_scale": [1.0, 3.0]})
QUARTERS = Ensemble(2, {"active_fraction": [0.25, 0.5]})


@pytest.mark.parametrize(
    ("data", "options", "rule"),
    [
        (OneHot(32), {"bias": True}, "`init` disambiguation must have HalfSplit data .* got OneHot"),
        (HalfSplit(32, n_parts=4), {"bias": True}, "`init` disambiguation must have HalfSplit data"),
        (HalfSplit(32, active_fraction=0.25), {"bias": True}, "`init` disambiguation must have HalfSplit data"),
        (HalfSplit(32, magnitude="uniform"), {"bias": True}, "`init` disambiguation must have HalfSplit data"),
        (HalfSplit(32), {}, "`init` disambiguation must have bias true and act linear, got bias False and act linear"),
        (HalfSplit(32), {"bias": True, "act": "relu"}, "got bias True and act relu"),
        (HalfSplit(32), {"bias": True, "n_hidden": 16}, "`n_hidden` must be at least 17 .* got 16"),
        (HalfSplit(6, active_fraction=1 / 3), {"bias": True}, "`init` disambiguation must have HalfSplit data"),
        (HalfSplit(32), {"bias": True, "init_scale": 0.5}, "`init` disambiguation must have init_scale 1, got 0.5"),
        (HalfSplit(32), {"bias": True, "ensemble": QUARTERS}, "`init` disambiguation must have HalfSplit data"),
    ],
)
def test_the_disambiguation_solution_is_refused_where_it_is_none(data, options, rule, here):
    with pytest.raises(ValueError, match=rule):
        fit(data, max_steps=1, init="disambiguation", **{"n_hidden": 20, "ensemble": Ensemble(2)} | options)


def test_a_number_of_features_that_is_no_multiple_of_4_has_no_disambiguation_solution():
    with pytest.raises(ValueError, match="`n_features` must be a multiple of 4 for init disambiguation, got 6"):
        initialisation.disambiguation(1, 6, 10)


@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (3, 8), (8, 3), (64, 40)])
def test_orthogonal_weights_have_orthonormal_features_or_neurons(shape):
    W = initialisation.orthogonal(keys(4), *shape).double()
    small = W if shape[0] >= shape[1] else W.mT
    identity = torch.eye(min(shape)).double().expand(4, -1, -1)
    torch.testing.assert_close(small.mT @ small, identity, rtol=0, atol=1e-6)
    assert W.shape == (4, *shape)
    assert shape == (1, 1) or not torch.isclose(W[0], W[1]).all()


def test_orthogonal_weights_have_no_favourite_sign():
    W = initialisation.orthogonal(keys(4000), 2, 2)
    positive = (W > 0).double().mean(0)
    # Within 5 standard errors of a half in each of the four places.
    assert (positive - 0.5).abs().max() <= 5 * 0.5 / 4000**0.5


def test_normal_weights_have_the_variance_of_the_paper():
    W = initialisation.normal(keys(100), 16, 32).double()
    n = W.numel()
    assert abs(W.mean()) <= 5 / (32 * n) ** 0.5
    assert abs(W.var() * 32 - 1) <= 5 * (2 / n) ** 0.5


def test_the_scale_multiplies_the_initial_weights_and_an_untied_decoder_starts_as_the_encoder(here):
    ensemble = Ensemble(2, {"init_scale": [1.0, 0.25]})
    run = fit(OneHot(8), n_hidden=6, ensemble=ensemble, max_steps=1, optimizer=STILL, tied=False)
    plain = initialisation.normal(keys(2), 8, 6)
    assert torch.equal(run.model["W_enc"], torch.cat([plain, plain * 0.25]))
    assert torch.equal(run.model["W_dec"], run.model["W_enc"])


def small(max_steps, ensemble=None, **options):
    """A run without many measurements."""
    ensemble = ensemble or Ensemble(3)
    return fit(
        OneHot(8), n_hidden=6, ensemble=ensemble, max_steps=max_steps, measurements=Measurements(1000), **options
    )


@pytest.fixture
def earlier(here):
    """A run of 30 steps, and the file of its weights."""
    run = small(30)
    return run, str(run.directory / "checkpoints/last.ckpt")


def test_a_run_continues_from_the_weights_of_another(earlier):
    run, path = earlier
    still = small(1, init_from=path, optimizer=STILL)
    assert torch.equal(still.model["W_enc"], run.model["W_enc"])
    assert torch.equal(still.weights[0]["W_enc"], run.model["W_enc"][:1])
    assert still.directory != run.directory
    assert still.results["step"].tolist() == [1, 1, 1]


def test_the_optimiser_starts_afresh_with_the_weights_of_another_run(earlier):
    run, path = earlier
    continued = small(20, init_from=path)
    network = Autoencoder(Weights(run.model["W_enc"]), l1=torch.full((3,), 0.001))
    optimiser = AdamW(network.parameters(), lr=0.001, fused=True)
    for _ in range(20):
        network.backward(None)
        optimiser.step()
    torch.testing.assert_close(network.W_enc.detach(), continued.model["W_enc"], rtol=0, atol=1e-7)


def test_the_seeds_of_an_earlier_run_spread_over_grid_points(earlier):
    run, path = earlier
    ensemble = Ensemble(2, {"l1": [0.0, 0.01], "noise_std": [0.0, 0.5]})
    spread = small(1, ensemble, init_from=path, optimizer=STILL)
    expected = run.model["W_enc"][:2].repeat(4, 1, 1)
    assert torch.equal(spread.model["W_enc"], expected)


@pytest.mark.parametrize("given", [{"init_scale": 2.0}, {"init": "orthogonal"}, {"ensemble": VARIED_SCALE}])
def test_weights_of_another_run_are_neither_drawn_nor_scaled(earlier, given):
    with pytest.raises(ValueError, match="`init` and `init_scale` must be left alone with init_from"):
        small(1, init_from=earlier[1], **given)


def test_a_tied_run_starts_an_untied_one_with_bias(earlier):
    run, path = earlier
    untied = small(1, init_from=path, optimizer=STILL, tied=False, bias=True)
    assert torch.equal(untied.model["W_enc"], run.model["W_enc"])
    assert torch.equal(untied.model["W_dec"], run.model["W_enc"])
    assert torch.equal(untied.model["b_dec"], torch.zeros(3, 8))


def test_what_was_learnt_is_never_dropped(here):
    untied = small(1, tied=False)
    with pytest.raises(ValueError, match="`init_from` must hold tied True, got False"):
        small(1, init_from=str(untied.directory / "checkpoints/last.ckpt"))
    biased = small(1, bias=True)
    with pytest.raises(ValueError, match="`init_from` must hold bias False, got True"):
        small(1, init_from=str(biased.directory / "checkpoints/last.ckpt"))
    grid = small(1, Ensemble(3, {"l1": [0.0, 0.1]}))
    with pytest.raises(ValueError, match=r"`init_from` must hold ensemble .* got .*'l1'"):
        small(1, init_from=str(grid.directory / "checkpoints/last.ckpt"))
