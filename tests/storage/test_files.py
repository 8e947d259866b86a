import io
import itertools
import os
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from polysemantic.storage.checkpoints import read_checkpoint
from polysemantic.storage.continued_run import newest_run
from polysemantic.storage.files import write_whole
from polysemantic.storage.run_directories import new_run_directory
from polysemantic.storage.seal import CorruptFileError, SealedWriter, check_seal


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


def seal(content):
    """An archive with its checksum, written in pieces of several sizes."""
    file = io.BytesIO()
    writer = SealedWriter(file)
    sizes = itertools.cycle([1, 30, 22, 5, 300])
    at = 0
    while at < len(content):
        at += writer.write(content[at : at + next(sizes)])
    writer.seal()
    return file.getvalue()


@pytest.fixture(scope="module")
def sealed():
    """A sealed checkpoint."""
    content = io.BytesIO()
    torch.save({"state_dict": {"W": torch.arange(4.0)}}, content)
    return seal(content.getvalue())


def test_a_sealed_checkpoint_is_still_an_archive_that_torch_reads(sealed):
    check_seal(io.BytesIO(sealed), "file")
    assert zipfile.ZipFile(io.BytesIO(sealed)).testzip() is None
    loaded = torch.load(io.BytesIO(sealed), weights_only=True)
    assert torch.equal(loaded["state_dict"]["W"], torch.arange(4.0))


def test_every_truncation_is_noticed(sealed):
    for length in range(len(sealed)):
        with pytest.raises(CorruptFileError, match="`ckpt_path` must be a whole checkpoint"):
            check_seal(io.BytesIO(sealed[:length]), "file")


def test_a_flipped_bit_is_noticed_wherever_it_is(sealed):
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1 << (at % 8)
        with pytest.raises(CorruptFileError):
            check_seal(io.BytesIO(changed), "file")


def test_something_appended_is_noticed(sealed):
    with pytest.raises(CorruptFileError):
        check_seal(io.BytesIO(sealed + b"x"), "file")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x05\x06" + b"\0" * 17])
def test_only_an_archive_is_sealed(content):
    with pytest.raises(ValueError, match="`archive` must be a zip archive without a comment"):
        seal(content)


def test_what_is_no_checkpoint_is_refused_though_its_seal_is_whole(tmp_path):
    content = io.BytesIO()
    torch.save([1, 2, 3], content)
    (tmp_path / "list.ckpt").write_bytes(seal(content.getvalue()))
    with pytest.raises(CorruptFileError, match="`ckpt_path` must hold a checkpoint, got something else"):
        read_checkpoint(tmp_path / "list.ckpt")


def test_runs_are_numbered_from_zero_past_the_highest(tmp_path):
    runs = tmp_path / "lightning_logs"
    assert [new_run_directory(tmp_path).name for _ in range(3)] == ["version_0", "version_1", "version_2"]
    (runs / "version_41").mkdir()
    (runs / "version_x").mkdir()
    (runs / "version_100").write_text("a file")
    assert new_run_directory(tmp_path) == runs / "version_101"


def test_the_newest_run_is_none_of_the_copies_beside_it(tmp_path):
    for name in ("version_9", "version_10", "version_9_backup", "version_", "version_²"):
        run = tmp_path / "lightning_logs" / name
        (run / "checkpoints").mkdir(parents=True)
        (run / "checkpoints/last.ckpt").touch()
        (run / "config.yaml").write_text("model: {}")
    assert newest_run(tmp_path, "model: {}").name == "version_10"


@pytest.mark.parametrize("text", ["", "- 1", "model: [", "!!python/object:os.system x", "\x00"])
def test_the_newest_run_is_found_beside_files_that_are_no_configurations_wherever_it_lies(tmp_path, text):
    for name, content in (("version_0", "model: {}\ntrainer: {default_root_dir: elsewhere}"), ("version_1", text)):
        run = tmp_path / "lightning_logs" / name
        (run / "checkpoints").mkdir(parents=True)
        (run / "checkpoints/last.ckpt").touch()
        (run / "config.yaml").write_text(content)
    assert newest_run(tmp_path, "model: {}\ntrainer: {enable_progress_bar: false}").name == "version_0"


def take(root):
    for _ in range(20):
        new_run_directory(Path(root))


def assert_no_directory_is_shared(root):
    # Had two takers shared one, there would be fewer.
    names = {path.name for path in (root / "lightning_logs").iterdir() if path.is_dir()}
    assert names == {f"version_{number}" for number in range(80)}


def test_threads_that_start_runs_at_once_have_directories_of_their_own(tmp_path):
    threads = [threading.Thread(target=take, args=(tmp_path,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_no_directory_is_shared(tmp_path)


# Forked from a process of its own: this one may have threads, which a fork leaves in the middle of what they do.
TAKERS = """
import os, sys
from pathlib import Path
from polysemantic.storage.run_directories import new_run_directory

children = []
for _ in range(4):
    children.append(os.fork())
    if children[-1] == 0:
        for _ in range(20):
            new_run_directory(Path(sys.argv[1]))
        os._exit(0)
for child in children:
    os.waitpid(child, 0)
"""


def test_processes_that_start_runs_at_once_have_directories_of_their_own(tmp_path):
    subprocess.run([sys.executable, "-c", TAKERS, str(tmp_path)], check=True)
    assert_no_directory_is_shared(tmp_path)
