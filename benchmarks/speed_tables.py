"""The tables of speed.py for a page: all contenders, and what was asked of this package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from machine import in_words
from markdown_blocks import markdown_table

__all__ = ["asked", "page_block"]

DEFAULT = "jpassed-{}-quick-1x1"
"""The default `annotate` on one thread, by precision: what ratios are against."""

NORMAL_EQUATIONS = "at least 8"
"""MFLOP of eazy-py's fits: 405 redshifts, of each a normal equation of 12 templates and 60 bands
(2 x 60 x 12 x 12 operations) and a model; the iterations of the non-negative fit come on top."""


def page_block(results: Mapping[str, Any]) -> str:
    """All that a page shows of a run."""
    rows = results["rows"]
    model = results["model"]
    known = {row["name"]: row for row in rows}
    parts = [
        f"{in_words(results['machine'])} Model `{model['name']}` {model['version']}, weights "
        f"`{model['weights']}`; {results['objects']}; {_rounds(results['rounds'])}: "
        f"`python {results['command']}`.",
        _contenders(rows, known, results["machine"]),
    ]
    if met := asked(known):
        parts.append(markdown_table(["what", "asked", "measured"], met))
    return "\n\n".join(parts)


def _rounds(number: int) -> str:
    return "one round" if number == 1 else f"medians of {number} rounds"


def _contenders(
    rows: Sequence[Mapping[str, Any]], known: Mapping[str, Any], machine: Mapping[str, Any]
) -> str:
    head = [
        "what", "precision", "threads", "objects/s", "of these a thread*", "MFLOP an object",
        "share of the matrix rate", "peak memory", "float32 default is faster by",
        "bfloat16 default is faster by",
    ]  # fmt: skip
    body = []
    for row in rows:
        ratios = [_ratio(known.get(DEFAULT.format(p)), row) for p in ("float32", "bfloat16")]
        body.append(
            [
                row["title"], row["precision"], str(row["threads"] * row["processes"]),
                f"{row['rate']:,.0f}", f"{row['rate_by_processor']:,.0f}", _work(row),
                _share(row, machine), f"{row['peak_mb'] / 1000:.2f} GB", *ratios,
            ]
        )  # fmt: skip
    return markdown_table(head, body) + (
        "\n\n*by processor time, as the ratios are; the wall clock suffers from other processes."
    )


def _ratio(reference: Mapping[str, Any] | None, row: Mapping[str, Any]) -> str:
    if reference is None:
        return ""
    value = reference["rate_by_processor"] / row["rate_by_processor"]
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _work(row: Mapping[str, Any]) -> str:
    if row["system"] == "eazy":
        return NORMAL_EQUATIONS
    return "" if row["mflop"] is None else f"{row['mflop']:.1f}"


def _share(row: Mapping[str, Any], machine: Mapping[str, Any]) -> str:
    """Operations a second over those of a matrix product in the same precision."""
    rate = machine.get(f"{row['precision']}_gflops")
    if row["mflop"] is None or not rate:
        return ""
    return f"{1e-3 * row['mflop'] * row['rate_by_processor'] / rate:.0%}"


def asked(known: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Lines on what the package is asked to reach, as far as it was measured."""
    lines = []
    for precision, one, two in (("bfloat16", 2000, 3500), ("float32", 1000, 1800)):
        single = known.get(DEFAULT.format(precision))
        names = [f"jpassed-{precision}-quick-{way}" for way in ("2x1", "1x2")]
        pair = [known[name] for name in names if name in known]
        if single is not None:
            lines.append(_speed(f"{precision}, one thread", one, [single]))
        if pair:
            lines.append(_speed(f"{precision}, two threads or processes", two, pair))
    alone = known.get("jpassed-float32-none-1x1")
    if alone is not None and alone["mflop"]:
        lines.append(
            ["posteriors of all outputs", "at most 30 MFLOP an object",
             _verdict(f"{alone['mflop']:.1f} MFLOP", alone["mflop"] <= 30)]
        )  # fmt: skip
    own = {precision: known.get(DEFAULT.format(precision)) for precision in ("bfloat16", "float32")}
    fastest = own["bfloat16"] or own["float32"]
    lines += _against(fastest, known.get("eazy"), "eazy-py", 20)
    for precision, mine in own.items():
        rival = known.get(f"transformer-published-{precision}")
        said = f"the Leung & Bovy shape as published, in {precision} as well"
        lines += _against(mine, rival, said, 10)
    return lines


def _against(
    own: Mapping[str, Any] | None, rival: Mapping[str, Any] | None, said: str, factor: int
) -> list[list[str]]:
    """A line on the ratio to a rival, if both were measured."""
    if own is None or rival is None:
        return []
    ratio = own["rate_by_processor"] / rival["rate_by_processor"]
    return [
        [f"default in {own['precision']} against {said}", f"{factor} times as fast",
         _verdict(f"{ratio:.0f} times", ratio >= factor)]
    ]  # fmt: skip


def _speed(what: str, wanted: int, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    best = max(rows, key=lambda row: row["rate"])
    count = best["threads"] * best["processes"]
    said = (
        f"{best['rate']:,.0f} objects/s by the clock "
        f"({count * best['rate_by_processor']:,.0f} by processor time)"
    )
    return [
        f"default `annotate`, {what}", f"{wanted:,} objects/s",
        _verdict(said, best["rate"] >= wanted),
    ]  # fmt: skip


def _verdict(measured: str, met: bool) -> str:
    return measured if met else f"{measured}, **missed**"
