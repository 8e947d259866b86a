import dataclasses
import os
import subprocess
import sys

import jaxtyping
import pytest
import torch

# Tests are small and may run beside others: threads that wait for one another would cost more than they bring.
torch.set_num_threads(1)


@dataclasses.dataclass
class Answer:
    """What a command gave back."""

    status: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture
def unchecked():
    """Shapes and types go unchecked: for thousands of the same steps, which other tests check."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory, whose modules can be imported, and are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def run_cli(here, capsys, monkeypatch):
    """Run a command in this process, in a temporary working directory."""
    from polysemantic.cli.main import main

    # Lightning warns where the process has arguments of its own, here pytest's.
    monkeypatch.setattr(sys, "argv", ["polysemantic"])

    def run(*args):
        capsys.readouterr()
        try:
            status = main([str(arg) for arg in args])
        except SystemExit as exited:
            status = exited.code
        out, err = capsys.readouterr()
        return Answer(status, out, err)

    return run


@pytest.fixture
def start_cli(here):
    """Start a command in a process of its own, in a temporary working directory."""
    started = []

    def start(*args, threads=1):
        process = subprocess.Popen(
            [sys.executable, "-m", "polysemantic", *map(str, args)],
            cwd=here,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
