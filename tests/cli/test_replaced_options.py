import pytest
import yaml

from polysemantic import fit
from polysemantic.data import OneHot
from tests.support.one_line import ONE_HOT, REST, assert_one_line

INSTEAD = "`model.engine` (auto, eager, ...) and `model.kernels` (auto, torch) take its place"
SAID = f"error: `model.compile` must be unset: {INSTEAD}, got {{}}.\n"


@pytest.mark.parametrize(
    ("options", "value"),
    [
        (["--model.compile", "true"], "true"),
        (["--model.compile=auto"], "auto"),
        (["--model.compile"], "nothing"),
        (["--model.compile=maybe", "--model.l1=0.1"], "maybe"),
        (["--model={compile: false}"], "false"),
        (["--model={compile: null}"], "null"),
    ],
)
@pytest.mark.parametrize("command", ["fit", "validate"])
def test_an_option_that_was_replaced_is_one_line_that_names_the_new_ones(command, options, value, run_cli, earlier):
    answer = run_cli(command, *ONE_HOT[1:], *REST, *options)
    assert_one_line(answer)
    assert answer.err == SAID.format(value)


@pytest.mark.parametrize(("text", "value"), [("auto", "auto"), ("true", "true"), ("false", "false"), ("null", "null")])
@pytest.mark.parametrize("asked", [[], ["--print_config"]], ids=["fit", "print"])
def test_a_file_that_still_has_it_is_refused_alike(text, value, asked, run_cli, earlier, here):
    (here / "old.yaml").write_text(f"model: {{compile: {text}}}")
    answer = run_cli("fit", "--config=old.yaml", *ONE_HOT[1:], *REST, *asked)
    assert_one_line(answer)
    assert answer.err == SAID.format(value)


def test_the_configuration_of_a_run_of_an_earlier_version_is_refused_alike(run_cli, earlier, here):
    config = yaml.safe_load((earlier / "config.yaml").read_text())
    assert "compile" not in config["model"]
    config["model"]["compile"] = "auto"
    (here / "old.yaml").write_text(yaml.safe_dump(config))
    answer = run_cli("fit", "--config=old.yaml")
    assert_one_line(answer)
    assert answer.err == SAID.format("auto")


def test_one_line_says_all_that_is_to_be_deleted_from_an_old_configuration(run_cli, earlier, here):
    config = yaml.safe_load((earlier / "config.yaml").read_text())
    config["model"] |= {"compile": None, "autoencoder": "polysemantic.autoencoder.Autoencoder"}
    (here / "old.yaml").write_text(yaml.safe_dump(config))
    moved = "`model.autoencoder` must be unset: this class has moved, and is the default"
    line = f"{SAID.format('null')[:-2]}; {moved}, got polysemantic.autoencoder.Autoencoder.\n"
    assert run_cli("fit", "--config=old.yaml").err == line


def test_other_capitals_are_no_other_option(run_cli):
    line = f"error: unknown option --model.Compile; of what was model.compile, {INSTEAD}\n"
    assert run_cli(*ONE_HOT, *REST, "--model.Compile=true").err == line


def test_no_configuration_has_it(run_cli):
    assert "compile:" not in run_cli(*ONE_HOT, *REST, "--print_config").out


@pytest.mark.parametrize(("value", "text"), [(True, "true"), ("auto", "auto")])
def test_python_refuses_it_in_the_same_words(value, text):
    with pytest.raises(ValueError, match=r"`model\.compile` must be unset") as raised:
        fit(OneHot(8), n_hidden=6, max_steps=3, compile=value)
    assert f"error: {raised.value}\n" == SAID.format(text)
