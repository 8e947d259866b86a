import subprocess
import sys
import time


def test_help_answers_at_once_without_heavy_imports(here):
    command = [sys.executable, "-X", "importtime", "-m", "polysemantic", "--help"]
    seconds = []
    for _ in range(3):
        began = time.monotonic()
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True)
        seconds.append(time.monotonic() - began)
    assert min(seconds) < 0.5
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "polysemantic" in imported
    assert not imported & {"torch", "lightning", "numpy", "pandas", "jsonargparse"}
    for command in ("fit", "validate", "test", "sweep"):
        assert f"\n  {command} " in done.stdout


def test_help_of_a_command_and_of_a_class_lists_their_options(run_cli):
    assert "--model.noise_std" in run_cli("fit", "--help").out
    assert "--data.probability" in run_cli("fit", "--data.help=IndependentBernoulli").out
