"""Options of `fit` on the command line of a sweep."""

import pytest
import yaml

from polysemantic.cli.command_line import read
from polysemantic.sweep.command import main
from polysemantic.sweep.overrides import overridden
from polysemantic.sweep.plan import make_plan
from polysemantic.sweep.spec import read_sweep
from tests.support.sweeping import BASE, write_sweep_files

AXES = "{model.n_hidden: [16, 32]}"
BERNOULLI = {"class_path": "IndependentBernoulli", "init_args": {"batch_size": 32}}


def spec_of(directory, base=None, **sweep):
    path = write_sweep_files(directory, yaml.safe_dump({"base": "base.yaml", **sweep}, sort_keys=False))
    if base is not None:
        (directory / "base.yaml").write_text(yaml.safe_dump(base))
    return read_sweep(path)


def test_an_option_of_the_command_line_is_an_override_of_the_file_in_its_hash_too(here):
    axes = yaml.safe_load(AXES)
    typed = overridden(spec_of(here, axes=axes), read(["--trainer.max_steps", "7", "--model={l1: 0.5}", "--quiet"]))
    filed = spec_of(here, axes=axes, overrides={"trainer.max_steps": 7, "model.l1": 0.5, "quiet": True})
    first, second, plain = (make_plan(spec) for spec in (typed, filed, spec_of(here, axes=axes)))
    assert first.directory == second.directory != plain.directory
    assert [cell.config for cell in first.cells] == [cell.config for cell in second.cells]
    assert first.base["quiet"] is True


def test_an_option_of_the_command_line_replaces_that_of_the_file_however_it_is_written(here):
    spec = spec_of(here, overrides={"data.init_args.n_features": 12, "model.l1": 0.1})
    typed = overridden(spec, read(["--data.n_features=14", "--data=KHot", "--data.k=2"]))
    assert typed.overrides == {"model.l1": 0.1, "data": "KHot", "data.n_features": "14", "data.k": "2"}
    (cell,) = make_plan(typed).cells
    assert cell.n_features == 14


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--trainer.max_step=3"], "unknown option --trainer.max_step; did you mean trainer.max_steps?"),
        (["--modle={l1: 3}"], "unknown option --modle; did you mean model?"),
        (["--max_steps=3"], "unknown option --max_steps; did you mean trainer.max_steps?"),
        (["--dry_rum"], "unknown option --dry_rum; did you mean --dry_run?"),
        (["--trainer.max_steps"], "`trainer.max_steps` must have a value, got none."),
        (["--trainer.max_steps=many"], "`trainer.max_steps` must be a whole number, got 'many'"),
        (["--trainer.max_steps=0"], "`trainer.max_steps` must be at least 1, got 0."),
        (
            ["--model.n_hidden=8"],
            "`model.n_hidden` must be no axis of the sweep to be set for all its runs, got 8.",
        ),
        (["--ckpt_path=last"], "`ckpt_path` must be unset in a sweep, got 'last'."),
        (["3"], "unrecognized arguments: 3"),
    ],
)
def test_a_bad_option_of_fit_is_one_line(options, line, here, capsys):
    write_sweep_files(here, f"{{base: base.yaml, axes: {AXES}}}")
    try:
        status = main(["--config=small.yaml", "--dry_run", *options])
    except SystemExit as exited:
        status = exited.code
    assert status == 2
    assert capsys.readouterr() == ("", f"error: {line}\n")


def test_options_of_fit_are_for_the_file_of_a_sweep_and_not_for_its_directory(here, capsys):
    assert main(["--collect=.", "--model.l1=3"]) == 2
    line = "error: `collect` must name a configuration to take options of `fit`, got '.'.\n"
    assert capsys.readouterr().err == line


def test_an_axis_gives_an_option_the_value_that_its_base_lacks(here):
    base = yaml.safe_load(BASE) | {"data": BERNOULLI}
    del base["model"]["n_hidden"]
    axes = yaml.safe_load(AXES) | {"data.probability": [0.1, 0.2]}
    given = read(["--data.n_features=16"])
    cells = make_plan(overridden(spec_of(here, base, axes=axes), given)).cells
    assert [cell.config["model"]["n_hidden"] for cell in cells] == [16, 32]
    assert all(cell.moved == ("data.probability",) for cell in cells)
    with pytest.raises(ValueError, match=r"missing: data\.n_features"):
        make_plan(spec_of(here, base, axes=axes))
