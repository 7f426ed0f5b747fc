"""Five situations, simulated galaxies beside real ones: how good, how honest, what is flagged.

    PYTHONPATH=. python benchmarks/situations.py FOLDER [--model default] [--each N]
        [--cache CACHE] [--markdown docs/situations.md] [--table docs/_static/situations.ecsv]

In distribution; bands missing; zero points off; redshifts beyond the training; QSOs and stars.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from astropy.table import Table
from markdown_blocks import markdown_table, replace_block, shown_command
from situation_changes import situations
from situation_samples import (
    PIVOTS,
    Sample,
    beyond,
    brown,
    pickles,
    qso_templates,
    simulated,
    spectra,
    table_of,
)
from situation_scores import (
    BINS,
    FIGURES,
    by_magnitude,
    claimed,
    flag_shares,
    posterior_figures,
)

import jpassed
from jpassed.annotation import FLAGS

logger = logging.getLogger("situations")

Row = dict[str, Any]
FLAGGED_ROWS = 500
TRAINED_TO = 1.2
FORMATS = {
    "n": "{:.0f}", "bias": "{:+.4f}", "NMAD": "{:.4f}", "out05": "{:.1f}", "out15": "{:.1f}",
    "NLL": "{:+.2f}", "CRPS": "{:.4f}", "cov68": "{:.0f}", "cov95": "{:.0f}", "sigma": "{:.4f}",
}  # fmt: skip
HEADS = {
    "out05": "> 0.05, %", "out15": "> 0.15, %", "cov68": "68 % holds", "cov95": "95 % holds",
    "sigma": "stated sigma", "NMAD": "sigma_NMAD",
}  # fmt: skip


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the shared data")
    parser.add_argument("--model", default="default")
    parser.add_argument("--each", type=int, default=500, help="simulated galaxies a magnitude bin")
    parser.add_argument("--cache", type=Path, default=None)
    parser.add_argument("--markdown", type=Path, default=None)
    parser.add_argument("--table", type=Path, default=None, help="ECSV of every figure")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    logger.setLevel(logging.INFO)
    torch.set_num_threads(1)
    model = jpassed.load_model(options.model)
    began = time.process_time()
    samples = {
        "simulated": simulated(options.folder, options.each, options.cache),
        "Brown": brown(options.folder),
    }
    rows, flags = changed(samples, model)
    far = beyond(options.folder, options.each, options.cache)
    rows += measured("beyond training", "1.2 < z < 2", "simulated", far, model)
    flags.append({"name": "1.2 < z < 2", "sample": "simulated", **flagged(far, model)})
    intruders = {
        "QSO spectra": spectra(options.folder, "QSO"),
        "QSO templates": qso_templates(options.folder),
        "star spectra": spectra(options.folder, "STAR"),
        "Pickles stars": pickles(options.folder),
    }
    more, claims, own = intruding(intruders, model)
    text = report(rows + more, flags, claims, own)
    note = (
        f"Model {model.name} {model.digest[:12]}, `PYTHONPATH=. python "
        f"{shown_command(sys.argv)} --markdown docs/situations.md`, "
        f"{time.process_time() - began:.0f} s of one core."
    )
    print(f"{note}\n\n{text}")
    if options.table:
        write_table(rows + more, options.table, model.digest)
    if options.markdown:
        replace_block(options.markdown, "situations", f"{note}\n\n{text}")


def measured(situation: str, name: str, kind: str, sample: Sample, model: Any) -> list[Row]:
    """Figures of a sample with true redshifts, by magnitude."""
    truth = known_redshift(sample)
    table = table_of(sample.flux, sample.error, sample.observed)
    own = posterior_figures(table, model, truth)
    return [
        {"situation": situation, "name": name, "sample": kind, "r": bin_, **figures}
        for bin_, figures in by_magnitude(own, truth, sample.magnitude).items()
    ]


def known_redshift(sample: Sample) -> np.ndarray:
    """True redshifts.

    Raises
    ------
    ValueError
        A sample without them.
    """
    if sample.z is None:
        raise ValueError("these objects have no redshift to compare with")
    return sample.z


def flagged(sample: Sample, model: Any) -> dict[str, float]:
    """Shares of the flags."""
    table = table_of(sample.flux, sample.error, sample.observed)
    return flag_shares(table, model, FLAGGED_ROWS)


def changed(samples: dict[str, Sample], model: Any) -> tuple[list[Row], list[Row]]:
    """Every change of every sample of galaxies."""
    rows: list[Row] = []
    flags: list[Row] = []
    for name, (situation, change) in situations().items():
        logger.info("%s: %s", situation, name)
        for kind, sample in samples.items():
            place = sample.magnitude
            flux, error, seen = change(sample.flux, sample.error, sample.observed, PIVOTS)
            table = table_of(flux, error, seen)
            truth = known_redshift(sample)
            own = posterior_figures(table, model, truth)
            rows += [
                {"situation": situation, "name": name, "sample": kind, "r": bin_, **figures}
                for bin_, figures in by_magnitude(own, truth, place).items()
            ]
            shares = flag_shares(table, model, FLAGGED_ROWS)
            flags.append({"name": name, "sample": kind, **shares})
    return rows, flags


def intruding(intruders: dict[str, Sample], model: Any) -> tuple[list[Row], list[Row], list[Row]]:
    """QSOs inside the range of training as galaxies would be scored, and what is claimed of all."""
    rows: list[Row] = []
    claims: list[Row] = []
    flags: list[Row] = []
    for name, sample in intruders.items():
        logger.info("intruders: %s", name)
        table = table_of(sample.flux, sample.error, sample.observed)
        claims.append({"name": name, **claimed(table, model)})
        flags.append({"name": name, "sample": "", **flagged(sample, model)})
        if sample.z is None:
            continue
        inside = sample.z < TRAINED_TO
        near = Sample(
            sample.flux[inside], sample.error[inside], sample.observed[inside], sample.z[inside]
        )
        rows += measured("intruders", f"{name}, z < 1.2", "", near, model)
    return rows, claims, flags


def cell(figure: str, value: float) -> str:
    """A figure as text."""
    if np.isnan(value):
        return "-"
    return FORMATS[figure].format(value) if np.isfinite(value) else "infinite"


def report(rows: list[Row], flags: list[Row], claims: list[Row], own: list[Row]) -> str:
    """Markdown of everything."""
    parts = []
    heads = [HEADS.get(f, f) for f in FIGURES]
    for situation in dict.fromkeys(row["situation"] for row in rows):
        body = [
            [row["name"], row["sample"], *(cell(f, row[f]) for f in FIGURES)]
            for row in rows
            if row["situation"] == situation and row["r"] == "all"
        ]
        title = f"### {situation.capitalize()}"
        parts.append(f"{title}\n\n{markdown_table(['', 'galaxies', *heads], body)}")
    parts.append(f"### By magnitude\n\n{magnitude_table(rows)}")
    parts.append(f"### What is claimed of QSOs and stars\n\n{claim_table(claims)}")
    parts.append(f"### What is flagged\n\n{flag_table(flags + own)}")
    return "\n\n".join(parts)


def magnitude_table(rows: list[Row]) -> str:
    """sigma_NMAD, outliers and coverage of each bin."""
    body = []
    for key in dict.fromkeys((row["name"], row["sample"]) for row in rows):
        cells = []
        for bin_ in BINS:
            (row,) = [r for r in rows if (r["name"], r["sample"]) == key and r["r"] == bin_]
            shown = " / ".join(cell(f, row[f]) for f in ("NMAD", "out05", "cov68"))
            cells.append(shown if row["n"] >= 10 else "-")
        body.append([*key, *cells])
    return markdown_table(["sigma_NMAD / > 0.05, % / 68 % holds", "galaxies", *BINS], body)


def claim_table(claims: list[Row]) -> str:
    """What a user would read."""
    head = ["", "n", "z: 16, 50, 84 %", "stated sigma", "stated sigma < 0.01, %"]
    body = [
        [c["name"], str(c["n"]), f"{c['z16']:.2f}, {c['z50']:.2f}, {c['z84']:.2f}",
         f"{c['sigma']:.4f}", f"{c['confident']:.0f}"]
        for c in claims
    ]  # fmt: skip
    return markdown_table(head, body)


def flag_table(flags: list[Row]) -> str:
    """Per cent of rows with each bit that any row has."""
    names = [bit.name or str(int(bit)) for bit in FLAGS]
    shown = [name for name in names if any(row[name] > 0 for row in flags)]
    body = [
        [row["name"], row["sample"], *(f"{row[n]:.1f}" for n in (*shown, "any"))] for row in flags
    ]
    return markdown_table(["% of rows", "galaxies", *shown, "any"], body)


def write_table(rows: list[Row], path: Path, digest: str) -> None:
    """Every figure as ECSV."""
    table = Table(rows)
    for figure in FIGURES:
        table[figure] = np.round(np.asarray(table[figure], dtype=float), 5)
    table.meta["weights"] = digest
    table.write(path, format="ascii.ecsv", overwrite=True)


if __name__ == "__main__":
    main()
