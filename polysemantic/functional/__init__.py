from polysemantic.functional.basis.fourth_norm import (
    FourthNormNull,
    fourth_norm,
    fourth_norm_null,
    privilege,
    privilege_z,
)
from polysemantic.functional.basis.hidden_excess_kurtosis import (
    hidden_excess_kurtosis,
    hidden_excess_kurtosis_null,
    hidden_kurtosis_sums,
)
from polysemantic.functional.basis.participation_ratio import participation_ratio, participation_ratio_null
from polysemantic.functional.basis.rotation_gap import rotation_gap_by_frames, rotation_gap_closed_form
from polysemantic.functional.basis.rotations import rotated_networks, rotation_rank
from polysemantic.functional.carrying.carried import (
    CarriedSigns,
    carried,
    carried_signs,
    carriers,
    coverage,
    covered_features,
)
from polysemantic.functional.carrying.features_per_neuron import features_per_neuron
from polysemantic.functional.carrying.polysemantic_neurons import polysemantic_neurons, polysemantic_neurons_band
from polysemantic.functional.carrying.represented import represented, represented_features
from polysemantic.functional.carrying.sparsification import l1_norm, sparsity_count
from polysemantic.functional.carrying.strongest import Strongest, strongest
from polysemantic.functional.carrying.winners import (
    pack_signs,
    winner_had_sign,
    winner_kept_sign,
    winner_led,
    winner_was_largest,
)
from polysemantic.functional.collisions.collision_counts import CollisionCounts, collision_counts
from polysemantic.functional.collisions.excess_polysemantic_neurons import excess_polysemantic_neurons
from polysemantic.functional.collisions.find_collisions import Collisions, find_collisions
from polysemantic.functional.collisions.interference_cost import (
    excess_cost,
    interference_cost,
    interference_sums,
    shares_neuron,
)
from polysemantic.functional.collisions.pair_sums import PairSums, one_hot_pair_sums, pair_sums
from polysemantic.functional.collisions.priced_collisions import (
    PricedCollisions,
    mean_over_collisions,
    price_collisions,
)
from polysemantic.functional.collisions.same_sign_kinds import SameSignKinds, classify_same_sign
from polysemantic.functional.collisions.threshold_sweep import ThresholdSweep, threshold_sweep
from polysemantic.functional.common.bit_flags import pack_flags, packed_flag, unpack_flags
from polysemantic.functional.common.cache_blocks import cache_blocks, instance_blocks, numbers_at_once
from polysemantic.functional.common.count import count
from polysemantic.functional.common.effective_weight import effective_weight, magnitude
from polysemantic.functional.common.gram import gram, squared_gram
from polysemantic.functional.common.mean_interval import MeanInterval, mean_interval
from polysemantic.functional.common.memoisation import shared, sharing
from polysemantic.functional.common.power_sums import PowerSums, power_sums
from polysemantic.functional.disambiguation.ablation import (
    Disambiguation,
    SameSignCounts,
    ablate,
    disambiguation_by_ablation,
    same_sign_counts,
)
from polysemantic.functional.disambiguation.partition_energy import (
    disambiguation_neurons,
    partition_concentration,
    partition_energies,
    partition_energy,
)
from polysemantic.functional.geometry.angles import min_angle, share_angles_below_90
from polysemantic.functional.geometry.feature_dimensionality import feature_dimensionality
from polysemantic.functional.geometry.interference import interference, mean_interference, weighted_interference
from polysemantic.functional.lives.bootstrap_lives import LifeIntervals, bootstrap_lives
from polysemantic.functional.lives.bootstrap_over_instances import Interval, bootstrap_over_instances
from polysemantic.functional.lives.collision_codes import CollisionKey, decode_collisions, live_collisions
from polysemantic.functional.lives.follow_lives import LifeEvents, Lives, follow_lives, no_lives
from polysemantic.functional.lives.hysteresis import hysteresis
from polysemantic.functional.lives.large_weights import LargeWeights, collision_places, collision_weights, large_weights
from polysemantic.functional.lives.survival import SurvivalCurve, kaplan_meier, median_life, resolution_rate
from polysemantic.functional.lives.threshold_grades import Grades
from polysemantic.functional.training.convergence import all_finite, has_converged, is_still, max_move, relative_change
from polysemantic.functional.training.reconstruction_error import reconstruction_error

__all__ = [
    "CarriedSigns",
    "CollisionCounts",
    "CollisionKey",
    "Collisions",
    "Disambiguation",
    "FourthNormNull",
    "Grades",
    "Interval",
    "LargeWeights",
    "LifeEvents",
    "LifeIntervals",
    "Lives",
    "MeanInterval",
    "PairSums",
    "PowerSums",
    "PricedCollisions",
    "SameSignCounts",
    "SameSignKinds",
    "Strongest",
    "SurvivalCurve",
    "ThresholdSweep",
    "ablate",
    "all_finite",
    "bootstrap_lives",
    "bootstrap_over_instances",
    "cache_blocks",
    "carried",
    "carried_signs",
    "carriers",
    "classify_same_sign",
    "collision_counts",
    "collision_places",
    "collision_weights",
    "count",
    "coverage",
    "covered_features",
    "decode_collisions",
    "disambiguation_by_ablation",
    "disambiguation_neurons",
    "effective_weight",
    "excess_cost",
    "excess_polysemantic_neurons",
    "feature_dimensionality",
    "features_per_neuron",
    "find_collisions",
    "follow_lives",
    "fourth_norm",
    "fourth_norm_null",
    "gram",
    "has_converged",
    "hidden_excess_kurtosis",
    "hidden_excess_kurtosis_null",
    "hidden_kurtosis_sums",
    "hysteresis",
    "instance_blocks",
    "interference",
    "interference_cost",
    "interference_sums",
    "is_still",
    "kaplan_meier",
    "l1_norm",
    "large_weights",
    "live_collisions",
    "magnitude",
    "max_move",
    "mean_interference",
    "mean_interval",
    "mean_over_collisions",
    "median_life",
    "min_angle",
    "no_lives",
    "numbers_at_once",
    "one_hot_pair_sums",
    "pack_flags",
    "pack_signs",
    "packed_flag",
    "pair_sums",
    "participation_ratio",
    "participation_ratio_null",
    "partition_concentration",
    "partition_energies",
    "partition_energy",
    "polysemantic_neurons",
    "polysemantic_neurons_band",
    "power_sums",
    "price_collisions",
    "privilege",
    "privilege_z",
    "reconstruction_error",
    "relative_change",
    "represented",
    "represented_features",
    "resolution_rate",
    "rotated_networks",
    "rotation_gap_by_frames",
    "rotation_gap_closed_form",
    "rotation_rank",
    "same_sign_counts",
    "share_angles_below_90",
    "shared",
    "shares_neuron",
    "sharing",
    "sparsity_count",
    "squared_gram",
    "strongest",
    "threshold_sweep",
    "unpack_flags",
    "weighted_interference",
    "winner_had_sign",
    "winner_kept_sign",
    "winner_led",
    "winner_was_largest",
]
