import contextlib
import io
import shutil

import pytest

from polysemantic.sweep.command import main
from tests.support.sweeping import sweep_directory, write_sweep_files


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished sweep over two axes, one of which the ensemble holds, and what the command printed."""
    directory = tmp_path_factory.mktemp("finished")
    config = write_sweep_files(directory)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
        patch.syspath_prepend(directory)
        patch.chdir(directory)
        assert main([f"--config={config}"]) == 0
    return directory, out.getvalue()


@pytest.fixture
def done(finished, here):
    """That sweep in the working directory."""
    shutil.copytree(finished[0], here, dirs_exist_ok=True)
    return sweep_directory(here)


@pytest.fixture
def sweep(here, capsys):
    """Run a sweep in this process and give its exit status, what it said and the error."""

    def run(text=None, *options):
        if text is not None:
            write_sweep_files(here, text)
        capsys.readouterr()
        try:
            status = main(["--config=small.yaml", *options])
        except SystemExit as exited:
            status = exited.code
        out, err = capsys.readouterr()
        return status, out, err

    return run
