import collections
import sys

import jaxtyping
import pytest

import polysemantic
from tests.support import faults
from tests.support.cli_runs import finish

TOLD = pytest.StashKey[dict]()


def pytest_configure(config):
    config.stash[TOLD] = collections.defaultdict(list)


@pytest.fixture
def befell(request):
    """Note that a fault befell a run, and what came of it, for the table at the end."""

    def note(fault, outcome):
        request.config.stash[TOLD][fault, outcome].append(1)

    return note


def pytest_terminal_summary(terminalreporter, config):
    told = config.stash[TOLD]
    if told:
        terminalreporter.section("faults")
    for (fault, outcome), times in sorted(told.items()):
        terminalreporter.write_line(f"{fault:<58} {len(times):>4} times: {outcome}")


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """The run that nothing befalls, in this process: its forks find the imports and caches of a first run made."""
    jaxtyping.config.update("jaxtyping_disable", True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["polysemantic"])
        root, _ = finish(tmp_path_factory.mktemp("whole"), *faults.FIT, "--trainer.devices=1")
    jaxtyping.config.update("jaxtyping_disable", False)
    return polysemantic.load(faults.runs(root)[0])
