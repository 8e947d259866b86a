"""Literal oracles: Python floats and loops, one instance at a time, no cleverness."""

from tests.reference.basis import (
    fourth_norm,
    fourth_norm_null,
    hidden_excess_kurtosis,
    participation_ratio,
    privilege,
    random_rotations,
    rotation_gap,
)
from tests.reference.carrying import (
    carriers,
    coverage,
    features_per_neuron,
    l1_norm,
    polysemantic_neurons,
    represented,
    sparsity_count,
    winner_kept_sign,
    winner_was_largest,
    winners,
)
from tests.reference.collisions import collisions, excess_cost, interference_cost, same_sign_kind, shares_neuron
from tests.reference.common import dot, effective_weight, mean, per_instance
from tests.reference.disambiguation import disambiguation_solution, partition_energies
from tests.reference.geometry import (
    angles,
    feature_dimensionality,
    interference,
    min_angle,
    share_angles_below_90,
    weighted_interference,
)
from tests.reference.lives import collision_lives, kaplan_meier, switch
from tests.reference.random import key_that_draws, signed, splitmix64, splitmix64_mix, splitmix64_unmix
from tests.reference.training import converged_step, objective, reconstruction_error, sparsification

__all__ = [
    "angles",
    "carriers",
    "collision_lives",
    "collisions",
    "converged_step",
    "coverage",
    "disambiguation_solution",
    "dot",
    "effective_weight",
    "excess_cost",
    "feature_dimensionality",
    "features_per_neuron",
    "fourth_norm",
    "fourth_norm_null",
    "hidden_excess_kurtosis",
    "interference",
    "interference_cost",
    "kaplan_meier",
    "key_that_draws",
    "l1_norm",
    "mean",
    "min_angle",
    "objective",
    "participation_ratio",
    "partition_energies",
    "per_instance",
    "polysemantic_neurons",
    "privilege",
    "random_rotations",
    "reconstruction_error",
    "represented",
    "rotation_gap",
    "same_sign_kind",
    "share_angles_below_90",
    "shares_neuron",
    "signed",
    "sparsification",
    "sparsity_count",
    "splitmix64",
    "splitmix64_mix",
    "splitmix64_unmix",
    "switch",
    "weighted_interference",
    "winner_kept_sign",
    "winner_was_largest",
    "winners",
]
