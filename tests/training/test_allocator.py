import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from polysemantic.training import allocator

pytestmark = pytest.mark.skipif(allocator.libc_function("mallopt") is None, reason="the C library cannot be told")
PIECE, PAGES = 2**23, 2**23 // os.sysconf("SC_PAGE_SIZE")


def pages():
    return int(Path("/proc/self/statm").read_text().split()[1])


def grown_by_a_piece_that_is_gone(size=PIECE):
    before = pages()
    b"\1" * size
    return pages() - before


def kept_then_handed_back():
    allocator.raise_malloc_thresholds()
    grown = sum(grown_by_a_piece_that_is_gone() for _ in range(8))
    kept = pages()
    allocator.trim_heap()
    return grown, kept - pages()


def returned_then_kept():
    with allocator.default_malloc_thresholds():
        returned = grown_by_a_piece_that_is_gone()
    return returned, grown_by_a_piece_that_is_gone()


@pytest.fixture
def process():
    """A fresh one: where much was freed before, a gap may take in a piece whatever the library is told."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        yield executor


def test_freed_memory_is_kept_until_it_is_handed_back(process):
    grown, handed_back = process.submit(kept_then_handed_back).result()
    assert PAGES // 2 < grown < 4 * PAGES
    assert handed_back > PAGES // 2


def test_freed_memory_returns_at_once_where_it_is_not_to_be_kept(process):
    returned, kept = process.submit(returned_then_kept).result()
    assert returned < PAGES // 2 < kept
