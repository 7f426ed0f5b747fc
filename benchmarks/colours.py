"""Do real galaxies lie inside the simulated colour distribution?

    python benchmarks/colours.py [FOLDER] [--plot docs/_static/colours.png]

FOLDER holds `ssp/`, `catalogs/` and `templates/` (default: JPASSED_TEST_DATA, else ../shared/data).
Two samples of real galaxies: 7,000 SDSS galaxies (ugriz, dereddened) and the 90 SEDs of Brown et
al. (2014), redshifted to 0.01-0.8 and seen through J-PAS passbands. Colours are whitened by the
covariance of the simulated ones; a galaxy is inside when the distance to its 10th simulated
neighbour is below the 99th percentile of that distance among simulated galaxies themselves.
"redshift too" adds the redshift as one more coordinate.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from astropy.table import Table
from scipy.spatial import cKDTree

from jpassed.filters import load_filters
from jpassed.simulator import GalaxySimulator
from jpassed.units import ab_magnitude, air_to_vacuum

BROWN_BANDS = ("uJAVA", "J0430", "J0510", "J0590", "J0670", "J0750", "J0830", "J0910")
BROWN_REDSHIFTS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
# mag; Eisenstein, in kcorrect (Blanton & Roweis 2007, AJ 133, 734)
SDSS_TO_AB = np.array([-0.036, 0.012, 0.010, 0.028, 0.040])
LIBRARY = 30000


def passbands(names: list) -> list[tuple]:
    return [(band.name, band.wave, band.throughput) for band in names]


def simulator(folder: Path, bands: list, **options) -> GalaxySimulator:
    ssp = folder / "ssp"
    grids = [ssp / "ssp_bc03_lr_chabrier.npz", ssp / "ssp_emiles_kroupa.npz"]
    return GalaxySimulator(grids, passbands(bands), shares=(0.3, 0.7), **options)


def colours(magnitude: np.ndarray) -> np.ndarray:
    return magnitude[:, :-1] - magnitude[:, 1:]


def inside(simulated: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Whether each real galaxy lies inside the simulated distribution (see the module)."""
    root = np.linalg.cholesky(np.linalg.inv(np.cov(simulated.T)))
    library = (simulated @ root)[:LIBRARY]
    tree = cKDTree(library)
    own = tree.query(library[:8000], k=11)[0][:, 10]  # the first neighbour is itself
    return tree.query(real @ root, k=10)[0][:, 9] < np.percentile(own, 99)


def sdss(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """AB magnitudes and redshifts of real and of simulated galaxies with the same errors."""
    table = Table.read(folder / "catalogs" / "sdss_galaxies_gst.fits")
    flux, ivar = (np.array(table[n], dtype=float) for n in ("MODELFLUX", "MODELFLUX_IVAR"))
    with np.errstate(divide="ignore"):
        error = 1 / np.sqrt(ivar)
    good = ((flux > 2 * error) & np.isfinite(error)).all(axis=1)
    magnitude = 22.5 - 2.5 * np.log10(flux[good]) - np.array(table["EXTINCTION"])[good]
    magnitude += SDSS_TO_AB
    error = 1.0857 * (error / flux)[good]
    sample = simulator(folder, list(load_filters("sdss")), r_limit=20.0).sample(
        60000, torch.Generator().manual_seed(5)
    )
    fake = ab_magnitude(sample.bandflux.numpy())
    # errors of a real galaxy of about the same r magnitude
    rng = np.random.default_rng(0)
    order = np.argsort(magnitude[:, 2])
    near = np.searchsorted(magnitude[order, 2], fake[:, 2]) + rng.integers(-30, 30, len(fake))
    fake = fake + rng.normal(size=fake.shape) * error[order[np.clip(near, 0, len(order) - 1)]]
    return magnitude, np.array(table["Z"])[good], fake, sample.labels["z"].numpy()


def brown(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Magnitudes in `BROWN_BANDS` and redshifts of Brown SEDs and of simulated galaxies."""
    bands = [load_filters("jpas")[name] for name in BROWN_BANDS]
    real, redshift = [], []
    for path in sorted((folder / "templates" / "brown2014").glob("*.dat")):
        wave, flux = np.loadtxt(path, usecols=(0, 1), unpack=True)
        wave = air_to_vacuum(wave)
        for z in BROWN_REDSHIFTS:
            row = []
            for band in bands:
                grid = np.union1d(band.wave, wave * (1 + z))
                grid = grid[(grid >= band.wave[0]) & (grid <= band.wave[-1])]
                curve = np.interp(grid, band.wave, band.throughput)
                seen = np.interp(grid, wave * (1 + z), flux)
                row.append(
                    np.trapezoid(seen * curve * grid, grid) / np.trapezoid(curve / grid, grid)
                )
            real.append(row)
            redshift.append(z)
    sample = simulator(folder, bands, r_limit=22.7).sample(80000, torch.Generator().manual_seed(6))
    fake_z = sample.labels["z"].numpy()
    keep = fake_z < 0.85
    fake = -2.5 * np.log10(np.maximum(sample.bandflux.numpy()[keep], 1e-9))
    return -2.5 * np.log10(np.array(real)), np.array(redshift), fake, fake_z[keep]


def plot(path: Path, panels: list) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(panels), figsize=(4 * len(panels), 3.8), dpi=80)
    for axis, (fake, real, names, title) in zip(axes, panels, strict=True):
        x_range, y_range = (np.percentile(fake[:, i], [0.2, 99.8]) for i in (0, 1))
        limits = [
            (min(r[0], v.min()) - 0.1, max(r[1], v.max()) + 0.1)
            for r, v in (
                (x_range, np.percentile(real[:, 0], [0.2, 99.8])),
                (y_range, np.percentile(real[:, 1], [0.2, 99.8])),
            )
        ]
        counts, x, y = np.histogram2d(*fake.T, bins=70, range=limits)
        axis.pcolormesh(x, y, np.log10(counts.T + 0.7), cmap="Greys", vmin=-0.2)
        points = real[:: max(1, len(real) // 900)]
        axis.plot(*points.T, ".", ms=2, color="tab:red", label="real")
        axis.set(xlabel=names[0], ylabel=names[1], title=title, xlim=limits[0], ylim=limits[1])
    axes[0].legend(loc="upper left")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("JPASSED_TEST_DATA", "../shared/data")
    parser.add_argument("folder", nargs="?", default=default, type=Path)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    panels = []
    for name, load in (("7,000 SDSS galaxies", sdss), ("90 Brown SEDs at 10 redshifts", brown)):
        real, real_z, fake, fake_z = load(arguments.folder)
        own, other = colours(real), colours(fake)
        share = inside(other, own).mean()
        both = inside(np.c_[other, fake_z], np.c_[own, real_z]).mean()
        print(f"{name}: {share:.1%} inside ({own.shape[1]} colours), {both:.1%} redshift too")
        if name.startswith("90"):
            wide = [np.c_[m[:, 1] - m[:, 4], m[:, 4] - m[:, 7]] for m in (fake, real)]
            panels.append((*wide, ("J0430 - J0670", "J0670 - J0910"), "Brown SEDs, z 0.01-0.8"))
        else:
            panels.append((other[:, :2], own[:, :2], ("u - g", "g - r"), "SDSS galaxies"))
            panels.append((other[:, 2:], own[:, 2:], ("r - i", "i - z"), "SDSS galaxies"))
    if arguments.plot:
        plot(arguments.plot, panels)


if __name__ == "__main__":
    main()
