import functools
import math

import pytest
import torch

from polysemantic import functional as F
from tests.support import weights

normal = functools.partial(weights.normal, dtype=torch.float32)


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (3, 8, 5), (2, 3, 12, 4)])
@pytest.mark.parametrize("tied", [True, False])
def test_threshold_sweep_matches_one_threshold_at_a_time(shape, tied):
    W_enc, W_dec = normal(*shape), None if tied else normal(*shape, seed=1)
    w = F.effective_weight(W_enc, W_dec)
    sweep = F.threshold_sweep(W_enc, W_dec, thresholds=(0.2, 0.5, 0.9))
    for at, threshold in enumerate((0.2, 0.5, 0.9)):
        torch.testing.assert_close(sweep.polysemantic_neurons[..., at], F.polysemantic_neurons(w, threshold))
        torch.testing.assert_close(sweep.coverage[..., at], F.coverage(w, threshold))


@pytest.mark.parametrize("threshold", [0.0, math.nan])
def test_swept_thresholds_must_be_positive(threshold):
    with pytest.raises(ValueError, match=rf"`thresholds` must be positive, got \(0\.5, {threshold}\)\."):
        F.threshold_sweep(torch.eye(2), thresholds=(0.5, threshold))
