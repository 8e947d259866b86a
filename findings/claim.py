from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import pandas as pd


@dataclasses.dataclass(frozen=True)
class Claim:
    """Something that the page says of its tables, which other tables would refute.

    Args:
        says: The words that say it, as on the page; `...` stands for what is left out between them.
        holds: Whether tables bear it out.
        rests_on: The columns that it rests on, as `table.column`. Each can refute it by other values.
        small: Whether small runs (`--quick`) bear it out too.
    """

    says: str
    holds: Callable[[Mapping[str, pd.DataFrame]], bool]
    rests_on: tuple[str, ...]
    small: bool = False

    def is_borne_out(self, tables: Mapping[str, pd.DataFrame]) -> bool:
        """Whether tables bear it out; not if they leave no networks to compare."""
        try:
            return self.holds(tables)
        except (StopIteration, ValueError):  # of `next` and `min` without any
            return False

    def is_on(self, page: str) -> bool:
        """Whether the page says it, its parts in this order.

        Args:
            page: Text, in which any white space counts as one blank.
        """
        text, at = " ".join(page.split()), 0
        for part in self.says.split("..."):
            found = text.find(part.strip(), at)
            if found < 0:
                return False
            at = found + len(part.strip())
        return True
