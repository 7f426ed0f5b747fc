"""The picture of the README: a real galaxy's J-spectrum, the reconstruction, and the posterior.

    PYTHONPATH=. python benchmarks/readme_figure.py ../shared/data -o docs/_static/galaxy.png

The galaxy is an SDSS spectrum turned into a J-spectrum, scaled to r = 19, with one draw of
miniJPAS noise; the model never saw it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from accuracy import noisy_draws
from astropy import units as u
from real_spectra import real_galaxy_jspectra

import jpassed
from jpassed.plotting import plot_posterior, plot_sed


def main() -> None:
    """Annotate one galaxy and draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the shared data")
    parser.add_argument("--model", default="default")
    parser.add_argument("--name", default="7102-56666-0474", help="plate-mjd-fibre")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    galaxies = real_galaxy_jspectra(options.folder)
    row = int(np.flatnonzero(np.asarray(galaxies["name"]) == options.name)[0])
    known = float(galaxies["z_spec"][row])
    noisy, _ = noisy_draws(galaxies[row : row + 1], 1)
    bands = [name for name in jpassed.load_filters("jpas").names]
    annotated = jpassed.annotate(
        noisy, model=options.model, pdf=True, outputs=["z", *(f"flux:{b}" for b in bands)]
    )
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 3.6), width_ratios=(3.2, 1), layout="constrained"
    )
    plot_sed(annotated, 0, ax=left)
    left.set_title(f"SDSS {options.name} as a J-spectrum at r = 19, and what jpassed makes of it")
    plot_posterior(annotated, 0, "z", truth=known, ax=right)
    right.set_title("redshift")
    figure.savefig(options.output, dpi=110)
    z = annotated["jp_z"][0]
    print(f"{options.output}: jp_z = {u.Quantity(z).value:.4f}, spectroscopic {known:.4f}")


if __name__ == "__main__":
    main()
