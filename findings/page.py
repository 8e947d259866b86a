"""docs/findings.md, rebuilt from the committed tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from findings.conduct import config
from findings.drawing import polished
from findings.formatting import markdown, plain_markdown
from findings.glossary import explained, words_of
from findings.networks import LATE, STILL
from findings.question import Answer, Question, Tables

DOCS = Path(__file__).parent.parent / "docs"
FINDINGS = DOCS / "findings"

_INTRODUCTION = """# Findings

Each open question about incidental polysemanticity, answered by one command from the sweeps in `configs/findings/` and
`configs/sweeps/`.

{overview}

{terms}

This page is written by `python -m findings --page` from the tables in `docs/findings/`. The numbers in it are computed
from these tables, and `make test` holds its claims, explanations included, against them (`findings/claims/`). Means
carry 95 % intervals over networks (Student; Welch for differences; slopes by resampling networks).
"""
_BREAK = "\n\n"
_TERMS = explained("neurons m, polysemantic, coverage, expected companions, converged")


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
    sections, answers = [], {}
    figures = docs / "findings"
    figures.mkdir(parents=True, exist_ok=True)
    for number, (name, question) in enumerate(questions.items(), start=1):
        if all(needed in tables for needed in (*question.sweeps, *question.reads)):
            figure = polished(question.draw(tables))
            figure.savefig(figures / f"{name}.png", dpi=140, metadata={"Software": None})
            answers[f"{number}. {question.title}"] = answer = question.tell(tables)
            sections.append(_section(number, name, question, answer, _runs(question, tables), words_of(figure)))
    introduction = _INTRODUCTION.format(overview=_overview(answers), terms=_TERMS)
    (docs / "findings.md").write_text("\n".join([introduction, *sections]))


def _overview(answers: Mapping[str, Answer]) -> str:
    """The first screen: each question with its answer in one line, and on what it rests."""
    rows = [
        [
            f"[{heading}](#{_anchor(heading)})",
            answer.short,
            *(_range(answer.networks[name]) for name in ("n_features", "n_hidden")),
            str(answer.networks["seed"].nunique()),
            f"{answer.converged:.0%} of {len(answer.networks)}",
        ]
        for heading, answer in answers.items()
    ]
    return plain_markdown(rows, ["question", "answer", "n", "m", "seeds a point", "converged"], left=2)


def _anchor(heading: str) -> str:
    """The name that a page gives a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _section(number: int, name: str, question: Question, answer: Answer, runs: str, drawn: str) -> str:
    return f"""## {number}. {question.title}

**{answer.headline}**

```console
$ python -m findings {name}
```

![{question.title}](findings/{name}.png)

{_each_once(f"{explained(drawn)}{_BREAK}{answer.numbers}")}

**What it means.** {answer.meaning}

**What it does not show.** {answer.limits}

{runs}
"""


def _each_once(text: str) -> str:
    """A text whose lines of explained words are not repeated."""
    parts: list[str] = []
    for part in text.split(_BREAK):
        parts.append("<sub>*Words*: as above.</sub>" if part.startswith("<sub>") and part in parts else part)
    return _BREAK.join(parts)


def _runs(question: Question, tables: Tables) -> str:
    """How long and how many, for each sweep."""
    rows = []
    for name in (*question.sweeps, *question.reads):
        table = tables[name]
        if "step" in table and "seed" in table:
            rows.append([f"[{name}](../configs/{config(name).parent.name}/{name}.yaml)", *_budget(table)])
    headings = ["sweep", "networks", "seeds a point", "steps", "exposures of a feature", "converged", "still"]
    return markdown(rows, [*headings, "diverged"], left=1)


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
        f"{table[LATE].dropna().abs().lt(STILL).mean():.0%}" if LATE in table else "-",
        str(diverged),
    ]


def _range(values: pd.Series) -> str:
    low, high = values.min(), values.max()
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
