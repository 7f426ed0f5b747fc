"""The styles: contrast, colour-blind readers, and nothing changed outside."""

from __future__ import annotations

from itertools import combinations

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from plot_tables import catalogue, joint_draws

from jpassed.exceptions import UnknownNameError
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
    plot_sed,
    plot_sky,
    plot_style,
    plot_trend,
)
from jpassed.plotting.style import load_style

in_both = pytest.mark.parametrize("name", ["light", "dark"])

# Machado, Oliveira & Fernandes 2009, IEEE TVCG 15, 1291, severity 1.0: linear RGB as readers
# without long-, medium- or short-wavelength cones see it.
VISIONS = {
    "all cones": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def linear(colour: str) -> np.ndarray:
    """sRGB without its gamma (IEC 61966-2-1)."""
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(first: str, second: str) -> float:
    """Ratio of luminances of WCAG 2."""
    one, two = (float(linear(c) @ [0.2126, 0.7152, 0.0722]) + 0.05 for c in (first, second))
    return max(one, two) / min(one, two)


def lab(colour: str, vision: str) -> np.ndarray:
    """CIE L*a*b* (D65) of what a reader sees."""
    seen = np.clip(np.array(VISIONS[vision]) @ linear(colour), 0.0, 1.0)
    xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    ) @ seen / [0.9505, 1.0, 1.0890]  # fmt: skip
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@in_both
def test_everything_stands_out_from_the_paper(name):
    style = load_style(name)
    assert contrast(style.ink, style.background) > 12
    assert contrast(style.muted, style.background) > 4.5
    for colour in (style.model, style.truth, *style.series):
        assert contrast(colour, style.background) > 3.0, colour
    for part in (0.0, 1.0):
        end = matplotlib.colors.to_hex(style.colours()(part))
        assert contrast(end, style.background) > 1.6, end


@in_both
@pytest.mark.parametrize("vision", VISIONS)
def test_series_differ_for_every_reader(name, vision):
    style = load_style(name)
    pairs = [*combinations(style.series[:4], 2), (style.model, style.truth)]
    least = min((np.linalg.norm(lab(a, vision) - lab(b, vision)), a, b) for a, b in pairs)
    assert least[0] > 10.0, least  # a difference of 2.3 can just be seen


@in_both
@pytest.mark.parametrize("vision", VISIONS)
def test_the_map_grows_lighter_for_every_reader(name, vision):
    tones = load_style(name).colours()(np.linspace(0, 1, 20))
    lightness = [lab(matplotlib.colors.to_hex(tone), vision)[0] for tone in tones]
    assert np.all(np.diff(lightness) > 0)


def test_settings_hold_within_the_block_alone():
    before = dict(matplotlib.rcParams)
    with plot_style("dark") as style:
        assert matplotlib.rcParams["figure.facecolor"] == style.background
        assert matplotlib.rcParams["figure.figsize"] == [3.5, 2.8]
    assert dict(matplotlib.rcParams) == before


def test_a_backend_that_is_loaded_within_stays_interactive(monkeypatch):
    """As that of notebooks is by the first figure: else they would show none of the next."""
    monkeypatch.setitem(matplotlib.rcParams, "interactive", False)
    with plot_style("dark"):
        matplotlib.interactive(True)
    assert matplotlib.is_interactive()


def test_an_unknown_style_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match="'sepia'. Valid choices: dark, light"):
        with plot_style("sepia"):
            pass
    with pytest.raises(UnknownNameError, match="'sepia'"):
        plot_pit([0.5], ax=Figure().subplots(), style="sepia")


TABLE = catalogue(30)
ONE = {
    "colours": lambda **k: plot_colours(TABLE, "gSDSS-rSDSS", "rSDSS", "jp_z", **k),
    "coverage": lambda **k: plot_coverage([0.2, 0.7], **k),
    "histogram": lambda **k: plot_histogram(TABLE, **k),
    "pit": lambda **k: plot_pit([0.2, 0.7], **k),
    "posterior": lambda **k: plot_posterior(TABLE, 0, truth=0.2, **k),
    "predicted": lambda **k: plot_predicted([1.0, 2.0], [1.1, 2.0], **k),
    "redshifts": lambda **k: plot_redshifts([0.1, 0.2], [0.1, 0.21], **k),
    "sed": lambda **k: plot_sed(TABLE, 0, residuals=True, **k),
    "sky": lambda **k: plot_sky(TABLE, **k),
    "trend": lambda **k: plot_trend([1, 2], [2, 3], [0.1, 0.2], **k),
}
SEVERAL = {
    "catalogue": lambda **k: plot_catalogue(TABLE, **k),
    "corner": lambda **k: plot_corner(joint_draws(1, 100), **k),
    "object": lambda **k: plot_object(TABLE, 0, **k),
}


def colours_of(ax) -> set[str]:
    """Colours of the frame, the labels and the legend of Axes."""
    found = [spine.get_edgecolor() for spine in ax.spines.values()]
    found += [ax.xaxis.label.get_color(), ax.yaxis.label.get_color()]
    found += [label.get_color() for label in (*ax.get_xticklabels(), *ax.get_yticklabels())]
    if (legend := ax.get_legend()) is not None:
        found += [text.get_color() for text in legend.texts]
    return {matplotlib.colors.to_hex(colour) for colour in found}


@pytest.mark.parametrize("draw", ONE.values(), ids=ONE)
def test_a_style_paints_axes_that_are_given(draw):
    before = dict(matplotlib.rcParams)
    style = load_style("dark")
    ax = Figure().subplots()
    assert draw(ax=ax, style="dark") is ax
    assert matplotlib.colors.to_hex(ax.get_facecolor()) == style.background
    assert matplotlib.colors.to_hex(ax.figure.get_facecolor()) == style.background
    for one in (*ax.figure.axes, *ax.child_axes):
        assert colours_of(one) <= {style.ink, style.muted}, one
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("draw", ONE.values(), ids=ONE)
def test_plots_follow_the_axes_without_a_style(draw):
    with plt.style.context("dark_background"):
        ax = Figure(facecolor="black").subplots()
    draw(ax=ax)
    texts = [text for text in (*ax.texts, *(ax.get_legend().texts if ax.get_legend() else []))]
    for text in texts:
        assert contrast(matplotlib.colors.to_hex(text.get_color()), "#000000") > 4.5
    drawn = [line.get_color() for line in ax.lines] + [
        colour for c in ax.collections for colour in c.get_edgecolor()[:1]
    ]
    assert all(matplotlib.colors.to_hex(c) != load_style("light").ink for c in drawn)


@pytest.mark.parametrize("draw", SEVERAL.values(), ids=SEVERAL)
def test_figures_of_several_panels_are_painted(draw):
    before = dict(matplotlib.rcParams)
    style = load_style("dark")
    figure = draw(style="dark")
    assert matplotlib.colors.to_hex(figure.get_facecolor()) == style.background
    for ax in figure.axes:
        assert colours_of(ax) <= {style.ink, style.muted}, ax
    assert dict(matplotlib.rcParams) == before
    plt.close(figure)


@pytest.mark.parametrize("draw", SEVERAL.values(), ids=SEVERAL)
def test_an_empty_figure_that_is_given_is_drawn_on(draw):
    figure = Figure(figsize=(7, 7))
    assert draw(figure=figure) is figure
    assert figure.axes
    assert not plt.get_fignums()
