from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor
from typing_extensions import override

from findings.drawing import curve, finish, panels
from findings.formatting import markdown, means, share, told
from findings.histories import over_steps
from findings.measured import measured
from findings.question import Answer, Question, Tables, together
from polysemantic.data import HalfSplit
from polysemantic.functional import disambiguation_by_ablation, find_collisions, partition_energies
from polysemantic.results.runs import Run

_INPUTS = 1024
_ADAM = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.01, "weight_decay": 0.0}}
_KEPT = ["seed", "n_features", "step", "converged_step", "diverged_step", "exposures", "reconstruction_error"]
_KEPT += ["coverage", "polysemantic_neurons", "partition_energy", "partition_concentration", "top_energy"]
_KEPT += ["cost_rise", "disambiguates", "same_sign_within", "same_sign_across", "collisions_opposite_sign"]
_SHOWN = {
    "error": "reconstruction_error",
    "energy": "partition_energy",
    "share of one neuron": "partition_concentration",
    "disambiguation neuron": "disambiguates",
    "same sign within halves": "same_sign_within",
    "across": "same_sign_across",
    "polysemantic neurons": "polysemantic_neurons",
    "coverage": "coverage",
}


class Disambiguation(Question):
    title = "Disambiguation neurons: are they a solution, is it stable, and do networks find it?"
    sweeps = ("disambiguation", "disambiguation_found")
    quick: ClassVar = {
        "disambiguation": {
            "overrides": {"model.n_hidden": 20, "trainer.max_steps": 600},
            "axes": {"model.l1": [0.0, 0.1], "model.tied": [True], "model.optimizer": [_ADAM]},
        },
        "disambiguation_found": {
            "overrides": {"trainer.max_steps": 1200},
            "axes": {
                "model.l1": [0.0, 0.1],
                "model.n_hidden": [9, 24],
                "model.tied": [True, False],
                "model.optimizer": [_ADAM],
            },
            "exclude": [{"model.n_hidden": 24, "model.tied": False}],
        },
    }

    @override
    def gather(self, sweep: str, directory: Path) -> Tables:
        table = measured(directory, _disambiguation)
        table = _named(table)[["l1", "n_hidden", "tied", "optimizer", *(name for name in _KEPT if name in table)]]
        if sweep != "disambiguation":
            return {sweep: table}
        columns = ("reconstruction_error", "partition_energy", "partition_concentration")
        return {sweep: table, f"{sweep}_over_steps": _named(over_steps(directory, columns, points=10))}

    @override
    def tell(self, tables: Tables) -> Answer:
        kept, found, path = (tables[name] for name in (*self.sweeps, "disambiguation_over_steps"))
        weak, strong = stable(kept), kept[(kept["l1"] == kept["l1"].max()) & (kept["optimizer"] == "AdamW")]
        narrow, wide = ends_of(found)
        tied, untied = (at(narrow, is_tied, narrow["l1"].max()) for is_tied in (True, False))
        free, spare = at(narrow, True, 0.0), at(wide, True, wide["l1"].max())
        n, m = int(found["n_features"].iloc[0]), int(narrow["n_hidden"].iloc[0])
        descent = descent_of(found)
        start = path[path["step"] == 0]["reconstruction_error"].max()
        both = pd.concat([kept, found])
        converged = both["converged_step"].notna()
        by_l1 = [share(converged[rows]) for rows in (both["l1"] == 0, both["l1"] > 0)]
        return Answer(
            short=(
                f"A solution, stable up to l1 = {weak['l1'].max():g}; found from random weights only where neurons "
                f"are short (m = {m}), tied and under L1."
            ),
            networks=together(kept, found),
            unconverged=(
                f"{by_l1[0]} without L1 and {by_l1[1]} under L1, so that what L1 does is told as it is after "
                f"{int(found['step'].max())} steps"
            ),
            claim=(
                f"The constructed solution is a zero of the loss (largest error {start:g}) and stays up to "
                f"l1 = {weak['l1'].max():g}; at l1 = {strong['l1'].iloc[0]:g} and AdamW its disambiguation neuron "
                f"gives way to a direction spread over many ({told(strong['partition_concentration'])} of the "
                "partition energy on one). Networks do find such neurons from random weights, but only where neurons "
                f"are short: at n = {n}, m = {m}, tied, AdamW and l1 = {tied['l1'].iloc[0]:g} in "
                f"{share(tied['disambiguates'])}, without L1 in {share(free['disambiguates'])}, untied in "
                f"{share(untied['disambiguates'])}, under gradient descent in {share(descent['disambiguates'])}."
            ),
            numbers="\n\n".join(
                [
                    "From the constructed solution:",
                    means(kept, {"tied": "tied", "optimiser": "optimizer", "l1": "l1"}, _SHOWN),
                    "From random weights:",
                    means(
                        found, {"neurons m": "n_hidden", "tied": "tied", "optimiser": "optimizer", "l1": "l1"}, _SHOWN
                    ),
                    f"Same-sign collisions across halves, of all on other neurons; by chance {n / 2 / (n - 1):.2f}:",
                    _shares(found),
                ]
            ),
            meaning=(
                "The answers depend on width. With n/2 + 1 neurons, L1 gathers what tells the halves apart on one "
                "neuron, and at l1 = 0.01 same-sign collisions then lie across halves more often than by chance. "
                "With neurons to spare, tied networks under L1 also grow a neuron that holds the partition "
                f"({told(spare['partition_concentration'])} of the energy), but there are "
                f"{told(spare['same_sign_across'])} same-sign collisions across halves in a network and "
                f"{told(spare['same_sign_within'])} within. Solutions without tying are not more natural: untied "
                "networks spread the direction over their neurons under L1."
            ),
            limits=(
                f"n = {n} (constructed: {int(kept['n_features'].iloc[0])}) and {int(found['step'].max())} steps. "
                "Where L1 undoes the solution it does so slowly, so a smaller weight may only need longer. "
                "A disambiguation neuron counts from partition energy 1.5 and if ablation raises the cost of "
                "disambiguated pairs. Untied L1 is weighted by the decoder's norms; another penalty may differ."
            ),
        )

    @override
    def draw(self, tables: Tables) -> Figure:
        figure, (left, right) = panels(2)
        path = tables["disambiguation_over_steps"]
        path = path[path["tied"] & (path["optimizer"] == "AdamW")]
        for number, (l1, rows) in enumerate(path.groupby("l1")):
            mean, half = rows["partition_concentration"], rows["partition_concentration_half"]
            left.errorbar(rows["step"], mean, half, fmt="o-", color=f"C{number}", ms=3, lw=1, label=f"l1 = {l1:g}")
        finish(left, "step", "partition_concentration", title="from the constructed solution, tied, AdamW")
        found = tables["disambiguation_found"]
        found = found[found["optimizer"] == "AdamW"]
        for number, ((m, is_tied), rows) in enumerate(found.groupby(["n_hidden", "tied"])):
            name = f"m = {m}, {'tied' if is_tied else 'untied'}"
            curve(right, rows, "l1", "disambiguates", name=name, at=number, dashed=not is_tied)
        finish(right, "l1", "disambiguates", title="from random weights, AdamW")
        right.set_ylabel("networks with a disambiguation neuron (share)", fontsize=8)
        right.set_xscale("symlog", linthresh=0.001)
        right.set(xlim=(-0.0002, 0.13), ylim=(-0.03, 1.03))
        return figure


def _named(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(optimizer=table["optimizer"].str.partition("(")[0])


def stable(kept: pd.DataFrame) -> pd.DataFrame:
    """The networks under an L1 weight so small that the constructed solution stays."""
    return kept[kept["l1"] <= 0.001]


def ends_of(found: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The narrowest and the widest networks, under AdamW."""
    adam = found[found["optimizer"] == "AdamW"]
    return adam[adam["n_hidden"] == adam["n_hidden"].min()], adam[adam["n_hidden"] == adam["n_hidden"].max()]


def at(networks: pd.DataFrame, tied: bool, l1: float) -> pd.DataFrame:
    """The networks of one tying and one L1 weight."""
    return networks[(networks["tied"] == tied) & (networks["l1"] == l1)]


def descent_of(found: pd.DataFrame) -> pd.DataFrame:
    """The narrowest tied networks under gradient descent and the largest L1 weight."""
    rows = found[(found["optimizer"] == "SGD") & (found["n_hidden"] == found["n_hidden"].min())]
    return at(rows, True, rows["l1"].max())


def _shares(found: pd.DataFrame) -> str:
    """Share of same-sign collisions that lie across halves, over all networks of a point."""
    rows = []
    for (m, tied, l1), networks in found[found["optimizer"] == "AdamW"].groupby(["n_hidden", "tied", "l1"]):
        within, across = networks["same_sign_within"].sum(), networks["same_sign_across"].sum()
        rows.append([str(m), str(tied), f"{l1:g}", str(within + across), f"{across / max(within + across, 1):.2f}"])
    return markdown(rows, ["neurons m (AdamW)", "tied", "l1", "same-sign collisions", "share across halves"], left=2)


def _disambiguation(run: Run) -> dict[str, Tensor]:
    """Where same-sign collisions lie, and what the neuron of largest partition energy does.

    Collisions on that neuron itself are left out: it reads many features of either half by its office.
    """
    model = run.model
    W_enc, b_dec = model["W_enc"], model["b_dec"]
    W_dec = model.get("W_dec", W_enc)
    halves = HalfSplit(W_enc.shape[1], batch_size=_INPUTS)
    x = halves.evaluation_inputs(0).expand(len(W_enc), -1, -1)
    signs = halves.partition
    assert signs is not None
    found = disambiguation_by_ablation(
        lambda enc, dec: (x @ enc @ dec.mT + b_dec.unsqueeze(1)).relu(),
        x,
        W_enc,
        W_dec,
        signs,
        halves.cooccurrence().expand(len(W_enc), -1, -1),
    )
    top = partition_energies(W_enc, W_dec, signs).argmax(-1)
    pairs = find_collisions(W_enc, None if W_dec is W_enc else W_dec)
    elsewhere = ~pairs.opposite_sign & (pairs.neuron != top[pairs.instance])
    across = signs[pairs.feature_i] != signs[pairs.feature_j]
    return {
        "same_sign_within": torch.bincount(pairs.instance[elsewhere & ~across], minlength=len(W_enc)),
        "same_sign_across": torch.bincount(pairs.instance[elsewhere & across], minlength=len(W_enc)),
        "top_energy": found.energy,
        "cost_rise": found.rise,
        "disambiguates": (found.neuron >= 0).long(),
    }
