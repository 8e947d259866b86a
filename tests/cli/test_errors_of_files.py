import pytest

from tests.support.one_line import ONE_HOT, REST, STEP_LR, assert_one_line

OF_THE_USER = """
from polysemantic.data import OneHot
from polysemantic.metrics.base import InstanceMetric

class Narrow(OneHot):
    def __init__(self, n_features: int) -> None:
        super().__init__(n_features, batch_size=4)
    def sample(self, keys):
        return super().sample(keys)[..., 1:]

class InNumpy(Narrow):
    def sample(self, keys):
        return super().sample(keys).numpy()

class Norm(InstanceMetric):
    def update(self, W_encoder):
        self.add(W_encoder.norm(dim=(1, 2)))

class Any(InstanceMetric):
    def update(self, **given):
        self.add(given["W_enc"].norm(dim=(1, 2)))
"""


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        (
            ["--data=mine.Narrow"],
            "`sample` must give a tensor of (step, instance, batch, feature) (1, 2, 4, 8), got (1, 2",
        ),
        (
            ["--data=mine.InNumpy"],
            "`sample` must give a tensor of (step, instance, batch, feature) (1, 2, 4, 8), got ndarray",
        ),
        (["--measurements.metrics+=mine.Norm"], "got W_encoder of Norm; did you mean W_enc?"),
    ],
)
def test_a_mistake_in_classes_of_the_user_is_one_line(options, rule, run_cli, earlier, here):
    (here / "mine.py").write_text(OF_THE_USER)
    assert_one_line(run_cli(*ONE_HOT, *REST, *options), rule)


def test_a_metric_may_take_whatever_there_is(run_cli, here):
    (here / "mine.py").write_text(OF_THE_USER)
    assert run_cli(*ONE_HOT, *REST, "--measurements.metrics+=mine.Any").status == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("data: {class_path: [\n  x: }", ["`config` must be YAML", "line 2"]),
        ("", ["`config` must hold a mapping of options, got nothing"]),
        ("- 1\n- 2\n", ["`config` must hold a mapping of options"]),
        ("model: {n_hiden: 5}", ["unknown option model.n_hiden; did you mean model.n_hidden?"]),
        ("model: {l1: '${model.l2}'}", ["the configuration must resolve", "model.l2"]),
        ("model: {l1: [1, 2]}", ["`model.l1` must be a number"]),
        ("model: {n_features: 8}", ["`model.n_features` must be unset, it is that of `data.n_features`"]),
        ("model: {ensemble: {seeds: 2}}", ["`model.ensemble` must be unset, it is that of `ensemble`"]),
        ("model: {seed: 0}", ["`model.seed` must be unset, it is that of `seed_everything`"]),
        ("model:", ["`model` must be a mapping of its options, or a file of them, got null"]),
        ("model: {l1: null}", ["`model.l1` must be a number, got null"]),
        ("model: {tied: 1}", ["`model.tied` must be true or false, got 1"]),
        ("seed_everything: null", ["`seed_everything` must be a whole number, got null"]),
        ("data: [OneHot]", ["`data` must be the name of a class, or class_path and init_args, got ['OneHot']"]),
        ("data: {n_features: 8}", ["`data` must be the name of a class, or class_path and init_args, got {'n_feat"]),
        ("data: {class_path: OneHot, n_features: 8}", ["`data` must hold class_path and init_args alone, got 'n_feat"]),
        ("data: {class_path: OneHot, init_args: [8]}", ["`data.init_args` must be a mapping of arguments, got [8]"]),
        ("data: {class_path: OneHot, dict_kwargs: {k: 8}}", ["unknown option data.k; OneHot takes n_features, batch"]),
        ("model: {lr_scheduler: {class_path: StepLR}}", ["missing: model.lr_scheduler.step_size"]),
        ("ensemble: {vary: {l2: [1]}}", ["`ensemble.vary` must name one of importance, init_scale, l1, noise_std"]),
        ("ensemble: {vary: {model.l1: [1]}}", ["got 'model.l1'; did you mean l1?"]),
        ("ensemble: {vary: {l1: [1, x]}}", ["`ensemble.vary.l1` must hold numbers, got 'x'"]),
    ],
)
def test_a_bad_config_file_is_one_line(text, words, run_cli, earlier, here):
    (here / "bad.yaml").write_text(text)
    assert_one_line(run_cli("fit", "--config=bad.yaml", *ONE_HOT[1:], *REST), *words)


def flipped(content):
    changed = bytearray(content)
    changed[len(content) // 3] ^= 1
    return bytes(changed)


CORRUPT = {
    "truncated": (lambda content: content[: len(content) // 2], "must be a whole checkpoint"),
    "one bit flipped": (flipped, "must match its checksum"),
    "empty": (lambda content: b"", "must be a whole checkpoint"),
    "text": (lambda content: b"not a checkpoint", "must be a whole checkpoint"),
}


@pytest.mark.parametrize(("damage", "rule"), CORRUPT.values(), ids=CORRUPT)
@pytest.mark.parametrize("option", ["ckpt_path", "model.init_from"])
def test_a_corrupt_checkpoint_is_refused_in_one_line(option, damage, rule, run_cli, earlier):
    bad = earlier / "checkpoints" / "bad.ckpt"
    bad.write_bytes(damage((earlier / "checkpoints/last.ckpt").read_bytes()))
    answer = run_cli(*ONE_HOT, *REST, f"--{option}={bad}")
    assert_one_line(answer, f"`{option.removeprefix('model.')}` {rule}", str(bad))


@pytest.mark.parametrize("command", ["validate", "test"])
def test_untrained_networks_are_not_measured(command, run_cli, earlier):
    assert_one_line(run_cli(command, *ONE_HOT[1:], *REST), "`ckpt_path` must be a checkpoint to measure", "got none.")


@pytest.mark.parametrize("command", ["validate", "test"])
def test_what_is_no_checkpoint_is_not_measured(command, run_cli, earlier, here):
    (here / "text.ckpt").write_text("not a checkpoint")
    assert_one_line(run_cli(command, *ONE_HOT[1:], *REST, "--ckpt_path=text.ckpt"), "`ckpt_path` must be", "text.ckpt")


@pytest.mark.parametrize(
    ("command", "options", "rule"),
    [
        ("fit", ["--model.n_hidden=7"], "must hold n_hidden 7, got 6."),
        ("fit", ["--data.n_features=9"], "must hold n_features 9, got 8."),
        ("fit", ["--model.tied=false"], "must hold tied False, got True."),
        ("fit", ["--model.bias=true"], "must hold bias True, got False."),
        ("fit", ["--ensemble.seeds=3"], "must hold ensemble {'seeds': 3, 'vary': {}}, got {'seeds': 2, 'vary': {}}."),
        ("fit", ["--seed_everything=1"], "must hold seed 1, got 0."),
        ("fit", ["--model.optimizer=torch.optim.SGD"], "must hold optimizer {'class': 'SGD', 'lr': 0.001,"),
        ("fit", ["--model.optimizer.lr=0.1"], "must hold optimizer {'class': 'AdamW', 'lr': 0.1,"),
        ("fit", ["--model.clip_norm=0.5"], "must hold clip_norm 0.5, got None."),
        (
            "fit",
            [STEP_LR, "--model.lr_scheduler.step_size=9"],
            "must hold lr_scheduler {'class': 'StepLR', 'step_size': 9",
        ),
        ("validate", ["--model.n_hidden=7"], "must hold n_hidden 7, got 6."),
        ("test", ["--model.n_hidden=7"], "must hold n_hidden 7, got 6."),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_and_left_alone(command, options, rule, run_cli, earlier):
    checkpoint = earlier / "checkpoints/last.ckpt"
    adamw = "--model.optimizer=torch.optim.AdamW"
    answer = run_cli(command, *ONE_HOT[1:], *REST, adamw, *options, f"--ckpt_path={checkpoint}")
    assert_one_line(answer, f"`ckpt_path` {rule}")


def test_a_run_is_continued_with_the_schedule_that_it_had_alone(run_cli, here):
    fit = [*ONE_HOT, *REST, STEP_LR, "--model.lr_scheduler.step_size=9"]
    assert run_cli(*fit).status == 0
    checkpoint = "--ckpt_path=lightning_logs/version_0/checkpoints/last.ckpt"
    assert run_cli(*fit, "--trainer.max_steps=5", checkpoint).status == 0
    for option, value in {"step_size": 8, "gamma": 0.5}.items():
        answer = run_cli(*fit, f"--model.lr_scheduler.{option}={value}", checkpoint)
        assert_one_line(answer, "`ckpt_path` must hold lr_scheduler", f"'{option}': {value}", "got {'class': 'StepLR'")


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        (["--model.n_hidden=7"], "must hold n_hidden 7, got 6."),
        (["--ensemble.seeds=3"], "must hold seeds at least 3, got 2."),
    ],
)
def test_weights_of_another_shape_are_no_start(options, rule, run_cli, earlier):
    start = f"--model.init_from={earlier / 'checkpoints/last.ckpt'}"
    assert_one_line(run_cli(*ONE_HOT, *REST, *options, start), f"`init_from` {rule}")


def test_a_checkpoint_outside_of_a_run_is_not_continued(run_cli, earlier, here):
    copied = here / "copied.ckpt"
    copied.write_bytes((earlier / "checkpoints/last.ckpt").read_bytes())
    assert_one_line(run_cli(*ONE_HOT, *REST, "--ckpt_path=copied.ckpt"), "`ckpt_path` must lie in", "'copied.ckpt'")
    assert run_cli("validate", *ONE_HOT[1:], *REST, "--ckpt_path=copied.ckpt").status == 0


def test_the_last_run_of_another_configuration_is_not_continued(run_cli, earlier):
    answer = run_cli(*ONE_HOT, *REST, "--model.l1=0.5", "--ckpt_path=last")
    assert_one_line(answer, "`ckpt_path` last must find a run of this configuration", "got none.")
