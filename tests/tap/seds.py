"""Smooth spectral energy distributions with a break and lines, and a survey's noise: numpy only.

They look like galaxies, QSOs and stars to a reader of tables; they are not a simulator.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

C_ANGSTROM = 2.99792458e18
# Vacuum wavelength in Angstrom and strength relative to Halpha of the lines that bands can feel.
LINES = (
    (3728.5, 0.8),
    (4862.7, 0.35),
    (4960.3, 0.25),
    (5008.2, 0.75),
    (6564.6, 1.0),
    (6725.0, 0.3),
)
FLUX_UNIT = 1e-19  # erg/s/cm2/Angstrom: the unit of miniJPAS's flux columns


def bands() -> np.ndarray:
    """Name, wavelength and width (Angstrom) of the 60 bands."""
    return np.genfromtxt(
        Path(__file__).with_name("bands.csv"), delimiter=",", names=True, comments="#",
        dtype=("U8", "f8", "f8"), skip_header=2,
    )


def galaxies(rng: np.random.Generator, n: int, faint: float = 23.0) -> dict[str, np.ndarray]:
    """n galaxies: redshift, r magnitude and true flux (n, 60) in 1e-19 erg/s/cm2/Angstrom."""
    table = bands()
    z = rng.gamma(4.0, 0.09, n).clip(0.01, 1.2)
    r = faint - rng.exponential(1.2, n).clip(0, 6.0)
    old = rng.beta(1.2, 1.2, n)[:, None]
    rest = table["wavelength"] / (1 + z[:, None])
    red = (rest / 5500.0) ** 0.2 / (1 + 1.2 * np.exp(-(rest - 4000.0) / 90.0))
    blue = (rest / 5500.0) ** -1.6
    shape = old * red + (1 - old) * blue
    equivalent_width = 10 ** rng.normal(1.3, 0.4, n)[:, None] * (1 - old)
    for line, ratio in LINES:
        inside = np.abs(rest - line) < 0.5 * table["width"] / (1 + z[:, None])
        shape = shape * (1 + inside * ratio * equivalent_width * (1 + z[:, None]) / table["width"])
    at_r = 10 ** (-0.4 * (r + 48.6)) * C_ANGSTROM / table["wavelength"][58] ** 2 / FLUX_UNIT
    flux = shape * (at_r / shape[:, 58])[:, None]
    return {"z": z, "r": r, "old": old[:, 0], "flux": flux}


def observed(rng: np.random.Generator, flux: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flux with noise, and its error: 5 sigma at 22.6 (narrow bands), 23.6 (broad), and 1.5 %."""
    table = bands()
    depth = np.where(table["width"] > 400, 23.6, 22.6)
    floor = 10 ** (-0.4 * (depth + 48.6)) * C_ANGSTROM / table["wavelength"] ** 2 / FLUX_UNIT / 5
    error = np.hypot(floor, 0.015 * flux)
    return flux + error * rng.standard_normal(flux.shape), error


def magnitudes(flux: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AB magnitudes and errors; 99 and 99 where the flux is not positive, as in miniJPAS."""
    wave = bands()["wavelength"]
    seen = flux > 0
    safe = np.where(seen, flux, 1.0)
    mag = -2.5 * np.log10(safe * FLUX_UNIT * wave**2 / C_ANGSTROM) - 48.6
    mag_err = 2.5 / np.log(10) * error / safe
    return np.where(seen, mag, 99.0), np.where(seen, mag_err, 99.0)
