"""An identification as text for people."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from jpassed.surveys.map_text import UNSURE

if TYPE_CHECKING:
    from jpassed.surveys.identification import Identification, IdentifiedBand

__all__ = ["as_text"]

WIDTH = 96
OTHERS_SHOWN = 40


def as_text(found: Identification) -> str:
    """Several lines, the most important first."""
    lines = [_headline(found)]
    if found.problem:
        lines += ["", *_problem(found.problem)]
        if found.labels and not found.bands:
            lines.append(
                "Without bandfluxes: give labels as context and ask for what you want, e.g. "
                f"{found.labels[0].option} --outputs flux:rSDSS"
            )
    lines += _bands(found.bands)
    lines += _block("Read as well", [f"{n}: {what}" for n, what in found.also_used.items()])
    lines += _block(
        "Used as context, as the survey file says",
        [f"{column}: {quantity}" for quantity, column in found.context.items()],
    )
    lines += _block("Nearly a band", [f"{item.column}: {item.hint}" for item in found.near])
    lines += _block(
        "Could be given as context (it is not used by itself)",
        [f"{item.column}: {item.option}" for item in found.labels],
    )
    lines += _block("Note", found.notes)
    lines += _block("Preferred", found.messages)
    lines += _left_out(found)
    if found.others:
        lines += ["", "Not used:", *_filled(found.others)]
    return "\n".join(lines)


def _headline(found: Identification) -> str:
    size = f"{found.n_rows} rows, {len(found.columns)} columns"
    if not found.bands:
        return f"{size}: no bandflux is recognised"
    pivots = [band.pivot for band in found.bands]
    plural = "band" if len(pivots) == 1 else "bands"
    return (
        f"{size}: {len(pivots)} {plural} of {' + '.join(found.surveys)}, "
        f"{min(pivots):.0f}-{max(pivots):.0f} Å"
    )


def _problem(text: str) -> list[str]:
    """The first line of a message; the map below it is what --as-map prints."""
    first, *rest = text.splitlines()
    # The columns are listed below.
    before, _, after = first.partition(" Columns seen: ")
    _, what, todo = after.rpartition(" Say which column is which band")
    first = f"{before}{what}{todo}" if what else first
    lines = [f"jpassed annotate would refuse it: {first.removesuffix(':').rstrip('.')}."]
    if rest:
        lines.append("A map to start from: jpassed identify CATALOG --as-map")
    return lines


def _bands(bands: Sequence[IdentifiedBand]) -> list[str]:
    lines = []
    single = [band for band in bands if band.element is None]
    arrays = [band for band in bands if band.element is not None]
    if single:
        head = ("band", "pivot/Å", "column", "unit", "errors", "survey")
        rows = [(b.band, f"{b.pivot:.0f}", b.column, _unit(b), _error(b), b.survey) for b in single]
        lines += ["", *_table([head, *rows])]
    for _, group in itertools.groupby(arrays, key=lambda b: (b.column, b.survey)):
        members = list(group)
        first = members[0]
        lines += [
            "",
            f"array {first.column} ({_unit(first)}), {_error(first)}, {first.survey}, "
            f"{len(members)} bands:",
            *_filled([band.band for band in members]),
        ]
    return lines


def _unit(band: IdentifiedBand) -> str:
    unknown = band.unit in ("", UNSURE)
    return band.unit if band.stated or unknown else f"{band.unit}, assumed"


def _error(band: IdentifiedBand) -> str:
    kind = {"ivar": "inverse variance ", "relative_error": "relative "}.get(band.error_kind, "")
    return f"{kind}{band.error_column}"


def _left_out(found: Identification) -> list[str]:
    """One line for each reason."""
    reasons: dict[str, list[str]] = {}
    for item in found.left_out:
        reasons.setdefault(item.reason, []).append(item.column)
    lines = []
    for reason, names in reasons.items():
        lines += ["", f"Left out ({reason}):", *_filled(names)]
    return lines


def _block(title: str, items: Iterable[str]) -> list[str]:
    listed = [f"  {item}" for item in items]
    return ["", f"{title}:", *listed] if listed else []


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _filled(names: Sequence[str]) -> list[str]:
    import textwrap

    shown = list(names[:OTHERS_SHOWN])
    if len(names) > OTHERS_SHOWN:
        shown.append(f"... ({len(names)} in all)")
    return textwrap.wrap(
        ", ".join(shown), WIDTH, initial_indent="  ", subsequent_indent="  ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
