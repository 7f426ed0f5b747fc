"""Joint posterior of several quantities of one object: a corner plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.plotting.labels import quantity_label
from jpassed.plotting.rows import names_of, number_of, numbers_of, quantities_with, row_of
from jpassed.plotting.style import start_figure
from jpassed.posteriors import JointSamples
from jpassed.posteriors.columns import column_name

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import NDArray

__all__ = ["corner_size", "plot_corner"]

LEAST_DRAWS = 20
MOST_BINS = 25
CONTOURS = (0.393, 0.865)
"""Shares of the probability within 1 and 2 sigma of a Gaussian of two dimensions."""


def plot_corner(
    draws: JointSamples | Table,
    row: int = 0,
    names: Sequence[str] | None = None,
    *,
    truth: Mapping[str, float] | None = None,
    figure: Figure | SubFigure | None = None,
    style: str | None = None,
) -> Figure | SubFigure:
    """
    Draw joint draws of one object: each quantity, and each pair of them.

    Parameters
    ----------
    draws : `~jpassed.posteriors.JointSamples` or `~astropy.table.Table`
        From ``infer(table).sample(1000, names=[...])``, or a table that was annotated with
        ``samples=N`` (columns ``jp_<quantity>_samples``).
    row : int
        Which object, counted from 0.
    names : sequence of str, optional
        Which quantities, in this order; all by default.
    truth : mapping of str to float, optional
        Known values, drawn as lines.
    figure : `~matplotlib.figure.Figure`, optional
        An empty figure (or subfigure) to draw on; by default a new one of pyplot.
    style : {"light", "dark"}, optional
        By default that of the figure.

    Returns
    -------
    `~matplotlib.figure.Figure`
        With one Axes for each pair of n quantities, n x n, those above the diagonal empty. The
        contours hold 39 and 86 % of the draws (1 and 2 sigma in two dimensions), the lines of the
        histograms are the 16th, 50th and 84th percentile.

    Raises
    ------
    UnknownNameError
        There are no draws of a quantity.
    InputError
        There is no such row, or fewer than 20 draws in which all quantities have a value.
    """
    row = row_of(draws, row)  # type: ignore[arg-type]
    values, labels = _draws(draws, row, names)
    array = np.stack(list(values.values()), axis=1)
    array = array[np.isfinite(array).all(axis=1)]
    if len(array) < LEAST_DRAWS:
        raise InputError(
            f"row {row} (counted from 0): {len(array)} draws have a value of all of "
            f"{', '.join(values)}, at least {LEAST_DRAWS} are needed: ask for more samples, or for "
            "other quantities"
        )
    import corner

    known = {} if truth is None else {name: number_of(v) for name, v in truth.items()}
    if strange := [name for name in known if name not in values]:
        raise UnknownNameError("quantity of these draws", strange[0], list(values))
    size = corner_size(len(values))
    with start_figure(figure, style, size, size, layout="none") as (figure, look):
        _make_axes(figure, len(values))
        bins = int(np.clip(np.sqrt(len(array)), 10, MOST_BINS))
        with np.errstate(invalid="ignore"):
            corner.corner(
                array,
                bins=bins,
                range=[_range(column, known.get(name)) for name, column in zip(
                    values, array.T, strict=True)],
                labels=labels,
                color=look.model,
                quantiles=(0.16, 0.5, 0.84),
                levels=CONTOURS,
                smooth=1.0,
                truths=[known.get(name) for name in values] if known else None,
                truth_color=look.truth,
                show_titles=False,
                plot_datapoints=len(array) < 5000,
                data_kwargs={"alpha": 0.25, "ms": 1.5},
                contour_kwargs={"linewidths": 1.0},
                hist_kwargs={"linewidth": 1.2},
                plot_density=False,
                fill_contours=True,
                contourf_kwargs=_fills(look.model, look.background),
                max_n_ticks=4,
                labelpad=0.1,
                fig=figure,
            )  # fmt: skip
    return figure


def corner_size(n: int) -> float:
    """Inches of a side of the figure of n quantities."""
    return 1.0 + 1.1 * n


def _make_axes(figure: Any, n: int) -> None:
    """n x n Axes, with room for the labels."""
    size = corner_size(n)
    gaps = {"wspace": 0.06, "hspace": 0.06}
    figure.subplots(
        n, n, squeeze=False,
        gridspec_kw={"left": 0.75 / size, "bottom": 0.75 / size, "right": 1 - 0.12 / size,
                     "top": 1 - 0.08 / size, **gaps},
    )  # fmt: skip


def _draws(
    draws: JointSamples | Table, row: int, names: Sequence[str] | None
) -> tuple[dict[str, NDArray[np.float64]], list[str]]:
    """Draws (n,) of one object by quantity, and what is written at their axes."""
    if isinstance(draws, JointSamples):
        there = list(draws.names)
    else:
        there = quantities_with(draws, "samples")
        if not there:
            raise InputError(
                "the table has no draws: annotate with samples=1000 (--samples 1000), or give "
                "infer(table).sample(1000)"
            )
    wanted = names_of(there if names is None else names)
    values, labels = {}, []
    for name in wanted:
        if name.replace(":", "_") not in {n.replace(":", "_") for n in there}:
            raise UnknownNameError("quantity of these draws", name, there)
        if isinstance(draws, JointSamples):
            values[name], unit = draws[name][row], draws.units[name]
        else:
            column = draws[column_name(name, "samples")]
            values[name], unit = numbers_of(column[row]), column.unit
        labels.append(quantity_label(name, unit))
    return values, labels


def _range(column: NDArray[np.float64], known: float | None) -> tuple[float, float]:
    """Ends that hold nearly all draws, and what is known."""
    low, high = (float(v) for v in np.quantile(column, [0.003, 0.997]))
    if known is not None and np.isfinite(known):
        low, high = min(low, known), max(high, known)
    margin = 0.06 * (high - low) or 0.5 * max(abs(low), 1e-3)
    return low - margin, high + margin


def _fills(colour: str, background: str) -> dict[str, Any]:
    """Colours within the contours: the outer one nearer to the paper."""
    from matplotlib.colors import to_rgb

    paper, full = np.array(to_rgb(background)), np.array(to_rgb(colour))
    shades = [tuple(paper + share * (full - paper)) for share in (0.0, 0.25, 0.55)]
    return {"colors": shades}
