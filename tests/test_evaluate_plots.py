"""Plots of evaluations: what is drawn is what was given."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import norm

from jpassed.exceptions import InputError
from jpassed.plotting import plot_coverage, plot_pit, plot_predicted, plot_redshifts, plot_trend


@pytest.fixture
def ax():
    return Figure().subplots()


def test_redshifts_have_lines_of_outliers(ax):
    z = np.array([0.1, 0.4, np.nan, 0.9])
    assert plot_redshifts(z + 0.01, z, ax=ax) is ax
    points, equal, *limits = ax.lines
    np.testing.assert_allclose(points.get_xdata(), [0.1, 0.4, 0.9])
    np.testing.assert_allclose(points.get_ydata(), [0.11, 0.41, 0.91])
    np.testing.assert_allclose(equal.get_xdata(), equal.get_ydata())
    reach = sorted({round(abs(y[0] - x[0]) / (1 + x[0]), 6) for x, y in
                    ((line.get_xdata(), line.get_ydata()) for line in limits)})  # fmt: skip
    assert reach == [0.05, 0.15]
    assert [t.get_text() for t in ax.get_legend().texts] == ["Δz = ±0.05(1+z)", "Δz = ±0.15(1+z)"]


def test_the_legend_of_redshifts_hides_no_object(ax):
    plot_redshifts(np.linspace(0, 1, 50), np.linspace(1, 0, 50), ax=ax)
    ax.figure.canvas.draw()
    legend, area = ax.get_legend().get_window_extent(), ax.get_window_extent()
    assert legend.y0 >= area.y1
    assert legend.width < area.width


def test_many_objects_are_counts(ax):
    rng = np.random.default_rng(1)
    x = rng.normal(size=5000)
    plot_predicted(x + 0.1 * rng.normal(size=5000), x, name="logmstar", ax=ax)
    counts = np.ma.filled(ax.collections[0].get_array(), 0)
    assert 4900 < np.nansum(counts) <= 5000
    assert ax.get_xlabel() == r"$\log\,M_\ast/{\rm M}_\odot$, known"


@pytest.mark.parametrize(("predicted", "truth"), [([np.nan], [0.1]), ([0.1], [0.1, 0.2]), ([], [])])
def test_nothing_to_draw_is_said(ax, predicted, truth):
    with pytest.raises(InputError):
        plot_predicted(predicted, truth, ax=ax)


def test_pit_is_a_density_with_the_band_of_its_number(ax):
    rng = np.random.default_rng(2)
    plot_pit(rng.uniform(size=2000), bins=10, ax=ax)
    edge = ax.patches[1]
    values = edge.get_data().values
    assert values.mean() == pytest.approx(1.0)
    band = ax.patches[0].get_bbox() if hasattr(ax.patches[0], "get_bbox") else None
    low, high = band.y0, band.y1
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(0.9 * 10 / 2000), rel=0.05)
    assert np.mean((values > low) & (values < high)) >= 0.8


def test_pit_of_several_samples_has_a_line_each(ax):
    plot_pit({"before": np.full(200, 0.99), "after": np.linspace(0, 1, 300)}, ax=ax)
    said = [t.get_text() for t in ax.get_legend().texts]
    assert said == ["95 % of calibrated bins", "before, 200", "after, 300"]
    with pytest.raises(InputError, match="'none'"):
        plot_pit({"none": [np.nan]}, ax=ax)
    with pytest.raises(InputError):
        plot_coverage({}, ax=ax)


def test_coverage_of_posteriors_that_are_too_narrow_is_below_the_diagonal(ax):
    p = norm.cdf(2 * norm.ppf((np.arange(5000) + 0.5) / 5000))
    plot_coverage(p, ax=ax)
    level, share = ax.lines[1].get_data()
    at = np.searchsorted(level, 0.6827)
    assert share[at] == pytest.approx(2 * norm.cdf(0.5) - 1, abs=0.01)
    assert share[0] <= 0.001
    assert share[-1] == 1.0


def test_trend_has_a_point_a_bin(ax):
    plot_trend(
        [17, 18, 19], [18, 19, 20], [0.1, np.nan, 0.3], ([0.05, 0, 0.2], [0.2, 0, 0.4]),
        name="bias", by="r", reference=0.0, ax=ax,
    )  # fmt: skip
    points = ax.containers[0].lines[0]
    np.testing.assert_allclose(points.get_xdata(), [17.5, 19.5])
    np.testing.assert_allclose(points.get_ydata(), [0.1, 0.3])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("r", "bias")
    with pytest.raises(InputError, match="no bin has a value of bias"):
        plot_trend([1], [2], [np.nan], name="bias", ax=ax)
