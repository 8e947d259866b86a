import math

import pytest
import torch

from polysemantic import metrics
from polysemantic.functional import pack_signs, strongest
from polysemantic.metrics import InstanceMetric
from polysemantic.model.initialisation import disambiguation
from tests.support.planted import NETWORKS, hadamard, planted, ratio

ALL = [kind for kind in vars(metrics).values() if isinstance(kind, type) and kind is not InstanceMetric]


def measure(**given):
    """Every metric that needs no inputs, on one network."""
    values, start = {}, given.pop("w_start")
    given |= {"led_at_start": strongest(start).neuron, "signs_at_start": pack_signs(start)}
    for metric in (kind() for kind in ALL):
        if not metric._filter_kwargs(x=0, h=0, x_hat=0):
            arguments = {name: None if value is None else value.unsqueeze(0) for name, value in given.items()}
            metric.update(**metric._filter_kwargs(**arguments | {"partition": given["partition"]}))
            values[metric.column()] = metric.compute().item()
    return values


def answers(mono, opposite, same, uncarried, n_hidden):
    shared = opposite + same
    live, used, m = mono + 2 * shared, mono + shared, n_hidden
    n, pairs = live + uncarried, math.comb(live, 2)
    z = math.nan
    if live and m > 1:
        parallel = live + 2 * shared
        V = 24 * (m - 1) / ((m + 2) ** 2 * (m + 4) * (m + 6))
        variance = V / n**2 * (parallel + (live**2 - parallel) * 3 / (m**2 - 1))
        z = live / n * (1 - 3 / (m + 2)) / math.sqrt(variance)
    return {
        "coverage": live / n,
        "represented": live / n,
        "carriers": 1 if live else math.nan,
        "polysemantic_neurons": shared,
        "polysemantic_neurons_band": shared,
        "collisions_opposite_sign": opposite,
        "collisions_same_sign": same,
        "excess_polysemantic_neurons": shared - max(0, live - m),
        "fourth_norm": live / n,
        "privilege": 1 if live and m > 1 else math.nan,
        "privilege_z": z,
        "participation_ratio": 1 if live else math.nan,
        "features_per_neuron": ratio(live, used),
        "min_angle": math.nan if live < 2 else 0 if same else 90 if used > 1 else 180,
        "share_angles_below_90": ratio(same, pairs),
        "winner_was_largest": 1 if live else math.nan,
        "winner_kept_sign": ratio(live - 1, live) if live else math.nan,
        "partition_energy": (mono + 4 * opposite) / n,
        "partition_concentration": ratio(4 if opposite else 1, mono + 4 * opposite),
        "l1_norm": live / n,
        "sparsity_count": live / n,
        "feature_dimensionality": ratio(used, live),
        "mean_interference": ratio(2 * shared, n * (n - 1)),
        "weighted_interference": ratio(0.4 * same, 0.1 * (n * (n - 1) - 2 * shared) + 0.4 * same),
    }


@pytest.mark.parametrize("encoder_scale", [None, 1 / 8, 8.0])
@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_planted_networks_give_the_known_answers(network, encoder_scale):
    given = planted(*network)
    W = given["W_enc"]
    scaled = {} if encoder_scale is None else {"W_enc": W * encoder_scale, "W_dec": W / encoder_scale}
    values = measure(**{"W_dec": None} | given | scaled)
    # Exact but for the rounding of quotients.
    assert values == pytest.approx(answers(*network), rel=1e-14, abs=0, nan_ok=True)


@pytest.mark.parametrize("encoder_scale", [None, 1 / 8, 8.0])
def test_a_rotated_copy_is_represented_but_not_covered(encoder_scale):
    given = planted(6, 3, 1, 2, 16) | {"W_dec": None}
    aligned = measure(**given)
    W = given["W_enc"] @ hadamard(16)
    scaled = {} if encoder_scale is None else {"W_enc": W * encoder_scale, "W_dec": W / encoder_scale}
    rotated = measure(**given | {"W_enc": W} | scaled)
    kept = [
        "represented",
        "min_angle",
        "share_angles_below_90",
        "partition_energy",
        "feature_dimensionality",
        "mean_interference",
        "weighted_interference",
    ]
    assert {name: rotated[name] for name in kept} == {name: aligned[name] for name in kept}
    lost = ["coverage", "polysemantic_neurons", "polysemantic_neurons_band", "collisions_opposite_sign"]
    assert {rotated[name] for name in [*lost, "collisions_same_sign"]} == {0}
    assert math.isnan(rotated["carriers"])
    assert rotated["participation_ratio"] == 16
    assert rotated["l1_norm"] == 4 * aligned["l1_norm"]
    assert rotated["sparsity_count"] == 16 * aligned["sparsity_count"]
    assert rotated["fourth_norm"] == aligned["fourth_norm"] / 16
    assert rotated["privilege"] == pytest.approx(-2 / 16)
    assert rotated["privilege_z"] < 0 < aligned["privilege_z"]


def test_the_disambiguation_solution_holds_the_partition_in_one_neuron():
    W = disambiguation(1, 32, 64).W_enc[0]
    partition = torch.tensor([1.0, -1.0]).repeat_interleave(16)
    given = {"W_enc": W, "W_dec": None, "w_start": W, "cooccurrence": torch.ones(32, 32), "partition": partition}
    values = measure(**given)
    assert values["partition_energy"] == 2
    assert values["partition_concentration"] == 1
    assert values["collisions_same_sign"] == values["polysemantic_neurons"] == 16
    assert values["collisions_opposite_sign"] == 0
    assert values["coverage"] == values["represented"] == values["carriers"] == 1
    rotated = measure(**given | {"W_enc": W @ hadamard(64)})
    assert rotated["partition_energy"] == 2
    assert rotated["partition_concentration"] == 1 / 64


def test_without_a_partition_its_measures_are_undefined():
    given = planted(*NETWORKS["mixed"]) | {"W_dec": None, "partition": None}
    values = measure(**given)
    assert math.isnan(values["partition_energy"])
    assert math.isnan(values["partition_concentration"])


def test_winners_that_were_not_the_largest_are_told_apart():
    given = planted(4, 0, 0, 0, 4) | {"W_dec": None}
    given["w_start"] = given["W_enc"] + 2 * given["W_enc"].roll(1, dims=-1) * torch.tensor([[1.0], [0], [0], [0]])
    values = measure(**given)
    assert values["winner_was_largest"] == 0.75
    assert values["winner_kept_sign"] == 1
