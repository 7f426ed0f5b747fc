"""Simulated galaxies for other benchmarks: what is drawn, with which noise, kept in a cache.

    PYTHONPATH=. python benchmarks/simulated_sample.py FOLDER --cache CACHE [--n N]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from astropy.table import QTable, vstack
from numpy.typing import NDArray

from jpassed.filters import load_filters
from jpassed.jspectrum.error_model import load_noise
from jpassed.simulation import simulate
from jpassed.simulator import GalaxySimulator, read_ssp
from jpassed.simulator.galaxies import LABELS
from jpassed.simulator.noise import NoiseModel

SSP = ("ssp/ssp_bc03_lr_chabrier.npz", "ssp/ssp_emiles_kroupa.npz")
SHARES = (0.3, 0.7)
LINES = "ssp/fsps_nebular/ZAU_ND_mist.lines"
"""What the embedded model was trained with."""

SEED = 20261121
"""Trainings have seeds of their own, and validate on 424242."""

EDGES = (0.0, 20.0, 21.0, 22.0, 22.7)
BANDS = tuple(load_filters("jpas").names)
"""56 narrow bands, uJPAS, g, r, i."""

Array = NDArray[np.float64]


def natural_sample(folder: Path, n: int, cache: Path | None, seed: int = SEED) -> QTable:
    """n galaxies of the natural prior in the J-PAS bands, with the noise of minijpas-v1."""
    return kept(cache, f"natural-{n}-{seed}", lambda: simulated(folder, n, seed))


def stratified_sample(folder: Path, each: int, cache: Path | None, seed: int = SEED) -> QTable:
    """`each` galaxies of every magnitude bin, of the natural prior at that magnitude."""

    def make() -> QTable:
        parts: list[QTable] = []
        count = [0] * (len(EDGES) - 1)
        turn = 0
        while min(count) < each:
            table = simulated(folder, max(4000, 8 * each), seed + turn)
            bin_of = np.digitize(noisy_magnitude(table), EDGES) - 1
            for i in range(len(count)):
                rows = np.flatnonzero(bin_of == i)[: each - count[i]]
                parts.append(table[rows])
                count[i] += len(rows)
            turn += 1
        joined = vstack(parts, metadata_conflicts="silent")
        order = np.argsort(np.digitize(noisy_magnitude(joined), EDGES), kind="stable")
        return joined[order]

    return kept(cache, f"stratified-{each}-{seed}", make)


def simulated(folder: Path, n: int, seed: int) -> QTable:
    """A table of `jpassed.simulate` without GALEX."""
    return simulate(
        n, seed=seed, ssp=[folder / path for path in SSP], lines=folder / LINES, shares=SHARES,
        galex=None,
    )  # fmt: skip


def kept(cache: Path | None, name: str, make: object) -> QTable:
    """A table from the cache, or made and put there (masked truths as NaN)."""
    if cache is None:
        return make()  # type: ignore[operator]
    path = cache / f"{name}.fits"
    if not path.exists():
        table = make()  # type: ignore[operator]
        cache.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp.fits")
        table.write(temporary, overwrite=True)
        temporary.replace(path)
    return QTable.read(path)


def simulator(
    folder: Path, *, balance: float = 1.0, bands: tuple[str, ...] = ("jpas",)
) -> GalaxySimulator:
    """The simulator of the trainings; `balance` 0 draws the natural prior."""
    passbands = [band for name in bands for band in load_filters(name)]
    return GalaxySimulator(
        [read_ssp(folder / path) for path in SSP],
        [(b.name, b.wave, b.throughput) for b in passbands],
        lines=folder / LINES, shares=SHARES, balance=balance,
    )  # fmt: skip


def library(
    folder: Path, n: int, cache: Path | None, *, balance: float = 1.0, seed: int = SEED + 500
) -> dict[str, Array]:
    """n noise-free galaxies to true r < 23.5, drawn as in a training (before its weighting).

    Returns
    -------
    dict
        ``flux`` (n, 60) in microjansky, ``mag_r`` and ``log_weight`` (ln of the drawn over the
        natural density), and every label; NaN where a label is no target.
    """
    path = None if cache is None else cache / f"library-{n}-{balance:g}-{seed}.npz"
    if path is not None and path.exists():
        with np.load(path) as stored:
            return {key: stored[key] for key in stored.files}
    source = simulator(folder, balance=balance)
    generator = torch.Generator().manual_seed(seed)
    parts: list[dict[str, Array]] = []
    count = 0
    while count < n:
        sample = source.sample(8192, generator)
        good = ((sample.mag_r < 23.5) & torch.isfinite(sample.bandflux).all(-1)).numpy()
        part = {
            name: np.where(sample.observable[name].numpy(), sample.labels[name].numpy(), np.nan)
            for name in LABELS
        }
        part |= {
            "flux": sample.bandflux.numpy(),
            "mag_r": sample.mag_r.numpy(),
            "log_weight": sample.log_weight.numpy(),
        }
        parts.append({key: value[good] for key, value in part.items()})
        count += int(good.sum())
    joined = {key: np.concatenate([p[key] for p in parts])[:n] for key in parts[0]}
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp.npz")
        np.savez(temporary, **joined)  # type: ignore[arg-type]
        temporary.replace(path)
    return joined


def add_noise(flux: Array, seed: int) -> tuple[Array, Array]:
    """Noise of minijpas-v1 on bandfluxes (N, 60): noisy values and their stated errors."""
    model = load_noise("minijpas-v1").select(BANDS)
    generator = torch.Generator().manual_seed(seed)
    noise = NoiseModel(model.arrays())
    noisy, error = noise.apply(torch.from_numpy(np.asarray(flux, np.float32)), generator=generator)
    return noisy.numpy().astype(float), error.numpy().astype(float)


def photometry_table(flux: Array, error: Array) -> QTable:
    """A table of bandfluxes that `jpassed.annotate` reads."""
    from astropy import units as u

    table = QTable()
    for i, band in enumerate(BANDS):
        table[band] = flux[:, i] * u.uJy
        table[f"{band}_err"] = error[:, i] * u.uJy
    return table


def fluxes(table: QTable) -> tuple[Array, Array]:
    """Bandfluxes and errors (N, 60) of a table, microjansky."""
    columns = [np.stack([np.asarray(table[f"{b}{end}"].value) for b in BANDS], 1)
               for end in ("", "_err")]  # fmt: skip
    return columns[0].astype(float), columns[1].astype(float)


def noisy_magnitude(table: QTable) -> Array:
    """AB magnitude of the noisy r bandflux."""
    flux = np.asarray(table["rSDSS"].value, dtype=float)
    return -2.5 * np.log10(np.maximum(flux, 1e-9) / 3631e6)


def truth(table: QTable, name: str) -> Array:
    """True values of a quantity, NaN where it is no target."""
    column = table[f"true_{name}"]
    filled = np.ma.filled(np.ma.asarray(getattr(column, "value", column), dtype=float), np.nan)
    return np.asarray(filled, dtype=float)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the shared data")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--n", type=int, default=20000)
    options = parser.parse_args()
    table = natural_sample(options.folder, options.n, options.cache)
    counts, _ = np.histogram(noisy_magnitude(table), EDGES)
    print(f"{len(table)} galaxies; by magnitude {counts.tolist()}")


if __name__ == "__main__":
    main()
