import shlex

import yaml

from polysemantic.report.charts import Section, TextTable
from polysemantic.report.labels import counted, label, value_texts
from polysemantic.report.material import Material
from polysemantic.report.over_training import POINTS, some
from polysemantic.report.sections.results import converged_text
from polysemantic.report.sources import Source


def provenance(material: Material) -> Section:
    """What was run, with which versions and seeds, and how to run it again."""
    shown = material.sources[:POINTS]
    text = [f"{material.description}. Grid points: {len(material.points)}. Runs: {len(material.sources)}."]
    text += converged_text(material)
    text += [f"{label(axis).capitalize()}: {_values(material, axis)}." for axis in material.axes]
    if material.missing:
        told = some(material.missing, POINTS)
        text.append(f"{counted(len(material.missing), 'cell')} of the sweep without results, missing here: {told}.")
    names = material.run_names
    columns = ["run", "seeds", "random seed", "networks", "steps", "versions", "command to repeat it"]
    table = TextTable("What was run", columns, [_row(source, names[source.name]) for source in shown])
    files = {f"Configuration of {names[s.name]}": yaml.safe_dump(s.config, sort_keys=False) for s in shown}
    for given in material.given:
        if (given / "sweep.yaml").is_file():
            command = f"python -m polysemantic sweep --collect {shlex.quote(str(given))}"
            text.append(f"Each command repeats a cell of the sweep; its table is put together by: {command}")
            files = {f"Sweep {given.name}": (given / "sweep.yaml").read_text()} | files
    if left := [names[source.name] for source in material.sources[len(shown) :]]:
        text.append(f"Below are the first {len(shown)} runs, to keep the page small. Left out: {some(left)}.")
    return Section("What was run", text, tables=[table], files=files)


def _row(source: Source, name: str) -> list[str]:
    versions = ", ".join(f"{name} {number}" for name, number in source.versions.items()) or "not noted"
    steps = sorted(set(source.results["step"].tolist()))
    return [
        name,
        str(source.ensemble.seeds),
        str(source.config.get("seed_everything")),
        str(len(source.results)),
        ", ".join(map(str, steps)),
        versions,
        f"python -m polysemantic fit --config {shlex.quote(str(source.directory / 'config.yaml'))}",
    ]


def _values(material: Material, axis: str) -> str:
    values = sorted(set(material.results[axis].dropna().tolist()), key=lambda v: (isinstance(v, str), v))
    return ", ".join(value_texts(values))
