import math

import pytest
import torch

from polysemantic import functional as F
from tests import reference

SHAPES = [(1, 2), (1, 6), (6, 2), (1, 8, 16), (3, 8, 5), (2, 3, 4, 4)]


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotations(count, m):
    """Uniformly random orthogonal matrices: QR of Gaussian ones, with the signs of R's diagonal taken out."""
    Q, R = torch.linalg.qr(normal(count, m, m, seed=1))
    return Q * R.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)


@pytest.mark.parametrize("shape", [(1, 1), (6, 1), *SHAPES])
def test_fourth_norm_matches_loops(shape):
    w = normal(*shape)
    torch.testing.assert_close(F.fourth_norm(w), reference.per_instance(reference.fourth_norm, w))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_null_matches_loops(shape):
    w = normal(*shape)
    expected = reference.per_instance(reference.fourth_norm_null, w)
    torch.testing.assert_close(torch.stack(F.fourth_norm_null(w), -1), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_privilege_matches_loops(shape):
    w = normal(*shape)
    torch.testing.assert_close(F.privilege(w), reference.per_instance(reference.privilege, w))


@pytest.mark.parametrize("shape", [(1, 2), (3, 2), (1, 8), (8, 4), (4, 16)])
def test_the_null_is_what_sampled_rotations_give(shape):
    w, count = normal(*shape), 20_000
    null, sampled = F.fourth_norm_null(w), F.fourth_norm(w @ rotations(count, shape[-1]))
    off = sampled - null.mean
    assert abs(off.mean()) < 5 * off.std() / math.sqrt(count)
    assert abs(off.square().mean() - null.variance) < 5 * off.square().std() / math.sqrt(count)


@pytest.mark.parametrize("shape", [(1, 2), (1, 16), (8, 16), (16, 4), (32, 64)])
def test_privilege_z_of_untrained_networks_has_mean_0_and_deviation_1(shape):
    z = F.privilege_z(normal(1000, *shape) / math.sqrt(shape[-1]))
    assert abs(z.mean()) < 5 * z.std() / math.sqrt(1000)
    assert abs(z.square().mean() - 1) < 5 * z.square().std() / math.sqrt(1000)


def test_aligned_networks_are_fully_and_significantly_privileged():
    w = torch.eye(128)[:64]
    assert F.privilege(w).item() == pytest.approx(1)
    assert F.privilege_z(w).item() > 500


def test_privilege_does_not_depend_on_the_scale_of_the_weights():
    w = normal(3, 8, 5)
    torch.testing.assert_close(F.privilege(w), F.privilege(1e-3 * w))
    torch.testing.assert_close(F.privilege_z(w), F.privilege_z(1e-3 * w))


@pytest.mark.parametrize("m", [2, 4, 16])
def test_a_feature_spread_evenly_is_as_unprivileged_as_can_be(m):
    assert F.privilege(torch.full((1, m), 0.3)).item() == pytest.approx(-2 / m)


@pytest.mark.parametrize("w", [torch.zeros(1, 3, 4), normal(1000, 3, 1), torch.ones(1, 1, 1)])
def test_dead_and_single_neuron_networks_have_no_special_basis(w):
    assert (F.fourth_norm_null(w).variance == 0).all()
    assert F.privilege(w).isnan().all()
    assert F.privilege_z(w).isnan().all()


@pytest.mark.parametrize("corners", [3, 5, 7, 30])
def test_no_rotation_changes_the_fourth_norm_of_a_regular_polygon(corners):
    phase = normal(100, 1)
    angle = phase + 2 * math.pi / corners * torch.arange(corners, dtype=torch.float64)
    assert F.privilege_z(torch.stack([angle.cos(), angle.sin()], -1)).isnan().all()


def test_rows_of_zeros_leave_the_null_of_the_others():
    w = normal(3, 4)
    null, padded = F.fourth_norm_null(w), F.fourth_norm_null(torch.cat([w, torch.zeros(3, 4)]))
    torch.testing.assert_close(padded.mean, null.mean / 2)
    torch.testing.assert_close(padded.variance, null.variance / 4)


def test_float32_weights_are_measured_in_float64():
    w = normal(2, 8, 16).float()
    torch.testing.assert_close(F.privilege_z(w), F.privilege_z(w.double()), rtol=0, atol=0)
