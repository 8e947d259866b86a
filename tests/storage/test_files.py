import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from polysemantic.storage.files import remove_unfinished, write_whole


def test_a_file_is_written_with_its_directories_and_replaces_what_was_there(tmp_path):
    path = tmp_path / "a" / "b" / "file"
    for content in (b"old", b"new"):
        write_whole(path, content)
        assert path.read_bytes() == content
        assert list(path.parent.iterdir()) == [path]


def test_a_file_is_as_readable_as_any_other(tmp_path):
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "file", b"")
        assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)


@pytest.mark.parametrize("fails", ["os.fsync", "pathlib.Path.replace", "pathlib.Path.chmod"])
@pytest.mark.parametrize("error", [OSError("no space left on device"), KeyboardInterrupt()], ids=["full", "Ctrl-C"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(fails, error, tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_whole(path, b"old")

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(fails, fail)
    with pytest.raises(type(error)):
        write_whole(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_nobody_ever_reads_half_a_file(tmp_path):
    path = tmp_path / "file"
    contents = [bytes([value]) * 200_000 for value in range(20)]
    write_whole(path, contents[0])
    with ThreadPoolExecutor(1) as writer:
        done = writer.submit(lambda: [write_whole(path, content) for content in contents])
        while not done.done():
            assert path.read_bytes() in contents
    assert path.read_bytes() == contents[-1]


def test_what_killed_processes_left_unfinished_is_removed_and_nothing_else(tmp_path):
    (tmp_path / "a").mkdir()
    kept = [tmp_path / "a/file", tmp_path / "a/.hidden", tmp_path / "file.part"]
    for path in (*kept, tmp_path / ".file.x1.part", tmp_path / "a/.file.x2.part"):
        path.touch()
    remove_unfinished(tmp_path)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)
