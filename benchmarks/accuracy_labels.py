"""Labels, line strengths and missing bands: the parts of accuracy.py about labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.table import QTable
from numpy.typing import NDArray

from jpassed.annotation import infer
from jpassed.evaluation import coverage, mad_scatter, outlier_fraction, pit, sigma_nmad
from jpassed.evaluation.sharpness import label_statistics
from jpassed.posteriors import Posterior, Transform
from jpassed.vocabulary import load_vocabulary

Array = NDArray[np.float64]

MAIN_LABELS = ("logmstar", "logsfr", "av", "logage_l")
LEAST_EW = 10.0
BRIGHT = 21.0
LINES = ("ew_halpha", "ew_oiii", "ew_oii", "ew_hbeta")
RATIOS = {"nii/halpha": ("ew_nii", "ew_halpha"), "oiii/hbeta": ("ew_oiii", "ew_hbeta")}


def true_values(table: QTable, name: str) -> Array:
    """True values of a label, NaN where it is no target."""
    return np.asarray(np.ma.filled(table[f"true_{name}"], np.nan), dtype=float)


def transform_of(name: str) -> Transform:
    """The vocabulary's scaling of a label."""
    return Transform.of(load_vocabulary()[name])


def label_table(posterior: Posterior, table: QTable) -> dict[str, Any]:
    """Accuracy, coverage at 50, 68, 90, 95 % and width over the prior's, of every label."""
    result = {}
    for name in posterior.names:
        true = true_values(table, name)
        good = np.isfinite(true)
        result[name] = label_statistics(
            posterior[name][good], true[good], transform=transform_of(name)
        )
    return result


def main_labels(posterior: Posterior, table: QTable, magnitude: Array) -> dict[str, Any]:
    """Scatter of mass, SFR, A_V and light-weighted age: all objects and r < 21."""
    result: dict[str, Any] = {}
    for name in MAIN_LABELS:
        true = true_values(table, name)
        residual = posterior.median(name) - true
        result[name] = {}
        for label, chosen in (("all", np.ones(len(table), bool)), ("r < 21", magnitude < BRIGHT)):
            here = chosen & np.isfinite(residual)
            result[name][label] = dex_row(residual[here])
    return result


def dex_row(residual: Array) -> dict[str, float]:
    """Number, median, root mean square about the mean, and 1.4826 MAD of residuals."""
    if not len(residual):
        return {"n": 0}
    return {
        "n": len(residual),
        "bias": float(np.median(residual)),
        "rms": float(np.std(residual)),
        "mad": mad_scatter(residual),
    }


def line_table(posterior: Posterior, table: QTable, magnitude: Array) -> dict[str, Any]:
    """Dex residuals of EWs over 10 Å at r < 21, and of line ratios at z < 0.4 (ratios of EWs).

    Ratios: of galaxies with EW(Halpha) over 10 Å, and of those with both EWs of the ratio over
    10 Å. ``prior`` is the scatter of the true ratios themselves: what knowing nothing gives.
    """
    bright = magnitude < BRIGHT
    z = true_values(table, "z")
    result: dict[str, Any] = {}
    for name in LINES:
        true = true_values(table, name)
        with np.errstate(invalid="ignore"):
            here = bright & (true > LEAST_EW)
        result[name] = dex_row(_dex(posterior.median(name)[here], true[here]))
    halpha = true_values(table, "ew_halpha")
    for label, (upper, lower) in RATIOS.items():
        top, bottom = true_values(table, upper), true_values(table, lower)
        guess = _dex(posterior.median(upper), posterior.median(lower))
        with np.errstate(invalid="ignore", divide="ignore"):
            true = np.log10(np.where((top > 0) & (bottom > 0), top / bottom, np.nan))
            near = bright & (z < 0.4) & np.isfinite(true)
            groups = {
                "EW(Halpha) > 10": near & (halpha > LEAST_EW),
                "both EWs > 10": near & (top > LEAST_EW) & (bottom > LEAST_EW),
            }
        result[label] = {
            group: dex_row((guess - true)[here])
            | {"prior": mad_scatter(true[here]) if here.any() else float("nan")}
            for group, here in groups.items()
        }
    return result


def _dex(top: Array, bottom: Array) -> Array:
    """log10 of a ratio of EWs, floored at 0.01 Å."""
    return np.log10(np.maximum(top, 1e-2) / np.maximum(bottom, 1e-2))


def half_missing(table: QTable, model: Any, labels: tuple[str, ...], seed: int) -> dict[str, Any]:
    """Another random half of the bands hidden for every object, against all bands."""
    bands = [c for c in table.colnames if f"{c}_err" in table.colnames]
    rng = np.random.default_rng(seed)
    order = rng.random((len(table), len(bands))).argsort(axis=1)
    hidden = order < len(bands) // 2
    half = QTable()
    for i, band in enumerate(bands):
        for name in (band, f"{band}_err"):
            values = np.asarray(table[name].value, dtype=float)
            half[name] = np.ma.masked_array(values, hidden[:, i])
            half[name].unit = "uJy"
    complete = table[[c for b in bands for c in (b, f"{b}_err")]]
    magnitude = -2.5 * np.log10(np.maximum(table["rSDSS"].value, 1e-9) / 3631e6)
    answers = {
        "all bands": infer(complete, model=model, outputs=labels),
        "half of the bands": infer(half, model=model, outputs=labels),
    }
    result: dict[str, Any] = {"objects": len(table), "bands hidden": len(bands) // 2}
    for key, posterior in answers.items():
        result[key] = {"redshift": _by_magnitude(posterior, table, magnitude), "coverage": {}}
        for name in labels:
            true = true_values(table, name)
            good = np.isfinite(true)
            p = pit(posterior[name][good], true[good])
            result[key]["coverage"][name] = [float(v) for v in coverage(p, [0.5, 0.68, 0.9, 0.95])]
    changes = [
        np.abs(np.subtract(result["half of the bands"]["coverage"][name], full)).max()
        for name, full in result["all bands"]["coverage"].items()
    ]
    result["largest change of coverage"] = float(max(changes))
    return result


def _by_magnitude(posterior: Posterior, table: QTable, magnitude: Array) -> dict[str, Any]:
    z, true = posterior.median("z"), true_values(table, "z")
    rows = {}
    for low, high in ((0.0, 20.0), (20.0, 21.0), (21.0, 22.0), (22.0, 22.7)):
        here = (magnitude >= low) & (magnitude < high)
        if here.any():
            rows[f"{low:g}-{high:g}"] = {
                "n": int(here.sum()),
                "sigma_nmad": sigma_nmad(z[here], true[here]),
                "outliers_0.05": outlier_fraction(z[here], true[here], 0.05),
            }
    return rows


def markdown(figures: dict[str, Any]) -> str:
    """The rows of the issue's table, as Markdown, from the figures of accuracy.py."""
    from markdown_blocks import markdown_table

    simulated = figures["simulated"]
    parts = [
        markdown_table(
            ["label", "all: rms, 1.4826 MAD", "r < 21: rms, 1.4826 MAD"],
            [
                [name, *(f"{row[k]['rms']:.3f}, {row[k]['mad']:.3f}" for k in ("all", "r < 21"))]
                for name, row in simulated["main labels"].items()
            ],
        )
    ]
    body = []
    for name, row in simulated["lines"].items():
        rows = {"EW > 10": row} if "rms" in row or row.get("n") == 0 else row
        for group, entry in rows.items():
            if entry["n"]:
                prior = f"{entry['prior']:.3f}" if "prior" in entry else ""
                body.append(
                    [f"{name}, {group}", f"{entry['n']}", f"{entry['bias']:+.3f}",
                     f"{entry['rms']:.3f}", f"{entry['mad']:.3f}", prior]
                )  # fmt: skip
    head = ["r < 21", "n", "bias, dex", "rms", "1.4826 MAD", "scatter of the truth"]
    parts.append(markdown_table(head, body))
    levels = ("50", "68", "90", "95")
    parts.append(
        markdown_table(
            ["label", "n", *(f"{level} % holds" for level in levels), "width over the prior's"],
            [
                [f"`{name}`", f"{row['n']}", *(f"{100 * row[f'coverage_{x}']:.1f}" for x in levels),
                 f"{row['width_ratio']:.2f}"]
                for name, row in simulated["labels"].items()
            ],
        )
    )  # fmt: skip
    half = figures["half missing"]
    parts.append(
        markdown_table(
            ["noisy r", "n", "sigma_NMAD, all bands", "half of them", "beyond 0.05(1+z), all",
             "half"],
            [
                [key, f"{row['n']}", f"{row['sigma_nmad']:.4f}", f"{other['sigma_nmad']:.4f}",
                 f"{100 * row['outliers_0.05']:.1f} %", f"{100 * other['outliers_0.05']:.1f} %"]
                for (key, row), other in zip(
                    half["all bands"]["redshift"].items(),
                    half["half of the bands"]["redshift"].values(), strict=True,
                )
            ],
        )
        + f"\n\nLargest change of coverage of any label at 50, 68, 90 or 95 %: "
        f"{100 * half['largest change of coverage']:.1f} points."
    )  # fmt: skip
    return "\n\n".join(parts)
