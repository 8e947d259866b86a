import pytest
import torch

from polysemantic.functional import has_converged, is_still, max_move, relative_change


def test_relative_change_is_zero_from_zero_to_zero_and_infinite_away_from_it():
    change = relative_change(torch.tensor([2.0, 0.0, 0.0, torch.nan]), torch.tensor([1.0, 0.0, 1.0, 1.0]))
    torch.testing.assert_close(change, torch.tensor([0.5, 0.0, torch.inf, torch.nan]), equal_nan=True)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 2, 5)])
def test_max_move_is_the_largest_of_each_instance(shape):
    before, after = torch.randn(2, *shape)
    expected = [
        max(abs(b - a) for a, b in zip(*pair, strict=True))
        for pair in zip(before.flatten(1).tolist(), after.flatten(1).tolist(), strict=True)
    ]
    assert max_move(before, after).tolist() == pytest.approx(expected)


def test_every_criterion_alone_keeps_an_instance_moving():
    on = torch.ones(5, 2, 2, dtype=torch.bool)
    previous_on = on.clone()
    previous_on[2, 1, 0] = False
    change = torch.tensor([0.0, 1e-3, 0.0, 0.0, torch.nan])
    move = torch.tensor([0.0, 0.0, 0.0, 0.02, 0.0])
    assert is_still(change, previous_on, on, move).tolist() == [True, False, False, False, False]


def test_convergence_needs_two_still_checks_and_a_basis_where_one_is_sought():
    n_still = torch.tensor([1, 2, 2, 2, 2])
    privilege = torch.tensor([1.0, 0.49, 0.49, 0.5, torch.nan])
    privileging = torch.tensor([True, True, False, True, True])
    converged = has_converged(n_still, privilege, privileging, step=1000, min_steps=1000)
    assert converged.tolist() == [False, False, True, True, True]


def test_nothing_converges_before_the_least_number_of_steps():
    yes = torch.ones(2)
    assert not has_converged(yes.long() * 2, yes, yes.bool(), step=999, min_steps=1000).any()
