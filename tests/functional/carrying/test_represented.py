import functools

import pytest
import torch

from polysemantic import functional as F
from tests import reference
from tests.support import weights
from tests.support.planted import hadamard
from tests.support.weights import SHAPES

normal = functools.partial(weights.normal, dtype=torch.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_represented_matches_loops_tied_and_untied(shape):
    W_enc, W_dec = normal(*shape), normal(*shape, seed=1)
    for decoder in (W_enc, W_dec):
        expected = reference.per_instance(reference.represented, W_enc, decoder)
        torch.testing.assert_close(F.represented(W_enc, decoder), expected)
    torch.testing.assert_close(F.represented(W_enc), F.represented(W_enc, W_enc))


def test_a_spread_out_code_is_represented_but_not_covered():
    w = hadamard(16)
    assert F.represented(w).item() == 1
    assert F.coverage(w).item() == F.polysemantic_neurons(w).item() == 0
