"""Plots, one a file. Each draws on the Axes (or figure) it is given and returns them."""

from jpassed.plotting.posterior import plot_posterior
from jpassed.plotting.sed import plot_sed
from jpassed.plotting.training import plot_training

__all__ = ["plot_posterior", "plot_sed", "plot_training"]
