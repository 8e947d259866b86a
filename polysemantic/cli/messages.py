"""The errors of bad options in words, the same before and after the classes of the options are imported."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from polysemantic.validation.replaced import REPLACED, instead
from polysemantic.validation.suggestions import did_you_mean, meant_option

KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "dict": "a mapping",
    "list": "a list",
    "tuple": "a list",
}
# Lightning knows more choices than our runs accept.
_CHOICES = {"trainer.precision": ["32", "64"]}


def unknown_option(name: str, known: Collection[str], dashes: str = "") -> str:
    """An option that no command has.

    Args:
        name: Its name.
        known: The names of all options, without dashes.
        dashes: What stands before the name: `--` on the command line.
    """
    meant = meant_option(name, {*known, *REPLACED})
    if meant in REPLACED:
        return f"unknown option {dashes}{name}; of what was {meant}, {instead(meant)}"
    return f"unknown option {dashes}{name}" + (f"; did you mean {meant}?" if meant else "")


def unknown_argument(option: str, name: str, known: Collection[str], kinds: Collection[str]) -> str:
    """An argument that none of the classes of an option has.

    Args:
        option: The option that names the classes.
        name: The argument.
        known: The arguments that the classes have.
        kinds: The classes.
    """
    near = did_you_mean(f"{option}.{name}", [f"{option}.{other}" for other in known])
    takes = f"; {' and '.join(sorted(kinds))} {'take' if len(kinds) > 1 else 'takes'} {', '.join(known) or 'none'}"
    return f"unknown option {option}.{name}{near or takes}"


def missing(names: Iterable[str]) -> str:
    """Options that must have a value and have none."""
    return f"missing: {', '.join(names)}"


def not_of_kind(key: str, words: Iterable[str], value: object) -> str:
    """A value that is not of the kinds, of those in `KINDS`, that an option accepts."""
    return f"`{key}` must be {' or '.join(dict.fromkeys(KINDS[word] for word in words))}, got {shown(value)}"


def shown(value: object) -> str:
    """A value as a file writes it."""
    return {"None": "null", "True": "true", "False": "false"}.get(str(value)) or repr(value)


def no_choice(key: str, choices: Collection[str], value: object) -> str:
    """A value that is none of an option's choices."""
    choices = _CHOICES.get(key, choices)
    return f"`{key}` must be one of {', '.join(choices)}, got {shown(value)}{did_you_mean(str(value), choices)}"


def no_data(key: str, name: str, known: Collection[str]) -> str:
    """A bare name that is no input distribution's."""
    listed = ", ".join(sorted(known))
    return f"`{key}` must be one of {listed} or package.Class, got {name!r}{did_you_mean(name, known)}"


def no_class(key: str, name: str, near: Collection[str], reason: str | None = None) -> str:
    """A class that cannot be imported.

    Args:
        key: The option.
        name: What was given.
        near: Names that may have been meant.
        reason: Why, in Python's words.
    """
    meant = did_you_mean(name.rpartition(".")[2], near)
    return f"`{key}` must name a class that can be imported, got {name!r}{f' ({reason})' if reason else ''}{meant}"


def no_subclass(key: str, base: str, value: object) -> str:
    """A class, or something else, that is not of the kind that an option names."""
    return f"`{key}` must name a subclass of {base}, got {value}"


def no_group(key: str, value: object) -> str:
    """Something else than the options of a group."""
    return f"`{key}` must be a mapping of its options, or a file of them, got {shown(value)}"


def no_value(key: str) -> str:
    """An option without its value."""
    return f"`{key}` must have a value, got none."


def linked_option(name: str, source: str) -> str:
    """An option whose value comes from another."""
    return f"`{name}` must be unset, it is that of `{source}`"


def no_yaml(error: str) -> str:
    """A file that is no YAML."""
    return f"`config` must be YAML, got an error {' '.join(error.split())}"


def no_resolution(error: Exception) -> str:
    """A reference in a configuration that leads nowhere."""
    return f"the configuration must resolve: {str(error).splitlines()[0]}"


def no_mapping(got: str) -> str:
    """A file that holds something else than options, or nothing."""
    return f"`config` must hold a mapping of options, got {got}"


def no_file(key: str, name: str) -> str:
    """A file that is not there."""
    return f"`{key}` must be an existing file, got {name}"
