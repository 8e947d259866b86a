import pandas as pd
import pytest
import yaml

from polysemantic.results.sweeps import label
from polysemantic.storage.files import write_parquet
from polysemantic.sweep.command import main
from polysemantic.sweep.cost import estimate
from polysemantic.sweep.plan import make_plan
from polysemantic.sweep.reader import Reader, config_hash
from polysemantic.sweep.spec import read_sweep
from polysemantic.sweep.table import collect, write_sweep
from tests.support.sweeping import BASE, write_sweep_files

BERNOULLI = "{class_path: IndependentBernoulli, init_args: {probability: 0.1, batch_size: 32}}"
DIAL = "{class_path: CooccurrenceDial, init_args: {probability: 0.1, dial: 0.5, group_size: 4, batch_size: 32}}"
WRONG = """
from polysemantic.data import OneHot

class Wrong(OneHot):
    def cooccurrence(self):
        return 2 * super().cooccurrence()
"""


def plan_of(directory, **sweep):
    text = yaml.safe_dump(
        {"base": "base.yaml"} | {key: yaml.safe_load(value) for key, value in sweep.items()}, sort_keys=False
    )
    return make_plan(read_sweep(write_sweep_files(directory, text)))


def points(plan):
    return [cell.point for cell in plan.cells]


def test_axes_multiply_groups_zip_and_combinations_are_excluded(here):
    plan = plan_of(
        here,
        axes="{model.n_hidden: [16, 32], model.tied: [true, false]}",
        zip="[{data.n_features: [16, 32], trainer.max_steps: [5, 10]}]",
        exclude="[{model.n_hidden: 32, model.tied: [false]}]",
    )
    found = [tuple(point.values()) for point in points(plan)]
    shapes = [(16, True), (16, False), (32, True)]
    assert found == [(m, tied, n, steps) for m, tied in shapes for n, steps in ((16, 5), (32, 10))]
    for cell in plan.cells:
        assert cell.config["model"]["n_hidden"] == cell.point["model.n_hidden"]
        assert cell.config["data"]["init_args"]["n_features"] == cell.n_features == cell.point["data.n_features"]


@pytest.mark.parametrize("key", ["data.probability", "data.init_args.probability"])
def test_an_axis_that_the_ensemble_can_hold_moves_into_it(key, here):
    plan = plan_of(here, overrides=f"{{data: {BERNOULLI}}}", axes=f"{{model.l1: [0, 1e-3], {key}: [0.1, 0.2, 0.3]}}")
    (cell,) = plan.cells
    assert cell.moved == ("model.l1", key)
    assert cell.config["ensemble"]["vary"] == {"l1": [0.0, 0.001], "probability": [0.1, 0.2, 0.3]}
    assert cell.n_instances == 12


@pytest.mark.parametrize(
    "sweep",
    [
        {"zip": "{model.l1: [0, 0.01]}"},
        {"axes": "{model.l1: [0, 0.01], model.n_hidden: [16, 32]}", "exclude": "[{model.l1: 0, model.n_hidden: 32}]"},
    ],
)
def test_what_is_zipped_or_excluded_spans_runs(sweep, here):
    plan = plan_of(here, **sweep)
    assert all(cell.moved == () for cell in plan.cells)
    assert {cell.config["model"]["l1"] for cell in plan.cells} == {0.0, 0.01}


def test_a_cell_that_is_put_together_is_what_the_command_line_reads(here):
    axes = {
        "data": [yaml.safe_load(BERNOULLI), yaml.safe_load(DIAL)],
        "data.probability": [0.1, 0.2],
        "model.n_hidden": [16, 32],
        "model.noise": ["bernoulli", "gaussian"],
        "model.l1": [0, 0.01],
        "model.optimizer.lr": [0.1, 1],
        "trainer.max_steps": [5, 6],
        "seed_everything": [0, 1],
    }
    plan = plan_of(here, axes=yaml.safe_dump(axes), exclude="[{seed_everything: 1, model.l1: 0}]")
    assert len(plan.cells) == 2 * 2 * 2 * 2 * 2 * (4 - 1)
    reader = Reader(here / "base.yaml")
    for cell in plan.cells[::17]:
        options = {key: value[0] if key in cell.moved else value for key, value in cell.point.items()}
        held = {"ensemble.vary": {"probability": [0.1, 0.2]}}
        assert reader.plain(reader.read(options | held)) == cell.config
        assert cell.moved == ("data.probability",)


SGD = "{class_path: torch.optim.SGD, init_args: {lr: 0.1}}"


@pytest.mark.parametrize(
    ("overrides", "axes"),
    [
        ("{}", f"{{model.optimizer: [{SGD}]}}"),
        (f"{{model.optimizer: {SGD}}}", "{}"),
        ("{}", "{model.optimizer: [torch.optim.SGD], model.optimizer.lr: [0.1]}"),
        (f"{{model.optimizer: {SGD}}}", "{model.optimizer: [torch.optim.SGD], model.optimizer.lr: [0.1]}"),
    ],
)
def test_another_optimizer_inherits_nothing_of_the_one_before(overrides, axes, here):
    (cell,) = plan_of(here, overrides=overrides, axes=axes).cells
    optimizer = cell.config["model"]["optimizer"]
    assert optimizer["class_path"] == "torch.optim.SGD"
    assert (optimizer["init_args"]["lr"], optimizer["init_args"]["weight_decay"]) == (0.1, 0.0)


def test_the_same_optimizer_keeps_what_is_not_set_again(here):
    axes = "{model.optimizer: [torch.optim.AdamW, torch.optim.Adam]}"
    kept, anew = (cell.config["model"]["optimizer"]["init_args"] for cell in plan_of(here, axes=axes).cells)
    assert (kept["lr"], kept["weight_decay"]) == (0.01, 0.01)
    assert (anew["lr"], anew["weight_decay"]) == (0.001, 0.0)


def test_other_inputs_keep_what_both_classes_have(here):
    axes = "{data: [OneHot, {class_path: PairMixture, init_args: {pair_probability: 0.1}}]}"
    cells = plan_of(here, overrides="{data.batch_size: 24}", axes=axes).cells
    assert [(cell.n_features, cell.batch) for cell in cells] == [(16, 24), (16, 24)]


def test_a_run_of_small_networks_costs_the_calls_of_its_steps(here):
    short, long = (
        estimate(cell, 1e11).seconds for cell in plan_of(here, axes="{trainer.max_steps: [100000, 1000000]}").cells
    )
    assert short == pytest.approx(15, rel=0.2)
    assert long == pytest.approx(10 * short, rel=0.2)


def test_inputs_of_the_users_are_checked_before_anything_starts(sweep, here):
    (here / "wrong.py").write_text(WRONG)
    text = "base: base.yaml\noverrides: {data: wrong.Wrong, data.n_features: 8}\naxes: {model.n_hidden: [4, 8]}\n"
    status, _, err = sweep(text)
    assert status == 2
    assert err.startswith("error: `Wrong.sample` must draw what `cooccurrence` declares, P(0 on) = 0.25, got 51")
    assert not (here / "lightning_logs").exists()


def test_the_hash_is_that_of_the_configuration_and_not_of_its_place(here):
    (cell,) = plan_of(here).cells
    (other,) = plan_of(here, overrides="{trainer.default_root_dir: elsewhere}").cells
    (changed,) = plan_of(here, overrides="{model.l1: 0.5}").cells
    assert cell.hash == other.hash == config_hash(cell.config)
    assert changed.hash != cell.hash


NO_COMPILE = "`model.compile` must be unset: `model.engine` (auto, eager, ...) and `model.kernels`"
BAD = {
    "replaced axis": ({"axes": {"model.compile": ["auto", False]}}, NO_COMPILE, "take its place, got auto."),
    "replaced axis of one value": ({"axes": {"model.compile": [True]}}, NO_COMPILE, "got true."),
    "replaced in zip": ({"zip": [{"model.compile": [True], "model.l1": [0]}]}, NO_COMPILE, "got true."),
    "replaced override": ({"overrides": {"model.compile": True}}, NO_COMPILE, "got true."),
    "replaced group": ({"overrides": {"model": {"compile": True}}}, NO_COMPILE, "got true."),
    "a reference to nothing": ({"overrides": {"model.l1": "${model.l2}"}}, "the configuration must resolve: "),
    "replaced in the base": ({"base": "old.yaml"}, NO_COMPILE, "got auto."),
    "unknown key": ({"axis": {}}, "a sweep must hold base, overrides, axes, zip, exclude alone", "did you mean axes?"),
    "no base": ({"base": 5}, "`base` must name a configuration of `fit`, got 5."),
    "missing base": ({"base": "missing.yaml"}, "`base` must be an existing file, got", "missing.yaml"),
    "unknown option": (
        {"axes": {"model.n_hiden": [1]}},
        "unknown option --model.n_hiden; did you mean model.n_hidden?",
    ),
    "unknown override": ({"overrides": {"modle.l1": 1}}, "unknown option --modle.l1; did you mean model.l1?"),
    "unknown option of the data": (
        {"axes": {"data.batchsize": [1]}},
        "unknown option",
        "did you mean data.batch_size?",
    ),
    "option of other data": ({"axes": {"data.probability": [0.1]}}, "unknown option data.probability; OneHot takes"),
    "no list": ({"axes": {"model.l1": 0.1}}, "`axes` must hold a list of values for model.l1, got 0.1."),
    "no value": ({"axes": {"model.l1": []}}, "`axes` must hold a list of values for model.l1, got []."),
    "a value twice": ({"axes": {"model.l1": [1, 1]}}, "`axes` must hold distinct values for model.l1, got 1 twice."),
    "an option twice": (
        {"axes": {"data.n_features": [8]}, "zip": {"data.init_args.n_features": [16]}},
        "`axes` must name each option once, got data.n_features twice.",
    ),
    "lists of two lengths": (
        {"zip": {"model.n_hidden": [1, 2], "data.n_features": [1]}},
        "`zip` must hold lists of one length, got 2 of model.n_hidden, 1 of data.n_features.",
    ),
    "exclude no axis": (
        {"axes": {"model.n_hidden": [1]}, "exclude": [{"model.n_hiden": 1}]},
        "`exclude` must name axes, got 'model.n_hiden'; did you mean model.n_hidden?",
    ),
    "exclude all": (
        {"axes": {"model.n_hidden": [1]}, "exclude": [{"model.n_hidden": 1}]},
        "`exclude` must leave at least one cell, got none.",
    ),
    "word for a number": ({"axes": {"model.n_hidden": [8, "many"]}}, "`model.n_hidden` must be a whole number", "many"),
    "half a neuron": ({"axes": {"model.n_hidden": [8, 1.5]}}, "`model.n_hidden` must be a whole number, got 1.5"),
    "no neurons": ({"axes": {"model.n_hidden": [8, 0]}}, "`n_hidden` must be at least 1, got 0."),
    "unknown word": ({"axes": {"model.noise": ["gausian"]}}, "`model.noise` must be one of", "did you mean gaussian?"),
    "unknown class": ({"axes": {"data": ["OneHott"]}}, "`data` must be one of", "did you mean OneHot?"),
    "bad value that moves": ({"axes": {"model.l1": [0, -1]}}, "`l1` must be at least 0 and finite, got -1.0."),
    "initial weights of 0": ({"axes": {"model.init_scale": [0, 1]}}, "`init_scale` must be positive", "got 0.0."),
    "bad learning rate": ({"axes": {"model.optimizer.lr": [0.1, -1]}}, "nvalid learning rate: -1"),
    "no steps": ({"axes": {"trainer.max_steps": [5, 0]}}, "`trainer.max_steps` must be at least 1, got 0."),
    "two devices": (
        {"overrides": {"trainer.devices": 2}},
        "`trainer.devices` must be 1 in a sweep, whose cells are one process each, got 2.",
    ),
    "two nodes": ({"axes": {"trainer.num_nodes": [1, 2]}}, "`trainer.num_nodes` must be 1 in a sweep", "got 2."),
    "unknown strategy": ({"axes": {"trainer.strategy": ["auto", "fsdp"]}}, "`trainer.strategy` must be", "got 'fsdp'"),
    "no seeds": ({"axes": {"ensemble.seeds": [2, 0]}}, "`ensemble.seeds` must be at least 1, got 0."),
    "init of other data": ({"axes": {"model.init": ["disambiguation"]}}, "`init` disambiguation must have HalfSplit"),
    "axis that base varies": (
        {"overrides": {"ensemble.vary": {"l1": [0, 1]}}, "axes": {"model.l1": [0]}},
        "`axes` must not name what `ensemble.vary` of the base holds, got 'model.l1'.",
    ),
    "a checkpoint": ({"overrides": {"ckpt_path": "last"}}, "`ckpt_path` must be unset in a sweep, got 'last'."),
}


@pytest.mark.parametrize(("sweep", "words"), [(sweep, words) for sweep, *words in BAD.values()], ids=BAD)
def test_a_bad_sweep_is_one_line_before_anything_starts(sweep, words, here, capsys):
    config = write_sweep_files(here, yaml.safe_dump({"base": "base.yaml"} | sweep, sort_keys=False))
    (here / "old.yaml").write_text(BASE.replace("{n_hidden: 16,", "{n_hidden: 16, compile: auto,"))
    assert main([f"--config={config}"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err
    assert not (here / "lightning_logs").exists()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--config=missing.yaml"], "`config` must be an existing file, got 'missing.yaml'."),
        (["--collect=missing"], "`collect` must name a sweep's directory or configuration, got 'missing'."),
        (["--config=small.yaml", "--workers=0"], "`workers` must be at least 1, got 0."),
        (["--config=small.yaml", "--cpus_per_cell=0"], "`cpus_per_cell` must be positive and finite, got 0.0."),
        (["--config=small.yaml", "--gpus_per_cell=-1"], "`gpus_per_cell` must be at least 0 and finite, got -1.0."),
        (["--config=small.yaml", "--gpus_per_cell=1"], "`gpus_per_cell` must be unset with the engine embedded, got 1"),
        (["--config=small.yaml", "--engine=ray", "--workers=2"], "`workers` must be unset with the engine ray, got 2."),
        (["--config=small.yaml", "--enginee=ray"], "unknown option --enginee; did you mean --engine?"),
        (["--config=small.yaml", "--engine=rya"], "argument --engine: invalid choice: 'rya'"),
        ([], "one of the arguments --config --collect is required"),
    ],
)
def test_a_bad_option_of_the_command_is_one_line(options, line, here, capsys):
    try:
        status = main(options)
    except SystemExit as exited:
        status = exited.code
    assert status == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {line}")
    assert err.count("\n") == 1


def test_a_class_is_named_in_tables_by_its_name_and_arguments():
    assert label("OneHot") == "OneHot"
    assert label("torch.optim.SGD") == "SGD"
    assert label("rows.npy") == "rows.npy"
    assert label({"class_path": "PairMixture", "init_args": {"pair_probability": 0.1}}) == (
        "PairMixture(pair_probability=0.1)"
    )
    assert label([1, 2]) == "[1, 2]"


def test_axes_of_one_name_have_columns_of_their_whole_names(here):
    plan = plan_of(here, axes="{measurements.every_n_steps: [10, 20], convergence.every_n_steps: [10], model.l1: [0]}")
    write_sweep(plan)
    for cell in plan.cells:
        own = pd.DataFrame({"instance": [0, 1], "l1": [0.0, 0.0]})
        write_parquet(plan.directory / "cells" / cell.hash / "results.parquet", own)
    table = collect(plan.directory)
    assert table["measurements.every_n_steps"].tolist() == [10, 10, 20, 20]
    assert table["convergence.every_n_steps"].tolist() == [10] * 4
    assert table["l1"].tolist() == [0.0] * 4


def test_a_thousand_cells_are_planned_and_collected_in_a_few_reads(here, monkeypatch):
    reads = []
    honest = Reader.read
    monkeypatch.setattr(
        Reader, "read", lambda self, options, **rest: reads.append(options) or honest(self, options, **rest)
    )
    tens = list(range(16, 176, 16))
    axes = {"model.n_hidden": tens, "data.n_features": tens, "trainer.max_steps": tens}
    assert len(plan_of(here, axes=yaml.safe_dump(axes)).cells) == 1000
    assert len(reads) == 2
