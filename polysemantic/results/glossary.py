"""What the words of tables and charts mean, a few words each: every table and chart has those that it uses below it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from polysemantic.results.columns import COLUMNS, Column

MEANINGS = {
    "n_features": "features of the inputs",
    "n_hidden": "size of the hidden layer",
    "loss": "mean loss of evaluation inputs, without noise",
    "reconstruction_error": "squared error summed over features, mean over evaluation inputs",
    "coverage": "share of features that some neuron carries (|w| >= 0.5); 1 means all",
    "represented": "share of features that are given back, on however many neurons",
    "carriers": "neurons that carry a feature, mean over covered features; 1 if each lies on one neuron",
    "winner_was_largest": "share of final winners whose weight was the feature's largest at initialisation",
    "winner_kept_sign": "share of final winners whose weight has the sign it had at initialisation",
    "polysemantic_neurons": "neurons that carry two features or more (|w| >= 0.5)",
    "polysemantic_neurons_band": "the same by the paper's band, 0.8 <= |w| <= 1.2",
    "excess_polysemantic_neurons": "polysemantic neurons beyond those that more features than neurons must have",
    "collisions_opposite_sign": "pairs of features on one neuron with weights of opposite sign",
    "collisions_same_sign": "pairs of features on one neuron with weights of the same sign",
    "collisions_compensated": "same-sign pairs whose leak other neurons cancel",
    "collisions_disambiguated": "same-sign pairs whose leak costs nothing, as something tells the two apart",
    "collisions_costly": "same-sign pairs that cost reconstruction",
    "collision_cost": "squared error of a colliding pair when one of the two is on, over its squared inputs",
    "collision_excess_cost": "that cost beyond the median of pairs that share no neuron",
    "collisions_born": "collisions that began in the run",
    "collisions_settled": "collisions in which both weights reached 0.7",
    "collisions_resolved": "collisions that ended in the run",
    "fourth_norm": "sum of w^4 of a feature, mean over features; 1 on single neurons",
    "privilege": "0 if neurons are no special directions, 1 if each feature lies on one",
    "privilege_z": "distance of the fourth norm from that of random rotations, in standard deviations",
    "rotation_gap": "loss that a random rotation of the hidden space adds; 0 if neurons are no special directions",
    "hidden_excess_kurtosis": "high if an input excites few neurons; -6/(m+2) if neurons are no special directions",
    "participation_ratio": "neurons over which a represented feature spreads",
    "features_per_neuron": "features that share a neuron that is not dead",
    "feature_dimensionality": "share of a dimension that a represented feature has for itself",
    "mean_interference": "squared overlap of two features, mean over pairs",
    "weighted_interference": "squared overlap of two features, weighted by how often both are on",
    "min_angle": "smallest angle between the encodings of two features",
    "share_angles_below_90": "share of pairs of features at an acute angle",
    "partition_energy": "how far the hidden layer tells two parts of the features apart",
    "partition_concentration": "share of that energy in a single neuron",
    "disambiguation_neuron": "the neuron that tells the two parts apart, confirmed by ablation",
    "sparsity_count": "neurons of a feature with more than 1 % of its largest weight",
    "l1_norm": "sum of |w| of a feature; 1 on a single neuron, √m spread evenly",
    "converged_step": "step at which a network was found to change no more",
    "diverged_step": "step at which a weight was found not finite",
    "expected_polysemantic_neurons": "n(n-1)/2(2m-1), where theory holds",
    "exposures": "inputs of the run that had a feature on, mean over features",
    "expected_companions": "other features that are on beside a feature, on average",
}
"""What each column of the results means."""

TERMS = {
    "n": MEANINGS["n_features"],
    "m": MEANINGS["n_hidden"],
    "lives": "from the step at which two features share a neuron, |w| >= 0.5, until one leaves it, |w| < 0.3",
    "settled": "lives in which both weights reached 0.7, counted from then on",
    "alive": "not resolved when last seen, also where |w| has fallen below 0.5",
    "resolved": "one of the two features left the neuron",
    "converged": "the weights stopped changing",
    "carries": "|w| >= 0.5",
    "threshold": "the |w| from which a neuron carries a feature; 0.5 everywhere else",
}
"""What other words of tables and charts mean."""


def glossary(names: Iterable[str], known: Mapping[str, Column] = COLUMNS, *, short: bool = False) -> str:
    """What the words of a table or chart mean, on one line; words that nothing is known of are left out.

    Args:
        names: Columns and other terms.
        known: The columns of the run.
        short: Whether columns are called what a terminal's tables call them.

    Example:
        >>> glossary(["coverage", "mine", "n"])
        'coverage: share of features that some neuron carries (|w| >= 0.5); 1 means all. n: features of the inputs.'
    """
    told = []
    for name in dict.fromkeys(names):
        if name in MEANINGS and name in known:
            told.append(f"{known[name].short_label if short else known[name].label}: {MEANINGS[name]}")
        elif name in TERMS:
            told.append(f"{name}: {TERMS[name]}")
    return "".join(f"{one}. " for one in told).rstrip()
