import threading

import pytest
import torch

from polysemantic.kernels.workspace import KeptWorkspace, NoWorkspace, Workspace


def test_memory_is_kept_by_name_until_another_shape_or_type_is_asked_for():
    workspace, like = KeptWorkspace(), torch.zeros(1)
    first = workspace.empty("h", (2, 3), like)
    assert workspace.empty("h", (2, 3), like) is first
    assert workspace.empty("out", (2, 3), like) is not first
    assert workspace.empty("h", (2, 4), like).shape == (2, 4)
    assert workspace.empty("h", (2, 4), like.double()).dtype == torch.float64


def test_each_thread_has_memory_of_its_own():
    workspace, found = KeptWorkspace(), []
    mine = workspace.empty("h", (2, 3), torch.zeros(1))
    thread = threading.Thread(target=lambda: found.append(workspace.empty("h", (2, 3), torch.zeros(1))))
    thread.start()
    thread.join()
    assert found[0].data_ptr() != mine.data_ptr()


@pytest.mark.parametrize("kind", [KeptWorkspace, NoWorkspace])
def test_diagonals_are_a_view_and_come_with_memory_of_their_size(kind):
    workspace = kind()
    assert isinstance(workspace, Workspace)
    for square in (torch.rand(2, 3, 3), torch.rand(4, 5, 5)):
        diagonals, scratch = workspace.diagonals(square)
        assert scratch.shape == diagonals.shape
        diagonals.zero_()
        assert (square.diagonal(dim1=1, dim2=2) == 0).all()


def test_rows_are_cut_from_the_largest_memory_that_was_asked_for():
    workspace = KeptWorkspace()
    large = workspace.rows("gradient", torch.zeros(5, 2))
    assert workspace.rows("gradient", torch.zeros(3, 2)).data_ptr() == large.data_ptr()
    assert workspace.rows("gradient", torch.zeros(6, 2)).shape == (6, 2)


@pytest.mark.parametrize("kind", [KeptWorkspace, NoWorkspace])
def test_a_share_follows_a_tensor_that_is_written_into_or_replaced(kind):
    workspace, whole = kind(), torch.tensor([1.0, 2.0])
    for of, change in ((4, 1), (4, 3), (8, 1)):
        whole.mul_(change)
        torch.testing.assert_close(workspace.share(whole, of), whole / of)
    torch.testing.assert_close(workspace.share(whole + 1, 8), (whole + 1) / 8)
