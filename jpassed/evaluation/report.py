"""Tables of statistics: redshifts by magnitude, and every label of a posterior."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jpassed.evaluation import photoz, scores
from jpassed.evaluation.bootstrap import bootstrap_interval
from jpassed.exceptions import InputError
from jpassed.posteriors import Posterior

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["photoz_report", "posterior_report"]

FloatArray = NDArray[np.float64]
_LEVELS = (0.68, 0.95)


def photoz_report(
    z_phot: ArrayLike,
    z_true: ArrayLike,
    by: ArrayLike | None = None,
    edges: Sequence[float] | None = None,
    *,
    pit: ArrayLike | None = None,
    crps: ArrayLike | None = None,
    log_score: ArrayLike | None = None,
    outlier_thresholds: Sequence[float] = (0.05, 0.15),
    limits: Sequence[float] = (0.003, 0.01),
    groups: ArrayLike | None = None,
    n_bootstrap: int = 0,
    seed: int = 0,
    level: float = 0.68,
) -> Table:
    """Photometric-redshift statistics in bins of a magnitude (or anything else).

    Parameters
    ----------
    z_phot, z_true : array (N,)
        Point estimates and truth, finite.
    by : array (N,), optional
        What to bin by; one bin when not given.
    edges : sequence, optional
        Edges of the bins ``low <= by < high``; needed with `by`.
    pit, crps, log_score : array (N,), optional
        From `jpassed.evaluation.scores`: adds coverage of the 68 and 95 % intervals and the PIT
        distance, mean CRPS, mean log score.
    outlier_thresholds, limits : sequence of float
        Of `outlier_fraction` and `fraction_within`.
    groups : array (N,), optional
        Object of each row, for the bootstrap.
    n_bootstrap : int
        Resamplings for columns ``<statistic>_lo`` and ``<statistic>_hi``; 0 for none.
    seed : int
    level : float
        Probability of the bootstrap interval.

    Returns
    -------
    Table
        One row per bin: ``low, high, n``, then the statistics; masked where a bin is empty.

    Raises
    ------
    InputError
        If the columns differ in length, or the edges of the bins do not increase.
    """
    from astropy.table import MaskedColumn, Table

    columns: dict[str, FloatArray] = {"z_phot": _column(z_phot), "z_true": _column(z_true)}
    for name, values in (("pit", pit), ("crps", crps), ("log_score", log_score)):
        if values is not None:
            columns[name] = _column(values)
    n_objects = len(columns["z_phot"])
    value = np.zeros(n_objects) if by is None else _column(by)
    if by is not None and edges is None:
        raise InputError("give the edges of the bins")
    bins = np.array([-np.inf, np.inf]) if edges is None else np.asarray(edges, dtype=np.float64)
    if bins.ndim != 1 or len(bins) < 2 or np.any(np.diff(bins) <= 0):
        raise InputError(f"edges must be at least two increasing numbers, got {edges}")
    if any(len(c) != n_objects for c in (*columns.values(), value)):
        raise InputError("all columns must have one value per object")
    labels = np.arange(n_objects) if groups is None else np.asarray(groups)
    statistics = _photoz_statistics(columns, outlier_thresholds, limits)
    rows: list[dict[str, float]] = []
    for low, high in zip(bins[:-1], bins[1:], strict=True):
        chosen = (value >= low) & (value < high)
        row: dict[str, float] = {"low": low, "high": high, "n": int(chosen.sum())}
        for name, (needed, statistic) in statistics.items() if chosen.any() else ():
            arrays = tuple(columns[c][chosen] for c in needed)
            row[name] = statistic(*arrays)
            if n_bootstrap:
                row[f"{name}_lo"], row[f"{name}_hi"] = bootstrap_interval(
                    statistic, arrays, labels[chosen], n_bootstrap, seed, level=level
                )
        rows.append(row)
    names = ["low", "high", "n"]
    for name in statistics:
        names += [name, f"{name}_lo", f"{name}_hi"] if n_bootstrap else [name]
    table = Table()
    for name in names:
        filled = [row.get(name, np.nan) for row in rows]
        missing = [name not in row for row in rows]
        table[name] = MaskedColumn(filled, mask=missing) if any(missing) else filled
        if name not in ("n", "low", "high"):
            table[name].format = "%.5f"
    table.meta["definitions"] = _DEFINITIONS
    return table


def posterior_report(
    posterior: Posterior,
    truth: Mapping[str, ArrayLike],
    *,
    use: Mapping[str, ArrayLike] | None = None,
    errors: Mapping[str, ArrayLike] | None = None,
) -> Table:
    """Accuracy and calibration of every quantity of which the truth is known.

    Parameters
    ----------
    posterior : Posterior
        N objects.
    truth : mapping of quantity to array (N,)
        In the quantity's unit; values that are not finite are left out.
    use : mapping of quantity to array (N,) of bool, optional
        Objects to evaluate (lines in range, star-formation rates above the floor).
    errors : mapping of quantity to array (N,), optional
        Standard errors of the truth, for PIT and log score.

    Returns
    -------
    Table
        One row per quantity: ``quantity, n``, ``bias`` (median of the median minus the truth),
        ``scatter`` (`mad_scatter` of it), ``sigma`` (median half 16-84 interval),
        ``coverage_68, coverage_95, pit_distance, crps, log_score`` (means); masked where n is 0.

    Raises
    ------
    InputError
        If no quantity has a truth, or one has another number of objects.
    """
    from astropy.table import Table

    rows = []
    for name in (n for n in posterior.names if n in truth):
        true = _column(truth[name])
        if len(true) != len(posterior):
            raise InputError(f"the truth of {name!r} must have shape ({len(posterior)},)")
        good = np.isfinite(true)
        if use is not None and name in use:
            good &= np.asarray(use[name], dtype=bool)
        low, middle, high = posterior[name].quantile([0.16, 0.5, 0.84]).T
        good &= np.isfinite(middle)
        row: dict[str, Any] = {"quantity": name, "n": int(good.sum())}
        if good.any():
            error = None
            if errors is not None and name in errors:
                error = _column(errors[name])[good]
            part, known = posterior[name][good], true[good]
            p = scores.pit(part, known, error)
            residual = middle[good] - known
            row["bias"] = float(np.median(residual))
            row["scatter"] = photoz.mad_scatter(residual)
            row["sigma"] = float(np.median(high[good] - low[good]) / 2)
            row["coverage_68"], row["coverage_95"] = scores.coverage(p, _LEVELS)
            row["pit_distance"] = scores.pit_distance(p)
            row["crps"] = float(np.mean(scores.crps(part, known)))
            row["log_score"] = float(np.mean(scores.log_score(part, known, error)))
        rows.append(row)
    if not rows:
        raise InputError(f"no truth for any of {list(posterior.names)}; got {list(truth)}")
    names = ["quantity", "n", "bias", "scatter", "sigma", "coverage_68", "coverage_95"]
    names += ["pit_distance", "crps", "log_score"]
    table = Table(rows=[{n: row.get(n, np.nan) for n in names} for row in rows], masked=False)
    table = table[names]
    for name in names[2:]:
        table[name].format = "%.5g"
        if any(row["n"] == 0 for row in rows):
            table[name] = np.ma.masked_invalid(table[name])
    return table


_DEFINITIONS = {
    "bias": "median of (z_phot - z_true) / (1 + z_true)",
    "sigma_nmad": "1.4826 median(|dz - median(dz)| / (1 + z_true)), Brammer+2008",
    "outliers_x": "fraction with |dz| / (1 + z_true) > x",
    "within_x": "fraction with |dz| / (1 + z_true) <= x",
    "median_abs": "median of |dz| / (1 + z_true)",
    "coverage_x": "fraction of truths inside the central x % interval",
}


def _photoz_statistics(
    columns: Mapping[str, FloatArray],
    thresholds: Sequence[float],
    limits: Sequence[float],
) -> dict[str, tuple[tuple[str, ...], Callable[..., float]]]:
    """Statistic name to the columns it needs and its function."""
    both = ("z_phot", "z_true")
    out: dict[str, tuple[tuple[str, ...], Callable[..., float]]] = {
        "bias": (both, photoz.bias),
        "sigma_nmad": (both, photoz.sigma_nmad),
        "median_abs": (
            both,
            lambda phot, true: float(np.median(np.abs(photoz.normalised_residual(phot, true)))),
        ),
    }
    for x in thresholds:
        out[f"outliers_{x:g}"] = (
            both,
            lambda phot, true, x=x: photoz.outlier_fraction(phot, true, x),
        )
    for x in limits:
        out[f"within_{x:g}"] = (
            both,
            lambda phot, true, x=x: photoz.fraction_within(phot, true, x),
        )
    if "pit" in columns:
        for x in _LEVELS:
            out[f"coverage_{100 * x:.0f}"] = (
                ("pit",),
                lambda p, x=x: float(scores.coverage(p, x)),
            )
        out["pit_distance"] = (("pit",), scores.pit_distance)
    for name in ("crps", "log_score"):
        if name in columns:
            out[name] = ((name,), lambda v: float(np.mean(v)))
    return out


def _column(values: ArrayLike) -> FloatArray:
    out = np.asarray(values, dtype=np.float64)
    if out.ndim != 1:
        raise InputError(f"expected one value per object, got shape {out.shape}")
    return out
