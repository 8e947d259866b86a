"""Options as a command line has them: which words belong together, and in which order they act."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

FLAGS = ("help", "print_config", "quiet", "no_quiet")
"""Options whose value, if they have one, stands behind `=`."""


class Given(NamedTuple):
    """An option of a command line.

    Args:
        name: Its name without dashes; of a word that is no option, the word.
        value: Its value, None without one.
        dashes: What stands before the name; empty if the word is no option.
    """

    name: str
    value: str | None = None
    dashes: str = "--"

    @property
    def word(self) -> str:
        """The option as one word of a command line."""
        return f"{self.dashes}{self.name}" + ("" if self.value is None else f"={self.value}")

    @property
    def key(self) -> str:
        """The name of what is set, without the sign that adds to a list."""
        return self.name.removesuffix("+")


def read(args: Sequence[str], flags: Collection[str] = FLAGS) -> list[Given]:
    """The options of a command line, each with its value.

    Args:
        args: The words of the command line.
        flags: Options whose value, if they have one, stands behind `=`.

    Example:
        >>> [option.word for option in read(["--model.l1", "-1e-3", "--quiet", "-c", "a.yaml"])]
        ['--model.l1=-1e-3', '--quiet', '--config=a.yaml']
    """
    found: list[Given] = []
    words = iter(_long(args))
    for word in words:
        if not word.startswith("--"):
            previous = found[-1] if found else None
            if previous is not None and _takes(previous, word, flags):
                found[-1] = previous._replace(value=word)
            else:
                found.append(Given(word, None, ""))
            continue
        name, sign, value = word[2:].partition("=")
        found.append(Given(name, value if sign and name != "help" else None))
    return found


def _long(args: Sequence[str]) -> list[str]:
    """The same words, with the names of options written out."""
    short = {"-c": "--config", "-h": "--help"}
    return [short.get(word, word) for word in args]


def _takes(option: Given, word: str, flags: Collection[str]) -> bool:
    """Whether a word is the value of the option before it; `-1e-3` can be, which argparse takes for an option."""
    if option.value is not None or not option.dashes:
        return False
    if option.name in flags:
        return option.name == "quiet" and word.casefold() in ("true", "false", "yes", "no")
    if not word.startswith("-") or word == "-":
        return True
    try:
        float(word)
    except ValueError:
        return False
    return True


def in_order(options: Sequence[Given]) -> list[Given]:
    """Options in the order in which they act, whatever the order in which they were typed.

    Files come first, as the command line has the last word. The name of a class comes before the arguments of the
    class: an argument that was typed before any class of its option follows the first.

    Args:
        options: Options, each with its value.

    Example:
        >>> typed = read(["--data.n_features=6", "--data=OneHot", "--config=a.yaml"])
        >>> [option.word for option in in_order(typed)]
        ['--config=a.yaml', '--data=OneHot', '--data.n_features=6']
    """
    files = [option for option in options if option.name == "config"]
    others = [option for option in options if option.name != "config"]
    named = {option.key for option in others}
    ordered: list[Given] = []
    waiting: dict[str, list[Given]] = {}

    def place(option: Given) -> None:
        owner = _owner(option.key, named)
        if owner is not None:
            waiting.setdefault(owner, []).append(option)
            return
        ordered.append(option)
        named.discard(option.key)
        for follower in waiting.pop(option.key, []):
            place(follower)

    for option in others:
        place(option)
    return files + ordered


def _owner(key: str, named: set[str]) -> str | None:
    """The option, of those that are still to come, whose argument this one is."""
    groups = key.split(".")
    owners = (".".join(groups[:length]) for length in range(1, len(groups)))
    return next((owner for owner in owners if owner in named), None)
