"""Explanations of the parser's errors on one line: what, the rule, what was given, and what was perhaps meant."""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
from collections.abc import Collection, Iterator
from typing import Any

from polysemantic.data import InputDataModule
from polysemantic.validation.replaced import REPLACED, replaced_option
from polysemantic.validation.suggestions import did_you_mean

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "dict": "a mapping",
    "list": "a list",
}
# Lightning knows more choices than our runs accept.
_CHOICES = {"trainer.precision": ["32", "64"]}


def explain(message: str, options: Collection[str] = ()) -> str:
    """The error of a message of jsonargparse on one line.

    Args:
        message: The message, often of many lines.
        options: The known options, without dashes.
    """
    if ours := re.search(r"`[^`\n]+` must [^\n]+, got [^\n]+", message):
        return ours[0]
    if (gone := re.search(r"unrecognized arguments: --([\w.]+)[= ]?(\S*)", message)) and gone[1] in REPLACED:
        return replaced_option(gone[1], gone[2] or "nothing")
    if unknown := re.search(
        r"unrecognized arguments: (\S+)|[Oo]ption '([^']+)'|Key '([^']+)' is not expected", message
    ):
        name = next(filter(None, unknown.groups())).removeprefix("--").partition("=")[0]
        dashes = "--" if unknown[1] else ""
        return f"unknown option {dashes}{name}{did_you_mean(name, options)}"
    if linked := re.search(r'Linked "([^"]+)" must be given via "([^"]+)"', message):
        return f"`{linked[1]}` must be unset, it is that of `{linked[2]}`"
    if required := re.search(r"arguments are required: (.+)", message):
        return f"missing: {re.sub(r'(fit|validate|test)[.]', '', required[1])}"
    if message.startswith("Unexpected config"):
        return f"`config` must hold a mapping of options, got {message.partition(':')[2].strip() or 'nothing'}"
    if "parsing config" in message:
        return f"`config` must be YAML, got an error {' '.join(message.split(':', 1)[1].split())}"
    key = re.match(r'Parser key "([^"]+)":', message)
    return message if key is None else _explain_key(key[1], message)


def _explain_key(key: str, message: str) -> str:
    if "File does not exist" in message or re.match(r".*not (a file|accessible)", message):
        return f"`{key}` must be an existing file, got {message.rpartition(': ')[2]}"
    given = re.search(r"(?:Given value|Got value): (.+)", message)
    value = given[1] if given else ""
    if choices := _CHOICES.get(key) or _choices(message):
        return f"`{key}` must be one of {', '.join(choices)}, got {value!r}{did_you_mean(value, choices)}"
    kinds = [kind for kind in re.findall(r"Expected (?:a )?<class '(\w+)'>", message) if kind in _KINDS]
    path = re.search(
        r"dot import path string: (\S+)|given class_path '([^']+)'|expects a function or a callable", message
    )
    # Some options take a number or an object of a class; a mistyped value of theirs is meant as a number.
    if path and not {"int", "float"} & set(kinds):
        return _explain_class(key, path[1] or path[2] or value, message)
    if base := re.search(r"not correspond to a subclass of (\S+)|corresponding to a type\[[\w.]*?(\w+)\]", message):
        return f"`{key}` must name a subclass of {base[1] or base[2]}, got {value}"
    if kinds:
        return f"`{key}` must be {' or '.join(_KINDS[kind] for kind in dict.fromkeys(kinds))}, got {value!r}"
    return message


def _choices(message: str) -> list[str]:
    """The choices of every `Literal` that a value did not match, with true and false if those would match too."""
    listed = re.findall(r"Expected a (?:typing[.])?Literal\[(.+?)\]", message)
    if listed and "Expected a <class 'bool'>" in message:
        listed.append("true, false")
    return list(dict.fromkeys(choice.strip(" '") for choices in listed for choice in choices.split(",")))


def _explain_class(key: str, name: str, message: str) -> str:
    known = {kind.__name__ for kind in _subclasses(InputDataModule) if kind.__module__.startswith("polysemantic.")}
    if key.rpartition(".")[2] == "data" and "." not in name:
        listed = ", ".join(sorted(known))
        return f"`{key}` must be one of {listed} or package.Class, got {name!r}{did_you_mean(name, known)}"
    package, _, last = name.rpartition(".")
    try:
        near = did_you_mean(last, dir(importlib.import_module(package)))
    except (ImportError, ValueError):
        near = ""
    reason = re.search(r"No module named '[^']+'|module '[^']+' has no attribute '[^']+'", message)
    return f"`{key}` must name a class that can be imported, got {name!r}{f' ({reason[0]})' if reason else ''}{near}"


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
