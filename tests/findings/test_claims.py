"""Each claim of docs/findings.md, its explanations included, holds for the tables and would be refuted by others."""

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from findings import page
from findings.claims import CLAIMS, refuted
from findings.question import Answer, together
from findings.questions import QUESTIONS

# Whole tables pass through functions whose own tests check shapes and types.
pytestmark = pytest.mark.usefixtures("unchecked")

_EACH = [pytest.param(name, claim, id=f"{name}: {claim.says}") for name, of in CLAIMS.items() for claim in of]


@pytest.fixture(scope="module")
def tables():
    return page.read_tables()


@pytest.fixture(scope="module")
def sections():
    """The page's section of each question."""
    _, *found = re.split(r"^## ", (page.DOCS / "findings.md").read_text(), flags=re.MULTILINE)
    return dict(zip(QUESTIONS, found, strict=True))


def _others(values: pd.Series) -> Iterator[pd.Series]:
    """Other values of a column: the other way round, all alike, more or less than any, none, by turns."""
    alike = values.dropna().unique()
    if not pd.api.types.is_numeric_dtype(values):
        yield from (pd.Series(one, values.index) for one in alike)
        return
    numbers = values.astype(float)
    low, high = numbers.min(), numbers.max()
    yield low + high - numbers
    yield from (pd.Series(one, values.index) for one in (low, high, low - 1, high + 1, 1000 * (high + 1), 0.0, np.nan))
    # Seeds, grid points and runs by turns.
    at = np.arange(len(numbers))
    yield from (pd.Series(np.where(at // length % 2, low, high), values.index) for length in (1, 16, 64, 256))


def _refutes(claim, tables, place) -> bool:
    """Whether other values of one column refute a claim."""
    name, _, column = place.partition(".")
    table = tables[name]
    return any(
        not claim.is_borne_out({**tables, name: table.assign(**{column: other})}) for other in _others(table[column])
    )


@pytest.mark.parametrize(("name", "claim"), _EACH)
def test_a_claim_holds_and_each_column_that_it_rests_on_can_refute_it(name, claim, tables):
    assert claim.is_borne_out(tables)
    assert claim.rests_on
    assert [place for place in claim.rests_on if not _refutes(claim, tables, place)] == []


@pytest.mark.parametrize(("name", "claim"), _EACH)
def test_a_claim_is_on_the_page(name, claim, sections):
    assert claim.is_on(sections[name]), claim.says


def test_what_is_not_on_the_page_is_no_claim_of_it():
    claim = next(iter(CLAIMS["width"]))
    assert not claim.is_on("It falls.")


def test_the_first_explanation_of_question_2_is_refuted(tables):
    # It read: "coverage tells that from networks that lost their features". All of them are represented, over many
    # neurons each: they have lost none.
    table = tables["cooccurrence"]
    uncovered = table[table["coverage"] < 0.5]
    assert len(uncovered) > 100
    assert not (uncovered["represented"] < 0.5).any()
    assert uncovered["participation_ratio"].min() > 5


def test_claims_that_tables_refute_are_told(tables):
    wide = tables["width"].assign(collisions_same_sign=1000)
    assert refuted("width", {**tables, "width": wide}) == ["of the collisions have opposite sign"]


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_headline_says_how_many_networks_had_converged_and_if_few_why_it_stands(name, sections):
    said = re.search(r"[*][*].+ (\d+) of the (\d+) networks had converged(: .{20,})?[.][*][*]\n", sections[name])
    assert said is not None
    converged, networks = map(int, said.groups()[:2])
    assert converged <= networks
    assert converged >= 0.9 * networks or said.group(3)


def test_a_headline_counts_converged_networks():
    networks = together(pd.DataFrame({"n_features": 2, "n_hidden": 3, "seed": [0, 1], "converged_step": [np.nan, 5]}))
    answer = Answer("Short.", "So it is.", networks, "", "", "", unconverged="one drifts")
    assert answer.headline == "So it is. 1 of the 2 networks had converged: one drifts."
    assert answer.converged == 0.5
