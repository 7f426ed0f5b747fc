"""Every plot, light and dark, compared with an image of it that was looked at.

New images: ``pytest tests/test_plot_images.py --mpl-generate-path=tests/baseline``; look at each
before it is committed. The tolerance holds for other versions of the font renderer; a curve that is
missing or elsewhere is far beyond it (see the last test).
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.testing.compare import compare_images
from plot_tables import catalogue, joint_draws

from jpassed.plotting import (
    plot_catalogue,
    plot_colours,
    plot_corner,
    plot_coverage,
    plot_histogram,
    plot_object,
    plot_pit,
    plot_posterior,
    plot_predicted,
    plot_redshifts,
    plot_residuals,
    plot_sed,
    plot_sky,
    plot_style,
    plot_training,
    plot_trend,
)
from jpassed.plotting.style import load_style
from jpassed.surveys import read_photometry

TOLERANCE = 6.0
SETTINGS = {"style": "default", "tolerance": TOLERANCE, "savefig_kwargs": {"dpi": 72}}
STYLES = ("light", "dark")

compared = pytest.mark.mpl_image_compare(**SETTINGS)
in_both = pytest.mark.parametrize("style", STYLES)


@pytest.fixture(scope="module")
def table():
    return catalogue()


def drawn(style: str, draw, **subplots) -> Figure:
    """A figure of one column with what `draw` draws on its Axes."""
    with plot_style(style):
        figure, ax = plt.subplots(**subplots)
        draw(ax)
    return figure


@in_both
@compared
def test_sed(table, style):
    return drawn(style, lambda ax: plot_sed(table, 3, residuals=True, ax=ax))


@compared
def test_sed_with_the_ultraviolet():
    whole = catalogue(ultraviolet=True)
    return drawn("light", lambda ax: plot_sed(whole, 5, residuals=True, ax=ax), figsize=(5, 3))


@compared
def test_sed_per_wavelength(table):
    unit = "erg / (s cm2 Angstrom)"
    return drawn("light", lambda ax: plot_sed(table, 3, flux_unit=unit, wave_unit="um", ax=ax))


@in_both
@compared
def test_posterior_with_two_peaks(table, style):
    known = {"z_spec": table["z_spec"][0], "another code": 0.4}
    return drawn(style, lambda ax: plot_posterior(table, 0, truth=known, ax=ax))


@in_both
@compared
def test_corner(style):
    truth = {"z": 0.21, "logmstar": 10.1, "av": 0.35}
    return plot_corner(joint_draws(1, 1000), truth=truth, style=style)


@in_both
@compared
def test_redshifts(table, style):
    return drawn(style, lambda ax: plot_redshifts(table["jp_z"], table["z_spec"], ax=ax))


@in_both
@compared
def test_counts_of_many(style):
    rng = np.random.default_rng(4)
    x = rng.normal(10.0, 1.0, 20_000)
    y = x + 0.2 * rng.standard_normal(len(x))
    return drawn(style, lambda ax: plot_predicted(y, x, name="logmstar", ax=ax))


@in_both
@compared
def test_calibration(style):
    rng = np.random.default_rng(6)
    samples = {"before": rng.beta(0.7, 0.9, 800), "after": rng.uniform(size=500)}
    with plot_style(style):
        figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3))
        plot_pit(samples, ax=left)
        plot_coverage(samples, ax=right)
    return figure


@in_both
@compared
def test_residuals(style):
    whole = catalogue(ultraviolet=True)
    photometry = read_photometry(whole)

    class Predicted:
        flux = np.stack([whole[f"jp_flux_{band}"].value for band in photometry.bands], axis=1)
        error = 0.3 * photometry.error
        observed = photometry.observed

    return drawn(style, lambda ax: plot_residuals(photometry, Predicted, ax=ax), figsize=(7, 2.6))


@in_both
@compared
def test_trend(style):
    low = np.arange(17.0, 22.0)
    value = 0.001 * 1.5 ** np.arange(5.0)
    ends = (0.8 * value, 1.3 * value)
    words = {"name": r"$\sigma_{\rm NMAD}$", "by": "r (AB mag)", "reference": 0.002}
    return drawn(style, lambda ax: plot_trend(low, low + 1, value, ends, **words, ax=ax))


@in_both
@compared
def test_sky(table, style):
    return drawn(style, lambda ax: plot_sky(table, "jp_z", ax=ax))


@compared
def test_whole_sky():
    rng = np.random.default_rng(7)
    wide = catalogue(400)["jp_z",]
    wide["ra"] = rng.uniform(0.0, 360.0, len(wide))
    wide["dec"] = np.degrees(np.arcsin(rng.uniform(-0.3, 1.0, len(wide))))
    settings = {"figsize": (5, 2.8), "subplot_kw": {"projection": "mollweide"}}
    return drawn("light", lambda ax: plot_sky(wide, ax=ax), **settings)


@in_both
@compared
def test_colours(table, style):
    names = ("gSDSS-rSDSS", "rSDSS-iSDSS", "jp_z")
    return drawn(style, lambda ax: plot_colours(table, *names, ax=ax))


@in_both
@compared
def test_histogram(table, style):
    return drawn(style, lambda ax: plot_histogram(table, "z", ax=ax))


@in_both
@compared
def test_object(table, style):
    truth = {"z": table["z_spec"][3]}
    return plot_object(table, 3, ("sed", "pdf", "corner"), truth=truth, title="row 4", style=style)


@in_both
@compared
def test_catalogue(table, style):
    return plot_catalogue(table, truth={"z": table["z_spec"]}, title="a catalogue", style=style)


@in_both
@compared
def test_training(style):
    steps = np.arange(1, 401)
    log = [
        {"step": int(k), "objects": int(k) * 1000, "loss": 5 * k**-0.3, "loss_z": 2 * k**-0.4}
        for k in steps
    ]
    for record in log[49::50]:
        k = record["step"]
        record["validation"] = {
            "log score": 4 - 9 / k**0.5, "nmad 0-19": 0.02 / k**0.4, "nmad 19-21": 0.05 / k**0.3,
        }  # fmt: skip
    return plot_training(log, style=style)


def test_a_missing_line_is_beyond_the_tolerance(tmp_path, table):
    whole = drawn("light", lambda ax: plot_sed(table, 3, ax=ax))
    whole.savefig(tmp_path / "whole.png", dpi=72)
    (ax,) = whole.axes
    next(line for line in ax.lines if line.get_label() == "predicted").remove()
    whole.savefig(tmp_path / "without.png", dpi=72)
    said = compare_images(str(tmp_path / "whole.png"), str(tmp_path / "without.png"), TOLERANCE)
    assert said is not None
    assert load_style("light").model == "#d55e00"
    plt.close(whole)
