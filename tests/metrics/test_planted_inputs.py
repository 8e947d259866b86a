"""Planted networks on inputs: every measurement that needs some, and the lives of their collisions."""

import math
import statistics

import pytest
import torch

from polysemantic import metrics
from polysemantic.callbacks.collisions.records import LifeRecords
from polysemantic.callbacks.costly import of_collisions
from polysemantic.data import HalfSplit
from polysemantic.functional import interference_cost, interference_sums, large_weights, rotation_gap_closed_form
from polysemantic.metrics import InstanceMetric
from polysemantic.model.autoencoder import Autoencoder
from polysemantic.model.initialisation import disambiguation
from polysemantic.model.weights import Weights
from tests.support.planted import NETWORKS, hadamard, planted, ratio

ALL = [kind for kind in vars(metrics).values() if isinstance(kind, type) and kind is not InstanceMetric]
L1 = 0.25


def measure(x, W_enc, W_dec=None, b_dec=None, cooccurrence=None):
    """Every metric that needs inputs, on one network and one batch at a time, and what takes long on all of them."""
    weights = Weights(*(None if w is None else w[None].double() for w in (W_enc, W_dec, b_dec)))
    l1 = torch.full((1,), L1, dtype=torch.float64)
    networks = Autoencoder(weights, l1=l1)
    found = [kind() for kind in ALL]
    found = [metric for metric in found if metric._filter_kwargs(x=0, h=0, x_hat=0)]
    for batch in x.double()[None].split(7, 1):
        h, x_hat = networks(batch)
        given = {"x": batch, "h": h, "x_hat": x_hat, "loss": networks.loss(batch), "cooccurrence": cooccurrence[None]}
        given = {name: value.detach() for name, value in (given | {"l1": l1}).items()} | vars(weights)
        for metric in found:
            metric.update(**metric._filter_kwargs(**given))
    h, x_hat = (values.detach() for values in networks(x.double()[None]))
    costly = of_collisions(
        weights.W_enc, weights.decoder, *interference_sums(x.double()[None], x_hat), cooccurrence[None]
    )
    if W_dec is None:
        costly["rotation_gap"] = rotation_gap_closed_form(h, l1)
    return {name: value.item() for name, value in ({m.column(): m.compute() for m in found} | costly).items()}


def mean_norm_ratio(m):
    """E |u|_1 of a uniform point u of the unit sphere, from the moments of Gaussian ones."""
    return math.sqrt(2 / math.pi) * m / math.exp(math.lgamma((m + 1) / 2) - math.lgamma(m / 2) + math.log(2) / 2)


def answers(mono, opposite, same, uncarried, m, *, tied):
    """On every feature once: a same-sign partner's output errs by 1, and so does a dead feature's own; nothing else."""
    shared, live = opposite + same, mono + 2 * (opposite + same)
    n = live + uncarried
    # Of two features, one of which is on at a time, those that are dead are lost.
    pairs = {0.0: math.comb(live, 2) - shared, 0.5: live * uncarried, 1.0: math.comb(uncarried, 2)}
    apart = [cost for cost, count in pairs.items() for _ in range(count)]
    ordinary = statistics.median(apart) if apart else math.nan
    activity = live if tied else mono + 2 * math.sqrt(2) * shared
    return {
        "reconstruction_error": (2 * same + uncarried) / n,
        "loss": (2 * same + uncarried + L1 * activity) / n,
        "hidden_excess_kurtosis": m - 3 if live else math.nan,
        "collisions_compensated": 0,
        "collisions_disambiguated": 0,
        "collisions_costly": same,
        "collision_cost": ratio(same, shared),
        "collision_excess_cost": ratio(same, shared) - ordinary,
    } | ({"rotation_gap": L1 * live / n * (mean_norm_ratio(m) - 1)} if tied else {})


@pytest.mark.parametrize("encoder_scale", [None, 1 / 8, 8.0])
@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_planted_networks_give_the_known_answers_on_inputs(network, encoder_scale):
    given = planted(*network)
    W, x = given["W_enc"], torch.eye(len(given["W_enc"]))
    weights = (W, None) if encoder_scale is None else (W * encoder_scale, W / encoder_scale)
    values = measure(x, *weights, cooccurrence=given["cooccurrence"])
    expected = answers(*network, tied=encoder_scale is None)
    # Exact but for rounding, that of gamma functions too.
    assert values == pytest.approx(expected, rel=1e-12, abs=1e-14, nan_ok=True)


def test_a_rotated_copy_reconstructs_alike_and_has_no_collision_to_cost_anything():
    given = planted(6, 3, 1, 2, 16)
    W, x = given["W_enc"], torch.eye(16)
    aligned, rotated = (measure(x, w, cooccurrence=given["cooccurrence"]) for w in (W, W @ hadamard(16)))
    assert rotated["reconstruction_error"] == aligned["reconstruction_error"]
    assert rotated["hidden_excess_kurtosis"] == -2
    assert rotated["loss"] - rotated["reconstruction_error"] == pytest.approx(L1 * 14 / 16 * 4)
    assert rotated["rotation_gap"] == pytest.approx(L1 * 14 / 16 * (mean_norm_ratio(16) - 4))
    kinds = ("collisions_compensated", "collisions_disambiguated", "collisions_costly")
    assert {rotated[name] for name in kinds} == {0}
    assert math.isnan(rotated["collision_cost"])
    assert math.isnan(rotated["collision_excess_cost"])


def test_the_disambiguation_solution_loses_nothing_and_its_collisions_cost_nothing():
    data = HalfSplit(32)
    x = torch.cat([data.evaluation_inputs(batch) for batch in data.val_dataloader()], 1)[0]
    start = disambiguation(1, 32, 20)
    values = measure(x, start.W_enc[0], b_dec=start.b_dec[0], cooccurrence=data.cooccurrence()[0])
    assert values["reconstruction_error"] == values["collision_cost"] == values["collision_excess_cost"] == 0
    assert values["collisions_disambiguated"] == 16
    assert values["collisions_compensated"] == values["collisions_costly"] == 0
    # Eight features of one half are on: one unit on each of their neurons, and 8 a = 2 on the first.
    assert values["hidden_excess_kurtosis"] == pytest.approx(20 * (8 + 2**4) / (8 + 2**2) ** 2 - 3)
    assert values["rotation_gap"] == pytest.approx(L1 * (mean_norm_ratio(20) * math.sqrt(12) - 10))


@pytest.mark.parametrize("encoder_scale", [None, 1 / 8, 8.0])
@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_planted_collisions_live_from_the_first_look_to_the_last(network, encoder_scale):
    mono, opposite, same, *_ = network
    W = planted(*network)["W_enc"][None]
    W_enc, W_dec = (W, None) if encoder_scale is None else (W * encoder_scale, W / encoder_scale)
    x = torch.eye(W.shape[1])[None]
    cost = interference_cost(*interference_sums(x, (x @ W @ W.mT).relu()))[0]
    records = LifeRecords(tuple(W.shape), max_lives=100)
    # Pairs of features 2p and 2p + 1 come after the monosemantic ones.
    for step in (0, 10):
        records.observe(step, large_weights(W_enc, W_dec), lambda codes: cost[_pair(codes, W.shape)])
    table = records.table().sort_values("feature_i")
    assert table["feature_i"].tolist() == [mono + 2 * pair for pair in range(opposite + same)]
    assert (table["feature_j"] == table["feature_i"] + 1).all()
    for moment in ("birth", "end"):
        assert table[f"kind_at_{moment}"].tolist() == ["opposite_sign"] * opposite + ["same_sign"] * same
        assert table[f"cost_at_{moment}"].tolist() == [0.0] * opposite + [1.0] * same
    assert (table[["born_step", "settled_step", "last_seen_step"]] == [0, 0, 10]).all(axis=None)
    assert table["resolved_step"].isna().all()
    assert [count.item() for count in records.counts().values()] == [opposite + same, opposite + same, 0]


def _pair(codes, shape):
    n = shape[1]
    return codes % n**2 // n, codes % n
