import io

import pandas as pd
import pytest
import yaml
from rich.console import Console

from polysemantic.results.columns import COLUMNS, Column, column_notes, read_columns
from polysemantic.storage.files import write_parquet
from polysemantic.sweep.table import RESULTS, collect, summary

OWN = {"share_of_mine": Column("share_of_mine", "mine", "my share", "of all", (0, 1))}


@pytest.fixture
def sweep(tmp_path):
    """Two finished cells, one of which measures what the user added."""
    counts = {"polysemantic_neurons": [2, 12], "coverage": [0.5, 1.0], "carriers": [1.0, 1.5]}
    table = pd.DataFrame(counts).assign(n_features=16, n_hidden=12, step=100, expected_polysemantic_neurons=None)
    for cell, own in {"a": {}, "b": OWN}.items():
        rows = table.assign(**{name: [0.5, 1.0] for name in own})
        write_parquet(tmp_path / "cells" / cell / RESULTS, rows, column_notes(own))
    cells = {"a": {"model.tied": True}, "b": {"model.tied": False}}
    content = {"axes": {"model.tied": [True, False]}, "zip": [], "cells": cells}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(content))
    return tmp_path


def test_the_table_of_a_sweep_keeps_what_runs_say_of_a_users_columns(sweep):
    collect(sweep)
    assert read_columns(sweep / RESULTS) == OWN


def test_a_terminal_shows_a_users_columns_within_their_range_below_those_of_every_sweep(sweep):
    results = collect(sweep)
    console = Console(file=io.StringIO(), width=80)
    console.print(summary(results, ["tied"], COLUMNS | read_columns(sweep / RESULTS)))
    counts, own = console.file.getvalue().split("my share")
    assert "7.00 [0, 12]" in counts
    assert [line.split() for line in own.splitlines() if line.split()[:1] in (["True"], ["False"])] == [
        ["True", "-"],
        ["False", "0.75", "[0,", "1]"],
    ]
