import sys

import pytest

from polysemantic import Ensemble, fit
from polysemantic.__main__ import main as dispatch
from polysemantic.data import OneHot
from tests.support.one_line import BERNOULLI, ONE_HOT, REST, SCHEDULES, assert_one_line

BAD_OPTIONS = {
    "unknown option": ("--model.n_hiden=5", "unknown option --model.n_hiden; did you mean model.n_hidden?"),
    "unknown group": ("--modle.l1=5", "unknown option --modle.l1; did you mean model.l1?"),
    "shortened option": ("--trainer.max_step=5", "unknown option --trainer.max_step; did you mean trainer.max_steps?"),
    "unknown option of the data": (
        "--data.batchsize=1",
        "unknown option data.batchsize; did you mean data.batch_size?",
    ),
    "option of other data": (
        "--data.probability=1",
        "unknown option data.probability; OneHot takes n_features, batch_size, magnitude\n",
    ),
    "schedule of the loss": (
        f"--model.lr_scheduler={SCHEDULES}.ReduceLROnPlateau",
        "`lr_scheduler` must follow the steps alone",
        "got ReduceLROnPlateau.",
    ),
    "optimiser to differentiate": (
        ("--model.optimizer=SGD", "--model.optimizer.lr=0.1", "--model.optimizer.differentiable=true"),
        "`optimizer.differentiable` must be false, as no run differentiates through its steps, got true.",
    ),
    "optimiser that couples": ("--model.optimizer=LBFGS", "`optimizer` must treat", "elementwise", "got LBFGS."),
    "linked option": ("--model.n_features=3", "`model.n_features` must be unset", "`data.n_features`"),
    "unknown varied name": (
        '--ensemble.vary={"l2": [1]}',
        "`ensemble.vary` must name one of importance, init_scale, l1, noise_std",
        "got 'l2'",
    ),
    "varied name with a typo": ('--ensemble.vary={"init_scal": [1]}', "'init_scal'; did you mean init_scale?"),
    "varied name of other data": ('--ensemble.vary={"probability": [0.1]}', "`ensemble.vary` must", "'probability'"),
    "empty vary list": ('--ensemble.vary={"l1": []}', "`ensemble.vary.l1` must hold at least one value, got []."),
    "words in vary": ('--ensemble.vary={"l1": ["a"]}', "`ensemble.vary.l1` must hold numbers, got 'a'"),
    "vary without a list": ('--ensemble.vary={"l1": 0.1}', "`ensemble.vary.l1` must be a list of numbers, got 0.1"),
    "vary without values": ("--ensemble.vary=l1", "`ensemble.vary` must be a mapping such as {l1: [0,", "got 'l1'"),
    "a value twice": ('--ensemble.vary={"l1": [1, 1]}', "`ensemble.vary.l1` must hold distinct values, got [1."),
    "infinite value": ('--ensemble.vary={"l1": [.inf]}', "`ensemble.vary.l1` must hold finite numbers, got [inf]."),
    "no features": ("--data.n_features=0", "`n_features` must be at least 1, got 0."),
    "no neurons": ("--model.n_hidden=0", "`n_hidden` must be at least 1, got 0."),
    "half a neuron": ("--model.n_hidden=1.5", "`model.n_hidden` must be a whole number, got '1.5'"),
    "no seeds": ("--ensemble.seeds=0", "`ensemble.seeds` must be at least 1, got 0."),
    "negative l1": ("--model.l1=-1", "`l1` must be at least 0 and finite, got -1.0."),
    "negative l1 in vary": ('--ensemble.vary={"l1": [-1]}', "`l1` must be at least 0 and finite, got -1.0."),
    "l1 in words": ("--model.l1=abc", "`model.l1` must be a number, got 'abc'"),
    "initial weights of 0": ("--model.init_scale=0", "`init_scale` must be positive and finite, as weights of", "0."),
    "initial weights of 0 in vary": ('--ensemble.vary={"init_scale": [1, 0]}', "`init_scale` must be", "got 0.0."),
    "negative initial scale": ("--model.init_scale=-1", "`init_scale` must be positive and finite", "got -1.0."),
    "negative noise": ("--model.noise_std=-1", "`noise_std` must be at least 0 and finite, got -1.0."),
    "importance above 1": ("--model.importance=2", "`importance` must lie in (0, 1], got 2.0."),
    "unknown noise law": ("--model.noise=gausian", "`model.noise` must be one of", "'gausian'; did you mean gaussian?"),
    "unknown init": ("--model.init=orthogonl", "`model.init` must be one of", "did you mean orthogonal?"),
    "unknown act": ("--model.act=tanh", "`model.act` must be one of linear, relu, got 'tanh'"),
    "neither true nor false": ("--model.tied=5", "`model.tied` must be true or false, got '5'"),
    "init for other data": ("--model.init=disambiguation", "`init` disambiguation must have HalfSplit data", "OneHot."),
    "optimiser that is none": ("--model.optimizer=torch.nn.Linear", "`model.optimizer` must name a subclass of"),
    "two numbers for one": ("--model.optimizer.betas=[0.9]", "`betas` must be a list of 2 values, got [0.9]"),
    "schedule of two modules": ("--model.lr_scheduler=ReduceLROnPlateau", "must be one of torch.optim.lr_scheduler."),
    "callback that is none": ("--trainer.callbacks=[5]", "`trainer.callbacks` must name a subclass of Callback, got 5"),
    "class that is abstract": (
        "--data=polysemantic.data.InputDataModule",
        "`data` must name a class that is not abstract, got polysemantic.data.InputDataModule",
    ),
    "unknown optimiser": ("--model.optimizer=torch.optim.AdamX", "`model.optimizer` must", "did you mean Adamax?"),
    "network of a missing module": ("--model.autoencoder=missing.Mine", "can be imported", "'missing'"),
    "callback of a missing module": (
        "--trainer.callbacks+=missing.Mine",
        "`trainer.callbacks` must name a class that can be imported, got 'missing.Mine' (No module named 'missing')",
    ),
    "metric that is none": ("--measurements.metrics+=torch.nn.Linear", "`measurements.metrics` must name a subclass"),
    "network that is none": ("--model.autoencoder=torch.nn.Linear", "`model.autoencoder` must name a subclass of"),
    "metric twice": ("--measurements.metrics+=polysemantic.metrics.Coverage", "distinct columns, got coverage twice."),
    "optimiser that contradicts itself": (
        ("--model.optimizer=AdamW", "--model.optimizer.fused=true", "--model.optimizer.foreach=true"),
        "`optimizer` must be one that can be made, got an error: `fused` and `foreach` cannot be",
    ),
    "schedule that ends before the run": (
        (f"--model.lr_scheduler={SCHEDULES}.OneCycleLR", "--model.lr_scheduler={max_lr: 0.1, total_steps: 2}"),
        "`lr_scheduler` must have total_steps for all 3 steps of the run, got 2.",
    ),
    "unknown engine": (
        "--model.engine=eagr",
        "`model.engine` must be one of auto, eager, threaded, cuda_graph, compiled, got 'eagr'; did you mean eager?",
    ),
    "unknown kernels": ("--model.kernels=fast", "`model.kernels` must be one of auto, torch, got 'fast'"),
    "compiled and clipped": (
        ("--model.engine=compiled", "--model.clip_norm=1"),
        "`model.engine` must be auto for a run like this, got compiled: it needs a CPU",
    ),
    "threads for untied networks": (
        ("--model.engine=threaded", "--model.tied=false"),
        "`model.engine` must be auto for a run like this, got threaded: it needs a CPU, tied linear networks",
    ),
    "graphs without a GPU": (
        ("--model.engine=cuda_graph", "--trainer.accelerator=cpu"),
        "`model.engine` must be auto for a run like this, got cuda_graph: it needs a CUDA device",
    ),
    "clip to nothing": ("--model.clip_norm=0", "`clip_norm` must be positive and finite, got 0.0."),
    "no inner steps": ("--model.inner_steps=0", "`inner_steps` must be at least 1, got 0."),
    "no cadence": ("--measurements.every_n_steps=0", "`every_n_steps` must be at least 1, got 0."),
    "unknown instance": ("--snapshots.instances=[9]", "`instances` must lie below 2, got 9."),
    "seed in words": ("--seed_everything=abc", "`seed_everything` must be a whole number, got 'abc'"),
    "seed of any kind": ("--seed_everything=true", "`seed_everything` must be a whole number, got"),
    "negative seed": ("--seed_everything=-1", "`seed_everything` must lie in [0, 2^32), got -1."),
    "bf16": ("--trainer.precision=bf16", "`trainer.precision` must be 32 or 64, got 'bf16'."),
    "mixed precision": ("--trainer.precision=16-mixed", "`trainer.precision` must be 32 or 64, got '16-mixed'."),
    "unknown precision": ("--trainer.precision=33", "`trainer.precision` must be one of 32, 64, got '33'"),
    "accumulation": ("--trainer.accumulate_grad_batches=2", "`trainer.accumulate_grad_batches` must be 1, got 2"),
    "clipping that couples": ("--trainer.gradient_clip_val=1.0", "`trainer.gradient_clip_val` must be unset, got 1.0"),
    "batches of no fixed length": ("--trainer.limit_train_batches=3", "`trainer.limit_train_batches` must be unset"),
    "epochs": ("--trainer.max_epochs=1", "`trainer.max_epochs` must be unset", "got 1; `trainer.max_steps` ends a"),
    "steps of no kind": ("--trainer.max_steps=1e3", "`trainer.max_steps` must be a whole number, got '1e3'"),
    "steps before the first": ("--trainer.max_steps=-1", "`trainer.max_steps` must be at least 1, got -1."),
    "devices in words": ("--trainer.devices=two", "`trainer.devices` must be auto, a number of", "got 'two'."),
    "no devices": ("--trainer.devices=0", "`trainer.devices` must be auto, a number of at least 1", "got '0'."),
    "indices of CPUs": (
        ("--trainer.devices=[0,1]", "--trainer.accelerator=cpu"),
        "`trainer.devices` must be a number of processes, or on GPUs the indices of some that are here, got",
    ),
    "unknown accelerator": ("--trainer.accelerator=gpuu", "`trainer.accelerator` must be auto, cpu, or", "got 'gpuu'"),
    "accelerator without its library": ("--trainer.accelerator=tpu", "`trainer.accelerator` must be auto", "got 'tpu'"),
    "no unit of time": ("--trainer.max_time={hourz: 1}", "`trainer` must hold options that fit their types", "'hourz'"),
    "nothing but speed": ("--trainer.barebones=true", "`trainer.barebones` must be unset"),
    "too many steps": ("--trainer.max_steps=99999999999999999999", "`trainer.max_steps` must be below 2^53, got 9999"),
    "no steps": ("--trainer.max_steps=0", "`trainer.max_steps` must be at least 1, got 0."),
    "no checkpoints": ("--trainer.enable_checkpointing=false", "`trainer.enable_checkpointing` must be unset"),
    "stopping at epochs": (
        ("--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=loss"),
        "`trainer.callbacks` must hold no EarlyStopping, got one: `convergence.stop` ends a run.",
    ),
    "checkpoints at epochs": (
        "--trainer.callbacks+=ModelCheckpoint",
        "`trainer.callbacks` must hold no ModelCheckpoint, got one: `checkpoint` writes checkpoints.",
    ),
    "privilege above 1": ("--convergence.min_privilege=7", "`min_privilege` must be at most 1, got 7.0."),
    "fast run": ("--trainer.fast_dev_run=true", "`trainer.fast_dev_run` must be unset"),
    "nowhere to write": ("--trainer.logger=false", "`trainer.logger` must be unset"),
    "missing checkpoint": ("--ckpt_path=missing.ckpt", "`ckpt_path` must be an existing checkpoint, got 'missing"),
    "missing start": ("--model.init_from=missing.ckpt", "`init_from` must be an existing checkpoint, got 'missing"),
    "directory for a config": ("--config=.", "`config` must be an existing file, got"),
    "missing config": ("--config=missing.yaml", "`config` must be an existing file", "missing.yaml"),
}  # fmt: skip


@pytest.mark.parametrize(("option", "words"), [(o, w) for o, *w in BAD_OPTIONS.values()], ids=BAD_OPTIONS)
def test_a_bad_option_is_one_line_that_says_what_the_rule_is(option, words, run_cli, earlier):
    options = [option] if isinstance(option, str) else option
    assert_one_line(run_cli(*ONE_HOT, *REST, *options), *words)
    assert [run.name for run in earlier.parent.iterdir()] == ["version_0"]


@pytest.mark.parametrize(
    ("option", "rule"),
    [
        ("--data.probability=-0.1", "`probability` must lie in [0, 1], got -0.1."),
        ("--data.probability=1.5", "`probability` must lie in [0, 1], got 1.5."),
        ("--data.probability=nan", "`probability` must be a number, got 'nan'"),
        ("--data.probability=.nan", "`probability` must lie in [0, 1], got nan."),
        ('--ensemble.vary={"probability": [0.1, 1.5]}', "`probability` must lie in [0, 1], got 1.5."),
        ('--ensemble.vary={"probabilty": [0.1]}', "got 'probabilty'; did you mean probability?"),
        ("--data.batch_size=0", "`batch_size` must be at least 1, got 0."),
        ("--data.magnitude=two", "must be one of one, uniform, got 'two'"),
    ],
)
def test_bad_numbers_of_the_data_are_said_in_one_line(option, rule, run_cli, earlier):
    assert_one_line(run_cli(*BERNOULLI, *REST, option), rule)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (["--data=OneHott"], ["`data` must be one of", "package.Class, got 'OneHott'; did you mean OneHot?"]),
        (["--data=missing.Mine"], ["`data` must name a class", "'missing.Mine' (No module named 'missing')"]),
        (["--data=polysemantic.data.OneHat"], ["`data` must name a class", "did you mean OneHot?"]),
        (["--data=torch.nn.Linear"], ["`data` must name a subclass of InputDataModule, got torch.nn.Linear"]),
        (["--data=FeatureFile", "--data.path=missing.npy"], ["`path` must name an existing file, got missing.npy."]),
        ([], ["missing: data"]),
    ],
)
def test_bad_data_is_one_line(data, words, run_cli, earlier):
    assert_one_line(run_cli("fit", *data, *REST), *words)


def test_a_directory_that_cannot_be_written_is_one_line(run_cli, earlier, here):
    (here / "file").write_text("")
    for root in (here / "file" / "below", "/proc/below"):
        answer = run_cli(*ONE_HOT, *REST, f"--trainer.default_root_dir={root}")
        assert_one_line(answer, "`trainer.default_root_dir` must be a directory that can be written to", str(root))


def test_an_error_while_training_is_not_taken_for_bad_input(run_cli, here):
    (here / "failing.py").write_text(
        "from lightning.pytorch import Callback\n"
        "class Failing(Callback):\n"
        "    def on_train_batch_end(self, *args):\n"
        "        raise ValueError('a mistake of the callback')\n"
    )
    with pytest.raises(ValueError, match="a mistake of the callback"):
        run_cli(*ONE_HOT, *REST, "--trainer.callbacks+=failing.Failing")


def test_what_is_of_another_type_is_refused_in_python_too(unchecked):
    with pytest.raises(ValueError, match=r"`ensemble.seeds` must be a whole number, got 2.5."):
        Ensemble(seeds=2.5)
    with pytest.raises(ValueError, match=r"`n_features` must be a whole number, got '8'."):
        OneHot("8")
    with pytest.raises(ValueError, match=r"`n_hidden` must be a whole number, got 6.5."):
        fit(OneHot(8), n_hidden=6.5, max_steps=3)
    for name in ("optimizer", "lr_scheduler"):
        with pytest.raises(ValueError, match=f"`{name}` must be one that can be made, got an error: "):
            fit(OneHot(8), n_hidden=6, max_steps=3, **{name: int})
    with pytest.raises(ValueError, match="`init_scale` must be positive and finite, as weights of 0 have no gradient"):
        fit(OneHot(8), n_hidden=6, max_steps=3, init_scale=0)


@pytest.mark.parametrize(
    ("command", "rest"),
    [
        ("fitt", "; did you mean fit?"),
        ("--fit", "; did you mean fit?"),
        ("reprot", "; did you mean report?"),
        ("1", ""),
    ],
)
def test_an_unknown_command_is_one_line(command, rest, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["polysemantic", command])
    assert dispatch() == 2
    known = "fit, validate, test, sweep, report, theory"
    assert capsys.readouterr() == ("", f"error: the command must be one of {known}, got {command!r}{rest}\n")
