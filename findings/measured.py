"""Further columns, measured on the final weights of each network of a sweep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
from torch import Tensor

from findings.networks import networks
from polysemantic.storage.runs import Run, load
from polysemantic.sweep.table import CELLS, collect


def measured(directory: Path, measure: Callable[[Run], Mapping[str, Tensor]]) -> pd.DataFrame:
    """The rows of a sweep with further columns.

    Args:
        directory: The sweep's directory.
        measure: From a finished run to columns, one value for each of its instances.
    """
    columns = [
        pd.DataFrame({name: values.numpy() for name, values in measure(load(directory / CELLS / str(cell))).items()})
        for cell in collect(directory)["cell"].unique()
    ]
    return networks(directory).join(pd.concat(columns, ignore_index=True))
