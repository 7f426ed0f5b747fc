"""Accuracy of a model on simulated galaxies and on real ones: the figures of the model card.

    python benchmarks/accuracy.py ../shared/data --model default -o accuracy.json
        [--markdown docs/accuracy.md]

Simulated: galaxies of the declared prior with the noise of ``minijpas-v1`` (seed 20261120, never
trained on). Real: SDSS and BOSS galaxy spectra as J-spectra scaled to r = 19, with 50 draws of
survey noise; the SEDs of Brown et al. (2014) at several redshifts and magnitudes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_labels import half_missing, label_table, line_table, main_labels, markdown
from astropy.table import QTable
from markdown_blocks import replace_block, shown_command
from real_spectra import brown_jspectra, real_galaxy_jspectra

import jpassed
from jpassed.annotation import infer
from jpassed.evaluation import (
    bias,
    bootstrap_interval,
    coverage,
    dex_residual,
    fraction_within,
    outlier_fraction,
    pit,
    sigma_nmad,
)
from jpassed.jspectrum.error_model import load_noise
from jpassed.simulation import simulate
from jpassed.vocabulary import load_vocabulary

SEED = 20261120
EDGES = (0.0, 20.0, 21.0, 22.0, 22.7)
LABELS = load_vocabulary().scalars
DRAWS = 50


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the shared data")
    parser.add_argument("--model", default="default")
    parser.add_argument("--n", type=int, default=20000, help="simulated galaxies")
    parser.add_argument("--ssp", nargs="+", default=None)
    parser.add_argument("--lines", default=None)
    parser.add_argument("-o", "--output", type=Path, default=None)
    parser.add_argument("--no-brown", action="store_true")
    parser.add_argument("--markdown", type=Path, default=None, help="page to put the tables into")
    options = parser.parse_args()
    ssp = options.ssp or [
        str(options.folder / "ssp" / f"ssp_{name}.npz")
        for name in ("bc03_lr_chabrier", "emiles_kroupa")
    ]
    lines = options.lines or str(options.folder / "ssp" / "fsps_nebular" / "ZAU_ND_mist.lines")
    model = jpassed.load_model(options.model)
    figures: dict[str, Any] = {
        "model": model.name,
        "weights": model.digest,
        "noise": load_noise("minijpas-v1").digest[:16],
        "command": shown_command(sys.argv),
    }
    shares = (0.3, 0.7) if len(ssp) == 2 else None
    table = simulate(options.n, seed=SEED, ssp=ssp, lines=lines, shares=shares)
    figures["simulated"] = simulated(table, model)
    figures["missing bands"] = missing_bands(table, model)
    figures["half missing"] = half_missing(table[: max(1, options.n // 2)], model, LABELS, SEED)
    figures["real spectra"] = real(options.folder, model)
    if not options.no_brown:
        figures["brown"] = brown(options.folder, model)
    text = json.dumps(figures, indent=1, default=float)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")
    if options.markdown:
        replace_block(options.markdown, "accuracy", markdown(figures))


def simulated(table: QTable, model: Any) -> dict[str, Any]:
    """Redshift by magnitude, and calibration of every label."""
    began = time.perf_counter()
    posterior = infer(table, model=model, outputs=LABELS)
    seconds = time.perf_counter() - began
    z, true = posterior.median("z"), np.asarray(table["true_z"], dtype=float)
    magnitude = -2.5 * np.log10(table["rSDSS"].value / 3631e6)
    result: dict[str, Any] = {"objects": len(table), "objects/s (infer)": len(table) / seconds}
    result["redshift"] = by_magnitude(z, true, magnitude)
    result["labels"] = label_table(posterior, table)
    result["main labels"] = main_labels(posterior, table, magnitude)
    result["lines"] = line_table(posterior, table, magnitude)
    return result


def by_magnitude(z: np.ndarray, true: np.ndarray, magnitude: np.ndarray) -> dict[str, Any]:
    """The usual statistics in magnitude bins."""
    rows = {}
    for low, high in zip(EDGES[:-1], EDGES[1:], strict=True):
        here = (magnitude >= low) & (magnitude < high)
        if here.any():
            rows[f"{low:g}-{high:g}"] = {
                "n": int(here.sum()),
                "bias": bias(z[here], true[here]),
                "sigma_nmad": sigma_nmad(z[here], true[here]),
                "outliers_0.05": outlier_fraction(z[here], true[here], 0.05),
            }
    return rows


def missing_bands(table: QTable, model: Any) -> dict[str, Any]:
    """sigma_NMAD and mean sigma of redshift with fewer and fewer bands."""
    rng = np.random.default_rng(SEED)
    bands = [c for c in table.colnames if f"{c}_err" in table.colnames]
    order = rng.permutation(bands)
    sample = table[: min(len(table), 4000)]
    true = np.asarray(sample["true_z"], dtype=float)
    rows = {}
    for count in (62, 45, 30, 15, 7, 3, 1):
        kept = [c for b in order[:count] for c in (b, f"{b}_err")]
        posterior = infer(sample[kept], model=model, outputs=("z",))
        z = posterior.median("z")
        low, high = posterior.quantile("z", [0.16, 0.84]).T
        rows[str(count)] = {
            "sigma_nmad": sigma_nmad(z, true),
            "median half 16-84": float(np.median(high - low) / 2),
            "finite": bool(np.isfinite(z).all() and np.isfinite(high - low).all()),
        }
    return rows


def noisy_draws(
    table: QTable, draws: int, noise_name: str = "minijpas-v1", seed: int = SEED
) -> tuple[QTable, np.ndarray]:
    """Survey noise on noise-free (or spectral) bandfluxes, `draws` times.

    The stated error is the quadrature of the spectrum's and the survey's.
    """
    noise = load_noise(noise_name)
    bands = [b for b in noise.bands if b in table.colnames]
    model = noise.select(bands)
    flux = np.stack([np.ma.filled(np.ma.asarray(column(table, b)), np.nan) for b in bands], 1)
    error = np.stack(
        [np.ma.filled(np.ma.asarray(column(table, f"{b}_err", flux[:, i])), np.nan)
         for i, b in enumerate(bands)], 1,
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    rows = np.repeat(np.arange(len(table)), draws)
    known = np.isfinite(flux) & np.isfinite(error)
    filled = np.where(known, flux, 0.0)
    # An unobserved band must not make a galaxy small: the aperture law asks the r band.
    noisy, sigma = model.apply(filled[rows], rng)
    total = np.hypot(sigma, np.where(known, error, 0.0)[rows])
    result = QTable({"object": rows})
    for i, band in enumerate(bands):
        hidden = ~known[rows, i]
        result[band] = np.ma.masked_array(noisy[:, i], hidden)
        result[f"{band}_err"] = np.ma.masked_array(total[:, i], hidden)
        result[band].unit = result[f"{band}_err"].unit = "uJy"
    return result, rows


def column(table: QTable, name: str, like: np.ndarray | None = None) -> Any:
    """Values of a column (plain or Quantity, masked or not); zeros where there is none."""
    if name not in table.colnames:
        return np.zeros(len(table)) if like is None else np.zeros_like(like)
    entry = table[name]
    value = getattr(entry, "value", entry)
    if hasattr(value, "unmasked"):
        return np.ma.masked_array(value.unmasked, value.mask)
    if hasattr(entry, "mask") and not isinstance(value, np.ma.MaskedArray):
        return np.ma.masked_array(np.asarray(value), entry.mask)
    return value


def real(folder: Path, model: Any) -> dict[str, Any]:
    """Redshift and EW(Halpha) of the shared spectra with safe redshifts."""
    table = real_galaxy_jspectra(folder, magnitude=19.0)
    noisy, rows = noisy_draws(table, DRAWS)
    posterior = infer(noisy, model=model, outputs=("z", "ew_halpha"))
    true = np.asarray(table["z_spec"], dtype=float)[rows]
    z = posterior.median("z")
    dz = (z - true) / (1 + true)
    # Two spectra are of one galaxy: the bootstrap draws galaxies.
    galaxy = np.asarray(table["object"])[rows]
    result: dict[str, Any] = {
        "spectra": len(table), "galaxies": len(np.unique(galaxy)), "draws": DRAWS
    }  # fmt: skip

    def interval(statistic: Any) -> list[float]:
        return [float(v) for v in bootstrap_interval(statistic, (z, true), galaxy, 2000, SEED)]

    result["within 0.01(1+z)"] = fraction_within(z, true, 0.01)
    result["within 0.01(1+z) interval"] = interval(
        lambda a, b: fraction_within(a, b, 0.01)
    )
    result["median |dz|/(1+z)"] = float(np.median(np.abs(dz)))
    result["median |dz|/(1+z) interval"] = interval(
        lambda a, b: float(np.median(np.abs(a - b) / (1 + b)))
    )
    p = pit(posterior["z"], true)
    result["coverage"] = [float(c) for c in coverage(p, (0.68, 0.95))]
    result["by object"] = {
        str(table["name"][i]): {
            "z": float(true[rows == i][0]),
            "S/N": float(table["spec_sn"][i]) if "spec_sn" in table.colnames else None,
            "median dz": float(np.median(dz[rows == i])),
            "within 0.01": float(np.mean(np.abs(dz[rows == i]) < 0.01)),
        }
        for i in range(len(table))
    }
    by_quality(table, rows, dz, result)
    width = np.ma.filled(np.ma.asarray(column(table, "ew_halpha"), dtype=float), np.nan)
    strong = np.flatnonzero(width > 10.0)
    use = np.isin(rows, strong)
    guess = posterior.median("ew_halpha")
    dex = dex_residual(np.clip(guess[use], 1e-2, None), width[rows[use]])
    result["ew_halpha"] = {
        "objects": len(strong),
        "scatter dex (rms)": float(np.sqrt(np.mean((dex - dex.mean()) ** 2))),
        "scatter dex (1.4826 MAD)": float(1.4826 * np.median(np.abs(dex - np.median(dex)))),
        "bias dex": float(np.median(dex)),
        "rms interval": [
            float(v)
            for v in bootstrap_interval(
                lambda v: float(np.std(v)), dex, galaxy[use], 2000, SEED
            )
        ],
        "by object": {
            str(table["name"][i]): [float(width[i]), float(np.median(guess[rows == i]))]
            for i in strong
        },
    }
    return result


def by_quality(table: QTable, rows: np.ndarray, dz: np.ndarray, result: dict[str, Any]) -> None:
    """The same by the spectrum's own S/N."""
    quality = np.asarray(table["spec_sn"], dtype=float)
    split = float(np.median(quality))
    for label, chosen in (("below", quality <= split), ("above", quality > split)):
        here = chosen[rows]
        result[f"S/N {label} {split:.1f}"] = {
            "spectra": int(chosen.sum()),
            "within 0.01": float(np.mean(np.abs(dz[here]) < 0.01)),
            "median |dz|/(1+z)": float(np.median(np.abs(dz[here]))),
        }


def brown(folder: Path, model: Any) -> dict[str, Any]:
    """Redshift of the Brown+2014 SEDs at four magnitudes."""
    result = {}
    for magnitude in (18.0, 19.5, 21.0, 22.0):
        table = brown_jspectra(folder, r_mags=(magnitude,))
        noisy, rows = noisy_draws(table, 2)
        posterior = infer(noisy, model=model, outputs=("z",))
        true = np.asarray(table["true_z"], dtype=float)[rows]
        z = posterior.median("z")
        p = pit(posterior["z"], true)
        result[f"r = {magnitude:g}"] = {
            "n": len(z),
            "bias": bias(z, true),
            "sigma_nmad": sigma_nmad(z, true),
            "outliers_0.05": outlier_fraction(z, true, 0.05),
            "coverage_68": float(coverage(p, 0.68)),
        }
    return result


if __name__ == "__main__":
    main()
