from __future__ import annotations

from functools import cached_property

import torch
from jaxtyping import Float32, Float64
from torch import Tensor
from typing_extensions import override

from polysemantic import random
from polysemantic.data.base import InputDataModule
from polysemantic.data.feature_matrix import FeatureMatrix
from polysemantic.validation.arguments import checked_arguments


class FeatureFile(InputDataModule):
    r"""Rows of the user's own feature matrix, real data with its own co-occurrence.

    Each input is a row drawn uniformly by key, with replacement: any step's inputs are then known without those
    before, for any number of rows. A feature is on where its value is above 0; P(i and j on) is the share of such
    rows. The file sets `n_features`; values are used as they are, in float32. A dense .npy file may be larger than
    memory; the other two are read into it.

    Args:
        path: A matrix, rows by features, that ends in .npy (dense), .npz (`scipy.sparse.save_npz`) or .parquet (one
            column per feature).
        batch_size: Inputs of one step.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, or holds anything but a matrix of finite numbers of at least 0.
    """

    @checked_arguments()
    def __init__(self, path: str, batch_size: int = 256) -> None:
        self.path = str(path)
        self._matrix = FeatureMatrix(self.path)
        super().__init__(self._matrix.shape[1], batch_size)

    @override
    def sample(self, keys: random.Keys) -> Float32[Tensor, "*step instance batch feature"]:
        # Read once for each seed, whatever the number of instances that share it.
        index = random.integers(random.Keys(keys.values), self._matrix.shape[0], self.batch_size)
        rows = torch.from_numpy(self._matrix.rows(index.flatten().cpu().numpy()))
        return keys.to_instances(rows.to(self.device).reshape(*index.shape, -1))

    @cached_property
    def _joint(self) -> Float64[Tensor, "feature feature"]:
        return torch.from_numpy(self._matrix.cooccurrence())

    @override
    def cooccurrence(self) -> Float64[Tensor, "instance feature feature"]:
        return self._joint.to(self.device).expand(self.n_instances, -1, -1)
