from __future__ import annotations

import pandas as pd

from findings.claim import Claim
from findings.networks import COUNTS
from findings.question import Tables
from findings.questions.noise import ALIGNING, LAWS, PAPER, aligning, alone, arm_of, late_change, named
from findings.statistics import by_key, interval, is_less
from polysemantic.theory import expected_polysemantic_neurons


def _by_law(tables: Tables, column: str) -> list[dict[str, pd.Series]]:
    """A column of the networks under each law, for each standard deviation."""
    return [
        {law: rows[rows["noise"] == law][column] for law in LAWS} for _, rows in tables["noise"].groupby("noise_std")
    ]


def _negative_aligns(tables: Tables) -> bool:
    return all(
        is_less(norm["gaussian"], norm[law]) for norm in _by_law(tables, "fourth_norm") for law in ALIGNING
    ) and all(interval(one[law]).low > 0 for one in _by_law(tables, "privilege") for law in ALIGNING)


def _gaussian_does_not(tables: Tables) -> bool:
    return all(abs(one["gaussian"].mean()) < 0.03 for one in _by_law(tables, "privilege"))


def _positive_spreads(tables: Tables) -> bool:
    """Less aligned than under gaussian noise and than random bases, and every feature represented."""
    return (
        all(is_less(norm["laplace"], norm["gaussian"]) for norm in _by_law(tables, "fourth_norm"))
        and all(interval(one["laplace"]).high < 0 for one in _by_law(tables, "privilege"))
        and tables["noise"]["represented"].min() == 1
    )


def _at(tables: Tables, arm: str) -> pd.DataFrame:
    formed = named(tables["noise_collisions"])
    return arm_of(formed, formed["n_hidden"].min(), arm)


def _do_not_last(tables: Tables) -> bool:
    """Born, covered and gone, by every threshold fewer than under L1."""
    driven = _at(tables, "L1")
    for arm in aligning(named(tables["noise_collisions"])):
        noisy = _at(tables, arm)
        if not (interval(noisy["coverage"]).low > 0.8 and noisy["collisions_born"].mean() > 1):
            return False
        if not all(is_less(noisy[count], driven[count]) for count, _ in COUNTS.values()):
            return False
    return bool(driven["coverage"].min() == 1)


def _go_away_again(tables: Tables) -> bool:
    """Fewer polysemantic neurons at the end than before, while coverage does not fall with them."""
    history = tables["noise_collisions_over_steps"]
    few = history[(history["noise"] == "bernoulli") & (history["l1"] == 0)]
    few = few[(few["n_hidden"] == few["n_hidden"].min()) & (few["step"] > 0)]
    return all(
        path["polysemantic_neurons"].iloc[-1] < 0.5 * path["polysemantic_neurons"].max()
        and path["coverage"].iloc[-1] > 0.9 * path["coverage"].max()
        for _, path in few.groupby("noise_std")
    )


def _far_below_slots(tables: Tables) -> bool:
    formed = named(tables["noise_collisions"])
    n = int(formed["n_features"].iloc[0])
    return all(
        interval(rows["polysemantic_neurons"]).high < 0.5 * expected_polysemantic_neurons(n, m)
        for arm in aligning(formed)
        for m, rows in by_key(formed[formed["arm"] == arm], "n_hidden")
    )


def _l1_does_not(tables: Tables) -> bool:
    """Not half as few as at random, at any width."""
    formed = named(tables["noise_collisions"])
    n = int(formed["n_features"].iloc[0])
    return all(
        interval(rows["polysemantic_neurons"]).value > 0.75 * expected_polysemantic_neurons(n, m)
        for m, rows in by_key(formed[formed["arm"] == "L1"], "n_hidden")
    )


def _short_of_full(tables: Tables) -> bool:
    norms = tables["noise"]
    strong = norms[norms["noise"].isin(ALIGNING) & (norms["noise_std"] == norms["noise_std"].max())]
    return interval(strong["privilege"]).high < 0.9


def _one_stays_spread(tables: Tables) -> bool:
    few = _at(tables, aligning(named(tables["noise_collisions"]))[-1])
    return alone(few).mean() > 0.9 and few["represented"].min() == 1


def _as_the_paper(tables: Tables) -> bool:
    """Within a fifth of the points read off its figure."""
    ours = {at: rows["fourth_norm"].mean() for at, rows in by_key(tables["noise"], ["noise", "noise_std"])}
    last = {at[:2]: norm for at, norm in PAPER.items() if at[2] == max(step for *_, step in PAPER)}
    return all(abs(ours[at] / norm - 1) < 0.2 for at, norm in last.items())


def _takes_longer(tables: Tables) -> bool:
    """At the smallest standard deviation the fourth norm still grew in the second half."""
    history = tables["noise_over_steps"]
    weak = history[(history["noise_std"] == history["noise_std"].min()) & (history["noise"] == "bernoulli")]
    later = weak[weak["step"] >= weak["step"].max() / 2]["fourth_norm"]
    return bool(later.iloc[-1] > 1.1 * later.iloc[0])


def _born_without_alignment(tables: Tables) -> bool:
    gaussian = _at(tables, "gaussian, sd = 0.15")
    return gaussian["collisions_born"].mean() > 1 and abs(gaussian["privilege"].mean()) < 0.05


_FORMED = "noise_collisions"
CLAIMS = (
    Claim(
        "Noise of negative excess kurtosis aligns features with neurons",
        _negative_aligns,
        ("noise.fourth_norm", "noise.privilege"),
    ),
    Claim("gaussian noise does not", _gaussian_does_not, ("noise.privilege",)),
    Claim(
        "noise of positive excess kurtosis spreads them",
        _positive_spreads,
        ("noise.fourth_norm", "noise.privilege", "noise.represented"),
    ),
    Claim(
        "Collisions do not last under it",
        _do_not_last,
        (f"{_FORMED}.polysemantic_neurons", f"{_FORMED}.collisions_born", f"{_FORMED}.coverage"),
    ),
    Claim(
        "trained counts lie far below those of features thrown at random on signed slots",
        _far_below_slots,
        (f"{_FORMED}.polysemantic_neurons",),
    ),
    Claim("where those under L1 lie about them or above", _l1_does_not, (f"{_FORMED}.polysemantic_neurons",)),
    Claim(
        "Collisions go away again under noise",
        _go_away_again,
        (f"{_FORMED}_over_steps.polysemantic_neurons", f"{_FORMED}_over_steps.coverage"),
    ),
    Claim("Alignment stops short of full privilege", _short_of_full, ("noise.privilege",)),
    Claim(
        "have exactly one feature without a neuron of its own ... and that one is represented",
        _one_stays_spread,
        (f"{_FORMED}.coverage", f"{_FORMED}.represented"),
    ),
    Claim("The paper's figure comes out again", _as_the_paper, ("noise.fourth_norm",)),
    Claim(
        "the mean fourth norm changed by at most ... in the second half of training",
        lambda tables: late_change(tables["noise_over_steps"]) < 0.03,
        ("noise_over_steps.fourth_norm",),
    ),
    Claim("The time to align grows as the noise weakens", _takes_longer, ("noise_over_steps.fourth_norm",)),
    Claim(
        "At m = n collisions are born under gaussian noise too, which aligns nothing",
        _born_without_alignment,
        (f"{_FORMED}.collisions_born", f"{_FORMED}.privilege"),
    ),
)
