import os
from pathlib import Path

import pytest
import torch

from polysemantic import freed

pytestmark = pytest.mark.skipif(freed._of_library("mallopt") is None, reason="the C library cannot be told")
PIECE, PAGES = 2**23, 2**23 // os.sysconf("SC_PAGE_SIZE")


def pages():
    return int(Path("/proc/self/statm").read_text().split()[1])


def grown_by_a_piece_that_is_gone(size=PIECE):
    before = pages()
    torch.ones(size, dtype=torch.uint8)
    return pages() - before


def test_freed_memory_is_kept_until_it_is_handed_back():
    freed.keep_freed_memory()
    freed.give_freed_memory_back()
    # Each a little smaller, for what small allocations take of the place of the one before.
    grown = sum(grown_by_a_piece_that_is_gone(PIECE - at * 2**18) for at in range(8))
    assert PAGES // 2 < grown < 4 * PAGES
    before = pages()
    freed.give_freed_memory_back()
    assert pages() < before - PAGES // 2


def test_freed_memory_returns_at_once_where_it_is_not_to_be_kept():
    with freed.freed_memory_returns():
        assert grown_by_a_piece_that_is_gone() < PAGES // 2
    freed.give_freed_memory_back()
    assert grown_by_a_piece_that_is_gone() > PAGES // 2
