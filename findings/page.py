"""docs/findings.md, rebuilt from the committed tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from findings.conduct import config
from findings.drawing import polished
from findings.formatting import markdown
from findings.question import Question, Tables

DOCS = Path(__file__).parent.parent / "docs"
FINDINGS = DOCS / "findings"

_INTRODUCTION = """# Findings

Each open question about incidental polysemanticity, answered by one command from the sweeps in `configs/findings/` and
`configs/sweeps/`.
This page is written by `python -m findings --page` from the tables in `docs/findings/`: no number in it was typed, and
`make test` holds every claim against those tables. Means carry 95 % intervals over networks (Student; Welch for
differences; slopes by resampling networks). A neuron is polysemantic if it carries two features or more at |w| ≥ 0.5,
or in the paper's band of 0.8 to 1.2 where it says so; *coverage* is the share of features that some neuron carries.
*Expected companions*: how many features are on beside a feature that is on.
"""


def read_tables() -> dict[str, pd.DataFrame]:
    """The committed tables by name."""
    return {path.stem: pd.read_csv(path) for path in sorted(FINDINGS.glob("*.csv"))}


def write_tables(tables: Tables) -> None:
    """Keep tables, six digits a number."""
    FINDINGS.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_csv(FINDINGS / f"{name}.csv", index=False, float_format="%.6g", lineterminator="\n")


def write_page(questions: Mapping[str, Question], tables: Tables, docs: Path = DOCS) -> None:
    """Draw the figures and write the page of all questions whose tables are there.

    Args:
        questions: By name, in the order of the page.
        tables: The committed tables.
        docs: Where `findings.md` goes, and the figures into the folder `findings` beside it.
    """
    sections = [_INTRODUCTION]
    figures = docs / "findings"
    figures.mkdir(parents=True, exist_ok=True)
    for number, (name, question) in enumerate(questions.items(), start=1):
        if all(needed in tables for needed in (*question.sweeps, *question.reads)):
            polished(question.draw(tables)).savefig(figures / f"{name}.png", dpi=140, metadata={"Software": None})
            sections.append(_section(number, name, question, tables))
    (docs / "findings.md").write_text("\n".join(sections))


def _section(number: int, name: str, question: Question, tables: Tables) -> str:
    answer = question.tell(tables)
    return f"""## {number}. {question.title}

**{answer.claim}**

```console
$ python -m findings {name}
```

![{question.title}](findings/{name}.png)

{answer.numbers}

**What it means.** {answer.meaning}

**What it does not show.** {answer.limits}

{_runs(question, tables)}
"""


def _runs(question: Question, tables: Tables) -> str:
    """How long and how many, for each sweep."""
    rows = []
    for name in (*question.sweeps, *question.reads):
        table = tables[name]
        if "step" in table and "seed" in table:
            rows.append([f"[{name}](../configs/{config(name).parent.name}/{name}.yaml)", *_budget(table)])
    headings = ["sweep", "networks", "seeds a point", "steps", "exposures of a feature", "converged", "diverged"]
    return markdown(rows, headings, left=1)


def _budget(table: pd.DataFrame) -> list[str]:
    converged = table["converged_step"].notna().mean() if "converged_step" in table else 0
    diverged = int(table["diverged_step"].notna().sum()) if "diverged_step" in table else 0
    exposures = _range(table["exposures"])
    return [
        str(len(table)),
        str(table["seed"].nunique()),
        _range(table["step"]),
        exposures,
        f"{converged:.0%}",
        str(diverged),
    ]


def _range(values: pd.Series) -> str:
    low, high = values.min(), values.max()
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
