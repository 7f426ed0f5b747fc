"""A cheap relative of refinement: every galaxy of a library, weighted by its likelihood."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.table import QTable
from simulated_sample import BANDS, library

from jpassed.posteriors import Posterior
from jpassed.refinement.marginals import marginal
from jpassed.refinement.prior import SkyPrior
from jpassed.vocabulary import load_vocabulary

QUANTITIES = ("z", "logmstar", "av", "ew_halpha")
MODEL_ERROR = 0.03
"""Zero points, and what a finite library lacks: a share of the flux."""

AT_ONCE = 64


def library_posterior(
    table: QTable, folder: Path, n: int, cache: Path | None
) -> tuple[Posterior, np.ndarray]:
    """Posteriors of a table's objects from n library galaxies, and their effective numbers.

    The likelihood of galaxy i at its best amplitude, integrated over the amplitude, is three matrix
    products; its prior is that of its redshift at the amplitude's magnitude.
    """
    import torch

    galaxies = library(folder, n, cache)
    model = galaxies["flux"].astype(np.float64)
    model = model / galaxies["flux"][:, [BANDS.index("rSDSS")]]
    z = galaxies["z"].astype(float)
    edges = np.linspace(0.0, 1.21, 122) ** 1.0
    counts, _ = np.histogram(z, edges)
    drawn = np.log(np.maximum(counts, 1)[np.clip(np.digitize(z, edges) - 1, 0, len(counts) - 1)])
    sky = SkyPrior()
    zeta = torch.from_numpy(np.log1p(z))
    weights, effective = [], []
    for start in range(0, len(table), AT_ONCE):
        flux, error = (values[start : start + AT_ONCE] for values in photometry(table))
        inverse = 1.0 / (error**2 + (MODEL_ERROR * flux) ** 2)
        square = inverse @ (model**2).T  # (O, n)
        cross = (inverse * flux) @ model.T
        amplitude = np.maximum(cross / square, 1e-9)  # the r bandflux, microjansky
        chi2 = (inverse * flux**2).sum(1)[:, None] - cross**2 / square
        mag = -2.5 * np.log10(amplitude / 3631e6)
        prior = np.stack([sky.log_density(zeta, torch.from_numpy(m)).numpy() for m in mag])
        # d(mag) = d(ln amplitude): the width of the amplitude in magnitudes
        log_w = -0.5 * chi2 - 0.5 * np.log(square) - np.log(amplitude)
        log_w += prior - zeta.numpy() - drawn  # both densities per unit redshift
        w = np.exp(log_w - log_w.max(axis=1, keepdims=True))
        weights.append(w / w.sum(axis=1, keepdims=True))
        effective.append(1.0 / (weights[-1] ** 2).sum(axis=1))
    effective_all = np.concatenate(effective)
    words = load_vocabulary()
    rows = np.concatenate(weights)
    found = {}
    for q in QUANTITIES:
        values = np.where(np.isfinite(galaxies[q]), galaxies[q], 0.0)
        parts = [
            marginal(np.broadcast_to(values, w.shape), w, e, words[q])
            for w, e in zip(
                np.array_split(rows, len(weights)), np.array_split(effective_all, len(weights)),
                strict=True,
            )
        ]  # fmt: skip
        found[q] = type(parts[0]).concatenate(parts)
    return Posterior(found), effective_all


def photometry(table: QTable) -> tuple[np.ndarray, np.ndarray]:
    """Bandfluxes and errors (N, 60) of the J-PAS bands, microjansky."""
    out = []
    for end in ("", "_err"):
        columns = [table[f"{band}{end}"] for band in BANDS]
        out.append(np.stack([np.asarray(getattr(c, "value", c), dtype=float) for c in columns], 1))
    return out[0], out[1]
