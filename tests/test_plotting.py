"""Plots: what is drawn is what is in the table."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, QTable
from matplotlib.figure import Figure

from jpassed.exceptions import InputError, UnknownNameError, UnrecognisedTableError
from jpassed.filters import known_bands
from jpassed.plotting import plot_posterior, plot_sed
from jpassed.posteriors import Binned, Posterior
from jpassed.posteriors.columns import posterior_columns

BANDS = ("J0430", "J0440", "J0510")


@pytest.fixture
def ax():
    return Figure().subplots()


@pytest.fixture
def table():
    """Three bands, observed in both rows but J0510 of the second; two of them predicted."""
    observed = QTable()
    for k, band in enumerate(BANDS):
        flux = MaskedColumn([10.0 + k, 20.0 + k], unit="uJy")
        flux.mask[1] = band == "J0510"
        observed[band] = flux
        observed[f"{band}_err"] = [1.0, 2.0] * u.uJy
    for band, value in (("J0440", 12.0), ("J0430", 9.0)):
        observed[f"jp_flux_{band}"] = [value, value] * u.uJy
        observed[f"jp_flux_{band}_lo"] = [value - 1, value - 1] * u.uJy
        observed[f"jp_flux_{band}_hi"] = [value + 2, value + 2] * u.uJy
    return observed


@pytest.fixture
def annotated():
    """Posteriors of redshift, narrow around 0.31 and around 0.62; none in the third row."""
    edges = np.linspace(0, 1.2, 601)
    centres = 0.5 * (edges[1:] + edges[:-1])
    where = np.array([0.31, 0.62, np.nan])
    weights = np.exp(-0.5 * ((centres - where[:, None]) / 0.01) ** 2)
    columns = posterior_columns(Posterior({"z": Binned(edges, weights)}), pdf=True)
    return QTable(columns)


def test_observed_points_are_at_their_pivots(table, ax):
    assert plot_sed(table, 0, ax=ax) is ax
    wave, flux = ax.containers[0].lines[0].get_data()
    pivots = known_bands()
    drawn = dict(zip(wave, flux, strict=True))
    assert drawn == pytest.approx({pivots[b][0]: 10.0 + k for k, b in enumerate(BANDS)})


def test_masked_bands_are_not_drawn(table, ax):
    plot_sed(table, 1, ax=ax)
    wave, flux = ax.containers[0].lines[0].get_data()
    assert sorted(flux) == [20.0, 21.0]
    assert known_bands()["J0510"][0] not in wave


def test_predicted_bands_are_drawn_by_wavelength(table, ax):
    plot_sed(table, -1, ax=ax)
    line = next(line for line in ax.lines if line.get_label() == "predicted")
    assert list(line.get_ydata()) == [9.0, 12.0]
    assert list(np.diff(line.get_xdata()) > 0) == [True]
    (band,) = (
        c
        for c in ax.collections
        if type(c).__name__ in ("PolyCollection", "FillBetweenPolyCollection")
    )
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (8.0, 14.0)


def test_broad_bands_are_points_beside_the_line(table, ax):
    table["jp_flux_rSDSS"] = [11.0, 11.0] * u.uJy
    table["jp_flux_rSDSS_lo"] = [10.0, 10.0] * u.uJy
    table["jp_flux_rSDSS_hi"] = [13.0, 13.0] * u.uJy
    plot_sed(table, ax=ax)
    broad = next(c for c in ax.containers if c.get_label() == "predicted, broad bands")
    pivot, width = known_bands()["rSDSS"]
    assert list(broad.lines[0].get_xydata()[0]) == [pivot, 11.0]
    along, across = (lines.get_segments()[0] for lines in broad.lines[2])
    assert list(along[:, 0]) == pytest.approx([pivot - width / 2, pivot + width / 2])
    assert list(across[:, 1]) == [10.0, 13.0]
    line = next(line for line in ax.lines if line.get_label() == "predicted")
    assert list(line.get_ydata()) == [9.0, 12.0]


def test_a_table_without_predictions_shows_its_points(table, ax):
    plot_sed(table[[n for n in table.colnames if not n.startswith("jp_")]], ax=ax)
    assert ax.get_legend_handles_labels()[1] == ["J-PAS"]


def test_axes_are_labelled_with_units(table, ax):
    plot_sed(table, ax=ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("wavelength (Å)", "bandflux (µJy)")


def test_sed_of_a_row_that_is_not_there(table, ax):
    with pytest.raises(InputError, match="row 2 of a table of 2 rows"):
        plot_sed(table, 2, ax=ax)


def test_sed_of_a_table_without_bands(ax):
    with pytest.raises(UnrecognisedTableError):
        plot_sed(QTable({"name": ["a", "b"]}), ax=ax)


def test_posterior_is_the_column_on_its_grid(annotated, ax):
    assert plot_posterior(annotated, 1, "z", truth=0.6, ax=ax) is ax
    values, edges, _ = ax.patches[0].get_data()
    assert np.allclose(values, annotated["jp_z_pdf"][1])
    assert len(edges) == len(values) + 1
    assert np.sum(values * np.diff(edges)) == pytest.approx(1, abs=1e-3)
    low, high = ax.get_xlim()
    assert low < 0.6 < 0.65 < high < 0.8
    assert [line.get_xdata()[0] for line in ax.lines] == pytest.approx([0.62, 0.6], abs=2e-3)


def test_posterior_that_was_not_asked_for(annotated, ax):
    with pytest.raises(UnknownNameError, match="Valid choices: z"):
        plot_posterior(annotated, 0, "logmstar", ax=ax)


def test_posterior_of_a_row_without_prediction(annotated, ax):
    with pytest.raises(InputError, match="row 2 .* has no prediction of z"):
        plot_posterior(annotated, 2, "z", ax=ax)
    with pytest.raises(InputError, match="row 3 of a table of 3 rows"):
        plot_posterior(annotated, 3, "z", ax=ax)


def test_current_axes_by_default(annotated):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    try:
        assert plot_posterior(annotated) is axes
    finally:
        plt.close(figure)
