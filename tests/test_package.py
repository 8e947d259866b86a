"""The face of the package: its public names, and that nothing heavy is imported until one is used."""

import inspect
import subprocess
import sys

import pytest

import polysemantic

CLASSES = {"Autoencoder", "Ensemble", "EnsembleModule", "Run"}
FUNCTIONS = {"fit", "load"}
MODULES = {"callbacks", "data", "functional", "metrics", "random", "theory"}


def test_every_public_name_is_listed_before_anything_heavy_is_imported():
    look = "import sys, polysemantic; print(*dir(polysemantic)); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    names, modules = (set(line.split()) for line in done.stdout.splitlines())
    assert {name for name in names if not name.startswith("__")} == CLASSES | FUNCTIONS | MODULES
    assert not modules & {"torch", "lightning", "numpy", "pandas", "jsonargparse"}


def test_every_public_name_is_there_without_any_other_import():
    names = "getattr(polysemantic, name).__name__ for name in dir(polysemantic) if not name.startswith('_')"
    look = f"import polysemantic; print(*({names}))"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert {name.removeprefix("polysemantic.") for name in done.stdout.split()} == CLASSES | FUNCTIONS | MODULES


def test_public_names_are_what_they_are_called():
    kinds = {inspect.isclass: CLASSES, inspect.isfunction: FUNCTIONS, inspect.ismodule: MODULES}
    for is_of_kind, names in kinds.items():
        assert all(is_of_kind(getattr(polysemantic, name)) for name in names)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'polysemantic' has no attribute 'fitt'"):
        _ = polysemantic.fitt
