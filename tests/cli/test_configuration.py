from pathlib import Path

import numpy as np
import pytest
import yaml

import polysemantic
from tests.support.cli_runs import FIT, RUNS, assert_same_run

ROOT = Path(__file__).parents[2]


def test_the_configuration_in_the_run_directory_repeats_the_run(run, run_cli):
    answer = run_cli("fit", f"--config={run[0] / 'config.yaml'}")
    assert answer.status == 0, answer.err
    assert_same_run(*(polysemantic.load(RUNS / name) for name in ("version_0", "version_1")))


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
