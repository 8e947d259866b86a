from __future__ import annotations

import difflib
from collections.abc import Iterable

# A shorter word is like too many, and begins too many.
_SHORTEST = 3


def did_you_mean(given: object, known: Iterable[str]) -> str:
    """`; did you mean X?` with the known word that begins so or else the closest, whatever its capitals, or nothing.

    Example:
        >>> did_you_mean("probabilty", ["probability", "l1"])
        '; did you mean probability?'
        >>> did_you_mean("ONEHOT", ["KHot", "OneHot"])
        '; did you mean OneHot?'
        >>> did_you_mean("model.l1", ["importance", "l1"])
        '; did you mean l1?'
        >>> did_you_mean("prob", ["probability", "l1"]), did_you_mean(None, ["auto", "eager"])
        ('; did you mean probability?', '')
    """
    if not isinstance(given, str):
        return ""
    known = set(known)
    if (last := given.rpartition(".")[2]) in known - {given}:
        return f"; did you mean {last}?"
    folded = {word.casefold(): word for word in sorted(known - {given}, reverse=True)}
    begun = sorted((word for word in folded if word.startswith(given.casefold())), key=len)
    # Of words that begin so, the one that the others go on from.
    begun = begun[:1] if len(given) >= _SHORTEST and all(word.startswith(begun[0]) for word in begun) else []
    close = begun or difflib.get_close_matches(given.casefold(), folded, n=1)
    return f"; did you mean {folded[close[0]]}?" if close else ""


def meant_option(given: str, known: Iterable[str]) -> str | None:
    """The dotted option that somebody meant, or None.

    A last part that is right counts more than a group that is: `lr` is an optimiser's, however close `l1` looks.

    Args:
        given: What was given, without dashes.
        known: The names of all options.

    Example:
        >>> options = ["model.l1", "model.n_hidden", "model.optimizer.lr", "trainer.max_steps"]
        >>> [meant_option(name, options) for name in ("lr", "model.lr", "modle.l1", "n_hiden", "steps")]
        ['model.optimizer.lr', 'model.optimizer.lr', 'model.l1', 'model.n_hidden', 'trainer.max_steps']
    """
    by_name: dict[str, list[str]] = {}
    for option in sorted(set(known) - {given}):
        by_name.setdefault(option.casefold(), []).append(option)
    folded = given.casefold()
    last = folded.rpartition(".")[2]
    same_end = [option for option in by_name if option.rpartition(".")[2] == last]
    # The closest of the options with this last part, even if their groups have nothing in common.
    close = difflib.get_close_matches(folded, same_end, n=1, cutoff=0.0)
    close = close or difflib.get_close_matches(folded, by_name, n=1)
    if not close and "." not in folded and len(folded) >= _SHORTEST:
        ends = {option.rpartition(".")[2]: option for option in sorted(by_name, reverse=True)}
        close = [ends[end] for end in difflib.get_close_matches(folded, ends, n=1)]
    return by_name[close[0]][0] if close else None
