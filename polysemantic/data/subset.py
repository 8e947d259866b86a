from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from polysemantic import random


def uniform_subset(
    keys: random.Keys, size: int, counts: Sequence[int], batch_size: int
) -> Bool[Tensor, "*step instance batch size"]:
    """Exactly `counts[instance]` of `size` positions, every such subset equally likely, for each input of a batch.

    Floyd's algorithm (Bentley and Floyd, "A sample of brilliance", CACM 1987) needs one draw for each position
    chosen, where ranking random numbers would sort `size` of them.

    Args:
        keys: Keys.
        size: Positions to choose from, below 2^31.
        counts: How many to choose, for each instance.
        batch_size: Subsets of each instance.

    Example:
        >>> keys = random.make_keys(0, "data", torch.arange(2))
        >>> uniform_subset(keys, size=5, counts=[1, 4], batch_size=3).sum(-1)
        tensor([[1, 1, 1],
                [4, 4, 4]])
    """
    # The positions left out of a large subset are fewer than those in it, and just as uniform.
    fewer = [min(count, size - count) for count in counts]
    rounds = max(fewer)
    # A draw belongs to its own last position, so that an instance gets the same ones beside larger subsets.
    last = torch.arange(size - 1, size - 1 - rounds, -1, device=keys.values.device)
    picks = random.integers(keys, 2**31, rounds, batch_size)
    picks.mul_(last.unsqueeze(-1) + 1).bitwise_right_shift_(31)
    needed = torch.tensor(fewer, device=picks.device)[:, None, None]
    # An instance that needs fewer rounds holds nothing before its first, and until then only writes that nothing again.
    on = torch.zeros(*picks.shape[:-2], batch_size, size, dtype=torch.bool, device=picks.device)
    for i in range(rounds - 1, -1, -1):
        pick = picks[..., i, :].unsqueeze(-1)
        on[..., size - 1 - i] = on.gather(-1, pick).squeeze(-1)
        on.scatter_(-1, pick, (needed > i).expand_as(pick))
    left_out = torch.tensor([count > size - count for count in counts], device=picks.device)
    return on.logical_xor_(left_out[:, None, None])
