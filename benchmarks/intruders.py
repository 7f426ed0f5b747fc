"""Stars and quasars among galaxies: how many `jp_intruder` finds, and at how many false alarms.

    PYTHONPATH=. python benchmarks/intruders.py FOLDER [--model default] [--n 20000]
        [--markdown docs/intruders.md] [--figure docs/_static/intruders.png]

Simulated galaxies are of the declared prior, with a seed that nothing else uses. Real objects: see
`intruder_samples`. Intervals are 68 %, by a bootstrap over objects, not over draws of noise.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import column
from intruder_samples import ABSOLUTE, MAGNITUDES, Sample, real_samples
from markdown_blocks import markdown_table, replace_block, shown_command
from numpy.typing import NDArray
from simulated_sample import BANDS, noisy_magnitude, photometry_table, simulated

import jpassed
from jpassed.annotation import annotate
from jpassed.annotation.intruders import load_intruder_score
from jpassed.evaluation import bootstrap_interval

Array = NDArray[np.float64]

SEED = 20_261_064
EDGES = (16.0, 18.0, 19.0, 20.0, 21.0, 22.0, 22.7)
TESTED = (18.0, 21.0)
FALSE_ALARMS = 0.05
REDSHIFTS = (0.0, 0.5, 1.5, 2.2, 2.6, 3.0, 3.5, 4.5)
COUNTS = (20, 30, 38, 45, 52, 60)
SHOWN = 1000
TITLES = {
    "star": "stars, SDSS and BOSS spectra", "pickles": "stars of Pickles",
    "qso": "QSOs, SDSS, BOSS and DESI spectra", "spectra": "galaxies, SDSS and BOSS spectra",
    "brown": "galaxies, Brown SEDs at z 0.05-0.7",
}  # fmt: skip


def scores(table: Any, model: Any) -> Array:
    """`jp_intruder`, NaN where masked."""
    result = annotate(table, model=model, outputs=("z",), chi2="none")
    return np.ma.filled(np.ma.asarray(result["jp_intruder"], dtype=float), np.nan)


def share(flagged: NDArray[np.bool_], names: NDArray[np.str_] | None = None) -> str:
    """Percent, with its interval over objects."""
    if not len(flagged):
        return "-"
    text = f"{100 * flagged.mean():.1f}"
    if names is None:
        return text
    low, high = bootstrap_interval(
        lambda v: float(v.mean()), flagged.astype(float), names, 500, SEED
    )
    return f"{text} ({100 * low:.1f}-{100 * high:.1f})"


def area(intruders: Array, galaxies: Array) -> float:
    """Area under the ROC curve: the probability that an intruder has the higher score."""
    order = np.sort(galaxies)
    below = np.searchsorted(order, intruders, "left") + np.searchsorted(order, intruders, "right")
    return float(below.mean() / (2.0 * len(order)))


def by_magnitude(
    samples: dict[str, Sample], found: dict[str, Array], galaxies: Array, mag: Array,
    limits: dict[str, float],
) -> str:  # fmt: skip
    """Shares above the threshold of the package, and above that of 5 % false alarms."""
    body = []
    for title, limit in limits.items():
        for key, sample in samples.items():
            over = found[key] > limit
            cells = [share(over[sample.magnitude == m]) for m in MAGNITUDES]
            body.append([title, TITLES[key], *cells, share(over, sample.name)])
        cells = [share(galaxies[np.abs(mag - m) < 0.5] > limit) for m in MAGNITUDES]
        tested = (mag >= TESTED[0]) & (mag <= TESTED[1])
        body.append([title, "galaxies, simulated", *cells, share(galaxies[tested] > limit)])
    head = ["score above", "flagged, %", *(f"r = {m:g}" for m in MAGNITUDES), "all (68 %)"]
    return markdown_table(head, body)


def areas(
    samples: dict[str, Sample], found: dict[str, Array], galaxies: Array, mag: Array
) -> str:
    """Areas under the ROC curves against simulated galaxies of the same magnitude."""
    body = []
    for key in ("star", "pickles", "qso"):
        cells = []
        for m in MAGNITUDES:
            these = found[key][samples[key].magnitude == m]
            cells.append(f"{area(these, galaxies[np.abs(mag - m) < 0.5]):.4f}")
        body.append([TITLES[key], *cells])
    return markdown_table(["area under the ROC", *(f"r = {m:g}" for m in MAGNITUDES)], body)


def by_kind(samples: dict[str, Sample], found: dict[str, Array], limit: float) -> str:
    """Quasars by redshift, stars by type; objects, not draws, are counted."""
    body = []
    sample, over = samples["qso"], found["qso"] > limit
    for low, high in zip(REDSHIFTS[:-1], REDSHIFTS[1:], strict=True):
        here = (sample.z >= low) & (sample.z < high)
        count = len(np.unique(sample.name[here]))
        if count:
            body.append([f"QSO, z {low:g}-{high:g}", str(count), share(over[here])])
    for key, title in (("star", "star"), ("pickles", "Pickles")):
        sample, over = samples[key], found[key] > limit
        groups = np.array([_type(kind) for kind in sample.kind])
        for group in [g for g in (*"OBAFGKM", "WD", "other") if g in groups]:
            here = groups == group
            count = len(np.unique(sample.name[here]))
            body.append([f"{title}, {group}", str(count), share(over[here])])
    return markdown_table(["what", "objects", "flagged, %"], body)


def _type(kind: str) -> str:
    if kind.startswith("WD"):
        return "WD"
    letter = kind.removeprefix("sd:").removeprefix("esd")[:1].upper()
    return letter if letter and letter in "OBAFGKM" else "other"


def named(samples: dict[str, Sample], found: dict[str, Array], limit: float) -> str:
    """Galaxies with false alarms, and intruders that are missed, in a third of their draws."""
    lines = []
    for key, wrong in (("spectra", True), ("brown", True), ("qso", False), ("star", False)):
        sample, over = samples[key], found[key] > limit
        listed = []
        for name in np.unique(sample.name):
            here = sample.name == name
            part = float(np.mean(over[here] == wrong))
            if part > 0.333:
                z = f" (z {sample.z[here][0]:.3f})" if key != "brown" else ""
                listed.append(f"{name}{z} {100 * part:.0f} %")
        title = "Flagged" if wrong else "Missed"
        count = len(np.unique(sample.name))
        lines.append(f"- {title} of {count} {TITLES[key]}: {', '.join(listed) or 'none'}.")
    return "\n".join(lines)


def by_bands(samples: dict[str, Sample], galaxies: Any, model: Any, limit: float) -> str:
    """Fewer bands, any of them or neighbours: shares above the threshold, of r 18 to 21."""
    rng = np.random.default_rng(SEED)
    body = []
    place = np.arange(len(BANDS))
    tables = [galaxies, samples["pickles"].table, samples["qso"].table]
    tables = [table[np.sort(rng.permutation(len(table))[:SHOWN])] for table in tables]
    for count in COUNTS:
        cells = [str(count)]
        for window in (False, True):
            for table in tables:
                flux, error = _filled(table, ""), _filled(table, "_err")
                first = rng.integers(0, len(BANDS) - count + 1, (len(flux), 1))
                hidden = ~((place >= first) & (place < first + count))
                if not window:
                    hidden = np.argsort(rng.random(flux.shape), axis=1) >= count
                hidden |= ~np.isfinite(flux) | ~np.isfinite(error)
                fewer = photometry_table(
                    np.where(hidden, np.nan, flux), np.where(hidden, np.nan, error)
                )
                value = scores(fewer, model)
                known = np.isfinite(value)
                cells.append(share(value[known] > limit) if known.mean() > 0.05 else "masked")
        body.append(cells)
    kinds = ("galaxies", "Pickles", "QSOs")
    head = ["bands", *(f"{k}, any" for k in kinds), *(f"{k}, neighbours" for k in kinds)]
    return markdown_table(head, body)


def _filled(table: Any, ending: str) -> Array:
    """Columns (N, 60) of all bands, NaN where masked."""
    columns = [np.ma.filled(np.ma.asarray(column(table, b + ending)), np.nan) for b in BANDS]
    return np.stack(columns, axis=1).astype(float)


def main() -> None:
    """Measure, print, and put the tables into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the shared data")
    parser.add_argument("--model", default="default")
    parser.add_argument("--n", type=int, default=20000, help="simulated galaxies")
    parser.add_argument("--markdown", type=Path, default=None)
    parser.add_argument("--figure", type=Path, default=None)
    options = parser.parse_args()
    model = jpassed.load_model(options.model)
    fitted = load_intruder_score(model)
    if fitted is None:
        raise SystemExit("this model has no score of intruders: run tools/fit_intruders.py")
    table = simulated(options.folder, options.n, SEED)
    mag = noisy_magnitude(table)
    galaxies = scores(table, model)
    samples = real_samples(options.folder)
    found = {key: scores(sample.table, model) for key, sample in samples.items()}
    tested = (mag >= TESTED[0]) & (mag <= TESTED[1])
    five = float(np.quantile(galaxies[tested], 1.0 - FALSE_ALARMS))
    limits = {f"{fitted.threshold:g}, the flag": fitted.threshold, f"{five:.2f}": five}
    simulated_rows = [
        [f"{low:g}-{high:g}", str(int(here.sum())), share(galaxies[here] > fitted.threshold),
         share(galaxies[here] > five)]
        for low, high in zip(EDGES[:-1], EDGES[1:], strict=True)
        if (here := (mag >= low) & (mag < high)).any()
    ]  # fmt: skip
    text = "\n\n".join(
        [
            f"`{shown_command(sys.argv)}`, network `{model.digest}`; galaxies of "
            f"{ABSOLUTE[0]:g} < M_r < {ABSOLUTE[1]:g}; {five:.2f} is where {FALSE_ALARMS:.0%} of "
            "simulated galaxies of r 18-21 are flagged.",
            by_magnitude(samples, found, galaxies, mag, limits),
            areas(samples, found, galaxies, mag),
            by_kind(samples, found, fitted.threshold),
            markdown_table(
                ["simulated galaxies, r", "number", "flagged, %", f"above {five:.2f}, %"],
                simulated_rows,
            ),
            by_bands(samples, table[tested], model, fitted.threshold),
            named(samples, found, fitted.threshold),
        ]
    )
    print(text)
    if options.markdown:
        replace_block(options.markdown, "intruders", text)
    if options.figure:
        from intruder_figure import draw

        draw(options.figure, samples, found, galaxies[tested], fitted.threshold)


if __name__ == "__main__":
    main()
