from __future__ import annotations

import dataclasses
import traceback

from torch import Tensor
from typing_extensions import override

from polysemantic import random


@dataclasses.dataclass(frozen=True)
class WatchedKeys(random.Keys):
    """Keys that give the same draws, and note which keys numbers were drawn with.

    Two draws with the same keys give the same numbers; keys that are folded for a purpose give others.

    Example:
        >>> keys = WatchedKeys.of(random.make_keys(0, "data", torch.arange(2)))
        >>> _ = random.uniform(keys, 3), random.uniform(keys.fold(1), 3)
        >>> keys.drawn_twice
        False
        >>> _ = random.bernoulli(keys, 0.5, 2)
        >>> keys.drawn_twice
        True
    """

    drawn: list[bytes] = dataclasses.field(default_factory=list)
    """The keys of each draw; shared by the keys that are made from these."""

    @classmethod
    def of(cls, keys: random.Keys) -> WatchedKeys:
        """The same keys, watched."""
        return cls(keys.values, keys.index)

    @property
    def drawn_twice(self) -> bool:
        """Whether two draws had the same keys, and so the same numbers."""
        return len(set(self.drawn)) < len(self.drawn)

    @override
    def to_instances(self, draws: Tensor) -> Tensor:
        if _called_by_a_draw():
            self.drawn.append(self.values.cpu().numpy().tobytes())
        return super().to_instances(draws)


def _called_by_a_draw() -> bool:
    # Classes also hand numbers to instances that are no draws, such as rows of a file.
    drawing = random.uniform.__module__
    return any(frame.f_globals.get("__name__") == drawing for frame, _ in traceback.walk_stack(None))
