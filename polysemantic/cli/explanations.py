"""Explanations of the parser's errors on one line: what, the rule, what was given, and what was perhaps meant."""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

from polysemantic.cli import messages
from polysemantic.cli.options import CLASSES, classes
from polysemantic.data import InputDataModule
from polysemantic.validation.replaced import REPLACED, replaced_option

_UNKNOWN = r"unrecognized arguments: (\S+?)(?:[= ](\S*))?(?:\s|$)|[Oo]ption '([^']+)'|Key '([^']+)' is not expected"


def explain(message: str, options: Collection[str] = ()) -> str:
    """The error of a message of jsonargparse on one line.

    Args:
        message: The message, often of many lines.
        options: The known options, without dashes.
    """
    if ours := re.search(r"`[^`\n]+` must [^\n]+, got [^\n]+", message):
        return ours[0]
    if unknown := re.search(_UNKNOWN, message):
        return _explain_unknown(unknown, options)
    for pattern, say in _OF_COMMANDS:
        if found := re.search(pattern, message, re.DOTALL):
            return say(found)
    key = re.match(r'Parser key "([^"]+)":', message)
    return message if key is None else _explain_key(key[1], message)


def _explain_unknown(found: re.Match[str], options: Collection[str]) -> str:
    dashes = "--" if found[1] else ""
    name = (found[1] or found[3] or found[4]).removeprefix("--")
    if dashes and name in REPLACED:
        return replaced_option(name, found[2] or "nothing")
    return messages.unknown_option(name, options, dashes)


def _missing(found: re.Match[str]) -> str:
    return messages.missing([re.sub(r"(fit|validate|test)[.]", "", found[1])])


def _other_class(found: re.Match[str]) -> str:
    return messages.no_subclass(found[1], found[4] or "the class that it describes", found[2] or found[3])


# Messages of jsonargparse about a whole command, and what to say for them.
_OF_COMMANDS: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (r'Linked "([^"]+)" must be given via "([^"]+)"', lambda found: messages.linked_option(found[1], found[2])),
    (r"arguments are required: ([^\n]+)", _missing),
    (r"^Unexpected config[^:]*:?(.*)", lambda found: messages.no_mapping(" ".join(found[1].split()) or "nothing")),
    (r"parsing config[^:]*:(.*)", lambda found: messages.no_yaml(found[1])),
    (r"argument (?:-c/)?--([\w.]+): expected one argument", lambda found: messages.no_value(found[1])),
    (r"unexpected keyword argument '(\w+)'", lambda found: messages.unknown_option(found[1], ())),
    (r'^--([\w.]+[.]help): (?:.*: (\S+)|"(\S+)" is not a subclass of (\w+))$', _other_class),
)


def _explain_key(key: str, message: str) -> str:
    if "File does not exist" in message or re.match(r".*not (a file|accessible)$", message):
        return messages.no_file(key, message.rpartition(": ")[2])
    given = re.search(r"(?:Given value|Got value): (.+)", message)
    value = given[1] if given else ""
    if choices := _choices(message):
        return messages.no_choice(key, choices, value)
    for pattern, say in _OF_OPTIONS:
        if found := re.search(pattern, message):
            return say(key, found, value)
    return _explain_kind(key, value, message)


def _explain_kind(key: str, value: str, message: str) -> str:
    kinds = [kind for kind in re.findall(r"Expected (?:a )?<class '(\w+)'>", message) if kind in messages.KINDS]
    path = re.search(
        r"dot import path string: (\S+)|given class_path '([^']+)'|expects a function or a callable", message
    )
    # Some options take a number or an object of a class; a mistyped value of theirs is meant as a number.
    if path and not {"int", "float"} & set(kinds):
        return _explain_class(key, path[1] or path[2] or value, message)
    if base := re.search(r"not correspond to a subclass of (\S+)|corresponding to a type\[[\w.]*?(\w+)\]", message):
        return messages.no_subclass(key, base[1] or base[2], value)
    if kinds:
        return messages.not_of_kind(key, kinds, value)
    if base := re.search(r"Not a valid subclass of (\w+)", message):
        return messages.no_subclass(key, base[1], value)
    return f"`{key}` must be of another kind, got {value}" if value else message


# Messages of jsonargparse about the value of an option, and what to say for them.
_OF_OPTIONS: tuple[tuple[str, Callable[[str, re.Match[str], str], str]], ...] = (
    (r"Unable to load config '(.*?)'", lambda key, found, _: messages.no_group(key, found[1])),
    (
        r"Multiple subclasses with name .+ ambiguity: (.+)[.]",
        lambda key, found, value: messages.no_choice(key, found[1].split(", "), value),
    ),
    (
        "Expected an instantiatable class",
        lambda key, _, value: f"`{key}` must name a class that is not abstract, got {value}",
    ),
    (
        r"Expected '(\S+)' to be a subclass of <class '(\w+)'>",
        lambda key, found, _: messages.no_subclass(key, found[2], found[1]),
    ),
    (
        r"Expected a tuple with (\d+) elements",
        lambda key, found, value: f"`{key}` must be a list of {found[1]} values, got {value}",
    ),
)


def _choices(message: str) -> list[str]:
    """The choices of every `Literal` that a value did not match, with true and false if those would match too."""
    listed = re.findall(r"Expected a (?:typing[.])?Literal\[(.+?)\]", message)
    if listed and "Expected a <class 'bool'>" in message:
        listed.append("true, false")
    return list(dict.fromkeys(choice.strip(" '") for choices in listed for choice in choices.split(",")))


def _explain_class(key: str, name: str, message: str) -> str:
    if key.rpartition(".")[2] == "data" and "." not in name:
        return messages.no_data(key, name, classes("data"))
    package = name.rpartition(".")[0]
    try:
        near = dir(importlib.import_module(package))
    except (ImportError, ValueError):
        near = list(classes(key)) if key in CLASSES else []
    reason = re.search(r"No module named '[^']+'|module '[^']+' has no attribute '[^']+'", message)
    return messages.no_class(key, name, near, reason[0] if reason else None)


def option_names(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The name of every option of a parser, of its commands and of every input distribution, without dashes."""
    for action in parser._actions:
        if action.dest == "data":
            for kind in _subclasses(InputDataModule):
                yield from (f"data.{name}" for name in inspect.signature(kind).parameters)
        yield from (option.removeprefix("--") for option in action.option_strings)
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from option_names(command)


def _subclasses(kind: type[Any]) -> Iterator[type[Any]]:
    for child in kind.__subclasses__():
        yield child
        yield from _subclasses(child)
