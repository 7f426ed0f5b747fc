"""Draw the pictures of docs/plots.md, light and dark, from the embedded example.

    python tools/draw_gallery.py docs/_static/plots

The galaxies are simulated ones at the depth of miniJPAS; their positions are made up.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
from astropy import units as u
from astropy.table import QTable
from click.testing import CliRunner
from matplotlib.figure import Figure

import jpassed
from jpassed import plotting
from jpassed.annotation import infer
from jpassed.annotation.reconstruction import reconstruct_table
from jpassed.cli import main as command_line
from jpassed.evaluation.photoz import sigma_nmad
from jpassed.io import read_catalog

DPI = 100
ROW = 12
"""A galaxy with strong lines at r = 20, z = 0.21."""

TWO_PEAKS = 106
"""One whose redshift has two peaks."""

BANDS = (*jpassed.load_filters("jpas").names, "galex_fuv", "galex_nuv")
TOGETHER = ("z", "logmstar", "logsfr", "av")
Drawing = tuple[str, Callable[[], Figure]]


def example() -> QTable:
    """The embedded example, annotated, at made-up positions."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "example.fits"
        CliRunner().invoke(command_line, ["example", str(path)], catch_exceptions=False)
        table = read_catalog(path)
    outputs = [*TOGETHER, *(f"flux:{band}" for band in BANDS)]
    annotated = jpassed.annotate(table, outputs=outputs, pdf=True)
    rng = np.random.default_rng(1)
    annotated["ra"] = rng.uniform(213.5, 215.5, len(table)) * u.deg
    annotated["dec"] = rng.uniform(52.0, 53.0, len(table)) * u.deg
    return annotated


def on_axes(draw: Callable[[Any], Any], **subplots: Any) -> Callable[[], Figure]:
    """A figure of one column with what `draw` draws on its Axes."""

    def make() -> Figure:
        figure, ax = plt.subplots(**subplots)
        draw(ax)
        return figure

    return make


def of_one_object(table: QTable) -> Iterator[Drawing]:
    only = table[ROW : ROW + 1]
    posterior = infer(only, outputs=[*TOGETHER, *(f"flux:{band}" for band in BANDS)])
    draws = posterior.sample(2000, names=TOGETHER, rng=1)
    truth = {name: only[f"true_{name}"][0] for name in TOGETHER}
    yield "object", lambda: plotting.plot_object(only, posterior=posterior, truth=truth)
    yield "sed", on_axes(lambda ax: plotting.plot_sed(table, ROW, residuals=True, ax=ax))
    unit = "erg / (s cm2 Angstrom)"
    yield (
        "sed_wavelength",
        on_axes(lambda ax: plotting.plot_sed(table, ROW, flux_unit=unit, wave_unit="um", ax=ax)),
    )
    known = {"true": table["true_z"][TWO_PEAKS]}
    broad = infer(table[TWO_PEAKS : TWO_PEAKS + 1], outputs=["z"])
    yield "posterior", on_axes(lambda ax: plotting.plot_posterior(broad, truth=known, ax=ax))
    yield "corner", lambda: plotting.plot_corner(draws, truth=truth)


def of_a_catalogue(table: QTable) -> Iterator[Drawing]:
    true = table["true_z"]
    yield "catalogue", lambda: plotting.plot_catalogue(table, truth={"z": true})
    yield "redshifts", on_axes(lambda ax: plotting.plot_redshifts(table["jp_z"], true, ax=ax))
    yield "histogram", on_axes(lambda ax: plotting.plot_histogram(table, "z", ax=ax))
    pit = np.asarray(infer(table, outputs=["z"])["z"].cdf(np.asarray(true)[:, None]))[:, 0]
    yield "pit", on_axes(lambda ax: plotting.plot_pit(pit, ax=ax))
    yield "coverage", on_axes(lambda ax: plotting.plot_coverage(pit, ax=ax))
    predicted, task = reconstruct_table(table)
    wide = {"figsize": (7.0, 2.6)}
    yield (
        "residuals",
        on_axes(lambda ax: plotting.plot_residuals(task.photometry, predicted, ax=ax), **wide),
    )
    yield "trend", on_axes(lambda ax: _trend(table, ax))
    yield "sky", on_axes(lambda ax: plotting.plot_sky(table, "jp_z", ax=ax))
    colours = ("gSDSS-rSDSS", "rSDSS-iSDSS", "jp_z")
    yield "colours", on_axes(lambda ax: plotting.plot_colours(table, *colours, ax=ax))


def _trend(table: QTable, ax: Any) -> None:
    """sigma_NMAD in bins of magnitude, with 68 % intervals of a bootstrap."""
    magnitude = np.asarray(table["true_mag_rsdss"].value)
    found, true = np.asarray(table["jp_z"]), np.asarray(table["true_z"])
    edges = np.array([17.0, 20.0, 21.0, 21.5, 22.0, 22.7])
    rng = np.random.default_rng(1)
    value, low, high = [], [], []
    for a, b in zip(edges[:-1], edges[1:], strict=True):
        rows = np.flatnonzero((magnitude >= a) & (magnitude < b))
        again = [rng.choice(rows, len(rows)) for _ in range(200)]
        value.append(sigma_nmad(found[rows], true[rows]))
        ends = np.quantile([sigma_nmad(found[r], true[r]) for r in again], [0.16, 0.84])
        low.append(ends[0])
        high.append(ends[1])
    plotting.plot_trend(
        edges[:-1], edges[1:], value, (low, high), name=r"$\sigma_{\rm NMAD}$",
        by="r (AB mag)", ax=ax,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    table = example()
    for name, make in (*of_one_object(table), *of_a_catalogue(table)):
        for style in ("light", "dark"):
            # Figures that are made inside follow the style; those of several panels too.
            with plotting.plot_style(style):
                figure = make()
            figure.savefig(folder / f"{name}_{style}.png", dpi=DPI)
            plt.close(figure)


if __name__ == "__main__":
    main()
