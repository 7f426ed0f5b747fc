"""Figures in words: a number with as many digits as it deserves, a sentence on a quantity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jpassed.validation.statistics import Statistic, statistics_of

if TYPE_CHECKING:
    from jpassed.validation.assessment import Evaluation

__all__ = ["number", "sentence", "title"]


def sentence(evaluation: Evaluation, name: str) -> str:
    """One sentence on a quantity."""
    used = int(evaluation.compared[name].use.sum())
    known = set(evaluation.figures["statistic"][evaluation.figures["quantity"] == name])
    wanted = (
        ("bias", "sigma_nmad", "outliers_0.05", "outliers_0.15", "coverage_68", "coverage_quoted")
        if name == "z"
        else ("bias", "scatter", "coverage_68", "coverage_quoted")
    )
    statistics = {s.name: s for s in statistics_of(name, decades=True)}
    parts = [
        f"{statistics[s].title} {number(evaluation.value(s, name), statistics[s])}"
        for s in wanted
        if s in known
    ]
    return f"{title(name)}, {used} objects: {', '.join(parts)}."


def title(name: str) -> str:
    return "Redshift" if name == "z" else name


def number(value: float, statistic: Statistic, *, unit: bool = True) -> str:
    """A figure with as many digits as it deserves."""
    if not np.isfinite(value):
        return "n/a"
    if statistic.percent:
        shown = 100 * value
        return f"{shown:.2f}" + (" %" if unit else "") if shown < 1 else (
            f"{shown:.1f}" + (" %" if unit else "")
        )  # fmt: skip
    size = abs(value)
    digits = 5 if size < 0.1 else 4 if size < 1 else 3 if size < 10 else 2
    return f"{value:.{digits}f}".replace("-", "−")
