"""Options that are certainly wrong, as the source of the classes that have them tells."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from polysemantic.cli import messages, options, sources
from polysemantic.cli.kinds import Kinds, kinds
from polysemantic.validation.checks import check_varied
from polysemantic.validation.replaced import REPLACED, replaced_option, replaced_options
from polysemantic.validation.suggestions import did_you_mean

# Words that YAML or the parser takes for something else than a text.
_SPECIAL = ("true", "false", "yes", "no", "on", "off", "null", "none", "nan", "inf")
_NUMBER = r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?"
# Arguments of a class stand under their own name on a command line, and within this one in files.
_INSIDE = "init_args"
_ARGUMENTS = (_INSIDE, "dict_kwargs")


class Item(NamedTuple):
    """An option and its value.

    Args:
        name: Its dotted name.
        value: Its value, as a file holds it, or the text of a command line.
        dashes: What stands before the name where it was given.
    """

    name: str
    value: Any
    dashes: str = ""


def refuse_wrong(typed: Sequence[Item], contents: Sequence[dict[Any, Any]] = (), *, whole: bool = True) -> None:
    """Refuse options that are unknown, or whose values are certainly wrong.

    Args:
        typed: Options of a command line or of a sweep.
        contents: What configuration files hold.
        whole: Whether every option that must have a value has one.

    Raises:
        ValueError: If there is one, or if a value is missing.
    """
    held = [[Item(str(key), value) for key, value in content.items()] for content in contents]
    for items in held:
        values = {item.name: item.value for item in _opened(items)}
        if (line := replaced_options(values.__getitem__)) is not None:
            raise ValueError(line)
    everything = [item for items in (*held, typed) for item in _opened(items)]
    named = _classes_named(everything)
    for item in everything:
        if item.name in REPLACED:
            raise ValueError(replaced_option(item.name, item.value))
        if item.name in options.LINKED:
            raise ValueError(messages.linked_option(item.name, options.LINKED[item.name]))
        _refuse_unknown(item, named)
        _refuse_value(item, named)
        if item.name == "ensemble.vary":
            _refuse_grid(item.value, named.get("data") or set())
    if whole and (missing := _missing(everything, named)):
        raise ValueError(messages.missing(missing))


def _opened(items: Iterable[Item]) -> Iterator[Item]:
    """The options, those that a group's mapping holds, and the arguments that a class's mapping holds."""
    for item in items:
        yield item
        if not isinstance(item.value, dict):
            continue
        parts: list[Any] = [item.value] if item.name in options.GROUPS else []
        if item.name in options.CLASSES:
            parts = [item.value.get(key) for key in _ARGUMENTS]
        for inside in filter(_is_mapping, parts):
            yield from _opened(Item(f"{item.name}.{key}", value) for key, value in inside.items())


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def leaves(items: Iterable[Item]) -> Iterator[Item]:
    """Options one by one: those that a group's mapping holds, and a class before the arguments in its mapping.

    Args:
        items: Options, of which some may be such mappings.
    """
    for item in _opened(items):
        if item.name in options.CLASSES and isinstance(item.value, dict) and set(item.value) == {"class_path", _INSIDE}:
            yield item._replace(value=item.value["class_path"])
        elif item.name not in options.GROUPS or not isinstance(item.value, dict):
            yield item


def _class_of(value: Any) -> str | None:
    """The class that a value names; None if it names none, but a file that may."""
    if isinstance(value, dict):
        # Arguments may stand elsewhere in the file, where a reference leads.
        value = None if any(isinstance(value.get(name), str) for name in _ARGUMENTS) else value.get("class_path")
    is_name = isinstance(value, str) and re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*", value) and not Path(value).is_file()
    return value if is_name else None


def _classes_named(items: Iterable[Item]) -> dict[str, set[str] | None]:
    """The classes that each option of `CLASSES` names; None if one of them cannot be known."""
    named: dict[str, set[str] | None] = {}
    for item in items:
        if item.name in options.CLASSES and item.value is not None:
            kind, others = _class_of(item.value), named.get(item.name, set())
            named[item.name] = None if kind is None or others is None else {*others, kind}
    for key in options.CLASSES:
        if key not in named and (default := options.default_class(key)) is not None:
            named[key] = {default}
    return named


def _owner(name: str) -> tuple[str, str] | None:
    """The option whose class has an argument, and the argument's own name; None if the option is no argument."""
    for key in options.CLASSES:
        if name.startswith(f"{key}."):
            return key, name.removeprefix(f"{key}.").removeprefix(f"{_INSIDE}.")
    return None


def _refuse_unknown(item: Item, named: dict[str, set[str] | None]) -> None:
    if options.is_option(item.name):
        return
    if (owner := _owner(item.name)) is not None:
        _refuse_argument(*owner, named)
        return
    section, _, key = item.name.partition(".")
    if section in options.GROUPS:
        holder = key.partition(".")[0]
        accepted = options.kinds_of(f"{section}.{holder}")
        part_of_value = holder != key and options.is_option(f"{section}.{holder}")
        if not options.group(section) or (part_of_value and (accepted is None or not accepted.plain)):
            return
    raise ValueError(messages.unknown_option(item.name, options.options(), item.dashes))


def _missing(items: Sequence[Item], named: dict[str, set[str] | None]) -> list[str]:
    """The options that must have a value and certainly have none."""
    # Groups may be in files of their own.
    if any(item.name in options.GROUPS and not isinstance(item.value, dict) for item in items):
        return []
    given = {item.name.replace(f".{_INSIDE}", "") for item in items if item.value is not None}
    needed = options.required()
    for key in options.CLASSES:
        of_class = named.get(key, set())
        if of_class and len(of_class) == 1:
            arguments = options.arguments(key, *of_class) or {}
            needed += [f"{key}.{name}" for name, parameter in arguments.items() if parameter.required]
        elif key not in named and key not in needed and any(name.startswith(f"{key}.") for name in given):
            needed.append(key)
    varied = {name for item in items if item.name == "ensemble.vary" for name in _varied(item.value)}
    return [name for name in needed if name not in given and name.removeprefix("data.") not in varied]


def _varied(vary: Any) -> Iterable[str]:
    return vary if isinstance(vary, dict) else ()


def _refuse_argument(key: str, name: str, named: dict[str, set[str] | None]) -> None:
    """Refuse an argument that none of the classes of an option has."""
    found = [options.arguments(key, kind) for kind in named.get(key) or ()]
    known = {argument for arguments in found for argument in arguments or ()}
    if not found or None in found or name.partition(".")[0] in {*known, "class_path", "dict_kwargs", _INSIDE}:
        return
    listed = dict.fromkeys(argument for arguments in found for argument in arguments or ())
    raise ValueError(messages.unknown_argument(key, name, list(listed), named[key] or ()))


def _refuse_value(item: Item, named: dict[str, set[str] | None]) -> None:
    kind = _class_of(item.value)
    if item.name in options.GROUPS:
        _refuse_group(item)
        return
    if item.name in options.CLASSES:
        _refuse_description(item)
        if kind is not None:
            _refuse_class(item.name, kind)
        return
    accepted = _accepted(item.name, named)
    if accepted is not None:
        _refuse_kind(item.name, item.value, accepted)
    elif item.name in options.BY_PATH:
        for value in item.value if isinstance(item.value, list) else [item.value]:
            if (kind := _class_of(value)) is not None:
                _refuse_class(item.name, kind)


def _refuse_group(item: Item) -> None:
    value = item.value
    is_file = isinstance(value, str) and (Path(value).is_file() or "://" in value or "$" in value)
    if not isinstance(value, dict) and not is_file:
        raise ValueError(messages.no_group(item.name, value))


def _refuse_description(item: Item) -> None:
    """Refuse a description of an object that is neither the name of its class nor a mapping with that name."""
    key, value = item.name, item.value
    if value is None or isinstance(value, str):
        return
    kind = value.get("class_path") if isinstance(value, dict) else None
    known = isinstance(value, dict) and (isinstance(kind, str) or (kind is None and _INSIDE in value))
    # An optimiser's arguments may stand alone: its class is then the one before.
    if not known and (key == "data" or not isinstance(value, dict) or "class_path" in value):
        raise ValueError(f"`{key}` must be the name of a class, or class_path and init_args, got {value!r}")
    for name in value if kind is not None else ():
        if name not in ("class_path", *_ARGUMENTS):
            raise ValueError(f"`{key}` must hold class_path and init_args alone, got {name!r} beside them")
    for name in _ARGUMENTS:
        inside = value.get(name)
        if inside is not None and not isinstance(inside, dict) and "$" not in str(inside):
            raise ValueError(f"`{key}.{name}` must be a mapping of arguments, got {inside!r}")


def _accepted(name: str, named: dict[str, set[str] | None]) -> Kinds | None:
    """What an option, or an argument of the only class that its option names, accepts; None if that is not certain."""
    if (owner := _owner(name)) is None:
        return options.kinds_of(name)
    key, argument = owner
    of_class = named.get(key) or set()
    found = options.arguments(key, next(iter(of_class))) if len(of_class) == 1 else None
    return kinds(found[argument]) if found is not None and argument in found else None


def _refuse_grid(vary: Any, kinds_named: set[str]) -> None:
    """Refuse what is no grid, and names that cannot vary whichever of the inputs that are named is used."""
    if vary is None or (isinstance(vary, str) and ("$" in vary or vary.casefold() in _SPECIAL)):
        return
    if not isinstance(vary, dict) or any(":" in str(name) for name in vary):
        raise ValueError(f"`ensemble.vary` must be a mapping such as {{l1: [0, 0.001]}}, got {vary!r}")
    for name, values in vary.items():
        if not isinstance(values, list | str):
            raise ValueError(f"`ensemble.vary.{name}` must be a list of numbers, got {messages.shown(values)}")
        for value in values if isinstance(values, list) else []:
            if isinstance(value, bool) or not (isinstance(value, int | float) or _may_be_number(value)):
                raise ValueError(f"`ensemble.vary.{name}` must hold numbers, got {messages.shown(value)}")
    declared = [options.can_vary(kind) for kind in kinds_named]
    known = {name for names in declared for name in names or ()}
    if declared and None not in declared:
        check_varied(map(str, vary), known)


def _may_be_number(value: Any) -> bool:
    return isinstance(value, str) and not re.fullmatch(r"[A-Za-z][\w-]*", value)


def _refuse_class(key: str, name: str) -> None:
    if "." in name:
        if (reason := sources.surely_missing(name)) is not None:
            near = sources.names(name.rpartition(".")[0])
            raise ValueError(messages.no_class(key, name, near, reason))
    elif key == "data" and name not in options.classes(key):
        raise ValueError(messages.no_data(key, name, options.classes(key)))
    elif key in options.CLASSES and sources.find(f"{options.CLASSES[key]}.{name}") is None:
        known = options.classes(key)
        # A class of the user's is known by its bare name too, once its module is imported.
        if did_you_mean(name, known):
            raise ValueError(messages.no_class(key, name, known))


def _refuse_kind(name: str, value: Any, accepted: Kinds) -> None:
    """Refuse null, or a word where a number, true or false, or one of several words must stand."""
    if value is None and not accepted.null and name not in options.required():
        raise ValueError(_unlike(name, value, accepted))
    if not accepted.plain or value in accepted.choices or not isinstance(value, int | float | str):
        return
    text, is_bool = str(value), isinstance(value, bool)
    number = accepted.named == ["bool"] and not is_bool and re.fullmatch(_NUMBER, text)
    fraction = accepted.named == ["int"] and re.fullmatch(_NUMBER, text) and not re.fullmatch(r"[-+]?\d+", text)
    word = re.fullmatch(r"[A-Za-z][\w-]*", text) and text.casefold() not in _SPECIAL
    if number or fraction or word:
        raise ValueError(_unlike(name, value, accepted))


def _unlike(name: str, value: Any, accepted: Kinds) -> str:
    if not accepted.choices:
        return messages.not_of_kind(name, accepted.named, value)
    return messages.no_choice(
        name, [*accepted.choices, *(["true", "false"] if "bool" in accepted.words else [])], value
    )
