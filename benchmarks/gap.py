"""Why real galaxies are harder than simulated ones: every cause changed alone, and measured.

    PYTHONPATH=. python benchmarks/gap.py FOLDER [--n N] [--cache CACHE] [--markdown docs/gap.md]

No network: a library of simulated galaxies is the likelihood of real ones (gap_library.py).
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gap_library import Array, Galaxies, GapLibrary
from gap_samples import BANDS, UGRIZ, broadened, brown, ebv, halves, sdss, shifted
from gap_variants import AB, ALONE, CLOSED, NARROW, NEAR_BROWN, Trial
from markdown_blocks import markdown_table, replace_block, shown_command

from jpassed.evaluation import bias, coverage, outlier_fraction, sigma_nmad
from jpassed.filters import find_band
from jpassed.units import ab_magnitude

logger = logging.getLogger("gap")

RED = 0.85
"""g - r from which a galaxy counts as red here."""

NARROW_FLOOR = 0.03
NARROW_SIZE = 30000
REST_EDGES = (3500, 3800, 4100, 4500, 5000, 5500, 6000, 6500, 7000)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the shared data")
    parser.add_argument("--n", type=int, default=300, help="galaxies of each half")
    parser.add_argument("--size", type=int, default=80_000, help="galaxies of a library")
    parser.add_argument("--cache", type=Path, default=None)
    parser.add_argument("--markdown", type=Path, default=None)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    logger.setLevel(logging.INFO)
    torch.set_num_threads(1)
    began = time.process_time()
    broad = Broad(options.folder, options.n, options.size, options.cache)
    alone = [broad.trial(trial, 0) for trial in ALONE]
    closed = [broad.trial(trial, 1) for trial in CLOSED]
    dust = broad.against_extinction()
    narrow = [narrow_row(options.folder, name, own, options.cache) for name, own in NARROW]
    blocks = {
        "alone": broad_table(alone),
        "closed": broad_table(closed),
        "extinction": extinction_table(dust),
        "narrow": narrow_table(narrow),
        "widths": width_table(options.folder),
    }
    seconds = time.process_time() - began
    blocks["command"] = (
        f"`PYTHONPATH=. python {shown_command(sys.argv)} --markdown docs/gap.md`, "
        f"{seconds:.0f} s of one core, libraries of {options.size} galaxies, {options.n} real ones "
        "in each half."
    )
    for name, text in blocks.items():
        print(f"{name}\n{text}\n")
        if options.markdown:
            replace_block(options.markdown, name, text)


class Broad:
    """SDSS galaxies in ugriz against libraries: two halves, one to tune and one to test on."""

    def __init__(self, folder: Path, n: int, size: int, cache: Path | None) -> None:
        self.folder, self.size, self.cache, self.n = folder, size, cache, n
        self.passbands = [find_band(band) for band in BANDS]

    def half(self, trial: Trial, half: int) -> Galaxies:
        """The galaxies of a trial."""
        own = halves(sdss(self.folder, trial.aperture), self.n)[half].only(UGRIZ)
        change = np.subtract(AB[trial.offsets], AB["as read"])
        return shifted(own, change.tolist())

    def trial(self, trial: Trial, half: int) -> dict[str, Any]:
        """Figures of a trial on a half."""
        logger.info("%s: %s", trial.cause, trial.name)
        galaxies = self.half(trial, half)
        library = GapLibrary(
            self.folder, self.passbands, "sdss_r", self.size, trial.variant, self.cache
        )
        posterior = library.redshifts(galaxies)
        residual, _, evidence = library.residuals(galaxies)
        mag = ab_magnitude(galaxies.flux[:, : len(UGRIZ)])
        red = mag[:, 1] - mag[:, 2] > RED
        z = galaxies.z
        return {
            "cause": trial.cause,
            "name": trial.name,
            "evidence": float(evidence.mean()),
            "bias": bias(posterior["median"], z),
            "NMAD": sigma_nmad(posterior["median"], z),
            "out": 100 * outlier_fraction(posterior["median"], z, 0.05),
            "log": float(posterior["log"].mean()),
            "cov": 100 * float(coverage(posterior["pit"], 0.68)),
            "red": np.nanmedian(residual[red][:, : len(UGRIZ)], axis=0),
            "blue": np.nanmedian(residual[~red][:, : len(UGRIZ)], axis=0),
        }

    def against_extinction(self) -> list[tuple[str, float, float]]:
        """Slope of each band's residual with E(B-V), and its error by bootstrap."""
        trial = CLOSED[3]
        galaxies = self.half(trial, 0)
        library = GapLibrary(
            self.folder, self.passbands, "sdss_r", self.size, trial.variant, self.cache
        )
        residual, _, _ = library.residuals(galaxies)
        dust = ebv(self.folder, galaxies)
        rng = np.random.default_rng(1)
        out = []
        for i, band in enumerate(UGRIZ):
            y = np.clip(residual[:, i], *np.quantile(residual[:, i], [0.02, 0.98]))
            draws = [rng.integers(0, len(y), len(y)) for _ in range(300)]
            slopes = [np.polyfit(dust[rows], y[rows], 1)[0] for rows in draws]
            out.append((band, float(np.polyfit(dust, y, 1)[0]), float(np.std(slopes))))
        return out


def narrow_row(folder: Path, name: str, variant: Any, cache: Path | None) -> dict[str, Any]:
    """J-PAS bands of the Brown SEDs at z = 0.1, their observed part, against a library."""
    logger.info("J-PAS bands: %s", name)
    galaxies = brown(folder)
    library = GapLibrary(
        folder, [find_band(band) for band in galaxies.bands], "rSDSS", NARROW_SIZE,
        replace(variant, redshift=NEAR_BROWN, r_limit=20.0), cache, kernel=3.0,
    )  # fmt: skip
    residual, _, evidence = library.residuals(galaxies, NARROW_FLOOR)
    rest = np.array([b.pivot_wavelength for b in library.passbands]) / (1.0 + galaxies.z[0])
    narrow = np.array([b.equivalent_width < 300 for b in library.passbands])
    place = np.where(narrow, np.digitize(rest, REST_EDGES), 0)
    curve = [float(np.nanmedian(residual[:, place == i])) for i in range(1, len(REST_EDGES))]
    return {
        "name": name,
        "evidence": float(evidence.mean()),
        "rms": 1.4826 * float(np.nanmedian(np.abs(residual[:, narrow]))),
        "curve": curve,
    }


def broad_table(rows: Sequence[dict[str, Any]]) -> str:
    """Trials as Markdown, the evidence relative to the first."""
    head = [
        "cause", "changed", "ln p a galaxy", "bias", "sigma_NMAD", "> 0.05, %", "ln p(z)",
        "68 % holds", "residuals u, g, r, i, z: red", "blue",
    ]  # fmt: skip
    body = []
    for row in rows:
        first = rows[0]["evidence"]
        change = f"{first:.2f}" if row is rows[0] else f"{row['evidence'] - first:+.2f}"
        body.append(
            [row["cause"], row["name"], change, f"{row['bias']:+.4f}", f"{row['NMAD']:.4f}",
             f"{row['out']:.1f}", f"{row['log']:.2f}", f"{row['cov']:.0f}",
             millimagnitudes(row["red"]), millimagnitudes(row["blue"])]
        )  # fmt: skip
    return markdown_table(head, body)


def millimagnitudes(values: Array | Sequence[float]) -> str:
    """Residuals in thousandths of a magnitude."""
    return ", ".join(f"{1000 * value:+.0f}" for value in values)


def extinction_table(rows: Sequence[tuple[str, float, float]]) -> str:
    """Slopes as Markdown."""
    body = [[band, f"{slope:+.2f}", f"{error:.2f}"] for band, slope, error in rows]
    return markdown_table(["band", "residual over E(B-V)", "error"], body)


def narrow_table(rows: Sequence[dict[str, Any]]) -> str:
    """J-PAS bands as Markdown."""
    ranges = [f"{a}-{b}" for a, b in zip(REST_EDGES, REST_EDGES[1:], strict=False)]
    first = rows[0]["evidence"]
    body = [
        [row["name"],
         f"{first:.1f}" if row is rows[0] else f"{row['evidence'] - first:+.1f}",
         f"{1000 * row['rms']:.0f}", *(f"{1000 * value:+.0f}" for value in row["curve"])]
        for row in rows
    ]  # fmt: skip
    return markdown_table(["library", "ln p a galaxy", "scatter", *ranges], body)


def width_table(folder: Path) -> str:
    """What the velocity dispersion changes in narrow bands."""
    body = []
    for velocity in (150.0, 300.0):
        change = np.abs(broadened(folder, velocity))
        body.append(
            [f"{velocity:.0f} km/s", f"{np.nanmedian(change):.2f}",
             f"{np.nanquantile(change, 0.95):.2f}", f"{np.nanmax(change):.1f}"]
        )  # fmt: skip
    return markdown_table(["smoothed by", "median, %", "95 %", "largest"], body)


if __name__ == "__main__":
    main()
