import subprocess
import sys
import threading
from pathlib import Path

from polysemantic.storage.run_directories import new_run_directory


def test_runs_are_numbered_from_zero_past_the_highest(tmp_path):
    runs = tmp_path / "lightning_logs"
    assert [new_run_directory(tmp_path).name for _ in range(3)] == ["version_0", "version_1", "version_2"]
    (runs / "version_41").mkdir()
    (runs / "version_x").mkdir()
    (runs / "version_100").write_text("a file")
    assert new_run_directory(tmp_path) == runs / "version_101"


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
