"""Plots, one a file. Each draws on the Axes it is given and returns them."""

from jpassed.plotting.posterior import plot_posterior
from jpassed.plotting.sed import plot_sed

__all__ = ["plot_posterior", "plot_sed"]
