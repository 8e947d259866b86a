"""Mistakes in a command line and its files that are told before torch is imported, which takes seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from polysemantic.cli import messages, options
from polysemantic.cli.command_line import FLAGS, Given
from polysemantic.cli.mistakes import Item, refuse_wrong
from polysemantic.validation.replaced import REPLACED, replaced_option
from polysemantic.validation.suggestions import meant_option

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LONGEST_SHOWN = 40


def refuse_mistakes(given: Sequence[Given]) -> None:
    """Refuse what is certainly wrong in the options of `fit`, `validate` or `test`.

    The parser of the command would refuse it too, seconds later. Whatever is not certain is left to the parser.

    Args:
        given: The options.

    Raises:
        ValueError: If an option is unknown, its value is of another kind, or a class or a file is not there.
    """
    if any(option.name == "help" or option.name.endswith(".help") for option in given):
        return
    for option in given:
        _refuse_word(option)
    contents = [read_config(option.value or "") for option in given if option.name == "config"]
    typed = [item_of(option) for option in given if option.name not in _OF_PARSER]
    printed = any(option.name == "print_config" for option in given)
    refuse_wrong(typed, contents, whole=not printed)
    for item in typed:
        _refuse_checkpoint(item)


# Options that are no part of a configuration.
_OF_PARSER = {"config", *FLAGS} - {"quiet"}


def _refuse_word(option: Given) -> None:
    """Refuse a word that is neither an option nor a value of one, and an option without a value."""
    if not option.dashes:
        _refuse_stray(option.name)
    if option.value or (option.name in FLAGS and option.value is None):
        return
    if option.name in REPLACED:
        raise ValueError(replaced_option(option.name, "nothing"))
    accepted = options.kinds_of(option.key)
    may_be_empty = option.value == "" and accepted is not None and accepted.texts and option.key != "data"
    if not may_be_empty and (options.is_option(option.key) or option.key == "config"):
        raise ValueError(messages.no_value(option.key))


def _refuse_stray(word: str) -> None:
    if word.endswith((".yaml", ".yml", ".json")):
        raise ValueError(f"unknown option {word}; did you mean --config {word}?")
    name = word.lstrip("-").partition("=")[0]
    meant = name if options.is_option(name) else meant_option(name, options.options())
    if meant is not None:
        raise ValueError(f"unknown option {word}; did you mean --{meant}?")
    if word.startswith("-"):
        raise ValueError(f"unknown option {word}")
    raise ValueError(f"each value must follow an option of its own, got {word!r}")


def _refuse_checkpoint(item: Item) -> None:
    """Refuse a checkpoint that is not there; its run goes on from the checkpoint before it, if that is there."""
    if item.name not in ("ckpt_path", "model.init_from") or not isinstance(item.value, str):
        return
    if item.value.casefold() in ("last", "null", "none", "~") or "$" in item.value:
        return
    path = Path(item.value)
    if path.is_dir() or not (path.is_file() or path.with_name("previous.ckpt").is_file()):
        name = item.name.removeprefix("model.")
        raise ValueError(f"`{name}` must be an existing checkpoint, got {item.value!r}.")


def item_of(option: Given) -> Item:
    """An option of a command line and its value; `--quiet` alone is true."""
    value = "true" if option.name == "quiet" and option.value is None else read_value(option.value or "")
    return Item(option.key, value, "--")


def read_value(text: str) -> Any:
    """The value of an option: structured if it is written as a mapping or a list, else a text."""
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return yaml.load(text, Loader=_LOADER)
    except yaml.YAMLError:
        return text


def read_config(path: str) -> dict[Any, Any]:
    """The options that a configuration file holds.

    Args:
        path: The file, or options written as YAML.

    Raises:
        ValueError: If there is no such file, or it holds no mapping.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(messages.no_yaml(str(error))) from error
    except (OSError, ValueError) as error:
        if isinstance(read_value(path), dict):
            text = path
        elif "://" in path:  # a file elsewhere, which fsspec can read
            return {}
        else:
            raise ValueError(messages.no_file("config", path or "nothing")) from error
    try:
        content = yaml.load(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        raise ValueError(messages.no_yaml(str(error))) from error
    if not isinstance(content, dict):
        raise ValueError(messages.no_mapping("nothing" if content is None else _shown(content)))
    return content


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
