"""Further columns, measured on the final weights of each network of a sweep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
from torch import Tensor

from findings.networks import networks
from polysemantic.results.runs import Run, load_run
from polysemantic.results.sweeps import CELLS
from polysemantic.sweep.table import collect


def measured(directory: Path, measure: Callable[[Run], Mapping[str, Tensor]]) -> pd.DataFrame:
    """The rows of a sweep with further columns.

    Args:
        directory: The sweep's directory.
        measure: From a finished run to columns, one value for each of its instances.
    """
    runs = (load_run(directory / CELLS / str(cell)) for cell in collect(directory)["cell"].unique())
    columns = [pd.DataFrame({name: values.numpy() for name, values in measure(run).items()}) for run in runs]
    return networks(directory).join(pd.concat(columns, ignore_index=True))
