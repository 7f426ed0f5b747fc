"""Make the spectra of the tutorial on J-spectra: simulated galaxies in files as SDSS has them.

    python tools/make_tutorial_spectra.py ../shared/data docs/tutorials/spectra

FOLDER holds the SSP grids and lines. A galaxy's spectrum is its flux through 2,200 very narrow
passbands: what the simulator makes of it, at 5 Å in the continuum and 120 km/s in lines. Files
have the flux within a fibre, and noise as a bright SDSS spectrum has it; `truth.ecsv` the labels.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from astropy.io import fits
from astropy.table import Table

import jpassed
from jpassed.simulator import GalaxySimulator
from jpassed.units import SPEED_OF_LIGHT

SEED = 20261121
FIBRE = 0.35
"""Share of a galaxy's light that its fibre sees."""
SIGNAL_TO_NOISE = 15.0
"""Of a pixel at 6200 Å; half of it at both ends of the spectrum."""
LOGLAM = np.arange(35600, 39960, 2) * 1e-4
STEP = 2e-4
TRUTH = ("z", "logmstar", "logsfr", "av", "ew_oii", "ew_hbeta", "ew_oiii", "ew_halpha", "ew_nii")
GALAXIES = {
    "starburst": lambda t: (
        (t["ew_halpha"] > 60)
        & (t["ew_halpha"] < 150)
        & (t["ew_nii"] < 0.2 * t["ew_halpha"])
        & (t["z"] > 0.05)
    ),
    "spiral": lambda t: (t["ew_halpha"] > 15) & (t["ew_halpha"] < 30) & (t["z"] < 0.15),
    "quiescent": lambda t: (t["ew_halpha"] < 1.5) & (t["z"] > 0.15) & (t["z"] < 0.3),
}


def pixel_passbands() -> list[tuple[str, np.ndarray, np.ndarray]]:
    """One box of a pixel's width for every pixel."""
    boxes = []
    for k, centre in enumerate(LOGLAM):
        wave = 10.0 ** (centre + STEP * np.array([-0.5, -0.499, 0.0, 0.499, 0.5]))
        boxes.append((f"p{k}", wave, np.array([0.0, 1.0, 1.0, 1.0, 0.0])))
    return boxes


def write_spectrum(path: Path, flux: np.ndarray, z: float, fibre: int, rng) -> None:
    """Flux (P,) in 1e-17 erg/s/cm2/Å, noise added, as an SDSS file."""
    wave = 10.0**LOGLAM
    level = np.median(flux[np.abs(wave - 6200) < 300])
    x = (np.log(wave) - np.log(6200)) / (np.log(6200) - np.log(wave[0]))
    error = level / SIGNAL_TO_NOISE * (1 + x**2)
    noisy = flux + error * rng.standard_normal(flux.size)
    coadd = Table(
        {
            "flux": noisy.astype("f4"),
            "loglam": LOGLAM.astype("f4"),
            "ivar": (error**-2).astype("f4"),
            "and_mask": np.zeros(flux.size, dtype="i4"),
        }
    )
    row = {
        "PLATE": [1], "MJD": [60000], "FIBERID": [fibre], "Z": [np.float32(z)], "ZWARNING": [0],
        "CLASS": ["GALAXY"], "SUBCLASS": [""], "PLUG_RA": [150.0 + fibre], "PLUG_DEC": [2.0],
    }  # fmt: skip
    hdus = [
        fits.PrimaryHDU(header=fits.Header({"VACUUM": True, "ORIGIN": "simulated by jpassed"})),
        fits.BinTableHDU(coadd, name="COADD"),
        fits.BinTableHDU(Table(row), name="SPECOBJ"),
    ]
    fits.HDUList(hdus).writeto(path, overwrite=True, checksum=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="with ssp/ of the test data")
    parser.add_argument("output", type=Path)
    given = parser.parse_args()
    ssp = given.folder / "ssp"
    real = jpassed.load_filters("jpas")["rSDSS"]
    simulator = GalaxySimulator(
        ssp / "ssp_emiles_kroupa.npz",
        [("rSDSS", real.wave, real.throughput), *pixel_passbands()],
        lines=ssp / "fsps_nebular" / "ZAU_ND_mist.lines",
        r_limit=18.5,
        balance=0.0,
        chunk=256,
    )
    sample = simulator.sample(512, torch.Generator().manual_seed(SEED))
    truth = {name: value.numpy() for name, value in sample.labels.items()}
    rng = np.random.default_rng(SEED)
    given.output.mkdir(parents=True, exist_ok=True)
    rows = []
    for fibre, (name, chosen) in enumerate(GALAXIES.items(), start=1):
        row = int(np.flatnonzero(chosen(truth))[0])
        f_nu = sample.bandflux[row, 1:].numpy().astype(np.float64) * 1e-29  # erg/s/cm2/Hz
        f_lambda = f_nu * SPEED_OF_LIGHT / (10.0**LOGLAM) ** 2 / 1e-17
        write_spectrum(
            given.output / f"spec-{name}.fits", FIBRE * f_lambda, float(truth["z"][row]), fibre, rng
        )
        rows.append([name, float(sample.mag_r[row]), *(float(truth[q][row]) for q in TRUTH)])
    table = Table(rows=rows, names=["name", "mag_r", *TRUTH])
    for column in table.colnames[1:]:
        table[column].info.format = ".4f"
    table.meta["made_by"] = "tools/make_tutorial_spectra.py"
    table.meta["fibre_share"] = FIBRE
    table.write(given.output / "truth.ecsv", overwrite=True)


if __name__ == "__main__":
    main()
