import hashlib
import shutil
import sys

import pytest

from polysemantic import Ensemble, fit
from polysemantic.callbacks import Measurements
from polysemantic.data import OneHot
from tests.support.cli_runs import FIT, RUNS, finish


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The directory of a small finished run, and what the command printed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["polysemantic"])
        return finish(tmp_path_factory.mktemp("finished"), *FIT)


@pytest.fixture
def run(finished, here):
    """A small finished run in the working directory, with the default measurements, and what the command printed."""
    shutil.copytree(finished[0], here, dirs_exist_ok=True)
    return RUNS / "version_0", finished[1]


@pytest.fixture(scope="session")
def three_steps(tmp_path_factory):
    """The directory of a finished run of three steps."""
    root = tmp_path_factory.mktemp("three_steps")
    measurements = Measurements(every_n_steps=100)
    trainer = {"default_root_dir": str(root)}
    fit(OneHot(8), n_hidden=6, ensemble=Ensemble(2), max_steps=3, measurements=measurements, trainer=trainer)
    return root


@pytest.fixture
def earlier(three_steps, here):
    """A finished run in the working directory; at the end all of its files must be as they were."""
    shutil.copytree(three_steps, here, dirs_exist_ok=True)
    before = hashes(here)
    assert len(before) > 5
    yield here / "lightning_logs/version_0"
    after = hashes(here)
    assert {path: after.get(path) for path in before} == before


def hashes(directory):
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
