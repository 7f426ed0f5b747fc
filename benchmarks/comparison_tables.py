"""The tables of compare.py, and which figures jpassed does not have best."""

from __future__ import annotations

from typing import Any

from markdown_blocks import markdown_table

UNITS = {"z": "ln(1+z)", "logmstar": "dex", "av": "mag", "ew_halpha": "asinh(EW / 2 Å)"}
NAMES = {
    "z": "redshift", "logmstar": "log M*", "av": "A_V", "ew_halpha": "EW(Halpha)",
}  # fmt: skip


def distance(statistic: str, value: float) -> float:
    """How far a figure is from the best there could be; smaller is better."""
    if statistic.startswith("coverage"):
        return abs(value - float(statistic.split()[1]) / 100)
    return -value if statistic == "log score" else abs(value)


def best_marks(statistics: dict[str, Any]) -> list[str]:
    """Figures in which a rival is better than jpassed by more than its standard error."""
    lost = []
    for key, quantities in statistics.items():
        for quantity, methods in quantities.items():
            ours = methods["jpassed"]
            for place, row in ours.items():
                for statistic, value in row.items():
                    if statistic == "n":
                        continue
                    rivals = {
                        m: distance(statistic, rows[place][statistic])
                        for m, rows in methods.items()
                        if m != "jpassed"
                    }
                    name = min(rivals, key=lambda m: rivals[m])
                    slack = error_of(statistic, row)
                    if rivals[name] < distance(statistic, value) - slack:
                        other = methods[name][place][statistic]
                        lost.append(
                            f"{key}, {NAMES[quantity]}, {place}: {statistic} "
                            f"{shown(statistic, value)}, {name} {shown(statistic, other)}"
                        )
    return lost


def error_of(statistic: str, row: dict[str, float]) -> float:
    """Rough standard error of a figure of n objects, below which nobody is better."""
    n = row["n"]
    if statistic.startswith("coverage"):
        share = float(statistic.split()[1]) / 100
        return float((share * (1 - share) / n) ** 0.5)
    if statistic == "outliers":
        return float((max(row["outliers"], 1.0 / n) / n) ** 0.5)
    if statistic == "bias":
        return float(1.25 * row["scatter"] / n**0.5)
    if statistic == "scatter":
        return float(1.17 * row["scatter"] / n**0.5)
    return float(0.1 * abs(row[statistic]) / (n / 100) ** 0.5)


def shown(statistic: str, value: float) -> str:
    """A figure as text."""
    if statistic.startswith("coverage") or statistic == "outliers":
        return f"{100 * value:.1f} %"
    if statistic == "log score":
        return f"{value:.2f}"
    return f"{value:+.4f}" if statistic == "bias" else f"{value:.4f}"


def tables(figures: dict[str, Any]) -> str:
    """All tables as Markdown."""
    parts = [
        f"Model `{figures['model']}`, weights `{figures['weights']}`: "
        f"`python {figures['command']}`."
    ]
    for key, quantities in figures["statistics"].items():
        for quantity, methods in quantities.items():
            places = list(next(iter(methods.values())))
            counts = [str(methods["jpassed"][p]["n"]) for p in places]
            parts.append(
                f"## {key}, {NAMES[quantity]}\n\nScores in {UNITS[quantity]}; "
                f"{', '.join(f'{p}: {c}' for p, c in zip(places, counts, strict=True))} objects."
            )
            wanted = ["scatter", "bias", "log score", "CRPS", "coverage 68", "coverage 95"]
            if quantity == "z":
                wanted.insert(2, "outliers")
            head = ["method", *(f"{w}" for w in wanted)]
            for place in places:
                body = []
                for method, rows in methods.items():
                    body.append([method, *(shown(w, rows[place][w]) for w in wanted)])
                parts.append(f"{place}\n\n{markdown_table(head, body)}")
    speed = [[name, f"{rate:,.0f}"] for name, rate in figures["objects/s"].items()]
    parts.append(f"## Objects a second, one thread\n\n{markdown_table(['method', '/s'], speed)}")
    lost = figures["not best"]
    parts.append(
        "## Where a rival is better by more than the standard error\n\n"
        + ("\n".join(f"- {line}" for line in lost) if lost else "Nowhere.")
    )
    return "\n\n".join(parts)
