"""What docs/findings.md claims, its explanations included, each with the columns that can refute it."""

from findings.claim import Claim
from findings.claims import (
    basis,
    cooccurrence,
    disambiguation,
    frontier,
    lives,
    necessary,
    noise,
    resolved,
    sparsification,
    superposition,
    width,
    winners,
    words,
)
from findings.question import Tables

CLAIMS: dict[str, tuple[Claim, ...]] = {
    "width": width.CLAIMS,
    "cooccurrence": cooccurrence.CLAIMS,
    "resolved": resolved.CLAIMS,
    "lives": lives.CLAIMS,
    "basis": basis.CLAIMS,
    "noise": noise.CLAIMS,
    "disambiguation": disambiguation.CLAIMS,
    "winners": winners.CLAIMS,
    "sparsification": sparsification.CLAIMS,
    "necessary": necessary.CLAIMS,
    "frontier": frontier.CLAIMS,
    "words": words.CLAIMS,
    "superposition": superposition.CLAIMS,
}
"""The claims of each question."""


def refuted(name: str, tables: Tables, *, small: bool = False) -> list[str]:
    """What tables do not bear out of the claims of a question, in the words of the page.

    Args:
        name: The question.
        tables: By name.
        small: Whether they are of small runs, which cannot bear out every claim.
    """
    return [claim.says for claim in CLAIMS[name] if (claim.small or not small) and not claim.is_borne_out(tables)]
