"""Training curve: loss and held-out figures against the objects seen."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import InputError
from jpassed.plotting.style import MARKERS, Style, legend, start_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["plot_training"]

GROUPS = {
    "loss_z": "redshift",
    "loss_labels": "labels",
    "loss_ew": "EWs",
    "loss_flux": "bandfluxes",
}
WINDOW = 100
"""Steps whose median loss is drawn."""


def plot_training(
    log: str | os.PathLike[str] | Sequence[Mapping[str, Any]],
    *,
    batch: int | None = None,
    figure: Figure | None = None,
    style: str | None = None,
) -> Figure:
    """
    Draw the loss, the log score of redshift and its sigma_NMAD by magnitude.

    Parameters
    ----------
    log : path or sequence of mapping
        Folder of a training, its ``log.jsonl``, or what `jpassed.training.journal.read_log` gave.
    batch : int, optional
        Objects a step, for logs of earlier versions, which do not tell it; without it these are
        drawn against steps.
    figure : `~matplotlib.figure.Figure`, optional
        An empty figure to draw on; by default a new one of pyplot.
    style : {"light", "dark"}, optional
        By default that of the figure.

    Returns
    -------
    `~matplotlib.figure.Figure`
        With three Axes: losses (medians of 100 steps), log score and sigma_NMAD of held-out
        simulated galaxies with all bands, against millions of objects seen. Held-out figures are
        those of the averaged weights.

    Raises
    ------
    FileError
        The log is missing, or is none.
    InputError
        The log is empty, or its records are not those of a training.
    """
    if isinstance(log, (str, os.PathLike)):
        from jpassed.training.journal import read_log

        records: Sequence[Mapping[str, Any]] = read_log(log)
    else:
        records = log
    if not records:
        raise InputError("the log of the training is empty")
    with start_figure(figure, style, 6.0, 7.0) as (figure, look):
        axes = figure.subplots(3, 1, sharex=True)
        seen, words = _objects(records, batch)
        _draw_losses(axes[0], look, seen, records)
        checked = [i for i, r in enumerate(records) if r.get("validation")]
        figures = [records[i]["validation"] for i in checked]
        _draw_held_out(axes[1], axes[2], look, seen[checked], figures)
        axes[2].set_xlabel(words)
        for ax in axes:
            ax.grid(color=look.grid, linewidth=0.4)
            ax.set_axisbelow(True)
    return figure


def _objects(
    records: Sequence[Mapping[str, Any]], batch: int | None
) -> tuple[NDArray[np.float64], str]:
    """Where the records lie on the horizontal axis, and its label."""
    if all("objects" in r for r in records):
        return np.array([r["objects"] for r in records]) / 1e6, "objects seen (millions)"
    if strange := [r for r in records if "step" not in r]:
        raise InputError(
            f"the log is none of a training: a record has neither 'objects' nor 'step', but "
            f"{', '.join(map(str, strange[0])) or 'nothing'}"
        )
    steps = np.array([r["step"] for r in records], dtype=np.float64)
    if batch is None:
        return steps, "steps"
    return steps * batch / 1e6, "objects seen (millions)"


def _draw_losses(
    ax: Any, look: Style, seen: NDArray[np.float64], records: Sequence[Mapping[str, Any]]
) -> None:
    """Medians of the loss, and of what each group of requests loses."""
    series = {"loss": "loss (weighted sum)", **GROUPS}
    # Logs of earlier versions name the loss of redshift "z", and have no other group.
    older = {"loss_z": "z"}
    colours = (look.ink, *(c for c in look.series if c != look.ink))
    styles = ("-", "--", "-.", ":", (0, (5, 1)))
    for name, colour, line in zip(series, colours, styles, strict=False):
        values = np.array([_number(r.get(name, r.get(older.get(name, "")))) for r in records])
        if np.isfinite(values).any():
            x, y = _medians(seen, values)
            ax.plot(x, y, color=colour, linestyle=line, linewidth=1.1, label=series[name])
    legend(ax, look, ncols=2)
    ax.set_ylabel("negative log likelihood\n(nat, scaled units)")


def _draw_held_out(
    score: Any,
    precision: Any,
    look: Style,
    seen: NDArray[np.float64],
    figures: list[Mapping[str, float]],
) -> None:
    """Log score, and sigma_NMAD by magnitude."""
    values = np.array([_number(f.get("log score")) for f in figures])
    score.plot(seen, values, "o-", color=look.truth, markersize=3, linewidth=1.1)
    score.set_ylabel("log score of redshift\n(nat, density in ln(1+z))")
    if np.isfinite(values).sum() > 4:
        # The first figures are those of a network that knows nothing: they would set the scale.
        low, high = np.nanpercentile(values, [10, 100])
        span = max(high - low, 0.1)
        score.set_ylim(low - 0.15 * span, high + 0.1 * span)
    names = list(dict.fromkeys(n for f in figures for n in f if n.startswith("nmad ")))
    for k, name in enumerate(names):
        colour, marker = look.series[k % len(look.series)], MARKERS[k % len(MARKERS)]
        low, _, high = name.removeprefix("nmad ").partition("-")
        label = f"r < {high}" if float(low) == 0 else f"r = {low} to {high}"
        values = np.array([_number(f.get(name)) for f in figures])
        precision.plot(
            seen, values, f"{marker}-", color=colour, markersize=3, linewidth=1.1, label=label
        )
    if names:
        precision.set_yscale("log")
        legend(precision, look, ncols=2)
    precision.set_ylabel(r"$\sigma_{\rm NMAD}$ of redshift")


def _number(value: Any) -> float:
    """A number, NaN where there is none."""
    return np.nan if value is None else float(value)


def _medians(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Medians of y over `WINDOW` neighbours (fewer in a short log), at their mean x."""
    size = max(1, min(WINDOW, len(x) // 20))
    whole = len(x) // size * size
    groups = y[:whole].reshape(-1, size)
    good = np.isfinite(groups).any(1)
    centre = x[:whole].reshape(-1, size).mean(1)
    return centre[good], np.nanmedian(groups[good], 1)
