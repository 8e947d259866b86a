"""The words of tables and charts, each explained in half a line."""

from __future__ import annotations

import re
from collections.abc import Iterable

from matplotlib.figure import Figure

_CARRIED = "|w| ≥ 0.5"
# What a word is looked up by, in this order in a line, and what it means.
WORDS = {
    r"\b(neurons m|n_hidden|[mn] = \d)": ("n, m", "number of features, number of neurons"),
    r"polysemantic|\bat 0[.][357]": ("polysemantic neuron", f"a neuron that carries two features or more ({_CARRIED})"),
    r"\bat 0[.][357]": ("at 0.3, 0.5, 0.7", "the same with this threshold on |w| instead of 0.5"),
    r"\bband\b": ("in the band", "the same with the paper's 0.8 ≤ |w| ≤ 1.2 instead"),
    r"coverage": ("coverage", f"share of features that some neuron carries ({_CARRIED})"),
    r"carriers": ("carriers", "neurons that carry a covered feature, on average"),
    r"represented": ("represented", "share of features given back by at least a half, on however many neurons"),
    r"companions": ("expected companions", "features that are on beside a feature that is on, on average"),
    r"whole features": ("whole features", "features in the paper's band, 0.8 ≤ |w| ≤ 1.2"),
    r"parts of": ("parts", "the other polysemantic neurons"),
    r"rotated pairs": ("rotated pair", "two features on the same two neurons, at 45 degrees"),
    r"\bsettled": ("settled", "both weights have reached |w| ≥ 0.7 at some time"),
    r"(opposite|same)[ _-]sign": ("opposite, same sign", "of the two features' weights on the neuron that they share"),
    r"\berror\b": ("error", "squared error of the output, summed over features"),
    r"\bz\b|privilege \(standard": (
        "z (`privilege_z`)",
        "how far the basis is more aligned with neurons than random ones, in their standard deviations",
    ),
    r"\bprivilege\b(?! \(standard)": ("privilege", "0: aligned like a random basis, 1: every feature on one neuron"),
    r"participation": ("participation ratio", "neurons that a feature is spread over"),
    r"fourth norm": ("fourth norm", "mean over features of Σ w⁴, 1 on single neurons"),
    r"rotation gap": ("rotation gap", "loss that a random rotation of the neurons adds"),
    r"features per neuron|after rotation": ("features per neuron", "features that a neuron responds to, by weight"),
    r"\bcompensated|\bformed": ("had formed", "collisions that were there when the inputs changed"),
    r"\blives\b": ("life", "of a collision, from |w| ≥ 0.5 of both until one is below 0.3"),
    r"\balive\b": ("alive", "not yet below |w| = 0.3 when training ended"),
    r"winner": ("winner", "the neuron with the largest |w| of a feature at the end"),
    r"energy": ("partition energy", "how far the hidden layer tells the halves apart; 2: the constructed solution"),
    r"disambiguation neuron": ("disambiguation neuron", "share of networks with one, confirmed by ablation"),
    r"kind at birth": ("kind at birth", "opposite or same sign, of the two weights on the neuron that they share"),
    r"\bpace\b": ("pace", "growth of 1/|W|₁ with steps"),
    r"m'": ("m'", "weights of a feature that are not small, |w| > 0.01 of the largest"),
    r"random slots|\bby random": ("random slots", "n(n-1)/2(2m-1), features thrown on signed neurons at random"),
    r"exposures": ("exposures", "inputs in which a feature is on"),
    r"\bstill\b": ("still", "fourth norm changed by less than 1 % in the second half of training"),
    r"\bconverged\b": (
        "converged",
        "all weights, the fourth norm and who carries what stood still, and under L1 or noise privilege was ≥ 0.5",
    ),
}


def explained(text: str) -> str:
    """One line that explains the words of a table or chart; empty if it uses none.

    Args:
        text: What stands in it.

    Example:
        >>> explained("coverage")
        '<sub>*coverage*: share of features that some neuron carries (|w| ≥ 0.5).</sub>'
    """
    found = [f"*{name}*: {meaning}" for pattern, (name, meaning) in WORDS.items() if re.search(pattern, text)]
    return f"<sub>{'; '.join(found)}.</sub>" if found else ""


def words_of(figure: Figure) -> str:
    """What stands in a figure: titles, axes and legends, a line each."""
    return "\n".join(" ".join(text.split()) for text in _texts(figure))


def _texts(figure: Figure) -> Iterable[str]:
    for axes in figure.axes:
        yield from (axes.get_xlabel(), axes.get_ylabel(), axes.get_title("left"))
        yield from axes.get_legend_handles_labels()[1]
