import os
import subprocess
import sys

import pytest

from polysemantic.runtime.environment import LIBRARY_DEFAULTS

# Tells the variables and whether torch is loaded when a command's own module is about to be imported.
COMMAND = """
import importlib, os, sys
from polysemantic import __main__ as command
def look(name):
    print("torch" in sys.modules, *(os.environ[name] for name in sys.argv[2:]))
    sys.exit(0)
importlib.import_module = look
command.main()
"""
WORKER = """
import os, sys
from pathlib import Path
from polysemantic.sweep.ray_worker import run_cell_in_worker
assert "torch" not in sys.modules
outcome = run_cell_in_worker(Path(sys.argv[1]), {"trainer": {"max_steps": 1}}, Path.cwd())
print("torch" in sys.modules, outcome.state, *(os.environ[name] for name in sys.argv[2:]))
"""


def said(script, *arguments, **chosen):
    """What a script prints in a process without the variables but for those that the user chose."""
    unset = {name: value for name, value in os.environ.items() if name not in LIBRARY_DEFAULTS}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=unset | chosen).stdout.split()


@pytest.mark.parametrize("name", LIBRARY_DEFAULTS)
def test_a_command_sets_the_variables_before_torch_reads_them_unless_the_user_did(name):
    assert said(COMMAND, "fit", name) == ["False", LIBRARY_DEFAULTS[name]]
    assert said(COMMAND, "fit", name, **{name: "7"}) == ["False", "7"]


def test_a_worker_of_ray_sets_the_variables_before_torch_reads_them(tmp_path):
    assert said(WORKER, tmp_path / "cell", *LIBRARY_DEFAULTS) == ["True", "failed", *LIBRARY_DEFAULTS.values()]
