import pytest
import torch

from polysemantic import functional as F
from polysemantic.functional import shared, sharing


def counted():
    """A shared function and how often it was computed."""
    calls = []

    @shared
    def total(W, other=None, factor=1.0):
        calls.append(factor)
        return factor * W.sum() + (0 if other is None else other.sum())

    return total, calls


def test_a_shared_value_is_computed_once_however_it_is_called():
    total, calls = counted()
    W = torch.ones(3)
    with sharing():
        values = [total(W), total(W, None), total(W, None, 1.0), total(W, factor=1.0), total(W=W)]
    assert len(calls) == 1
    assert all(value is values[0] for value in values)


def test_other_tensors_and_numbers_have_values_of_their_own():
    total, _ = counted()
    with sharing():
        values = [total(torch.full((3,), float(i))) for i in range(20)]  # temporaries, whose memory would come again
        W = torch.ones(3)
        assert [total(W).item(), total(W, W).item(), total(W, factor=2.0).item()] == [3, 6, 6]
    assert [value.item() for value in values] == [3 * i for i in range(20)]


def test_nothing_is_kept_without_sharing_or_after_it():
    total, calls = counted()
    W = torch.ones(3)
    total(W)
    with sharing():
        total(W)
    with sharing():
        total(W.mul_(2))
    assert total(W).item() == 6
    assert len(calls) == 4


@pytest.mark.parametrize("tied", [True, False])
def test_sharing_changes_no_value(tied):
    W_enc, W_dec = torch.randn(2, 12, 8), None if tied else torch.randn(2, 12, 8)
    w = F.effective_weight(W_enc, W_dec)
    measures = [F.privilege_z, F.participation_ratio, F.features_per_neuron, F.min_angle, F.l1_norm, F.coverage]
    alone = [measure(w) for measure in measures]
    with sharing():
        for measure, expected in zip(measures, alone, strict=True):
            assert torch.equal(measure(w), expected)
