"""Classes and their arguments read from source code: to import torch and Lightning takes seconds."""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Imports of imports of a name that are followed.
_DEPTH = 8


class Found(NamedTuple):
    """A statement that defines a name.

    Args:
        module: The module that it stands in.
        statement: The class, function or assignment.
    """

    module: str
    statement: ast.stmt


class Parameter(NamedTuple):
    """An argument of a class.

    Args:
        annotation: Its type, None without one.
        module: The module that the names in the type belong to.
        default: Its default, None without one.
    """

    annotation: ast.expr | None
    module: str
    default: ast.expr | None

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is None


def source_path(module: str) -> Path | None:
    """The file of a module, found without importing it; None if it has none, as modules in C."""
    top, *rest = module.split(".")
    if not rest:
        origin = _places(top)[0]
        return Path(origin) if origin is not None and origin.endswith(".py") else None
    for directory in _places(top)[1]:
        path = Path(directory, *rest)
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return file
    return None


def _places(top: str) -> tuple[str | None, list[str]]:
    """The file of a module that is in no package, and the directories of what is in it; nothing if there is none."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None, []
    return (None, []) if spec is None else (spec.origin, list(spec.submodule_search_locations or []))


def tree(module: str) -> ast.Module | None:
    """The parsed source of a module; None if it has none that can be parsed."""
    path = source_path(module)
    try:
        return None if path is None else _parsed(path, path.stat().st_mtime_ns)
    except OSError:
        return None


@functools.cache
def _parsed(path: Path, _changed: int) -> ast.Module | None:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):
        return None


def find(path: str) -> Found | None:
    """The definition of a name with its package, such as `torch.optim.SGD`; None if the source does not tell."""
    module, _, name = path.rpartition(".")
    return find_in(module, name, _DEPTH)


def find_in(module: str, name: str, depth: int = _DEPTH) -> Found | None:
    """The definition of a name that a module defines or imports, through so many imports."""
    content = tree(module) if module and depth else None
    for statement in _statements(content.body if content is not None else []):
        if isinstance(statement, ast.ClassDef | ast.FunctionDef) and statement.name == name:
            return Found(module, statement)
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return Found(module, statement)
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if (alias.asname or alias.name) == name:
                    return find_in(_origin(module, statement), alias.name, depth - 1)
    return None


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, those under its conditions among them."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If | ast.Try):
            yield from _statements([*statement.body, *statement.orelse])


def _origin(module: str, statement: ast.ImportFrom) -> str:
    """The module that a statement imports from."""
    if not statement.level:
        return statement.module or ""
    path = source_path(module)
    up = statement.level - (path is not None and path.name == "__init__.py")
    package = module.rsplit(".", up)[0] if up else module
    return f"{package}.{statement.module}" if statement.module else package


def parameters(path: str) -> dict[str, Parameter] | None:
    """The arguments of a class; None if its source does not tell all of them.

    Args:
        path: The class with its package.
    """
    for module, kind in _with_bases(path):
        for statement in kind.body:
            if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
                return _arguments(statement, module)
        if kind.decorator_list:
            return None
    return None


def texts_of(path: str, name: str) -> tuple[str, ...] | None:
    """A tuple of texts that a class declares, or the class that it derives from; None if the source does not tell.

    Args:
        path: The class with its package.
        name: The tuple.
    """
    for _, kind in _with_bases(path):
        for statement in kind.body:
            if not isinstance(statement, ast.Assign | ast.AnnAssign):
                continue
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                values = getattr(statement.value, "elts", [None])
                texts = [value.value for value in values if isinstance(value, ast.Constant)]
                return tuple(map(str, texts)) if len(texts) == len(values) else None
    return None


def _with_bases(path: str) -> Iterator[tuple[str, ast.ClassDef]]:
    """A class and those that it derives from, each with its module, as far as sources tell."""
    found = find(path)
    for _ in range(_DEPTH):
        if found is None or not isinstance(found.statement, ast.ClassDef):
            return
        yield found.module, found.statement
        # The first counts, as Python looks for attributes there first; others, such as ABC, declare nothing of ours.
        base = found.statement.bases[0] if found.statement.bases else None
        found = find_in(found.module, base.id) if isinstance(base, ast.Name) else None


def _arguments(init: ast.FunctionDef, module: str) -> dict[str, Parameter] | None:
    # Further arguments would go on to a class that this one calls.
    if init.args.vararg is not None or init.args.kwarg is not None:
        return None
    own = [*init.args.posonlyargs, *init.args.args]
    defaults: dict[ast.arg, ast.expr | None] = dict(zip(reversed(own), reversed(init.args.defaults), strict=False))
    defaults |= dict(zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True))
    listed = [*own[1:], *init.args.kwonlyargs]
    return {argument.arg: Parameter(argument.annotation, module, defaults.get(argument)) for argument in listed}


def names(module: str) -> set[str]:
    """Every name that a module's source defines or imports."""
    found: set[str] = set()
    content = tree(module)
    for statement in _statements(content.body if content is not None else []):
        if isinstance(statement, ast.ClassDef | ast.FunctionDef):
            found.add(statement.name)
        elif isinstance(statement, ast.Assign):
            found |= {target.id for target in statement.targets if isinstance(target, ast.Name)}
        elif isinstance(statement, ast.ImportFrom | ast.Import):
            found |= {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
    return found


def surely_missing(path: str) -> str | None:
    """Why a class cannot be imported, in Python's words; None if it can, or if the source does not tell."""
    *packages, name = path.split(".")
    for length in range(1, len(packages) + 1):
        package, parent = ".".join(packages[:length]), ".".join(packages[: length - 1])
        if source_path(package) is None and not _lies_somewhere(package):
            # A package that makes modules as it runs has their names somewhere in its source.
            sure = not parent or _never_says(parent, re.escape(packages[length - 1]))
            return f"No module named {package!r}" if sure else None
    module = ".".join(packages)
    words = rf"{re.escape(name)}|__getattr__|globals|setattr|import \*"
    if source_path(path) is None and not _lies_somewhere(path) and _never_says(module, words):
        return f"module {module!r} has no attribute {name!r}"
    return None


def _lies_somewhere(module: str) -> bool:
    """Whether there is a module in another form than source, or a directory of its name."""
    top, *rest = module.split(".")
    if not rest:
        return _places(top) != (None, [])
    return any(any(Path(place, *rest[:-1]).glob(f"{rest[-1]}*")) for place in _places(top)[1])


def _never_says(module: str, words: str) -> bool:
    """Whether a module's source is known and has none of some words."""
    path = source_path(module)
    if path is None or tree(module) is None:
        return False
    return re.search(rf"\b({words})(?!\w)", path.read_text(encoding="utf-8")) is None


def module_of(module: str, name: str) -> str:
    """The module that a name in another module stands for."""
    content = tree(module)
    for statement in _statements(content.body if content is not None else []):
        if isinstance(statement, ast.ImportFrom) and any((a.asname or a.name) == name for a in statement.names):
            return f"{_origin(module, statement)}.{name}"
    return name
