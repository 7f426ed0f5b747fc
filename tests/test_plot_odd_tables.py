"""Plots of masked values, of other units, and of tables that other programs changed."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, QTable
from matplotlib.figure import Figure
from plot_tables import catalogue

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.plotting import (
    plot_catalogue,
    plot_colours,
    plot_coverage,
    plot_histogram,
    plot_object,
    plot_pit,
    plot_posterior,
    plot_predicted,
    plot_sed,
    plot_sky,
    plot_training,
    plot_trend,
)


@pytest.fixture
def table():
    return catalogue(30)


@pytest.fixture
def ax():
    return Figure().subplots()


def masked(values, mask):
    return MaskedColumn(values, mask=mask)


def test_masked_pit_values_do_not_count(ax):
    pit = masked([0.5] * 10 + [0.99] * 30, [False] * 10 + [True] * 30)
    plot_pit(pit, ax=ax)
    assert "10 objects" in ax.get_legend_handles_labels()[1]
    inside = plot_coverage(pit, ax=Figure().subplots()).lines[1].get_ydata()
    assert inside.min() == 1.0


def test_pit_values_are_probabilities(ax):
    with pytest.raises(InputError, match=r"of 'mine' lie within 0 and 1, got 0.2 to 1.5"):
        plot_pit({"mine": [0.2, 1.5]}, ax=ax)


def test_masked_bins_are_left_out(ax):
    plot_trend(
        [1, 2], [2, 3], masked([0.1, 50.0], [False, True]), ([0.0, 49.0], [0.2, 51.0]), ax=ax
    )
    np.testing.assert_array_equal(ax.containers[0].lines[0].get_ydata(), [0.1])


def test_known_values_have_the_unit_of_the_predicted(ax):
    plot_predicted([1.0, 2.0] * u.nm, [10.0, 30.0] * u.AA, ax=ax)
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[1.0, 1.0], [3.0, 2.0]])
    with pytest.raises(InputError, match="in mag cannot be compared with predictions in nm"):
        plot_predicted([1.0] * u.nm, [10.0] * u.mag, ax=ax)


@pytest.mark.parametrize("draw", [plot_sky, lambda t, v, ax: plot_colours(t, "jp_z", v, ax=ax)])
def test_a_column_of_texts_or_arrays_is_no_number(table, ax, draw):
    table["name"] = "a"
    with pytest.raises(InputError, match="column 'name': expected numbers, got str"):
        draw(table, "name", ax=ax)
    with pytest.raises(InputError, match=r"'jp_z_pdf' has \(600,\) values a row, expected 1"):
        draw(table, "jp_z_pdf", ax=ax)


def test_bins_that_are_not_stated(table, ax):
    table["jp_z_pdf"].info.description = None
    for draw in (plot_posterior, plot_histogram):
        with pytest.raises(InputError, match="column 'jp_z_pdf': its description does not state"):
            draw(table, ax=ax)
    assert not ax.patches


def test_percentiles_that_are_not_there(table, ax):
    table.remove_column("jp_z_lo")
    with pytest.raises(InputError, match="has jp_z_pdf, but lacks jp_z_lo: annotate it again"):
        plot_posterior(table, 0, ax=ax)


@pytest.mark.parametrize("empty", [np.nan, 0.0])
def test_the_row_without_a_prediction_is_named(table, empty):
    table["jp_z_pdf"][7] = empty
    with pytest.raises(InputError, match=r"row 7 \(counted from 0\) has no prediction of z"):
        plot_object(table, 7, ("pdf",))
    assert not plt.get_fignums()


@pytest.mark.parametrize("row", [1.5, "1", True, None])
def test_a_row_is_a_whole_number(table, ax, row):
    with pytest.raises(InputError, match="row: expected a whole number .* got"):
        plot_sed(table, row, ax=ax)


def test_what_fails_leaves_no_figure_behind(table):
    with pytest.raises(UnknownNameError, match="'av_young'. Valid choices: "):
        plot_object(table, 0, ("pdf",), quantities=["z", "av_young"])
    with pytest.raises(InputError, match="expected two columns of one length"):
        plot_catalogue(table, truth={"z": [0.1]})
    assert not plt.get_fignums()


def test_one_quantity_may_be_given_as_it_is():
    figure = plot_object(catalogue(3), 0, "pdf", quantities="logmstar", figure=Figure())
    assert len(figure.axes) == 1


def test_bands_of_ones_own_are_drawn_with_what_columns_predict(tmp_path, ax):
    own = tmp_path / "own.yaml"
    own.write_text("bands: {own: {flux: f, error: e, unit: uJy, pivot: 5500, width: 200}}\n")
    table = QTable({"f": [10.0] * u.uJy, "e": [0.5] * u.uJy})
    for end, value in {"": 9.0, "_lo": 8.0, "_hi": 10.0}.items():
        table[f"jp_flux_own{end}"] = [value] * u.uJy
    plot_sed(table, survey=str(own), residuals=True, ax=ax)
    (drawn,) = ax.child_axes[0].lines[1].get_xydata()
    np.testing.assert_allclose(drawn, [5500.0, 2.0])


def test_a_log_of_something_else():
    with pytest.raises(InputError, match="neither 'objects' nor 'step', but time, level"):
        plot_training([{"time": 1, "level": 2}])
    assert not plt.get_fignums()


def test_choices_are_quantities_and_not_their_columns(table):
    with pytest.raises(UnknownNameError) as told:
        plot_catalogue(table, truth={"mass": table["z_spec"]})
    assert "logmstar" in str(told.value)
    assert "_lo" not in str(told.value) and "nbands" not in str(told.value)
