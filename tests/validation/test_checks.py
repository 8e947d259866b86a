"""The root conftest checks shapes and types of the whole package; here, that it does."""

import pytest
import torch

from polysemantic.functional import cache_blocks, coverage

FOUND = "[Tt]ype-check error|violates type hint"


def test_a_value_of_another_type_is_found():
    with pytest.raises(TypeError, match=FOUND):
        cache_blocks(2, numbers_each=1.0, at_once=1)


def test_a_tensor_of_another_shape_is_found():
    with pytest.raises(TypeError, match=FOUND):
        coverage(torch.zeros(3))


def test_nothing_is_checked_where_that_is_asked_for(unchecked):
    assert len(cache_blocks(2, numbers_each=1.0, at_once=1)) == 2
