"""Plots, one a file. Each draws on the Axes (or figure) it is given and returns them."""

from jpassed.plotting.pit import plot_coverage, plot_pit
from jpassed.plotting.posterior import plot_posterior
from jpassed.plotting.redshifts import plot_predicted, plot_redshifts
from jpassed.plotting.sed import plot_sed
from jpassed.plotting.training import plot_training
from jpassed.plotting.trends import plot_trend

__all__ = [
    "plot_coverage",
    "plot_pit",
    "plot_posterior",
    "plot_predicted",
    "plot_redshifts",
    "plot_sed",
    "plot_training",
    "plot_trend",
]
