"""Plots, one a file. Each draws on the Axes (or figure) it is given and returns them."""

from jpassed.plotting.colours import plot_colours
from jpassed.plotting.histogram import plot_histogram
from jpassed.plotting.joint import plot_corner
from jpassed.plotting.overview import plot_catalogue, plot_object
from jpassed.plotting.pit import plot_coverage, plot_pit
from jpassed.plotting.posterior import plot_posterior
from jpassed.plotting.redshifts import plot_predicted, plot_redshifts
from jpassed.plotting.residuals import plot_residuals
from jpassed.plotting.sed import plot_sed
from jpassed.plotting.sky import plot_sky
from jpassed.plotting.style import plot_style
from jpassed.plotting.training import plot_training
from jpassed.plotting.trends import plot_trend

__all__ = [
    "plot_catalogue",
    "plot_colours",
    "plot_corner",
    "plot_coverage",
    "plot_histogram",
    "plot_object",
    "plot_pit",
    "plot_posterior",
    "plot_predicted",
    "plot_redshifts",
    "plot_residuals",
    "plot_sed",
    "plot_sky",
    "plot_style",
    "plot_training",
    "plot_trend",
]
