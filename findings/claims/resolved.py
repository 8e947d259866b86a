from __future__ import annotations

import pandas as pd

from findings.claim import Claim
from findings.networks import COUNTS
from findings.question import Tables
from findings.questions.resolved import ALIVE, COVERED, densest, fewest_and_late, named, points, spread_and_late
from findings.statistics import interval, is_less

_COUNT = "polysemantic_neurons"


def _settled(tables: Tables) -> pd.DataFrame:
    return named(tables["resolved_converged"])


def _both(tables: Tables) -> tuple[pd.DataFrame, pd.DataFrame]:
    return named(tables["prevented"]), named(tables["resolved"])


def _prevents(tables: Tables) -> bool:
    """Fewer from the first step on than after collisions have formed, by every threshold, and covered."""
    there, kept = fewest_and_late(named(tables["prevented"]), _settled(tables))
    return all(is_less(there[count], kept[count]) and kept[covered].mean() > 0.9 for count, covered in COUNTS.values())


def _resolves_hardly_any(tables: Tables) -> bool:
    """Nearly all of them alive over all grid points, and most at each."""
    late = _settled(tables)
    return interval(late[ALIVE] / late["formed"]).low > 0.95 and all(
        interval(rows[ALIVE] / rows["formed"]).low > 0.8 for _, rows in points(late)
    )


def _nor_in_the_grid(tables: Tables) -> bool:
    _, late = _both(tables)
    return interval(late[ALIVE] / late["formed"]).low > 0.95


def _depends_on_history(tables: Tables) -> bool:
    """Most of what had formed is there at the end, on inputs that prevent it from the start."""
    _, late = _both(tables)
    return interval(late[ALIVE] / late["formed"]).low > 0.5 and _prevents(tables)


def _have_converged(tables: Tables) -> bool:
    there, _ = fewest_and_late(named(tables["prevented"]), _settled(tables))
    late = _settled(tables)
    late = late[late["probability"] == there["probability"].iloc[0]]
    return all(rows["converged_step"].notna().mean() > 0.9 for rows in (there, late))


def _few_at_the_densest(tables: Tables) -> bool:
    return densest(_settled(tables))["converged_step"].notna().mean() < 0.5


def _whatever_it_costs(tables: Tables) -> bool:
    """Also where collisions cost most: no point of the dearer half of L1 and density loses more than a tenth."""
    _, late = _both(tables)
    dear = late[late["collision_cost"] >= late["collision_cost"].median()]
    return len(dear) > 0 and dear[ALIVE].sum() > 0.9 * dear["formed"].sum()


def _keep_coverage(tables: Tables) -> bool:
    """Late networks are covered everywhere, and have more to count than the spread codes."""
    early, late = _both(tables)
    spread, held = spread_and_late(early, late)
    return all(interval(rows["coverage"]).low > COVERED for _, rows in points(late)) and all(
        is_less(rows[_COUNT], beside[_COUNT]) for rows, beside in zip(spread, held, strict=True)
    )


def _not_lost(tables: Tables) -> bool:
    """Where few features have a neuron all are represented, over many neurons each."""
    spread, _ = spread_and_late(*_both(tables))
    return len(spread) > 0 and all(
        rows["represented"].min() > 0.98 and rows["participation_ratio"].mean() > 5 for rows in spread
    )


CLAIMS = (
    Claim("It prevents them", _prevents, (f"prevented.{_COUNT}", f"resolved_converged.{_COUNT}"), small=True),
    Claim("of those that had formed ... ended", _resolves_hardly_any, (f"resolved_converged.{ALIVE}",)),
    Claim("of the ... networks had converged", _have_converged, ("resolved_converged.converged_step",)),
    Claim("few of these had converged", _few_at_the_densest, ("resolved_converged.converged_step",)),
    Claim("So the end depends on the history", _depends_on_history, (f"resolved.{ALIVE}",), small=True),
    Claim("In the larger grid of inputs ... ended", _nor_in_the_grid, (f"resolved.{ALIVE}",)),
    Claim(
        "no small step leaves a collision that has formed, whatever it costs",
        _whatever_it_costs,
        (f"resolved.{ALIVE}",),
    ),
    Claim(
        "These features are not lost: ... of them are represented, each spread over ... neurons",
        _not_lost,
        ("prevented.represented", "prevented.participation_ratio"),
    ),
    Claim(
        "Networks whose collisions had formed keep coverage",
        _keep_coverage,
        ("resolved.coverage", f"resolved.{_COUNT}"),
        small=True,
    ),
)
