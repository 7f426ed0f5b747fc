"""A model against the limit's posteriors of the same objects."""

from __future__ import annotations

from typing import Any

import numpy as np
from limit_run import BINS
from limit_scores import QUANTITIES, sigma_nmad
from numpy.typing import NDArray

from jpassed.annotation import infer
from jpassed.evaluation import bootstrap_interval, outlier_fraction
from jpassed.weights import load_model

Array = NDArray[np.float64]

OUTLIER = 0.05
RESAMPLINGS = 1000


def photometry_table(arrays: dict[str, Any], rows: Array) -> Any:
    """The objects as a table for `jpassed.annotation.infer`; hidden bands are masked."""
    from astropy.table import MaskedColumn, QTable

    table = QTable()
    table["id"] = np.arange(1, len(rows) + 1)
    for i, band in enumerate(arrays["bands"]):
        hidden = ~arrays["observed"][rows, i]
        for key, name in (("flux", str(band)), ("error", f"{band}_err")):
            values = arrays[key][rows, i].astype(np.float64)
            table[name] = MaskedColumn(np.where(hidden, np.nan, values), mask=hidden, unit="uJy")
    return table


def compare(arrays: dict[str, Any], model: str = "default") -> dict[str, Any]:
    """Figures of every case and magnitude bin.

    Parameters
    ----------
    arrays : dict of array
        The file of limit_run.py.
    model : str
        Name or path.
    """
    loaded = load_model(model)
    result: dict[str, Any] = {"model": loaded.name, "weights": loaded.digest, "cases": {}}
    magnitude = -2.5 * np.log10(
        np.clip(arrays["flux"][:, list(arrays["bands"]).index("rSDSS")], 1e-3, None) / 3631e6
    )
    for case, label in ((0, "all bands"), (1, "half of the bands")):
        rows = np.flatnonzero(arrays["case"] == case)
        if not len(rows):
            continue
        table = photometry_table(arrays, rows)
        posterior = infer(table, model=loaded, outputs=list(QUANTITIES))
        own = score_model(arrays, rows, posterior)
        found = result["cases"].setdefault(label, {})
        for index, (low, high) in enumerate(BINS):
            here = arrays["bin"][rows] == index
            if here.sum() >= 3:
                found[f"{low:g}-{high:g}"] = figures(arrays, rows, own, here)
        here = (magnitude[rows] >= 20.0) & (magnitude[rows] < 22.5)
        if here.sum() >= 3:
            found["20-22.5"] = figures(arrays, rows, own, here)
    return result


def score_model(arrays: dict[str, Any], rows: Array, posterior: Any) -> dict[str, Array]:
    """The model's ln density at truth and at the limit's draws, and its median."""
    out: dict[str, Array] = {}
    labels = list(arrays["labels"])
    for name in QUANTITIES:
        column = labels.index(name)
        known = arrays["target"][rows, column]
        truth = np.where(known, arrays["truth"][rows, column], np.nan)
        draws = arrays[f"draws_{name}"][rows]
        safe = np.where(np.isfinite(truth), truth, 0.5)
        out[f"score_{name}"] = np.where(known, posterior[name].logpdf(safe), np.nan)
        finite = np.isfinite(draws)
        density = posterior[name].logpdf(np.where(finite, draws, 0.5))
        out[f"log_density_{name}"] = np.where(finite, density, np.nan)
        out[f"median_{name}"] = posterior.median(name)
    return out


def figures(
    arrays: dict[str, Any], rows: Array, own: dict[str, Array], here: NDArray[np.bool_]
) -> dict[str, Any]:
    """Of some of the rows."""
    chosen = rows[here]
    labels = list(arrays["labels"])
    out: dict[str, Any] = {
        "objects": len(chosen),
        "by importance sampling": int((arrays["method"][chosen] == 0).sum()),
    }
    for name in QUANTITIES:
        limit, model = arrays[f"score_{name}"][chosen], own[f"score_{name}"][here]
        known = np.isfinite(limit) & np.isfinite(model)
        if known.sum() < 3:
            continue
        density = arrays[f"log_density_{name}"][chosen][known]
        theirs = own[f"log_density_{name}"][here][known]
        halves = arrays[f"score_halves_{name}"][chosen][known]
        wide = arrays[f"score_wide_{name}"][chosen][known]
        entry: dict[str, Any] = {
            "n": int(known.sum()),
            "limit": mean_error(limit[known]),
            "limit at its draws": mean_error(density.mean(1)),
            "limit's error from halves": float(
                np.std(halves[:, 0] - halves[:, 1]) / 2 / np.sqrt(known.sum())
            ),
            "kernel twice as wide": float(np.mean(wide - limit[known])),
            "model": mean_error(model[known]),
            "gap": mean_error((limit - model)[known]),
            "gap at the limit's draws": mean_error((density - theirs).mean(1)),
        }
        rank = arrays[f"rank_{name}"][chosen][known]
        entry["limit's coverage 68"] = float(np.mean(np.abs(rank - 0.5) < 0.34))
        entry["limit's coverage 90"] = float(np.mean(np.abs(rank - 0.5) < 0.45))
        entry["rank KS"] = ks(rank)
        both = arrays["sandwich"][chosen][known]
        if both.any():
            other = arrays[f"score_truth_{name}"][chosen][known][both]
            there = arrays[f"log_density_truth_{name}"][chosen][known][both]
            entry["sandwich objects"] = int(both.sum())
            entry["from the truth - from the library, at the truth"] = mean_error(
                other - limit[known][both]
            )
            entry["... at own draws"] = mean_error(
                there.mean(1) - density[both].mean(1)
            )
        out[name] = entry
    true = arrays["truth"][chosen, labels.index("z")]
    draws = arrays["draws_z"][chosen]
    out["redshift"] = redshift(true, draws, own["median_z"][here])
    return out


def redshift(true: Array, draws: Array, model: Array) -> dict[str, Any]:
    """sigma_NMAD and outliers of both medians, at the truth and at the limit's draws."""
    limit = np.median(draws, axis=1)

    def expected(point: Array, sample: Array) -> float:
        flat = np.repeat(point, sample.shape[1])
        return sigma_nmad(flat, sample.reshape(-1))

    def ratio(a: Array, b: Array, t: Array) -> float:
        return sigma_nmad(a, t) / sigma_nmad(b, t)

    def expected_ratio(a: Array, b: Array, s: Array) -> float:
        return expected(a, s) / expected(b, s)

    def interval(statistic: Any, *values: Array) -> list[float]:
        return [float(v) for v in bootstrap_interval(statistic, values, n=RESAMPLINGS)]

    flat = draws.reshape(-1)
    return {
        "sigma_nmad limit": sigma_nmad(limit, true),
        "sigma_nmad model": sigma_nmad(model, true),
        "ratio": ratio(model, limit, true),
        "ratio interval": interval(ratio, model, limit, true),
        "sigma_nmad limit, at draws": expected(limit, draws),
        "sigma_nmad model, at draws": expected(model, draws),
        "ratio at draws": expected_ratio(model, limit, draws),
        "ratio at draws interval": interval(expected_ratio, model, limit, draws[:, ::5]),
        "outliers limit": outlier_fraction(limit, true, OUTLIER),
        "outliers model": outlier_fraction(model, true, OUTLIER),
        "outliers limit, at draws": outlier_fraction(
            np.repeat(limit, draws.shape[1]), flat, OUTLIER
        ),
        "outliers model, at draws": outlier_fraction(
            np.repeat(model, draws.shape[1]), flat, OUTLIER
        ),
    }


def mean_error(values: Array) -> list[float]:
    """Mean and its standard error from resampling objects."""
    low, high = bootstrap_interval(np.mean, values, n=RESAMPLINGS)
    return [float(np.mean(values)), float(0.5 * (high - low))]


def ks(rank: Array) -> float:
    """Kolmogorov-Smirnov distance of ranks from the uniform distribution."""
    x = np.sort(rank)
    steps = np.arange(len(x) + 1) / len(x)
    return float(max(np.max(steps[1:] - x), np.max(x - steps[:-1])))


def text(result: dict[str, Any]) -> str:
    """The figures as Markdown tables."""
    lines = [f"model {result['model']}, weights {result['weights'][:16]}", ""]
    for label, bins in result["cases"].items():
        lines += [
            f"### {label}",
            "",
            "| r | n (IS) | sigma_NMAD limit | model | ratio | at draws: limit | model | ratio "
            "| > 0.05 limit | model |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        for name, entry in bins.items():
            z = entry["redshift"]
            low, high = z["ratio interval"]
            d_low, d_high = z["ratio at draws interval"]
            lines.append(
                f"| {name} | {entry['objects']} ({entry['by importance sampling']}) "
                f"| {z['sigma_nmad limit']:.5f} | {z['sigma_nmad model']:.5f} "
                f"| {z['ratio']:.2f} ({low:.2f}-{high:.2f}) "
                f"| {z['sigma_nmad limit, at draws']:.5f} | {z['sigma_nmad model, at draws']:.5f} "
                f"| {z['ratio at draws']:.2f} ({d_low:.2f}-{d_high:.2f}) "
                f"| {100 * z['outliers limit, at draws']:.2f} % "
                f"| {100 * z['outliers model, at draws']:.2f} % |"
            )
        lines += [
            "",
            "| r | quantity | n | limit | limit, own draws | model | gap | gap at draws "
            "| halves | wide | cov 68, 90 | KS | sandwich |",
            "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
        ]
        for name, entry in bins.items():
            for quantity in QUANTITIES:
                if quantity not in entry:
                    continue
                e = entry[quantity]
                key = "from the truth - from the library, at the truth"
                both = "{:+.3f} +- {:.3f}".format(*e[key]) if key in e else ""
                lines.append(
                    f"| {name} | {quantity} | {e['n']} | {e['limit'][0]:.3f} "
                    f"| {e['limit at its draws'][0]:.3f} | {e['model'][0]:.3f} "
                    f"| {e['gap'][0]:.3f} +- {e['gap'][1]:.3f} "
                    f"| {e['gap at the limit' + chr(39) + 's draws'][0]:.3f} +- "
                    f"{e['gap at the limit' + chr(39) + 's draws'][1]:.3f} "
                    f"| {e['limit' + chr(39) + 's error from halves']:.3f} "
                    f"| {e['kernel twice as wide']:+.3f} "
                    f"| {100 * e['limit' + chr(39) + 's coverage 68']:.0f}, "
                    f"{100 * e['limit' + chr(39) + 's coverage 90']:.0f} | {e['rank KS']:.2f} "
                    f"| {both} |"
                )
        lines.append("")
    return "\n".join(lines)
