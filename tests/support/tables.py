"""Tables of runs that must agree."""

import pandas as pd


def without_run(table: pd.DataFrame) -> pd.DataFrame:
    """A table of results without the name of the run's directory, which is all that two equal runs differ in."""
    return table.drop(columns="run", errors="ignore")
