import re
import resource
import subprocess
import sys
import time

import pytest

HEAVY = {"torch", "lightning", "numpy", "pandas", "jsonargparse"}


def timed(here, *words):
    """A command in a process of its own: what it gave, the packages that it imported, and the seconds it took."""
    command = [sys.executable, "-X", "importtime", "-m", "polysemantic", *words]
    began = time.monotonic()
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return done, {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}, seconds


def test_help_answers_at_once_without_heavy_imports(here):
    answers = [timed(here, "--help") for _ in range(3)]
    assert min(seconds for *_, seconds in answers) < 0.5
    done, imported, _ = answers[0]
    assert done.returncode == 0
    assert "polysemantic" in imported
    assert not imported & HEAVY
    for command in ("fit", "validate", "test", "sweep"):
        assert f"\n  {command} " in done.stdout


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["fit", "--data=OneHot", "--model.l2", "0.1"], "model.l1"),
        (["sweep", "--config=sweep.yaml", "--trainer.max_step", "3"], "trainer.max_steps"),
    ],
)
def test_a_typo_is_answered_without_heavy_imports(words, meant, here):
    (here / "base.yaml").write_text("data: OneHot\n")
    (here / "sweep.yaml").write_text("base: base.yaml\n")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done, imported, _ = timed(here, *words)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 2
    assert done.stderr.endswith(f"; did you mean {meant}?\n")
    assert not imported & HEAVY
    # Of the processor, as the machine may be busy with other tests.
    assert after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime < 3


def test_help_of_a_command_and_of_a_class_lists_their_options(run_cli):
    shown = run_cli("fit", "--help").out
    groups = re.findall(r"^  --(\w+)(?: CONFIG|[. ])", shown, re.MULTILINE)
    first = list(dict.fromkeys(name for name in groups if name not in ("print_config", "seed_everything", "quiet")))
    assert first[:4] == ["model", "data", "ensemble", "trainer"]
    assert "--model.noise_std" in shown
    assert "--data.probability" in run_cli("fit", "--data.help=IndependentBernoulli").out
