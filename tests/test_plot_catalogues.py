"""Plots of catalogues and of joint draws: what is drawn is what is in the table."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable
from matplotlib.figure import Figure
from plot_tables import catalogue, joint_draws

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.plotting import (
    plot_catalogue,
    plot_colours,
    plot_corner,
    plot_histogram,
    plot_object,
    plot_posterior,
    plot_redshifts,
    plot_residuals,
    plot_sed,
    plot_sky,
)
from jpassed.plotting.posterior import find_peaks
from jpassed.posteriors import GaussianMixture, Posterior
from jpassed.surveys import read_photometry


@pytest.fixture(scope="module")
def table():
    return catalogue()


@pytest.fixture
def ax():
    return Figure().subplots()


# --- sky ----------------------------------------------------------------------------------------


def test_east_is_to_the_left_and_scales_are_equal_at_the_centre(table, ax):
    plot_sky(table, "jp_z", ax=ax)
    left, right = ax.get_xlim()
    low, high = ax.get_ylim()
    assert left > right
    squeeze = np.cos(np.radians(0.5 * (low + high)))
    assert ax.get_aspect() == pytest.approx(1 / squeeze)
    np.testing.assert_allclose(ax.collections[0].get_offsets()[:, 0], table["ra"].value)
    np.testing.assert_allclose(ax.collections[0].get_array(), table["jp_z"])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("right ascension (deg)", "declination (deg)")


def test_a_field_across_the_origin_of_right_ascension_stays_together(ax):
    table = QTable({"ra": [359.5, 0.5, 0.2] * u.deg, "dec": [1.0, 1.2, 1.1] * u.deg})
    plot_sky(table, None, ax=ax)
    x = ax.lines[0].get_xdata()
    assert np.ptp(x) == pytest.approx(1.0)
    assert [ax.xaxis.get_major_formatter()(v) for v in (-0.5, 0.5, 360.5)] == [
        "359.5",
        "0.5",
        "0.5",
    ]


def test_a_wide_field_gets_the_whole_sky():
    table = QTable({"ra": [10.0, 200.0] * u.deg, "dec": [-40.0, 60.0] * u.deg})
    plt.figure()
    ax = plot_sky(table, None)
    assert ax.name == "mollweide"
    np.testing.assert_allclose(np.degrees(ax.lines[0].get_xdata()), [-10.0, 160.0])
    plt.close()


def test_a_sky_without_positions_or_values(table, ax):
    with pytest.raises(InputError):
        plot_sky(table["jp_z",], "jp_z", ax=ax)
    with pytest.raises(UnknownNameError, match="unknown column 'jp_mass'"):
        plot_sky(table, "jp_mass", ax=ax)


# --- colours ------------------------------------------------------------------------------------


def test_a_colour_is_the_difference_of_ab_magnitudes(table, ax):
    plot_colours(table, "gSDSS-rSDSS", "rSDSS", ax=ax)
    x, y = ax.lines[0].get_data()
    g, r = (table[band].to_value(u.ABmag) for band in ("gSDSS", "rSDSS"))
    np.testing.assert_allclose(x, g - r, atol=1e-4)
    np.testing.assert_allclose(y, r, atol=1e-4)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("gSDSS - rSDSS (mag)", "rSDSS (AB mag)")


def test_faint_bands_have_no_colour(table, ax):
    faint = table.copy()
    faint["gSDSS_err"][:10] = faint["gSDSS"][:10]
    plot_colours(faint, "gSDSS-rSDSS", "jp_z", ax=ax)
    assert len(ax.lines[0].get_xdata()) == len(table) - 10


def test_what_is_neither_column_nor_band_nor_colour(table, ax):
    with pytest.raises(UnknownNameError, match="'gSDS'.*gSDSS"):
        plot_colours(table, "gSDS-rSDSS", "jp_z", ax=ax)
    with pytest.raises(InputError, match=r"'jp_z_pdf' has \(600,\) values a row"):
        plot_colours(table, "jp_z_pdf", "jp_z", ax=ax)


# --- distribution, redshifts, residuals ---------------------------------------------------------


def test_the_sum_of_posteriors_counts_all_objects(table, ax):
    plot_histogram(table, "z", bins=20, ax=ax)
    _, medians, summed = (patch.get_data() for patch in ax.patches)
    assert medians.values.sum() == len(table)
    assert 0.9 * len(table) < summed.values.sum() <= len(table)
    with pytest.raises(UnknownNameError, match="'mass'. Valid choices: .*logmstar"):
        plot_histogram(table, "mass", ax=ax)


def test_statistics_are_those_of_the_objects(ax):
    z = np.linspace(0.1, 0.9, 9)
    found = z + 0.01 * (1 + z)
    found[0] = 0.8
    plot_redshifts(np.ma.masked_invalid([*found, np.nan]), [*z, 0.5], ax=ax)
    said = ax.texts[0].get_text().splitlines()
    assert said[0] == "9 objects"
    assert said[1] == "bias +0.0100"
    assert said[3] == "11.1 % beyond 0.05(1+z)"


def test_residuals_are_in_errors_of_the_difference(table, ax):
    photometry = read_photometry(table)

    class Predicted:
        flux = photometry.flux - 2.0 * np.hypot(photometry.error, 1.0)
        error = np.ones_like(photometry.flux)
        observed = photometry.observed.copy()

    Predicted.observed[:-2, 5] = False
    plot_residuals(photometry, Predicted, ax=ax)
    drawn = ax.containers[0].lines[0]
    assert photometry.pivot[5] not in drawn.get_xdata()
    assert len(drawn.get_xdata()) == len(photometry.bands) - 1
    np.testing.assert_allclose(drawn.get_ydata(), 2.0)
    with pytest.raises(UnknownNameError, match="'sigma'. Valid choices: error, mag"):
        plot_residuals(photometry, Predicted, unit="sigma", ax=ax)
    Predicted.flux = photometry.flux * 10**0.08
    other = Figure().subplots()
    plot_residuals(photometry, Predicted, unit="mag", ax=other)
    np.testing.assert_allclose(other.containers[0].lines[0].get_ydata(), 0.2)
    assert other.get_ylabel() == "measured - predicted (mag)"


# --- bandfluxes of one object -------------------------------------------------------------------


def test_fluxes_per_wavelength_are_converted(table, ax):
    plot_sed(table, 0, flux_unit="erg / (s cm2 Angstrom)", wave_unit="um", ax=ax)
    wave, flux = ax.containers[0].lines[0].get_data()
    pivot = wave[0] * u.um
    band = min(read_photometry(table).bands, key=lambda name: abs(_pivot(name) - pivot))
    expected = table[band][0].to("erg / (s cm2 AA)", u.spectral_density(pivot)).value
    assert ax.get_ylabel() == "bandflux (10⁻¹⁷ erg Å⁻¹ s⁻¹ cm⁻²)"
    assert flux[0] * 1e-17 == pytest.approx(expected, rel=1e-5)
    assert ax.get_xlabel() == "wavelength (µm)"
    with pytest.raises(InputError, match="units of flux density"):
        plot_sed(table, 0, flux_unit="mag", ax=ax)


def _pivot(name):
    from jpassed.filters import known_bands

    return known_bands()[name][0] * u.AA


def test_lines_are_where_the_redshift_puts_them(table, ax):
    plot_sed(table, 2, z=0.2, ax=ax)
    marked = {text.get_text(): text.xy[0] for text in ax.texts}
    assert marked["Hα"] == pytest.approx(6564.6 * 1.2)
    assert marked["[OIII]"] == pytest.approx(5008.2 * 1.2)
    assert "[SIII]" not in marked  # beyond the bands
    plot_sed(table, 2, lines=False, ax=(other := Figure().subplots()))
    assert not other.texts


def test_residuals_of_one_object_are_in_its_errors(table):
    ax, below = Figure().subplots(2)
    plot_sed(table, 4, residuals=below, ax=ax)
    photometry = read_photometry(table[4:5])
    pull = [
        (table[b][4] - table[f"jp_flux_{b}"][4]).value / table[f"{b}_err"][4].value
        for b in photometry.bands
    ]
    np.testing.assert_allclose(below.lines[1].get_ydata(), pull, rtol=1e-4)
    plain = table[[name for name in table.colnames if not name.startswith("jp_")]]
    with pytest.raises(InputError, match="row 4 .* has no predicted bandfluxes"):
        plot_sed(plain, 4, residuals=True, ax=ax)


def test_a_posterior_takes_the_place_of_the_columns(table, ax):
    one = np.ones((1, 1))
    posterior = Posterior({"flux:J0500": GaussianMixture(one, 70 * one, 2 * one)}, {})
    plot_sed(table, 4, posterior=posterior, ax=ax)
    (drawn,) = (c for c in ax.containers if c.get_label() == "predicted, broad bands")
    assert drawn.lines[0].get_ydata()[0] == pytest.approx(70.0, rel=1e-3)
    with pytest.raises(InputError, match="the posterior is of 2 objects, the table has 60 rows"):
        plot_sed(table, 4, posterior=Posterior.concatenate([posterior, posterior]), ax=ax)


def test_predicted_bandfluxes_of_a_table_of_labels(table, ax):
    labels = table[["z_spec", *(n for n in table.colnames if n.startswith("jp_"))]]
    plot_sed(labels, 1, ax=ax)
    assert "predicted" in ax.get_legend_handles_labels()[1]
    assert "J-PAS" not in ax.get_legend_handles_labels()[1]


# --- posteriors ---------------------------------------------------------------------------------


def test_peaks_are_told_with_their_probability():
    edges = np.linspace(0, 1, 501)
    x = 0.5 * (edges[1:] + edges[:-1])
    density = 0.7 * np.exp(-0.5 * ((x - 0.3) / 0.01) ** 2)
    density += 0.3 * np.exp(-0.5 * ((x - 0.6) / 0.01) ** 2)
    density += 0.005 * np.exp(-0.5 * ((x - 0.9) / 0.01) ** 2)
    found = find_peaks(edges, density)
    assert [round(place, 2) for place, _, _ in found] == [0.3, 0.6]
    assert [share for _, _, share in found] == pytest.approx([0.7, 0.3], abs=0.01)
    assert sum(share for _, _, share in found) == pytest.approx(1.0)


def test_a_small_first_peak_belongs_to_the_next():
    edges = np.linspace(0, 1, 501)
    x = 0.5 * (edges[1:] + edges[:-1])
    density = np.exp(-0.5 * ((x - 0.6) / 0.02) ** 2)
    density += 0.01 * np.exp(-0.5 * ((x - 0.1) / 0.01) ** 2)
    ((place, height, share),) = find_peaks(edges, density)
    assert (round(place, 2), round(height, 1), share) == (0.6, 1.0, pytest.approx(1.0))


def test_a_posterior_of_infer_is_resolved_finely(ax):
    one = np.ones((2, 1))
    middle = np.array([[0.3], [0.5]])
    posterior = Posterior({"z": GaussianMixture(one, middle, 0.0004 * one)}, {})
    plot_posterior(posterior, 1, "z", truth={"z_spec": 0.5002}, ax=ax)
    values, edges, _ = ax.patches[0].get_data()
    assert values.max() == pytest.approx(1 / (0.0004 * np.sqrt(2 * np.pi)), rel=0.01)
    assert edges[1] - edges[0] < 2e-5
    assert [t.get_text() for t in ax.get_legend().texts] == ["z_spec"]
    with pytest.raises(InputError, match="row 2 of a table of 2 rows"):
        plot_posterior(posterior, 2, ax=ax)
    with pytest.raises(UnknownNameError, match="'av'. Valid choices: z"):
        plot_posterior(posterior, 0, "av", ax=ax)


def test_corner_of_columns_and_of_draws(table):
    figure = plot_corner(table, 2, ["z", "av"], truth={"av": 0.4 * u.mag}, figure=Figure())
    axes = np.array(figure.axes).reshape(2, 2)
    assert axes[1, 0].get_xlabel() == r"$z_{\rm phot}$"
    assert axes[1, 0].get_ylabel() == r"$A_V$ (mag)"
    low, high = axes[1, 1].get_xlim()
    draws = joint_draws(len(table), 400)["av"][2]
    assert np.mean((draws > low) & (draws < high)) > 0.98
    with pytest.raises(UnknownNameError, match="'logsfr'.*choices: av, logmstar, z"):
        plot_corner(table, 2, ["logsfr"], figure=Figure())
    with pytest.raises(UnknownNameError, match="'logsfr'"):
        plot_corner(table, 2, truth={"logsfr": 1.0}, figure=Figure())
    with pytest.raises(InputError, match="the table has no draws: annotate with samples=1000"):
        plot_corner(table["z_spec",], 2, figure=Figure())
    with pytest.raises(InputError, match="row 0 .*: 5 draws have a value of all of z, "):
        plot_corner(joint_draws(1, 5), figure=Figure())


# --- several panels -----------------------------------------------------------------------------


def test_a_catalogue_shows_what_it_has_the_columns_of(table):
    figure = plot_catalogue(table, truth={"z": table["z_spec"], "av": table["jp_av"]})
    labels = [ax.get_ylabel() for ax in figure.axes]
    plt.close(figure)
    assert labels[:4] == [r"$z_{\rm phot}$", r"$A_V$, predicted", "objects", r"$z_{\rm phot}$"]
    assert "declination (deg)" in labels
    bare = plot_catalogue(table["jp_z", "jp_z_pdf"], figure=Figure())
    assert [ax.get_ylabel() for ax in bare.axes] == ["objects"]


def test_what_a_catalogue_lacks_is_said(table):
    with pytest.raises(InputError, match="no jp_z: annotate it first"):
        plot_catalogue(table["z_spec",])
    with pytest.raises(InputError, match="sky: the table has no columns for it"):
        plot_catalogue(table["jp_z",], ["sky"])
    with pytest.raises(UnknownNameError, match="unknown kind of plot 'moon'"):
        plot_catalogue(table, ["moon"])
    with pytest.raises(InputError, match="no known values were given"):
        plot_catalogue(table, ["truth"])
    with pytest.raises(UnknownNameError, match="unknown predicted quantity 'logsfr'"):
        plot_catalogue(table, truth={"logsfr": table["z_spec"]})


def test_an_object_has_a_panel_for_each_kind_and_quantity(table):
    figure = plot_object(table, -1, ("pdf", "sed"), quantities=("z", "logmstar"), figure=Figure())
    # The residuals are Axes within those of the bandfluxes.
    sed, z, mass = figure.axes
    assert sed.get_ylabel() == "bandflux (µJy)"
    assert len(sed.child_axes) == 1
    assert [ax.get_ylabel() for ax in (z, mass)] == ["posterior density"] * 2
    with pytest.raises(InputError, match="row 60 of a table of 60 rows"):
        plot_object(table, 60)
    with pytest.raises(UnknownNameError, match="'pfd'.*choices: corner, pdf, sed"):
        plot_object(table, 0, ("pfd",))
