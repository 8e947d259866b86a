import math

import pytest
import torch

from polysemantic import functional as F
from tests import reference
from tests.support.weights import SHAPES, normal


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["min_angle", "share_angles_below_90"])
def test_angles_match_loops(name, shape):
    w = normal(*shape)
    expected = reference.per_instance(getattr(reference, name), w)
    torch.testing.assert_close(getattr(F, name)(w), expected, equal_nan=True, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize(
    ("W", "smallest", "share"),
    [
        (torch.eye(3), 90, 0),
        (torch.tensor([[1.0, 0.0], [-2.0, 0.0]]), 180, 0),
        (torch.tensor([[1.0, 1.0], [2.0, 2.0], [0.0, 0.0]]), 0, 1),
        (torch.tensor([[1.0, 0.0], [math.sin(math.radians(0.5)), math.cos(math.radians(0.5))]]), 89.5, 0),
    ],
)
def test_angles_of_known_networks(W, smallest, share):
    assert F.min_angle(W).item() == pytest.approx(smallest, abs=1e-4)
    assert F.share_angles_below_90(W).item() == share


@pytest.mark.parametrize("W", [torch.ones(1, 3), torch.zeros(4, 3), torch.eye(3) * torch.tensor([1.0, 0.0, 0.0])])
def test_angles_need_two_rows_with_a_direction(W):
    assert math.isnan(F.min_angle(W).item())
    assert math.isnan(F.share_angles_below_90(W).item())


@pytest.mark.parametrize("tolerance", [-1.0, 90.0])
def test_a_tolerance_in_degrees_must_lie_below_90(tolerance):
    with pytest.raises(ValueError, match=rf"`tolerance` must lie in \[0, 90\), got {tolerance}\."):
        F.share_angles_below_90(torch.eye(2), tolerance=tolerance)
