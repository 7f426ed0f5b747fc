"""What bfloat16 changes: log scores, redshifts and coverage against float32, object by object.

    PYTHONPATH=. python benchmarks/precision.py ../shared/data [--n 8000] [--cache FOLDER]
        [-o precision.json] [--markdown docs/speed.md]

Held-out simulated galaxies of the natural prior with the noise of minijpas-v1, known by all their
J-PAS bands, by a random half, by the broad bands alone, and with the redshift or all of the other
main labels as context; and real galaxy spectra as J-spectra with survey noise.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import noisy_draws
from accuracy_labels import true_values
from astropy.table import QTable
from markdown_blocks import replace_block, shown_command
from numpy.typing import NDArray
from real_spectra import real_galaxy_jspectra
from simulated_sample import natural_sample

import jpassed
from jpassed.annotation import DEFAULT_OUTPUTS, infer
from jpassed.evaluation import pit, sigma_nmad
from jpassed.filters import load_filters
from jpassed.posteriors import Posterior

PRECISIONS = ("float32", "bfloat16")
BROAD = ("uJPAS", "gSDSS", "rSDSS", "iSDSS")
GIVEN = ("logmstar", "logsfr", "av", "ur_rest")
SEED = 20261121
DRAWS = 50
"""Noise realisations of each real spectrum."""

Array = NDArray[np.float64]


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the shared data")
    parser.add_argument("--model", default="default")
    parser.add_argument("--n", type=int, default=8000, help="simulated galaxies")
    parser.add_argument("--cache", type=Path, default=None)
    parser.add_argument("--no-real", action="store_true")
    parser.add_argument("-o", "--output", type=Path, default=None)
    parser.add_argument("--markdown", type=Path, default=None, help="page to put the table into")
    options = parser.parse_args()
    model = jpassed.load_model(options.model)
    table = natural_sample(options.folder, options.n, options.cache)[: options.n]
    figures: dict[str, Any] = {
        "model": model.name,
        "weights": model.digest,
        "command": shown_command(sys.argv),
        "cases": {
            name: compared(part, truths, model, context)
            for name, (part, truths, context) in cases(table, options).items()
        },
    }
    text = json.dumps(figures, indent=1)
    print(text)
    if options.output is not None:
        options.output.write_text(text + "\n")
    if options.markdown is not None:
        replace_block(options.markdown, "precision", markdown(figures))


def cases(
    table: QTable, options: argparse.Namespace
) -> dict[str, tuple[QTable, dict[str, Array], dict[str, str]]]:
    """Tables with the truth of each quantity and the labels of the context."""
    truth = {name: true_values(table, name) for name in scored()}
    bands = list(load_filters("jpas").names)
    rng = np.random.default_rng(SEED)
    half = rng.random((len(table), len(bands))).argsort(axis=1) < len(bands) // 2
    broad = np.array([[band not in BROAD for band in bands]])
    none = np.zeros((1, len(bands)), dtype=bool)
    known = observed(table, bands, none)
    for name in ("z", *GIVEN):
        known[f"true_{name}"] = truth[name]
    without_z = {k: v for k, v in truth.items() if k != "z"}
    rest = {k: v for k, v in truth.items() if k not in GIVEN}
    found = {
        "60 bands": (observed(table, bands, none), truth, {}),
        "a random half": (observed(table, bands, half), truth, {}),
        "4 broad bands": (observed(table, bands, broad), truth, {}),
        "60 bands and redshift": (known, without_z, {"z": "true_z"}),
        "60 bands and 4 labels": (known, rest, {name: f"true_{name}" for name in GIVEN}),
    }
    if not options.no_real:
        spectra = real_galaxy_jspectra(options.folder, magnitude=19.0)
        noisy, rows = noisy_draws(spectra, DRAWS)
        found["real spectra"] = noisy, {"z": np.asarray(spectra["z_spec"], dtype=float)[rows]}, {}
    return found


def scored() -> list[str]:
    """Default outputs that simulated tables have the truth of."""
    return [name for name in DEFAULT_OUTPUTS if not name.startswith("flux:")]


def observed(table: QTable, bands: list[str], hidden: NDArray[np.bool_]) -> QTable:
    """The bands of a table, some of them masked."""
    mask = np.broadcast_to(hidden, (len(table), len(bands)))
    part = QTable()
    for i, band in enumerate(bands):
        for name in (band, f"{band}_err"):
            part[name] = np.ma.masked_array(np.asarray(table[name].value, dtype=float), mask[:, i])
            part[name].unit = "uJy"
    return part


def compared(
    table: QTable, truth: dict[str, Array], model: Any, context: dict[str, str]
) -> dict[str, Any]:
    """Differences of the two precisions in one table.

    Of bandfluxes, of which the table has no truth, values are drawn from the float32 posterior.
    """
    fluxes = [name for name in DEFAULT_OUTPUTS if name.startswith("flux:")]
    low, high = (
        infer(
            table, model=model, outputs=[*truth, *fluxes], context=context or None, precision=name,
            device="cpu",
        )
        for name in reversed(PRECISIONS)
    )  # fmt: skip
    drawn = {name: high[name].sample(1, np.random.default_rng(SEED))[:, 0] for name in fluxes}
    truth = {**truth, **drawn}
    rows = {name: _quantity(high, low, name, true) for name, true in truth.items()}
    result: dict[str, Any] = {
        "objects": len(table),
        "quantities": rows,
        "largest change of the mean log score": max(
            (abs(row["change of log score"]) for row in rows.values()), default=0.0
        ),
    }
    if "z" in truth:
        for name, posterior in zip(PRECISIONS, (high, low), strict=True):
            error = (posterior.median("z") - truth["z"]) / (1 + truth["z"])
            result[f"sigma NMAD, {name}"] = float(sigma_nmad(posterior.median("z"), truth["z"]))
            result[f"outliers, {name}"] = float(np.mean(np.abs(error) > 0.05))
    return result


def _quantity(high: Posterior, low: Posterior, name: str, true: Array) -> dict[str, float]:
    good = np.isfinite(true)
    scores = [p[name][good].logpdf(true[good]) for p in (high, low)]
    usable = np.isfinite(scores[0]) & np.isfinite(scores[1])
    change = (scores[1] - scores[0])[usable]
    moved = low.median(name) - high.median(name)
    width = np.diff(high.quantile(name, [0.16, 0.84]), axis=1)[:, 0] / 2
    pits = [np.sort(pit(p[name][good], true[good])) for p in (high, low)]
    return {
        "log score": float(scores[0][usable].mean()),
        "change of log score": float(change.mean()),
        "standard error of the change": float(change.std() / np.sqrt(len(change))),
        "scatter of the change": float(change.std()),
        "median shift in sigma": float(np.median(np.abs(moved / width))),
        "largest change of coverage": float(
            max(np.abs(_share(pits[0], q) - _share(pits[1], q)) for q in (0.5, 0.68, 0.9, 0.95))
        ),
    }


def _share(pits: Array, level: float) -> float:
    return float(np.mean(np.abs(pits - 0.5) < level / 2))


def markdown(figures: dict[str, Any]) -> str:
    """The table of the docs."""
    lines = [
        "| objects known by | largest change of a quantity's mean log score (nat) | of which "
        "quantity | sigma NMAD of redshift, float32 | bfloat16 | largest change of coverage |",
        "|---|---|---|---|---|---|",
    ]
    for name, case in figures["cases"].items():
        rows = case["quantities"]
        worst = max(rows, key=lambda q: abs(rows[q]["change of log score"]))
        nmad = [case.get(f"sigma NMAD, {p}") for p in PRECISIONS]
        shown = ["" if v is None else f"{v:.5f}" for v in nmad]
        cover = max(row["largest change of coverage"] for row in rows.values())
        lines.append(
            f"| {name} ({case['objects']}) | {rows[worst]['change of log score']:+.4f} | "
            f"`{worst}` | {shown[0]} | {shown[1]} | {cover:.4f} |"
        )
    return "\n".join([*lines, "", f"Measured with `{figures['command']}`."])


if __name__ == "__main__":
    main()
