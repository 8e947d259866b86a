from __future__ import annotations

import pandas as pd

from findings.claim import Claim
from findings.question import Tables
from findings.questions.superposition import EACH, FRACTIONS, by_density, is_paired
from findings.statistics import interval


def _ends(tables: Tables, name: str = "superposition") -> tuple[pd.DataFrame, pd.DataFrame]:
    """The networks on the sparsest inputs, and on the densest."""
    at = by_density(tables[name])
    return at[min(at)], at[max(at)]


def _more_are_represented(tables: Tables) -> bool:
    sparse, dense = _ends(tables)
    return interval(dense["represented"]).high < interval(sparse["represented"]).low


def _in_fewer_dimensions(tables: Tables) -> bool:
    sparse, dense = _ends(tables)
    return interval(sparse[EACH]).high < interval(dense[EACH]).low


def _pairs_between(tables: Tables) -> bool:
    at = by_density(tables["superposition"])
    return any(map(is_paired, at.values())) and not is_paired(at[max(at)]) and not is_paired(at[min(at)])


def _none_alone(tables: Tables) -> bool:
    """Always on and of equal importance: the weight of m features, and hardly one with a dimension of its own."""
    _, dense = _ends(tables)
    return 0.9 < dense[EACH].mean() < 1.1 and dense["near_1"].mean() < 0.1


def _no_other_gathers(tables: Tables) -> bool:
    names = [f"near_{name}" for name in FRACTIONS if name != "1/2"]
    return all(rows[names].mean().max() < 0.5 for rows in by_density(tables["superposition"]).values())


def _stays(tables: Tables) -> bool:
    """At m/n within a fifth, where all are represented."""
    table, features = tables["superposition"], by_density(tables["superposition_features"])
    share = table["n_hidden"].iloc[0] / table["n_features"].iloc[0]
    full = [p for p, rows in by_density(table).items() if rows["represented"].mean() > 0.99]
    found = [features[p]["feature_dimensionality"].mean() for p in full]
    return len(full) > 0 and all(abs(one / share - 1) < 0.2 for one in found)


def _first_kept(tables: Tables) -> bool:
    """The m most important, each alone where features are always on, and no other there."""
    important = tables["superposition_importance_features"]
    m = tables["superposition_importance"]["n_hidden"].iloc[0]
    first = important[important["feature"] < m]
    always = important[important["probability"] == important["probability"].max()]
    return bool(
        first["represented"].mean() > 0.95
        and always[always["feature"] < m]["feature_dimensionality"].mean() > 0.9
        and always[always["feature"] >= m]["represented"].mean() < 0.05
    )


def _next_added(tables: Tables) -> bool:
    """Sparse networks represent more, the more important first."""
    sparse, dense = _ends(tables, "superposition_importance")
    features = by_density(tables["superposition_importance_features"])
    shares = features[min(features)]["represented"].to_numpy()
    return interval(dense["represented"]).high < interval(sparse["represented"]).low and bool(
        (shares[1:] - shares[:-1] < 0.2).all()
    )


_IMPORTANT = "superposition_importance_features"
CLAIMS = (
    Claim("the more are represented", _more_are_represented, ("superposition.represented",), small=True),
    Claim("and in fewer dimensions each", _in_fewer_dimensions, (f"superposition.{EACH}",), small=True),
    Claim("In between features come in antipodal pairs", _pairs_between, ("superposition.near_1/2",), small=True),
    Claim(
        "span m dimensions without one of their own for any",
        _none_alone,
        (f"superposition.{EACH}", "superposition.near_1"),
    ),
    Claim("No fraction other than 1/2 gathers more than", _no_other_gathers, ("superposition.near_2/3",)),
    Claim(
        "dense networks keep the m first features ... each in a dimension of its own",
        _first_kept,
        (f"{_IMPORTANT}.represented", f"{_IMPORTANT}.feature_dimensionality"),
        small=True,
    ),
    Claim(
        "sparse ones add the next most important",
        _next_added,
        ("superposition_importance.represented", f"{_IMPORTANT}.represented"),
        small=True,
    ),
    Claim(
        "Once all features are represented D_i stays at m/n",
        _stays,
        ("superposition_features.feature_dimensionality", "superposition.represented"),
    ),
)
