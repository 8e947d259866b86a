"""The face of the package: its public names, and that nothing heavy is imported until one is used."""

import inspect
import os
import subprocess
import sys

import pytest

import polysemantic
from polysemantic.runtime.environment import LIBRARY_DEFAULTS

CLASSES = {"Autoencoder", "Ensemble", "EnsembleModule", "Run", "Sweep"}
FUNCTIONS = {"fit", "load", "measure"}
MODULES = {"callbacks", "data", "functional", "metrics", "random", "theory"}
# One process for all that needs a fresh one, as its imports take seconds. It writes files, since a fit prints.
LOOK = """
import os, sys
from pathlib import Path
before, root = dict(os.environ), Path(sys.argv[1])
def changed():
    return [name for name in {**before, **os.environ} if os.environ.get(name) != before.get(name)]
import polysemantic
names = [getattr(polysemantic, name).__name__ for name in dir(polysemantic) if not name.startswith("_")]
(root / "imported").write_text(" ".join(changed()))
(root / "names").write_text(" ".join(names))
from polysemantic.data import OneHot
polysemantic.fit(
    OneHot(4), n_hidden=4, max_steps=2, trainer={"default_root_dir": str(root), "enable_progress_bar": False}
)
(root / "trained").write_text(" ".join(changed()))
"""


def test_every_public_name_is_listed_before_anything_heavy_is_imported():
    look = "import sys, polysemantic; print(*dir(polysemantic)); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    names, modules = (set(line.split()) for line in done.stdout.splitlines())
    assert {name for name in names if not name.startswith("__")} == CLASSES | FUNCTIONS | MODULES
    assert not modules & {"torch", "lightning", "numpy", "pandas", "jsonargparse"}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What a process tells of the public names, of its environment after the import, and after a fit."""
    root = tmp_path_factory.mktemp("told")
    # As for users who chose none of the variables that our commands set.
    chosen = {name: value for name, value in os.environ.items() if name not in LIBRARY_DEFAULTS}
    command = [sys.executable, "-c", LOOK, str(root)]
    subprocess.run(command, capture_output=True, text=True, check=True, env=chosen)
    return [(root / name).read_text().split() for name in ("names", "imported", "trained")]


def test_every_public_name_is_there_without_any_other_import(told):
    assert {name.removeprefix("polysemantic.") for name in told[0]} == CLASSES | FUNCTIONS | MODULES


def test_importing_the_package_and_training_leave_the_environment_as_it_was(told):
    assert told[1] == []
    assert not LIBRARY_DEFAULTS.keys() & set(told[2])


def test_public_names_are_what_they_are_called():
    kinds = {inspect.isclass: CLASSES, inspect.isfunction: FUNCTIONS, inspect.ismodule: MODULES}
    for is_of_kind, names in kinds.items():
        assert all(is_of_kind(getattr(polysemantic, name)) for name in names)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'polysemantic' has no attribute 'fitt'"):
        _ = polysemantic.fitt
