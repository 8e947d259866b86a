"""What is told about options before torch is imported: nothing that the parser would not tell too."""

import inspect
import re
from typing import get_args

import pytest
import torch

from polysemantic import data, random
from polysemantic.cli import main, options, sources
from polysemantic.cli.command_line import read
from polysemantic.cli.early import refuse_mistakes
from polysemantic.engine.select import EngineName
from tests.support.one_line import BERNOULLI, ONE_HOT, REST, SCHEDULES, assert_one_line

WHOLE = [*ONE_HOT[1:], *REST]


def told(*words):
    """The line that refuses options without the parser; None if nothing does."""
    try:
        refuse_mistakes(read(words))
    except ValueError as error:
        return str(error)
    return None


def test_the_options_that_sources_tell_are_those_of_the_parser(run_cli):
    shown = run_cli("fit", "--help").out
    listed = {name for name in re.findall(r"^ +(?:-c CONFIG, )?--([\w.]+)", shown, re.MULTILINE) if "help" not in name}
    told_too = {f"{section}.{key}" for section in options.GROUPS for key in options.group(section)}
    assert {name for name in listed if "." in name} == told_too
    assert listed - told_too == {*options.SINGLE, *options.GROUPS, "config", "print_config"}
    blocks = re.split(r"\n +--(?=[a-z])", shown)
    assert {block.split()[0] for block in blocks if "(required" in block} == {*options.required()} - {"data"}


def of_signature(kind, *given):
    parameters = inspect.signature(kind).parameters.values()
    return {p.name: p.default is p.empty for p in parameters if p.name not in given}


def of_source(option, name):
    found = options.arguments(option, name)
    return None if found is None else {key: parameter.required for key, parameter in found.items()}


def test_the_arguments_that_sources_tell_are_those_of_the_classes():
    assert options.classes("data") == set(data.__all__) - {options.BASE}
    for name in options.classes("data"):
        assert of_source("data", name) == of_signature(getattr(data, name))
    known = [name for name in options.classes("model.optimizer") if of_source("model.optimizer", name)]
    assert len(known) > 10
    for name in known:
        assert of_source("model.optimizer", name) == of_signature(getattr(torch.optim, name), "params")
    assert of_source("model.lr_scheduler", "StepLR") == of_signature(torch.optim.lr_scheduler.StepLR, "optimizer")


@pytest.mark.parametrize(
    ("name", "choices"),
    [("model.noise", get_args(random.NoiseLaw)), ("model.engine", get_args(EngineName)), ("model.tied", ())],
)
def test_the_words_that_sources_tell_are_those_of_the_types(name, choices):
    assert options.kinds_of(name).choices == choices


CERTAIN = {
    "no group": (["--l1=0.1"], "unknown option --l1; did you mean model.l1?"),
    "the rate without its optimiser": (["--model.lr=1"], "unknown option --model.lr; did you mean model.optimizer.lr?"),
    "other capitals": (["--model.N_Hidden=5"], "unknown option --model.N_Hidden; did you mean model.n_hidden?"),
    "file without its option": (["some.yaml"], "unknown option some.yaml; did you mean --config some.yaml?"),
    "no dashes": (["model.l1=0.1"], "unknown option model.l1=0.1; did you mean --model.l1?"),
    "one dash": (["-model.l1", "0.1"], "unknown option -model.l1; did you mean --model.l1?"),
    "no value": (["--data"], "`data` must have a value, got none."),
    "no value in between": (["--model.tied", "--quiet"], "`model.tied` must have a value, got none."),
    "a group's key": (["--model={n_hiden: 5}"], "unknown option model.n_hiden; did you mean model.n_hidden?"),
    "argument of no class": (
        ["--data=OneHot", "--data.probability=1"],
        "unknown option data.probability; OneHot takes n_features, batch_size, magnitude",
    ),
    "argument of an optimiser": (
        ["--model.optimizer=SGD", "--model.optimizer.lrr=1"],
        "unknown option model.optimizer.lrr; did you mean model.optimizer.lr?",
    ),
    "argument of a schedule": (
        [f"--model.lr_scheduler={SCHEDULES}.StepLR", "--model.lr_scheduler.stepsize=1"],
        "unknown option model.lr_scheduler.stepsize; did you mean model.lr_scheduler.step_size?",
    ),
    "bare optimiser": (
        ["--model.optimizer=SDG"],
        "`model.optimizer` must name a class that can be imported, got 'SDG'; did you mean SGD?",
    ),
    "module of an optimiser": (
        ["--model.optimizer=torch.optimm.SGD"],
        "`model.optimizer` must name a class that can be imported, got 'torch.optimm.SGD' (No module named "
        "'torch.optimm')",
    ),
    "word for a number of the data": (
        ["--data=KHot", "--data.k=many"],
        "`data.k` must be a whole number, got 'many'",
    ),
    "word for yes or no": (["--quiet=maybe"], "`quiet` must be true or false, got 'maybe'"),
    "nothing at all": ([], "missing: data, model.n_hidden, trainer.max_steps"),
    "arguments without their class": (
        ["--data.n_features=6", "--model.n_hidden=3"],
        "missing: data, trainer.max_steps",
    ),
    "arguments of the data": (
        ["--data=KHot", "--model.n_hidden=3"],
        "missing: trainer.max_steps, data.n_features, data.k",
    ),
}


@pytest.mark.parametrize(("words", "line"), CERTAIN.values(), ids=CERTAIN)
def test_what_is_certainly_wrong_is_one_line_that_helps(words, line):
    assert told(*words) == line


@pytest.mark.parametrize(
    "words",
    [
        ["--model.l1", "-1e-3"],  # out of its range, but a number
        ["--trainer.default_root_dir=my.runs"],
        ["--trainer.devices=two"],
        ["--data=mine.OfOneself", "--data.anything=1"],
        ["--model.optimizer=Mine"],
        ["--model.optimizer={lr: 0.1}"],
        ["--trainer.callbacks+=LearningRateMonitor", "--trainer.callbacks.logging_interval=step"],
        ["--ensemble.vary={l1: [0, 1]}", "--quiet"],
        ["--quiet", "true"],
        ["--model.l1=${model.noise_std}"],
        ["--data.help", "OneHot"],
        ["--print_config"],
    ],
    ids=" ".join,
)
def test_what_is_right_or_uncertain_is_left_to_the_parser(words, here):
    (here / "mine.py").write_text("class OfOneself:\n    def __init__(self, **options): ...\n")
    assert told(*WHOLE, *words) is None


def test_arguments_may_stand_where_a_reference_leads(here):
    (here / "file.yaml").write_text("data: {class_path: KHot, init_args: '${data.other}'}\nmodel: ${base}\n")
    assert told("--config=file.yaml") is None


def test_a_class_that_a_module_may_make_as_it_runs_is_not_missing(here):
    (here / "making.py").write_text("globals()['Ma' + 'de'] = int\n")
    (here / "plain.py").write_text("class Made: ...\n")
    assert [sources.surely_missing(f"{module}.Made") for module in ("making", "plain", "polysemantic")] == [None] * 3
    assert sources.surely_missing("plain.Maid") == "module 'plain' has no attribute 'Maid'"


@pytest.mark.parametrize(
    "options_given",
    [
        ["--modle.l1=5"],
        ["--model.n_features=3"],
        ["--model.noise=gausian"],
        ["--model.tied=ture"],
        ["--model.l1=abc"],
        ["--data=OneHott"],
        ["--model.optimizer=torch.optim.AdamX"],
        ["--model.compile=true"],
        ["--model.optimizer=SDG"],
    ],
    ids=" ".join,
)
def test_the_parser_says_the_same(options_given, run_cli, monkeypatch):
    line = run_cli(*ONE_HOT, *REST, *options_given).err
    monkeypatch.setattr(main, "refuse_mistakes", lambda given: None)
    answer = run_cli(*ONE_HOT, *REST, *options_given)
    assert_one_line(answer)
    assert answer.err == line


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["fit", *REST], "missing: data\n"),
        (["fit", "--data=KHot", "--trainer.max_steps=3"], "missing: model.n_hidden, data.n_features, data.k\n"),
    ],
)
def test_the_parser_too_lists_all_that_is_missing(given, words, run_cli, monkeypatch):
    monkeypatch.setattr(main, "refuse_mistakes", lambda given: None)
    assert_one_line(run_cli(*given), f"error: {words}")


def test_a_knob_that_varies_needs_no_value_of_its_own(run_cli):
    varied = [word for word in BERNOULLI if "probability" not in word]
    printed = run_cli(*varied, *REST, '--ensemble.vary={"probability": [0.1, 0.5]}')
    assert printed.status == 0, printed.err
    answer = run_cli(*varied, *REST, '--ensemble.vary={"l1": [0.1, 0.5]}')
    assert_one_line(answer, "missing: data.probability\n")


def test_options_act_in_one_order_however_they_are_typed(run_cli, here):
    (here / "file.yaml").write_text("model: {l1: 0.5}\ndata: {class_path: KHot, init_args: {n_features: 8, k: 2}}\n")
    typed = ["--model.l1=0.25", "--data.n_features=6", "--data.k=3", "--data=KHot"]
    sgd = ["--model.optimizer.lr=0.1", "--model.optimizer=SGD"]
    printed = [
        run_cli("fit", *order, *REST, "--print_config").out
        for order in ([*typed, *sgd, "--config=file.yaml"], ["--config=file.yaml", *typed[::-1], *sgd[::-1]])
    ]
    assert printed[0] == printed[1]
    assert "l1: 0.25" in printed[0]
    assert "n_features: 6" in printed[0]
    assert "lr: 0.1" in printed[0]
