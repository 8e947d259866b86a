import pytest

from polysemantic.functional import (
    cache_blocks,
)


@pytest.mark.parametrize(("n_instances", "numbers_each"), [(1, 1), (7, 3), (6, 5), (3, 100), (2, 0)])
def test_blocks_hold_every_instance_once_and_no_more_numbers_than_told(n_instances, numbers_each):
    found = cache_blocks(n_instances, numbers_each, at_once=10)
    assert [at for block in found for at in range(block.start, block.stop)] == list(range(n_instances))
    assert all((block.stop - block.start) * numbers_each <= max(10, numbers_each) for block in found)
    assert len(found) == 1 or (found[0].stop + 1) * numbers_each > 10
