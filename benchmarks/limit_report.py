"""The tables of docs/limit.md from the figures of `limit_compare.compare`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from limit_scores import QUANTITIES

BEGIN, END = "<!-- figures: benchmarks/bayes_limit.py --docs -->", "<!-- end of the figures -->"
TITLES = {"z": "z", "logmstar": "log M*", "av": "A_V", "ew_halpha": "EW(Halpha)"}
SANDWICH = "from the truth - from the library, at the truth"


def page(result: dict[str, Any]) -> str:
    """Markdown of all cases."""
    lines = [
        BEGIN,
        "",
        f"Model `{result['model']}`, weights `{result['weights'][:16]}`; 68 % intervals by",
        'resampling objects. The columns "at draws" are the ones to read: those at the single',
        "truth of so few objects are noisier.",
        "",
    ]
    for label, bins in result["cases"].items():
        lines += [f"### {label.capitalize()}", "", *redshifts(bins), "", *gaps(bins), ""]
    lines += ["### The limit itself, all bands", "", *checks(result["cases"]["all bands"]), "", END]
    return "\n".join(lines)


def redshifts(bins: dict[str, Any]) -> list[str]:
    """sigma_NMAD and outliers."""
    lines = [
        "| r | objects (by importance sampling) | sigma_NMAD(z), at draws: limit | model | ratio "
        "| at the truth: limit, model | beyond 0.05 (1+z), at draws: limit, model |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, entry in bins.items():
        z = entry["redshift"]
        low, high = z["ratio at draws interval"]
        lines.append(
            f"| {name} | {entry['objects']} ({entry['by importance sampling']}) "
            f"| {z['sigma_nmad limit, at draws']:.4f} | {z['sigma_nmad model, at draws']:.4f} "
            f"| {z['ratio at draws']:.2f} ({low:.2f}-{high:.2f}) "
            f"| {z['sigma_nmad limit']:.4f}, {z['sigma_nmad model']:.4f} "
            f"| {100 * z['outliers limit, at draws']:.1f} %, "
            f"{100 * z['outliers model, at draws']:.1f} % |"
        )
    return lines


def gaps(bins: dict[str, Any]) -> list[str]:
    """Log score of the limit less that of the model."""
    titles = " | ".join(TITLES[q] for q in QUANTITIES)
    lines = [
        "Log score of the limit minus the model's, nat, at draws (in brackets: at the truth):",
        "",
        f"| r | {titles} |",
        "|---" * (len(QUANTITIES) + 1) + "|",
    ]
    for name, entry in bins.items():
        cells = []
        for quantity in QUANTITIES:
            if quantity not in entry:
                cells.append("-")
                continue
            drawn, true = entry[quantity]["gap at the limit's draws"], entry[quantity]["gap"]
            cells.append(f"{drawn[0]:.2f} ± {drawn[1]:.2f} ({true[0]:.2f} ± {true[1]:.2f})")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def checks(bins: dict[str, Any]) -> list[str]:
    """Whether the limit is calibrated and converged."""
    lines = [
        "| r | quantity | ln density at the truth | at its draws | error from halves "
        "| kernel twice as wide | coverage 68, 90 % | sandwich (objects) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, entry in bins.items():
        for quantity in QUANTITIES:
            if quantity not in entry:
                continue
            own = entry[quantity]
            both = ""
            if SANDWICH in own:
                difference, error = own[SANDWICH]
                both = f"{difference:+.2f} ± {error:.2f} ({own['sandwich objects']})"
            score = own["limit"]
            halves = own["limit's error from halves"]
            cover = [100 * own[f"limit's coverage {level}"] for level in (68, 90)]
            lines.append(
                f"| {name} | {TITLES[quantity]} | {score[0]:.2f} ± {score[1]:.2f} "
                f"| {own['limit at its draws'][0]:.2f} | {halves:.3f} "
                f"| {own['kernel twice as wide']:+.3f} | {cover[0]:.0f}, {cover[1]:.0f} | {both} |"
            )
    return lines


def update(path: Path, result: dict[str, Any]) -> None:
    """Put the tables between their marks, atomically.

    Raises
    ------
    ValueError
        The page has no marks.
    """
    text = path.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise ValueError(f"{path} lacks the lines {BEGIN!r} and {END!r}")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(before + page(result) + after, encoding="utf-8")
    os.replace(temporary, path)
