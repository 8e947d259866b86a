"""The HTML of a report: one file that needs nothing else, and may load nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from html import escape
from importlib import resources

from plotly.offline import get_plotlyjs

from polysemantic.report.charts import AnyChart, Chart, Section, TextTable
from polysemantic.report.interactive import payload
from polysemantic.report.plain import Json

# Letters from which a cell of a table has several lines.
_LONG = 40
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<header><h1>{title}</h1><nav>{links}</nav></header>
<main>{body}</main>
{scripts}
</body>
</html>
"""


def page(title: str, sections: list[Section]) -> str:
    """A report as one HTML file.

    Scripts run by their checksum alone, so that nothing in the data can become one, and nothing is ever fetched.
    """
    scripts = [get_plotlyjs(), _asset("report.js")]
    allowed = " ".join(f"'sha256-{_checksum(script)}'" for script in scripts)
    return _PAGE.format(
        policy=escape(f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"),
        title=escape(title),
        style=_asset("report.css"),
        links="".join(f'<a href="#section-{at}">{escape(part.title)}</a>' for at, part in enumerate(sections)),
        body="".join(_section(at, part) for at, part in enumerate(sections)),
        scripts="".join(f"<script>{script}</script>\n" for script in scripts),
    )


def _asset(name: str) -> str:
    return (resources.files("polysemantic.report") / "assets" / name).read_text(encoding="utf-8")


def _checksum(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _section(at: int, section: Section) -> str:
    parts = [
        f"<h2>{escape(section.title)}</h2>",
        *(f"<p>{escape(text)}</p>" for text in section.text),
        *map(_chart, section.charts),
        *map(_table, section.tables),
        *map(_file, section.files, section.files.values()),
    ]
    return f'<section id="section-{at}">{"".join(parts)}</section>\n'


def _chart(chart: AnyChart) -> str:
    return (
        f'<figure class="chart" id="{escape(chart.key)}"><figcaption>{escape(chart.title)}</figcaption>'
        '<div class="controls"></div><div class="plots"></div>'
        f'<script type="application/json">{_json(payload(chart))}</script></figure>'
        f"{_words(chart.words) if isinstance(chart, Chart) else ''}"
    )


def _words(text: str) -> str:
    """What the words of a chart or table mean, below it."""
    return f'<p class="words">{escape(text)}</p>' if text else ""


def _json(data: Json) -> str:
    """JSON that no HTML parser takes for markup."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _table(table: TextTable) -> str:
    head = _row("th", table.columns)
    rows = "".join(_row("td", row) for row in table.rows)
    # Whoever has no mouse scrolls it by keys, once it has the focus.
    name = escape(table.caption)
    box = f'<p class="caption">{name}</p><div class="scroll" tabindex="0" role="region" aria-label="{name}">'
    return f"{box}<table><thead>{head}</thead><tbody>{rows}</tbody></table></div>{_words(table.words)}"


def _row(cell: str, texts: Iterable[str]) -> str:
    # A number and its interval stay on one line; a long text has several.
    kinds = ((text, ' class="long"' if len(text) > _LONG else "") for text in texts)
    return "<tr>" + "".join(f"<{cell}{kind}>{escape(text)}</{cell}>" for text, kind in kinds) + "</tr>"


def _file(name: str, text: str) -> str:
    return f"<details><summary>{escape(name)}</summary><pre>{escape(text)}</pre></details>"
