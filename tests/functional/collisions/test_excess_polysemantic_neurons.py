import pytest
import torch

from polysemantic import functional as F


@pytest.mark.parametrize(
    ("slots", "excess"),
    [
        # The (neuron, sign) of each feature, on 3 neurons.
        ([(0, 1), (1, 1), (2, -1)], 0),  # none shared
        ([(0, 1), (0, -1), (1, 1), (2, 1)], 0),  # one forced
        ([(0, 1), (0, -1), (1, 1)], 1),  # one with a neuron to spare
        ([(0, 1), (0, -1), (1, 1), (1, -1)], 1),  # one forced, one with a neuron to spare
        ([(0, 1), (0, -1), (1, 1), (1, -1), (2, 1), (2, -1)], 0),  # all forced
        ([(0, 1), (0, 1), (0, -1), (1, 1), (2, 1)], -1),  # three on one neuron
    ],
)
@pytest.mark.parametrize("scale", [None, 16.0])
def test_excess_counts_the_polysemantic_neurons_that_need_not_be(slots, excess, scale):
    W = torch.zeros(len(slots), 3)
    for feature, (neuron, sign) in enumerate(slots):
        W[feature, neuron] = sign
    W_enc, W_dec = (W, None) if scale is None else (W / scale, W * scale)
    assert F.excess_polysemantic_neurons(W_enc, W_dec).item() == excess
