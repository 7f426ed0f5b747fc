"""The plots of an evaluation, each with its text alternative."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.plotting import plot_coverage, plot_pit, plot_predicted, plot_redshifts, plot_trend
from jpassed.validation.selections import ALL
from jpassed.validation.statistics import Statistic, statistics_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jpassed.validation.assessment import Evaluation
    from jpassed.validation.compared import Compared

__all__ = ["draw_all"]

TRENDS = {
    True: ("bias", "sigma_nmad", "outliers_0.05", "coverage_68"),
    False: ("bias", "scatter", "coverage_68", "crps"),
}
"""Statistics drawn against magnitude and redshift, of redshift and of other quantities."""

Drawn = dict[str, tuple["Figure", str]]


def draw_all(evaluation: Evaluation) -> Drawn:
    """Figures by name; see `jpassed.validation.Evaluation.plots`."""
    found: Drawn = {}
    for name, compared in evaluation.compared.items():
        stem = "redshift" if name == "z" else name.replace(":", "_")
        found[stem] = _values(evaluation, name, compared)
        if compared.has_posteriors:
            found[f"{stem}_calibration"] = _calibration(evaluation, name, compared)
        rows = evaluation.figures
        rows = rows[rows["quantity"] == name]
        for by in dict.fromkeys(str(b) for b in rows["by"]):
            if by in (ALL, "jp_flag"):
                continue
            figure = _trends(rows[rows["by"] == by], name, by)
            if figure is not None:
                found[f"{stem}_by_{_plain(by)}"] = figure
    return found


def _figure(width: float, height: float) -> Figure:
    """A figure outside pyplot: nothing of the user's session changes."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _values(evaluation: Evaluation, name: str, compared: Compared) -> tuple[Figure, str]:
    figure = _figure(6.2, 5.6)
    ax = figure.add_subplot()
    use = compared.use
    predicted, true = compared.scores.median[use], compared.truth.value[use]
    if name == "z":
        plot_redshifts(predicted, true, ax=ax)
        said = (
            f"Photometric against spectroscopic redshift of {use.sum()} objects: bias "
            f"{evaluation.value('bias'):.4f}, sigma_NMAD {evaluation.value('sigma_nmad'):.4f}, "
            f"{100 * evaluation.value('outliers_0.05'):.1f} % outliers beyond 0.05 (1+z)."
        )
    else:
        plot_predicted(predicted, true, name=name, ax=ax)
        bias, scatter = (evaluation.value(s, name) for s in ("bias", "scatter"))
        said = (
            f"Predicted against known {name} of {use.sum()} objects: bias {bias:.3g}, scatter "
            f"{scatter:.3g}."
        )
    return figure, said


def _calibration(evaluation: Evaluation, name: str, compared: Compared) -> tuple[Figure, str]:
    figure = _figure(9.2, 4.2)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1.0))
    pit = compared.scores.pit[compared.use]
    plot_pit(pit, ax=left)
    plot_coverage(pit, ax=right)
    inside = 100 * evaluation.value("coverage_68", name)
    said = (
        f"Histogram of the PIT values of {name}, and share of objects inside central intervals: "
        f"68 % intervals hold {inside:.1f} %, the largest distance of the PIT distribution from "
        f"uniform is {evaluation.value('pit_distance', name):.3f}."
    )
    return figure, said


def _trends(rows: Any, name: str, by: str) -> tuple[Figure, str] | None:
    """Panels of statistics against one axis."""
    known = {s.name: s for s in statistics_of(name, decades=True)}
    shown = [
        s
        for s in TRENDS[name == "z"]
        if np.isfinite(np.ma.filled(rows["value"][rows["statistic"] == s], np.nan)).any()
    ]
    if not shown:
        return None
    best = by in ("odds", "quoted error")
    figure = _figure(9.2, 2.7 * ((len(shown) + 1) // 2))
    axes = np.atleast_1d(figure.subplots((len(shown) + 1) // 2, 2, squeeze=False)).ravel()
    for spare in axes[len(shown) :]:
        spare.remove()
    for ax, statistic in zip(axes, shown, strict=False):
        part = rows[rows["statistic"] == statistic]
        value, lo, hi, high = (_filled(part[c]) for c in ("value", "lo", "hi", "high"))
        low = high if best else _filled(part["low"])
        about = known[statistic]
        factor = 100.0 if about.percent else 1.0
        ideal = about.expected(int(part["n"].max()))
        plot_trend(
            low, high, factor * value, (factor * lo, factor * hi), name=_label(about),
            # A column's name is no formula, whatever is in it.
            by=f"best % by {by}" if best else by.replace("$", r"\$"),
            reference=factor * ideal if np.isfinite(ideal) else None, ax=ax,
        )  # fmt: skip
    words = ", ".join(known[s].title for s in shown)
    return figure, f"{words} of {name} against {by}; the table below has the numbers."


def _label(statistic: Statistic) -> str:
    title = statistic.title.replace("σ_NMAD", r"$\sigma_{\rm NMAD}$")
    return f"{title} (%)" if statistic.percent else title


def _filled(column: Any) -> Any:
    return np.ma.filled(np.ma.asarray(column, dtype=np.float64), np.nan)


def _plain(text: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in text)
