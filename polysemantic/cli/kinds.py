"""Types of arguments as far as their source tells which plain values they accept."""

from __future__ import annotations

import ast
from typing import NamedTuple

from polysemantic.cli.sources import Parameter, find_in, module_of

# Types that are other types, such as `Act`, that are followed.
_DEPTH = 8


class Kinds(NamedTuple):
    """The plain values that a type accepts.

    Args:
        words: Those of `int`, `float` and `bool` that it accepts, in the order of the type.
        choices: The texts that it accepts.
        texts: Whether it accepts any text.
        mappings: Whether it accepts a mapping.
        lists: Whether it accepts a list.
        null: Whether it accepts null.
    """

    words: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    texts: bool = False
    mappings: bool = False
    lists: bool = False
    null: bool = False

    @property
    def named(self) -> list[str]:
        """The kinds of values, as `messages.KINDS` names them."""
        others = {"str": self.texts, "dict": self.mappings, "list": self.lists}
        return [*self.words, *(kind for kind, accepted in others.items() if accepted)]

    @property
    def plain(self) -> bool:
        """Whether it accepts numbers, true and false, or given words alone."""
        return bool(self.words or self.choices) and not (self.texts or self.mappings or self.lists)


def kinds(parameter: Parameter) -> Kinds | None:
    """What an argument accepts; None if its source does not tell."""
    return None if parameter.annotation is None else _kinds(parameter.annotation, parameter.module, _DEPTH)


def _kinds(annotation: ast.expr, module: str, depth: int) -> Kinds | None:
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return _union([annotation.left, annotation.right], module, depth)
    if isinstance(annotation, ast.Constant) and annotation.value is None:
        return Kinds(null=True)
    if isinstance(annotation, ast.Subscript):
        return _of_subscript(annotation, module, depth)
    name = ast.unparse(annotation)
    if name in ("int", "float", "bool"):
        return Kinds(words=(name,))
    plain = {"str": Kinds(texts=True), "dict": Kinds(mappings=True), "list": Kinds(lists=True)}
    return plain[name] if name in plain else _of_alias(annotation, module, depth)


def _of_subscript(annotation: ast.Subscript, module: str, depth: int) -> Kinds | None:
    inside = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
    name = ast.unparse(annotation.value).rpartition(".")[2]
    if name == "Optional":
        inside = [*inside, ast.Constant(None)]
    if name in ("Optional", "Union"):
        return _union(inside, module, depth)
    if name == "Literal":
        values = [item.value for item in inside if isinstance(item, ast.Constant)]
        return Kinds(choices=tuple(map(str, values))) if len(values) == len(inside) else None
    return {"list": Kinds(lists=True), "dict": Kinds(mappings=True)}.get(name)


def _union(parts: list[ast.expr], module: str, depth: int) -> Kinds | None:
    found = [_kinds(part, module, depth) for part in parts]
    known = [part for part in found if part is not None]
    if len(known) < len(found):
        return None
    return Kinds(
        tuple(dict.fromkeys(word for part in known for word in part.words)),
        tuple(dict.fromkeys(choice for part in known for choice in part.choices)),
        texts=any(part.texts for part in known),
        mappings=any(part.mappings for part in known),
        lists=any(part.lists for part in known),
        null=any(part.null for part in known),
    )


def _of_alias(annotation: ast.expr, module: str, depth: int) -> Kinds | None:
    """What a type accepts that has a name, such as `Act` or `random.NoiseLaw`."""
    if isinstance(annotation, ast.Name):
        found = find_in(module, annotation.id)
    elif isinstance(annotation, ast.Attribute) and isinstance(annotation.value, ast.Name):
        found = find_in(module_of(module, annotation.value.id), annotation.attr)
    else:
        return None
    if not depth or found is None or not isinstance(found.statement, ast.Assign):
        return None
    return _kinds(found.statement.value, found.module, depth - 1)
