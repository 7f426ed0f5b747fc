"""Measure the residuals that the embedded model has of its own, for `jpassed zeropoints`.

    PYTHONPATH=. python tools/fit_zeropoint_baseline.py FOLDER [--n 6000]

Simulates galaxies without zero-point errors, predicts each band from the others, and writes the
mean residuals to jpassed/adaptation/data/zeropoint_baseline.ecsv, with the digest of the weights
that they belong to: for other weights they are not used. FOLDER holds `ssp` of the shared data.
To be run again when the embedded weights change (1 to 2 minutes on one core).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from astropy.table import Column, QTable, Table

import jpassed
from jpassed.adaptation.zeropoint_fit import measure_residuals
from jpassed.annotation.task import prepare
from jpassed.io.atomic import atomic_output
from jpassed.jspectrum.error_model import load_noise
from jpassed.simulation import simulate

SSP = ("ssp/ssp_bc03_lr_chabrier.npz", "ssp/ssp_emiles_kroupa.npz")
SHARES = (0.3, 0.7)
LINES = "ssp/fsps_nebular/ZAU_ND_mist.lines"
SEED, N, R_SELECT = 20261122, 6000, 21.5
TARGET = Path(jpassed.__file__).parent / "adaptation" / "data" / "zeropoint_baseline.ecsv"


def without_scatter(folder: Path, n: int, seed: int, r_select: float = R_SELECT) -> QTable:
    """Simulated galaxies with the noise of minijpas-v1, but for its zero-point scatter."""
    noise = load_noise("minijpas-v1")
    return simulate(
        n, seed=seed, ssp=[folder / path for path in SSP], lines=folder / LINES, shares=SHARES,
        noise=replace(noise, zp_scatter=np.zeros(len(noise.bands))), galex=None, r_select=r_select,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--n", type=int, default=N)
    parser.add_argument("--model", default="default")
    parser.add_argument("-o", "--output", type=Path, default=TARGET)
    given = parser.parse_args()
    torch.set_num_threads(1)
    table = without_scatter(given.folder, given.n, SEED)
    task = prepare(
        table, model=given.model, outputs=("z",), context=None, survey="auto", device="cpu",
        batch_size=None,
    )  # fmt: skip
    mean, error = measure_residuals(task, given.n).mean()
    out = Table(
        [
            Column(task.photometry.bands, "band", description="Band"),
            Column(np.round(mean, 5), "residual", description="Observed over predicted, less 1"),
            Column(np.round(error, 5), "error", description="Standard error of residual"),
        ]
    )
    out.meta = {
        "what": "mean relative residual of each band, predicted from the bands of the other folds, "
        "of simulated galaxies without zero-point errors",
        "weights": task.model.digest,
        "model": f"{task.model.name} {task.model.version}",
        "command": f"tools/fit_zeropoint_baseline.py FOLDER --n {given.n}",
        "seed": SEED,
        "r_select": R_SELECT,
        "noise": "minijpas-v1 without its zero-point scatter",
        "jpassed_version": jpassed.__version__,
    }
    with atomic_output(given.output, overwrite=True) as path:
        out.write(path, format="ascii.ecsv", delimiter=",")
    rms = 2.5 / np.log(10) * np.sqrt(np.mean(mean**2))
    print(f"{given.output}: {len(out)} bands, rms {rms:.4f} mag")


if __name__ == "__main__":
    main()
