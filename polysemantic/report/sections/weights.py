import math

import numpy as np
import torch

from polysemantic.functional import carried, effective_weight
from polysemantic.report.charts import Matrices, Section, Slides
from polysemantic.report.material import Material
from polysemantic.report.over_training import limit_note
from polysemantic.report.sources import Point, Snapshot
from polysemantic.results.glossary import glossary

_NETWORKS = 6
_STEPS = 16
_LARGEST = 128
# Numbers on the page, three bytes each.
_BUDGET = 1_000_000


def weights(material: Material) -> Section | None:
    """Weight matrix and W Wᵀ over training."""
    points = material.shown_points(_NETWORKS)
    side = min(_LARGEST, math.isqrt(_BUDGET // (2 * _STEPS * len(points))))
    found = {point.label: matrices for point in points if (matrices := _matrices(point, side)) is not None}
    if not found:
        return None
    title = "Weights and W Wᵀ over training"
    text = [
        "Rows are features, columns neurons, those that carry most features at the end first. Untied weights are the "
        "signed geometric mean of encoder and decoder on the left, encoder times decoder on the right.",
        glossary(["carries"]),
    ]
    sizes = zip(material.results["n_features"], material.results["n_hidden"], strict=True)
    if any(max(size) > side for size in sizes):
        text.append(f"At most {side} features and {side} neurons of each network are shown, to keep the page small.")
    text += limit_note(material, _NETWORKS, found, "weights that were kept")
    return Section(title, text, [Slides("weights", f"{title}: {material.description}", [*found.values()])])


def _matrices(point: Point, side: int) -> Matrices | None:
    found = point.snapshots(_STEPS)
    if found is None:
        return None
    instance, kept = found
    features, neurons = _order(list(kept.values())[-1], side)
    seed = instance - point.instances.start
    return Matrices(
        f"{point.label}, seed {seed}",
        list(kept),
        features.tolist(),
        neurons.tolist(),
        np.stack([_effective(w)[features][:, neurons].numpy() for w in kept.values()]),
        np.stack([(w["W_enc"][features] @ w.get("W_dec", w["W_enc"])[features].T).numpy() for w in kept.values()]),
    )


def _effective(snapshot: Snapshot) -> torch.Tensor:
    return effective_weight(snapshot["W_enc"], snapshot.get("W_dec"))


def _order(last: Snapshot, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Neurons by the number of features they carry, and features by the neuron that has most of them."""
    w = _effective(last)
    neurons = carried(w).sum(0).argsort(descending=True, stable=True)
    place = neurons.argsort()
    features = place[w.abs().argmax(1)].argsort(stable=True)
    return features[:side], neurons[:side]
