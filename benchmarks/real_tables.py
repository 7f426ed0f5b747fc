"""The tables of real.py as Markdown, and the bars that the model is held to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markdown_blocks import markdown_table

Row = dict[str, Any]

UNITS: dict[str, tuple[str, float, str]] = {
    "sigma_nmad": ("sigma_NMAD", 1.0, ".4f"),
    "bias": ("bias", 1.0, "+.4f"),
    "outliers": ("beyond 0.05(1+z), %", 100.0, ".1f"),
    "within": ("within 0.01(1+z), %", 100.0, ".1f"),
    "median": ("median abs(dz)/(1+z)", 1.0, ".4f"),
    "coverage": ("68 % holds, %", 100.0, ".1f"),
    "nll": ("NLL", 1.0, "+.2f"),
}
PHOTOMETRIC = ("sigma_nmad", "bias", "outliers", "coverage", "nll")
SPECTRAL = ("within", "median", "bias", "outliers", "coverage", "nll")


LINE_DEPTHS = ("r = 19", "r = 21")
"""Of which the page shows line strengths; the JSON file has all."""


def shown(figure: Sequence[float] | None, scale: float = 1.0, form: str = ".4f") -> str:
    """A value with its interval: ``0.0012 (0.0011-0.0013)``."""
    if figure is None:
        return ""
    value, low, high = (scale * float(x) for x in figure)
    sign = form.replace("+", "")
    if low != low:
        return f"{value:{form}}"
    between = " to " if low < 0 else "-"
    plain = form if low < 0 else sign
    return f"{value:{form}} ({low:{plain}}{between}{high:{plain}})"


def redshift_table(rows: dict[str, dict[str, Row]], names: Sequence[str], first: str) -> str:
    """Real and simulated statistics of every part."""
    body = []
    for place, pair in rows.items():
        for label, row in pair.items():
            cells = [shown(row.get(name), *UNITS[name][1:]) for name in names]
            body.append([place, label, str(row["n"]), str(row["objects"]), *cells])
    return markdown_table(
        [first, "", "rows", "objects", *(UNITS[name][0] for name in names)], body
    )  # fmt: skip


def line_table(lines: dict[str, dict[str, dict[str, Row]]], first: str = "depth") -> str:
    """Line strengths, by depth or by width."""
    body = []
    for place, found in lines.items():
        if first == "depth" and place not in LINE_DEPTHS:
            continue
        for line, pair in found.items():
            for label, row in pair.items():
                if row.get("n", 0):
                    body.append(
                        [place, f"`{line}`", label, str(row["n"]), str(row["objects"]),
                         shown(row["bias"], form="+.3f"), shown(row["rms"], form=".3f"),
                         shown(row["mad"], form=".3f"), shown(row["coverage"], 100.0, ".0f")]
                    )  # fmt: skip
    head = [first, "line", "", "rows", "objects", "bias, dex", "rms, dex", "1.4826 MAD, dex",
            "68 % holds, %"]  # fmt: skip
    return markdown_table(head, body)


def object_table(rows: list[Row]) -> str:
    """Strong lines, spectrum by spectrum: model, pipeline, direct integral."""
    body = [
        [f"{row['object']} {row['subclass']}".strip(), f"{row['z']:.3f}", f"`{row['line']}`",
         f"{row['pipeline']:.1f}",
         f"{row['with [NII]']:.1f}" if row["line"] == "ew_halpha" else "",
         f"{row['integral']:.1f}", "{:.1f} ({:.1f}-{:.1f})".format(*row["predicted"])]
        for row in sorted(rows, key=lambda r: (r["line"], r["pipeline"]))
    ]  # fmt: skip
    head = ["spectrum", "z", "line", "pipeline, Å", "with [NII]", "direct integral",
            "predicted (68 %)"]  # fmt: skip
    return markdown_table(head, body)


def colour_table(rows: list[Row]) -> str:
    """Colours of the SDSS galaxies and of their twins."""
    body = [
        [row["z"], str(row["n"]), row["colour"], f"{row['real'][0]:.2f}",
         f"{row['simulated'][0]:.2f}", f"{row['real'][1]:.2f}", f"{row['simulated'][1]:.2f}"]
        for row in rows
        if row["n"]
    ]  # fmt: skip
    head = ["z", "galaxies", "colour", "median, mag, real", "simulated",
            "16-84 % width, real", "simulated"]  # fmt: skip
    return markdown_table(head, body)


def tree_table(rows: dict[str, Row]) -> str:
    """Gradient boosting on ugriz."""
    names = ("sigma_nmad", "bias", "outliers")
    body = [
        [label, str(row["n"]), *(shown(row[name], *UNITS[name][1:]) for name in names)]
        for label, row in rows.items()
    ]
    head = ["gradient boosting on ugriz", "galaxies", *(UNITS[name][0] for name in names)]
    return markdown_table(head, body)


def ultraviolet_table(found: dict[str, dict[str, Row]]) -> str:
    """GALEX from ugriz."""
    body = [
        [case, which, str(row["n"]), shown(row["bias"], form="+.2f"),
         shown(row["mad"], form=".2f"), shown(row["coverage"], 100.0, ".1f")]
        for case, rows in found.items()
        for which, row in rows.items()
    ]  # fmt: skip
    return markdown_table(
        ["band, redshift", "galaxies", "rows", "observed - predicted, mag", "1.4826 MAD, mag",
         "68 % holds, %"], body,
    )  # fmt: skip


def residual_table(found: dict[str, Any]) -> str:
    """A line for every set: how far the bands are from the others, real and simulated."""
    body = []
    for name, entry in found.items():
        line = entry["summary"]
        cells = [
            f"{line[f'real, {key}']:{form}}, {line[f'simulated, {key}']:{form}}"
            for key, form in (
                ("rms of medians", ".3f"), ("median scatter", ".3f"), ("median width", ".2f"),
            )
        ]  # fmt: skip
        body.append([name, str(line["bands"]), *cells, ", ".join(line["out"][:8]) or "none"])
    head = ["set", "bands", "rms of the bands' medians, mag: real, simulated",
            "scatter in a band, mag", "scatter over its error",
            "bands that differ from the twins', mag"]  # fmt: skip
    return markdown_table(head, body)


def band_table(found: dict[str, Any]) -> str:
    """Every band of the sets that have few; GALEX of the others."""
    body = []
    for name, entry in found.items():
        few = len(entry["real"]) <= 12
        for band, row in entry["real"].items():
            if not (few or band.startswith("galex")):
                continue
            twin = entry["simulated"].get(band, {})
            body.append(
                [name, f"`{band}`", str(row["n"]), shown(row.get("mag"), form="+.3f"),
                 shown(twin.get("mag"), form="+.3f"), f"{row['sigma']:+.2f}",
                 f"{row['width']:.2f}"]
            )  # fmt: skip
    head = ["set", "band", "rows", "median, mag, real", "simulated", "median over error, real",
            "scatter over error, real"]  # fmt: skip
    return markdown_table(head, body)


def rival_tables(found: dict[str, Any]) -> str:
    """jpassed and the variants of eazy-py, set by set."""
    parts = []
    for name, entry in found.items():
        for place, methods in entry["rows"].items():
            body = [
                [method, *(shown(row.get(key), *UNITS[key][1:]) for key in PHOTOMETRIC)]
                for method, row in methods.items()
            ]
            count = next(iter(methods.values()))["n"]
            where = name if place == "all" else f"{name}, {place}"
            table = markdown_table(["method", *(UNITS[key][0] for key in PHOTOMETRIC)], body)
            parts.append(f"**{where}**, {count} rows\n\n{table}")
    return "\n\n".join(parts)


def loss_list(found: dict[str, Any]) -> str:
    """Where eazy-py is better by more than the standard error."""
    lines = [f"- {name}, {text}" for name, entry in found.items() for text in entry["better"]]
    return "\n".join(lines) if lines else "Nowhere."


def losses_in_short(figures: dict[str, Any]) -> str:
    """How many statistics eazy-py has better."""
    found = figures.get("eazy", {})
    counts = [f"{name}: {len(entry['better'])}" for name, entry in found.items()]
    return "eazy-py better by more than the standard error in " + (", ".join(counts) or "nothing")


def bars(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """The bars, what was measured, and whether they are met."""
    result: list[dict[str, Any]] = []

    def add(what: str, pair: dict[str, Row], name: str, limit: float, *, least: bool = False,
            unit: tuple[float, str] | None = None) -> None:  # fmt: skip
        scale, form = unit or UNITS[name][1:]
        value = pair["real"][name][0]
        size = abs(value) if name == "bias" else value
        result.append({
            "what": what,
            "bar": f"{'at least' if least else 'below'} {scale * limit:g}",
            "real": shown(pair["real"][name], scale, form),
            "simulated": shown(pair.get("simulated", {}).get(name), scale, form),
            "met": bool(size >= limit if least else size < limit),
        })  # fmt: skip

    rows = figures.get("brown", {}).get("redshift", {})
    limits = {"18": (0.004, 0.02), "19": (0.004, 0.02), "20": (0.004, 0.02), "21": (0.005, 0.04),
              "22": (0.008, 0.10)}  # fmt: skip
    for magnitude, (scatter, outliers) in limits.items():
        pair = rows.get(f"r = {magnitude}")
        if pair:
            where = f"Brown SEDs, r = {magnitude}"
            add(f"{where}: sigma_NMAD", pair, "sigma_nmad", scatter)
            add(f"{where}: beyond 0.05(1+z), %", pair, "outliers", outliers)
            add(f"{where}: abs(bias)", pair, "bias", 0.001)
    pair = figures.get("spectra", {}).get("redshift", {}).get("r = 19")
    if pair:
        add("J-spectra, r = 19: within 0.01(1+z), %", pair, "within", 0.98, least=True)
        add("J-spectra, r = 19: median abs(dz)/(1+z)", pair, "median", 0.002)
        lines = figures["spectra"]["lines"]["r = 19"]
        for line, limit in (("ew_halpha", 0.08), ("ew_oiii", 0.1)):
            if lines.get(line, {}).get("real", {}).get("n"):
                add(f"J-spectra, r = 19: {line} > 10 Å, rms, dex", lines[line], "rms", limit,
                    unit=(1.0, ".3f"))  # fmt: skip
                add(f"J-spectra, r = 19: {line} > 10 Å, 1.4826 MAD, dex", lines[line], "mad",
                    limit, unit=(1.0, ".3f"))  # fmt: skip
    rows = figures.get("sdss", {}).get("redshift", {})
    for name in ("ugriz + GALEX", "ugriz + GALEX, NUV detected"):
        if name in rows:
            add(f"SDSS galaxies, {name}: sigma_NMAD", rows[name], "sigma_nmad", 0.025)
    found = figures.get("sdss", {}).get("ultraviolet", {})
    for case in ("galex_nuv, z unknown", "galex_nuv, z known"):
        for kind in ("detected", "selection known"):
            if case in found:
                pair = {key: found[case][f"{key}, {kind}"] for key in ("real", "simulated")}
                add(f"NUV from ugriz, {case.split(', ')[1]}, {kind}: 68 % holds, %", pair,
                    "coverage", 0.05)  # fmt: skip
                value = pair["real"]["coverage"][0]
                result[-1] |= {"bar": "63 to 73", "met": bool(abs(value - 0.68) <= 0.05)}
    return result


def blocks(figures: dict[str, Any]) -> dict[str, str]:
    """The blocks of docs/real.md, by name; only those of parts that were measured."""
    found = {
        "run": f"Model `{figures['model']}`, weights `{figures['weights']}`; noise "
        + ", ".join(f"`{name}` ({digest})" for name, digest in figures["noise"].items())
        + f"; {sum(figures['seconds'].values()):.0f} s of CPU on one core.",
        "bars": markdown_table(
            ["what", "bar", "real", "simulated twins", ""],
            [[b["what"], b["bar"], b["real"], b["simulated"], "met" if b["met"] else "**missed**"]
             for b in figures["bars"]],
        ),
    }  # fmt: skip
    if "spectra" in figures:
        found["spectra"] = redshift_table(figures["spectra"]["redshift"], SPECTRAL, "depth")
        found["lines"] = line_table(figures["spectra"]["lines"])
        found["widths"] = line_table(figures["spectra"]["widths"], "width")
        found["objects"] = object_table(figures["spectra"]["objects"])
    if "brown" in figures:
        found["brown"] = redshift_table(figures["brown"]["redshift"], PHOTOMETRIC, "magnitude")
        found["share"] = redshift_table(figures["brown"]["share"], PHOTOMETRIC, "magnitude")
    if "desi" in figures:
        found["lrg"] = redshift_table(figures["desi"]["redshift"], SPECTRAL, "place")
        found["coverage"] = "\n".join(
            f"- {key}: {value}" for key, value in figures["desi"]["coverage"].items()
        )
    if "sdss" in figures:
        found["sdss"] = redshift_table(figures["sdss"]["redshift"], PHOTOMETRIC, "bands")
        found["colours"] = colour_table(figures["sdss"]["colours"])
        if "trees" in figures["sdss"]:
            found["trees"] = tree_table(figures["sdss"]["trees"])
        found["ultraviolet"] = ultraviolet_table(figures["sdss"]["ultraviolet"])
    if "vvds" in figures:
        found["vvds"] = redshift_table(figures["vvds"]["redshift"], PHOTOMETRIC, "magnitude")
    if "residuals" in figures:
        found["residuals"] = residual_table(figures["residuals"])
        found["residual bands"] = band_table(figures["residuals"])
    if "eazy" in figures:
        found["eazy"] = rival_tables(figures["eazy"])
        found["eazy better"] = loss_list(figures["eazy"])
    return found
