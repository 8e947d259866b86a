import contextlib
import io
import logging
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import polysemantic
from polysemantic.callbacks import CollisionTracker, Convergence, Measurements
from polysemantic.cli.main import main
from polysemantic.data import IndependentBernoulli, OneHot
from polysemantic.metrics import FeaturesPerNeuron
from polysemantic.theory import polysemantic_neurons_paper

ROOT = Path(__file__).parents[2]
RUNS = Path("lightning_logs")
FIT = [
    "fit", "--data=OneHot", "--data.n_features=8", "--model.n_hidden=6", "--ensemble.seeds=3", "--model.inner_steps=7",
    "--trainer.max_steps=100", "--measurements.every_n_steps=25",
]  # fmt: skip
GRID = [
    "fit", "--data=IndependentBernoulli", "--data.n_features=8", "--data.probability=0.2", "--data.batch_size=64",
    "--model.n_hidden=6", "--ensemble.seeds=2", '--ensemble.vary={"l1": [0, 0.01], "probability": [0.1, 0.5]}',
    "--trainer.max_steps=20", "--measurements.every_n_steps=10",
]  # fmt: skip
COLUMNS = [
    "instance", "seed", "n_features", "n_hidden", "data", "step", "converged_step", "diverged_step", "loss",
    "reconstruction_error", "coverage", "represented", "carriers", "polysemantic_neurons",
    "polysemantic_neurons_band", "expected_polysemantic_neurons", "collisions_opposite_sign", "collisions_same_sign",
    "collisions_born", "collisions_settled", "collisions_resolved", "fourth_norm", "privilege", "privilege_z",
    "hidden_excess_kurtosis", "participation_ratio", "features_per_neuron", "min_angle", "share_angles_below_90",
    "partition_energy", "partition_concentration", "exposures", "winner_was_largest", "winner_kept_sign",
]  # fmt: skip
OF_THE_END = {
    "converged_step", "diverged_step", "collisions_born", "collisions_settled", "collisions_resolved", "exposures",
    "expected_polysemantic_neurons",
}  # fmt: skip


def finish(directory, *args):
    """A finished run of a command in this process, and what it printed."""
    with contextlib.chdir(directory), contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(list(args)) == 0
    return directory, out.getvalue()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["polysemantic"])
        return finish(tmp_path_factory.mktemp("finished"), *FIT)


@pytest.fixture
def run(finished, here):
    """A small finished run in the working directory, with the default measurements, and what the command printed."""
    shutil.copytree(finished[0], here, dirs_exist_ok=True)
    return RUNS / "version_0", finished[1]


def scalars(directory):
    events = EventAccumulator(str(directory), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def assert_same_run(one, other):
    """The same end, the same way there, the same lives of collisions."""
    for name in ("results", "history", "collisions"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name), check_exact=True)
    for name, values in one.model.items():
        assert torch.equal(values, other.model[name])


def test_a_fit_says_its_results_and_where_they_are(run, finished):
    out = run[1]
    assert "3 instances, 8 features, 6 neurons, step 100" in out
    assert "polysemantic" in out
    assert "coverage" in out
    assert f"run directory: {finished[0] / RUNS / 'version_0'}\n" in out


def test_the_tables_have_a_row_for_each_instance_and_the_columns_of_the_design(run):
    results, history = (pd.read_parquet(run[0] / f"{name}.parquet") for name in ("results", "history"))
    assert not set(COLUMNS) - set(results)
    assert results["instance"].tolist() == results["seed"].tolist() == [0, 1, 2]
    assert (results[["n_features", "n_hidden", "step", "exposures"]] == [8, 6, 100, 100]).all(axis=None)
    assert (results["data"] == "OneHot").all()
    assert not set(COLUMNS) - OF_THE_END - set(history)
    assert history["step"].tolist() == [step for step in range(0, 101, 25) for _ in range(3)]
    end = history[history["step"] == 100].reset_index(drop=True)
    pd.testing.assert_frame_equal(end, results[list(end)], check_dtype=False)


def test_weights_are_read_with_numpy_alone_from_the_first_step_to_the_last(run):
    files = sorted((run[0] / "weights").iterdir())
    assert len(files) <= 24
    assert (files[0].name, files[-1].name) == ("step_000000000.npz", "step_000000100.npz")
    for path in files:
        with np.load(path, allow_pickle=False) as file:
            assert path.name == f"step_{int(file['step']):09d}.npz"
            assert set(file.files) == {"W_enc", "instance", "step"}
            assert file["W_enc"].shape == (1, 8, 6)
            assert file["instance"].tolist() == [0]
    last = np.load(files[-1])["W_enc"]
    assert np.array_equal(last[0], polysemantic.load(run[0]).model["W_enc"][0].numpy())


def test_the_configuration_in_the_run_directory_repeats_the_run(run, run_cli):
    answer = run_cli("fit", f"--config={run[0] / 'config.yaml'}")
    assert answer.status == 0, answer.err
    assert_same_run(*(polysemantic.load(RUNS / name) for name in ("version_0", "version_1")))


def test_tensorboard_shows_optimiser_steps_intervals_and_theory(run):
    steps = list(range(0, 101, 25))
    curves = {name: scalars(run[0] / name) for name in ("mean", "low", "high", "theory")}
    history = pd.read_parquet(run[0] / "history.parquet").groupby("step").mean(numeric_only=True)
    shown = {tag.partition("/")[2]: points for tag, points in curves["mean"].items()}
    for name in ("polysemantic_neurons", "coverage", "loss"):
        assert [step for step, _ in shown[name]] == steps
        np.testing.assert_allclose([value for _, value in shown[name]], history[name], rtol=1e-6)
    for tag in ("collisions/polysemantic_neurons", "collisions/polysemantic_neurons_band"):
        expected = pytest.approx(polysemantic_neurons_paper(8, 6))
        assert curves["theory"][tag] == [(step, expected) for step in steps]
        for low, mean, high in zip(*(curves[name][tag] for name in ("low", "mean", "high")), strict=True):
            assert low[1] <= mean[1] <= high[1]


def test_a_second_run_takes_the_next_version_and_leaves_the_first_alone(run, run_cli):
    before = {path: path.read_bytes() for path in RUNS.rglob("*") if path.is_file()}
    assert run_cli(*FIT, "--trainer.max_steps=5").status == 0
    assert sorted(path.name for path in RUNS.iterdir()) == ["version_0", "version_1"]
    assert {path: path.read_bytes() for path in before} == before


def test_validate_prints_the_table_and_writes_nothing(run, run_cli):
    before = set(RUNS.rglob("*"))
    answer = run_cli("validate", *FIT[1:], f"--ckpt_path={run[0] / 'checkpoints/last.ckpt'}")
    assert answer.status == 0, answer.err
    table = answer.out[answer.out.index("3 instances") : answer.out.index("mean ±")]
    assert table in run[1]
    assert set(RUNS.rglob("*")) == before


@pytest.mark.parametrize("path", ["last", RUNS / "version_0/checkpoints/last.ckpt"])
def test_test_writes_the_same_end_state_into_a_run_directory_of_its_own(path, run, run_cli):
    answer = run_cli("test", *FIT[1:], f"--ckpt_path={path}")
    assert answer.status == 0, answer.err
    assert f"run directory: {Path.cwd() / RUNS / 'version_1'}\n" in answer.out
    tested = pd.read_parquet(RUNS / "version_1/test.parquet")
    columns = [name for name in COLUMNS if name not in OF_THE_END]
    pd.testing.assert_frame_equal(tested[columns], polysemantic.load(run[0]).results[columns], check_dtype=False)
    assert not (run[0] / "test.parquet").exists()


def test_the_printed_configuration_runs_as_it_is(run, run_cli, here):
    printed = run_cli(*FIT, "--print_config")
    assert printed.status == 0
    (here / "printed.yaml").write_text(printed.out)
    answer = run_cli("fit", "--config=printed.yaml")
    assert answer.status == 0, answer.err
    assert_same_run(*(polysemantic.load(RUNS / name) for name in ("version_0", "version_1")))


@pytest.mark.parametrize(
    ("options", "lr", "decay"),
    [
        (["--model.optimizer=SGD", "--model.optimizer.lr=0.1"], 0.1, 0.0),
        (["--config=sgd.yaml"], 0.1, 0.0),
        (["--config=adamw.yaml", "--config=sgd.yaml"], 0.1, 0.0),
        (["--config=adamw.yaml", "--model.optimizer=SGD"], 0.001, 0.0),
        (["--config=adamw.yaml", "--model.optimizer=AdamW"], 0.3, 0.7),
        (["--config=adamw.yaml", "--model.optimizer.lr=0.1"], 0.1, 0.7),
    ],
)
def test_an_optimizer_of_another_class_inherits_nothing(options, lr, decay, run_cli, here):
    for name, arguments in {"SGD": {"lr": 0.1}, "AdamW": {"lr": 0.3, "weight_decay": 0.7}}.items():
        config = {"model": {"optimizer": {"class_path": f"torch.optim.{name}", "init_args": arguments}}}
        (here / f"{name.lower()}.yaml").write_text(yaml.safe_dump(config))
    printed = yaml.safe_load(run_cli(*FIT, *options, "--print_config").out)
    arguments = printed["model"]["optimizer"]["init_args"]
    assert (arguments["lr"], arguments["weight_decay"]) == (lr, decay)


def test_what_is_no_optimizer_starts_anew_too_but_inputs_keep_what_both_classes_have(run_cli):
    path = "torch.optim.lr_scheduler"
    before = [f"--model.lr_scheduler={path}.StepLR", "--model.lr_scheduler.step_size=7", "--model.lr_scheduler.gamma=1"]
    after = [f"--model.lr_scheduler={path}.MultiStepLR", "--model.lr_scheduler.milestones=[9]", "--data=PairMixture"]
    printed = yaml.safe_load(run_cli(*FIT, *before, "--data.batch_size=24", *after, "--print_config").out)
    assert printed["model"]["lr_scheduler"]["init_args"]["gamma"] == 0.1
    assert printed["data"]["class_path"] == "polysemantic.data.PairMixture"
    arguments = printed["data"]["init_args"]
    assert (arguments["n_features"], arguments["batch_size"]) == (8, 24)


def test_a_profiler_reports(run_cli, caplog, monkeypatch):
    logger = logging.getLogger("lightning.pytorch.profilers")
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    monkeypatch.setattr(logger, "propagate", False)
    assert run_cli(*FIT, "--trainer.profiler=simple").status == 0
    assert "FIT Profiler Report" in caplog.text


def test_results_and_table_are_labelled_by_grid_point(run_cli):
    answer = run_cli(*GRID)
    assert answer.status == 0, answer.err
    results = polysemantic.load(RUNS / "version_0").results
    points = [(0.0, 0.1), (0.0, 0.5), (0.01, 0.1), (0.01, 0.5)]
    labels = [(*point, seed) for point in points for seed in (0, 1)]
    assert list(results[["l1", "probability", "seed"]].itertuples(index=False, name=None)) == labels
    assert results["exposures"].tolist() == pytest.approx([20 * 64 * probability for _, probability, _ in labels])
    shown = re.findall(r"^ (l1|probability) = (\S+)", answer.out, re.MULTILINE)
    assert shown == [pair for l1, p in points for pair in (("l1", f"{l1:g}"), ("probability", f"{p:g}"))]
    for l1, p in points:
        assert "collisions/polysemantic_neurons" in scalars(RUNS / f"version_0/l1={l1:g} probability={p:g}/mean")


def test_python_and_the_command_line_give_the_same_tables(run_cli):
    assert run_cli(*GRID).status == 0
    fitted = polysemantic.fit(
        IndependentBernoulli(n_features=8, probability=0.2, batch_size=64),
        ensemble=polysemantic.Ensemble(seeds=2, vary={"l1": [0, 0.01], "probability": [0.1, 0.5]}),
        n_hidden=6,
        max_steps=20,
        measurements=Measurements(every_n_steps=10),
    )
    assert fitted.directory == Path.cwd() / RUNS / "version_1"
    assert_same_run(polysemantic.load(RUNS / "version_0"), fitted)
    assert_same_run(polysemantic.load(fitted.directory), fitted)
    assert fitted.config["model"]["n_hidden"] == 6
    told = polysemantic.load(RUNS / "version_0").config
    for callback in ("measurements", "collisions", "snapshots", "checkpoint", "convergence"):
        assert fitted.config[callback] == told[callback]
    assert fitted.config["data"]["init_args"] == {
        "n_features": 8, "probability": 0.2, "zipf_exponent": 0.0, "batch_size": 64, "magnitude": "one",
    }  # fmt: skip
    assert fitted.weights[20]["instance"].tolist() == [0, 2, 4, 6]
    assert torch.equal(fitted.weights[20]["W_enc"], fitted.model["W_enc"][::2])


def test_python_takes_paths_and_the_numbers_of_numpy_and_torch(tmp_path):
    run = polysemantic.fit(
        OneHot(8),
        n_hidden=8,
        max_steps=2,
        l1=np.float64(0.01),
        optimizer=lambda p: torch.optim.AdamW(p, lr=torch.tensor(0.5)),
        trainer={"default_root_dir": tmp_path},
    )
    config = run.config
    assert (config["model"]["n_hidden"], config["model"]["l1"]) == (8, 0.01)
    assert config["model"]["optimizer"]["init_args"]["lr"] == 0.5
    assert config["trainer"]["default_root_dir"] == str(tmp_path)
    assert repr(run) == f"Run({str(run.directory)!r}, 16 instances, step 2)"


class Forgetful(OneHot):
    """Inputs that do not keep an argument."""

    def __init__(self, n_features: int, unkept: float = 0.5) -> None:
        super().__init__(n_features)


def test_inputs_need_not_keep_their_arguments_to_be_saved_and_continued(run_cli):
    fit = ["fit", f"--data={Forgetful.__module__}.Forgetful", *FIT[2:]]
    assert run_cli(*fit).status == 0
    assert run_cli(*fit, "--ckpt_path=last").status == 0
    assert polysemantic.fit(Forgetful(8), n_hidden=6, max_steps=2).results["data"].unique().tolist() == ["Forgetful"]


class Busy(FeaturesPerNeuron):
    """A metric of one's own."""


def test_the_configuration_of_a_run_from_python_repeats_it(run_cli, here):
    fitted = polysemantic.fit(
        OneHot(8),
        n_hidden=6,
        max_steps=40,
        ensemble=polysemantic.Ensemble(2),
        measurements=Measurements(8, metrics=[Busy(tolerance=0.3)], partition=[1] * 4 + [-1] * 4),
        collisions=CollisionTracker(5, born=0.4),
        convergence=Convergence(10, stop=True, n_checks=1, tolerance=0.9, max_change=0.9),
    )
    assert run_cli("fit", f"--config={fitted.directory / 'config.yaml'}").status == 0
    assert_same_run(polysemantic.load(RUNS / "version_1"), fitted)


def test_load_refuses_what_is_no_finished_run(here):
    with pytest.raises(FileNotFoundError, match=r"`run_dir` must be the directory of a finished run, got 'nowhere'."):
        polysemantic.load("nowhere")


SIZE = {"data.n_features": 16, "model.n_hidden": 16, "ensemble.seeds": 2, "trainer.max_steps": 3}


def set_in(config, key, value):
    *groups, last = key.split(".")
    for group in groups:
        config = config[group]
        config = config.get("init_args", config) if group == "data" else config
    if last in config:
        config[last] = value


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_fits_a_few_steps(path, run_cli, here):
    config = yaml.safe_load(path.read_text())
    assert path.read_text().startswith("# ")
    for key, value in SIZE.items():
        set_in(config, key, value)
    if config["data"]["class_path"] == "FeatureFile":
        np.save(here / "rows.npy", np.eye(16, dtype=np.float32))
        config["data"]["init_args"]["path"] = "rows.npy"
    (here / "small.yaml").write_text(yaml.safe_dump(config))
    answer = run_cli("fit", "--config=small.yaml")
    assert answer.status == 0, answer.err
    assert (polysemantic.load(RUNS / "version_0").results["step"] == 3).all()
    # What was reduced was not what is wrong: the file itself is accepted too.
    full = run_cli("fit", f"--config={path}", "--print_config")
    assert full.status == 0, full.err


INTERRUPT = """
import os, signal, time
from pathlib import Path
from lightning.pytorch import Callback

class AtStep40(Callback):
    def on_train_batch_end(self, trainer, *args):
        if trainer.global_step < 40:
            return
        if (number := os.environ.get("INTERRUPT")) is not None:
            os.kill(os.getpid(), int(number))
        elif os.environ.get("WAIT"):
            Path("waiting").touch()
            while not Path("go").exists():
                time.sleep(0.01)
"""
INTERRUPTED = [*FIT, "--trainer.callbacks+=interrupting.AtStep40"]
STATUS = {signal.SIGTERM: 143, signal.SIGINT: 1}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    directory = tmp_path_factory.mktemp("uninterrupted")
    (directory / "interrupting.py").write_text(INTERRUPT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["polysemantic"])
        patch.syspath_prepend(directory)
        finish(directory, *INTERRUPTED)
        del sys.modules["interrupting"]
    return polysemantic.load(directory / RUNS / "version_0")


@pytest.fixture
def handlers():
    """Signal handlers as they were."""
    before = {number: signal.getsignal(number) for number in STATUS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "ckpt_path"),
    [(signal.SIGTERM, "last"), (signal.SIGINT, RUNS / "version_0/checkpoints/last.ckpt")],
    ids=["SIGTERM, last", "SIGINT, file"],
)
def test_an_interrupted_run_resumes_as_if_nothing_had_happened(
    number, ckpt_path, uninterrupted, run_cli, here, handlers, monkeypatch
):
    (here / "interrupting.py").write_text(INTERRUPT)
    monkeypatch.setenv("INTERRUPT", str(int(number)))
    assert run_cli(*INTERRUPTED).status == STATUS[number]
    assert not (RUNS / "version_0/results.parquet").exists()
    monkeypatch.delenv("INTERRUPT")
    answer = run_cli(*INTERRUPTED, f"--ckpt_path={ckpt_path}")
    assert answer.status == 0, answer.err
    assert not (RUNS / "version_1").exists()
    assert_same_run(uninterrupted, polysemantic.load(RUNS / "version_0"))
    # Nothing is drawn twice.
    shown = scalars(RUNS / "version_0/mean")["collisions/polysemantic_neurons"]
    assert [step for step, _ in shown] == list(range(0, 101, 25))


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)],
    ids=lambda number: number.name,
)
def test_a_signal_from_outside_leaves_a_checkpoint_to_resume_from(
    number, uninterrupted, start_cli, run_cli, here, monkeypatch
):
    (here / "interrupting.py").write_text(INTERRUPT)
    monkeypatch.setenv("WAIT", "1")
    process = start_cli(*INTERRUPTED)
    until = time.monotonic() + 120
    while not (here / "waiting").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(number)
    (here / "go").touch()
    _, err = process.communicate(timeout=60)
    assert process.returncode == STATUS[number], err
    # What happens in every run is none of the user's business.
    assert "Traceback" not in err
    assert "arning" not in err
    assert "deprecated" not in err
    monkeypatch.delenv("WAIT")
    assert run_cli(*INTERRUPTED, "--ckpt_path=last").status == 0
    assert_same_run(uninterrupted, polysemantic.load(RUNS / "version_0"))


def test_previous_checkpoint_is_the_one_before_the_last(run, run_cli):
    before = (run[0] / "checkpoints/last.ckpt").read_bytes()
    longer = [option for option in FIT if "max_steps" not in option]
    answer = run_cli(*longer, "--trainer.max_steps=120", f"--ckpt_path={run[0] / 'checkpoints/last.ckpt'}")
    assert answer.status == 0, answer.err
    assert (run[0] / "checkpoints/previous.ckpt").read_bytes() == before
    assert polysemantic.load(run[0]).results["step"].tolist() == [120] * 3


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
