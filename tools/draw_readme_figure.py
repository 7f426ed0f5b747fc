"""Draw the README's figure: a real galaxy's J-spectrum, its reconstruction, its redshift.

    python tools/draw_readme_figure.py SPECTRUM docs/_static/real_galaxy.png --z 0.1379

SPECTRUM is an SDSS file. It is scaled to r = 19 and gets the noise of miniJPAS (seed 1) on top of
its own, so that the picture shows what the survey would have seen.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from astropy import units as u

import jpassed
from jpassed.annotation import infer
from jpassed.jspectrum import load_noise
from jpassed.plotting import plot_object

MAGNITUDE = 19.0
SEED = 1


def observed_by_the_survey(path: Path):
    """The J-spectrum at `MAGNITUDE` with survey noise: a table of one row."""
    table = jpassed.jspectra(path, total_mag=MAGNITUDE)
    names = jpassed.load_filters("jpas").names
    flux = np.array([[np.ma.filled(table[name].value, np.nan)[0] for name in names]])
    noisy, error = load_noise("minijpas-v1").select(names).apply(flux, SEED)
    for k, name in enumerate(names):
        if np.isfinite(flux[0, k]):
            own = table[f"{name}_err"].value[0]
            table[name][0] = noisy[0, k] * u.uJy
            table[f"{name}_err"][0] = np.hypot(own, error[0, k]) * u.uJy
    return table, names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("spectrum", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--z", type=float, help="spectroscopic redshift, to mark it")
    parser.add_argument("--model", default="default", help="an embedded model, or a folder")
    parser.add_argument("--style", choices=["light", "dark"], default="light")
    given = parser.parse_args()
    table, names = observed_by_the_survey(given.spectrum)
    wanted = ["z", *(f"flux:{name}" for name in names)]
    figure = plot_object(
        table,
        posterior=infer(table, model=given.model, outputs=wanted),  # finer than a column's bins
        truth={} if given.z is None else {"z": given.z},
        title=f"{given.spectrum.stem}, J-spectrum at r = {MAGNITUDE:g}",
        style=given.style,
    )
    given.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(given.output, dpi=120)


if __name__ == "__main__":
    main()
