"""The report of an evaluation: one HTML file with everything in it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.validation.selections import ALL
from jpassed.validation.statistics import Statistic, statistics_of
from jpassed.validation.words import number, sentence
from jpassed.validation.words import title as heading

if TYPE_CHECKING:
    from jpassed.validation.assessment import Evaluation

__all__ = ["report_page"]

SHOWN = {
    True: ("bias", "sigma_nmad", "outliers_0.05", "outliers_0.15", "within_0.01",
           "coverage_68", "coverage_quoted", "pit_distance", "crps"),
    False: ("bias", "scatter", "bias_dex", "scatter_dex", "coverage_68", "coverage_quoted",
            "pit_distance", "crps"),
}  # fmt: skip
"""Statistics of the tables by magnitude and redshift; all are in figures.ecsv."""

SHORT = {
    "outliers_0.05": "beyond 0.05", "outliers_0.15": "beyond 0.15", "coverage_68": "68 % hold",
    "coverage_quoted": "68 % hold", "pit_distance": "PIT distance",
}  # fmt: skip
"""Heads of these tables, where the titles are long."""

TITLES = {"jp_flag": "flag", "z_true": "true redshift"}
COUNT_HEADS = {
    "rows": "rows", "no_truth": "no usable truth", "truth_outside_range": "truth out of range",
    "not_predicted": "not predicted", "used": "used",
}  # fmt: skip

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff;
  max-width: 74rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { margin-top: 2.4rem; border-bottom:
  1px solid #bbb; } h3 { margin: 1.8rem 0 .4rem; }
p.lead { font-size: 1.1rem; } figure { margin: 1rem 0; } img { max-width: 100%; height: auto; }
figcaption, small, td.said { color: #444; font-size: .86rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .6rem 0; font-size: .92rem; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; text-align: left;
  vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
thead th { border-bottom: 2px solid #888; } tbody tr:hover { background: #f4f4f4; }
tbody th { white-space: nowrap; } table.bins { font-size: .86rem; }
td.n span { color: #555; font-size: .82rem; display: block; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; }
dt { font-weight: 600; } dd { margin: 0; overflow-wrap: anywhere; }
nav a { margin-right: 1rem; } code { font-size: .92em; }
"""


def report_page(evaluation: Evaluation, plots: Mapping[str, tuple[bytes, str]]) -> str:
    """The report as HTML.

    Parameters
    ----------
    evaluation : Evaluation
    plots : mapping of str to (bytes, str)
        PNG images by name, each with its text alternative; those whose name begins with the
        quantity are in its section.
    """
    about = evaluation.provenance
    title = f"Evaluation of {about.get('table') or 'predictions'}"
    names = list(evaluation.compared)
    links = [("evaluated", "What was evaluated"), *((f"q-{_stem(n)}", heading(n)) for n in names)]
    if evaluation.flags is not None:
        links.append(("flags", "Flags"))
    body = [
        f"<h1>{escape(title)}</h1>",
        *(f'<p class="lead">{escape(sentence(evaluation, name))}</p>' for name in names),
        "<nav aria-label='Sections'>"
        + "".join(f'<a href="#{key}">{escape(words)}</a>' for key, words in links)
        + "</nav>",
        '<section id="evaluated"><h2>What was evaluated</h2>',
        "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>"
                         for k, v in about.items() if v) + "</dl>",
        _counts(evaluation),
        "<ul>" + "".join(f"<li>{escape(note)}</li>" for note in evaluation.notes) + "</ul>",
        "</section>",
    ]  # fmt: skip
    for name in names:
        body += _section(evaluation, name, plots)
    if evaluation.flags is not None:
        body += ['<section id="flags"><h2>Flags</h2>', _flags(evaluation.flags), "</section>"]
    body.append(
        "<p><small>All figures with their intervals and definitions are in "
        "<code>figures.ecsv</code>, the numbers of every object in <code>objects.ecsv</code>."
        "</small></p>"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def _stem(name: str) -> str:
    return "redshift" if name == "z" else name.replace(":", "_")


def _section(
    evaluation: Evaluation, name: str, plots: Mapping[str, tuple[bytes, str]]
) -> list[str]:
    rows = evaluation.figures
    rows = rows[rows["quantity"] == name]
    kind = evaluation.vocabulary[name]
    said = kind.description + (f", {kind.unit}" if kind.unit else "")
    stem = _stem(name)
    out = [f'<section id="q-{stem}"><h2>{escape(heading(name))}</h2>', f"<p>{escape(said)}.</p>"]
    statistics = {s.name: s for s in statistics_of(name, decades=kind.scale == "asinh")}
    out.append(_overall(rows, statistics))
    out += [_image(plots, key) for key in (stem, f"{stem}_calibration") if key in plots]
    for by in dict.fromkeys(str(b) for b in rows["by"]):
        if by != ALL:
            out.append(f"<h3>By {escape(TITLES.get(by, by))}</h3>")
            plot = f"{stem}_by_{''.join(c if c.isalnum() else '_' for c in by)}"
            if plot in plots:
                out.append(_image(plots, plot))
            out.append(_by(rows[rows["by"] == by], statistics, SHOWN[name == "z"], by))
    return [*out, "</section>"]


def _overall(rows: Any, statistics: Mapping[str, Statistic]) -> str:
    """All statistics of all objects, with their definitions."""
    whole = rows[rows["selection"] == ALL]
    clean = rows[rows["selection"] == "no flag"]
    others = {str(r["statistic"]): r for r in clean}
    lines = []
    for row in whole:
        s = statistics[str(row["statistic"])]
        cells = [_cell(row, s)]
        if others:
            cells.append(_cell(others[s.name], s))
        ideal = "" if np.ma.is_masked(row["ideal"]) else number(float(row["ideal"]), s)
        lines.append(
            f'<tr><th scope="row">{escape(s.title)}</th>{"".join(cells)}'
            f'<td class="n">{ideal}</td><td class="said">{escape(s.definition)}</td></tr>'
        )
    n = int(whole["n"].max())
    heads = [f"all {n}"] + ([f"no flag, {int(clean['n'].max())}"] if others else []) + ["ideal"]
    return _table(
        "All objects; 68 % intervals beneath the figures",
        ["statistic", *heads, "definition"], lines, numeric=range(1, len(heads) + 1),
    )  # fmt: skip


def _by(rows: Any, statistics: Mapping[str, Statistic], shown: Sequence[str], by: str) -> str:
    present = [s for s in shown if s in statistics and (rows["statistic"] == s).any()]
    lines = []
    for label in dict.fromkeys(str(x) for x in rows["selection"]):
        part = {str(r["statistic"]): r for r in rows[rows["selection"] == label]}
        n = max(int(r["n"]) for r in part.values())
        cells = "".join(_cell(part[s], statistics[s]) for s in present)
        low, high = (next(iter(part.values()))[end] for end in ("low", "high"))
        if not np.ma.is_masked(low):
            label = f"{low:g} to {high:g}"
        lines.append(f'<tr><th scope="row">{escape(label)}</th><td class="n">{n}</td>{cells}</tr>')
    heads = [TITLES.get(by, by), "n", *(SHORT.get(s, statistics[s].title) for s in present)]
    caption = f"By {TITLES.get(by, by)}; bins with fewer than 5 objects have no figures"
    return _table(caption, heads, lines, numeric=range(1, len(heads)), kind="bins")


def _cell(row: Any, statistic: Statistic) -> str:
    if np.ma.is_masked(row["value"]):
        return '<td class="n"><abbr title="too few objects">n/a</abbr></td>'
    text = number(float(row["value"]), statistic)
    if not np.ma.is_masked(row["lo"]):
        ends = [number(float(row[end]), statistic, unit=False) for end in ("lo", "hi")]
        text += f"<span>{ends[0]} to {ends[1]}</span>"
    return f'<td class="n">{text}</td>'


def _counts(evaluation: Evaluation) -> str:
    lines = []
    for row in evaluation.counts:
        cells = "".join(f'<td class="n">{int(row[key])}</td>' for key in COUNT_HEADS)
        lines.append(f'<tr><th scope="row">{escape(str(row["quantity"]))}</th>{cells}</tr>')
    heads = ["quantity", *COUNT_HEADS.values()]
    return _table("Objects used and left out", heads, lines, numeric=range(1, len(heads)))


def _flags(flags: Any) -> str:
    has_z = "outliers_0.05" in flags.colnames
    lines = []
    for row in flags:
        cells = f'<td class="n">{row["n"]}</td><td class="n">{row["used"]}</td>'
        if has_z:
            value = float(row["outliers_0.05"])
            cells += f'<td class="n">{f"{100 * value:.1f} %" if np.isfinite(value) else "n/a"}</td>'
        lines.append(
            f'<tr><th scope="row">{row["bit"]} {escape(str(row["name"]))}</th>{cells}'
            f'<td class="said">{escape(str(row["meaning"]))}</td></tr>'
        )
    heads = ["bit of jp_flag", "objects", "used", *(["outliers beyond 0.05"] if has_z else [])]
    return _table("Objects with each bit", [*heads, "meaning"], lines, numeric=range(1, len(heads)))


def _table(
    caption: str,
    heads: Sequence[str],
    lines: Iterable[str],
    *,
    numeric: Iterable[int],
    kind: str = "all",
) -> str:
    right = set(numeric)
    head = "".join(
        f'<th scope="col"{" class=n" if i in right else ""}>{escape(text)}</th>'
        for i, text in enumerate(heads)
    )
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{escape(caption)}">'
        f'<table class="{kind}"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _image(plots: Mapping[str, tuple[bytes, str]], key: str) -> str:
    content, said = plots[key]
    coded = base64.b64encode(content).decode("ascii")
    return (
        f'<figure><img src="data:image/png;base64,{coded}" alt="{escape(said, quote=True)}">'
        f"<figcaption>{escape(said)}</figcaption></figure>"
    )
