import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from polysemantic.training import allocator

pytestmark = pytest.mark.skipif(allocator.libc_function("malloc_trim") is None, reason="the C library cannot be told")
# Pieces so small that they lie in the heap, which shrinks at its end alone.
PIECE, PIECES = 2**16, 512
PAGES = PIECE * PIECES // os.sysconf("SC_PAGE_SIZE")


def pages():
    return int(Path("/proc/self/statm").read_text().split()[1])


def kept_then_handed_back():
    """Pages that freed pieces keep while one at the end of the heap is in use, and pages handed back after that."""
    before = pages()
    pieces = [b"\1" * PIECE for _ in range(PIECES)]
    last = pieces.pop()
    pieces.clear()
    kept = pages()
    allocator.trim_heap()
    return kept - before, kept - pages(), len(last)


@pytest.fixture
def process():
    """A fresh one: where much was freed before, a gap may take in a piece whatever the library is told."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        yield executor


def test_freed_memory_is_kept_until_it_is_handed_back(process):
    kept, handed_back, _ = process.submit(kept_then_handed_back).result()
    assert kept > PAGES // 2
    assert handed_back > PAGES // 2
