import pytest
import torch

from polysemantic.training.shard import Shard
from tests.support.ranks import launch


@pytest.mark.parametrize(("length", "ranks"), [(1, 1), (5, 2), (7, 3), (6, 3), (4, 4)])
def test_shards_cover_the_whole_and_differ_by_one_at_most(length, ranks):
    shards = [Shard(length, rank, ranks) for rank in range(ranks)]
    assert [at for shard in shards for at in range(length)[shard.held]] == list(range(length))
    assert max(shard.size for shard in shards) - min(shard.size for shard in shards) <= 1


def average_rows(rows, path):
    torch.distributed.init_process_group("gloo")
    shard = Shard(len(rows), torch.distributed.get_rank(), torch.distributed.get_world_size())
    means = [rows[shard.held].mean(0), rows[shard.held].square().mean().view(1)]
    shard.average(means)
    torch.save(means, path / f"means_{shard.rank}.pt")


def test_the_average_of_shards_of_different_sizes_is_that_of_all_rows(tmp_path):
    rows = torch.randn(5, 3)
    launch(2, tmp_path, average_rows, rows, tmp_path)
    first, second = (torch.load(tmp_path / f"means_{rank}.pt") for rank in range(2))
    torch.testing.assert_close(first, [rows.mean(0), rows.square().mean().view(1)])
    torch.testing.assert_close(second, first, rtol=0, atol=0)
