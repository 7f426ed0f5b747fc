"""What the bits of jp_flag find and what they flag for nothing, simulated beside real objects.

    PYTHONPATH=. python benchmarks/flags.py FOLDER [--model default] [--each N] [--cache CACHE]
        [--markdown docs/flags.md] [--figure docs/_static/flags_roc.png]

Spoilt photometry, blends, stars and QSOs against galaxies for jp_chi2; few bands and redshift
outliers for PRIOR_DOMINATED; empty sky; refined galaxies; and redshift outliers among flagged and
unflagged rows.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from flag_corruptions import CORRUPTIONS
from flag_curves import area, draw, found_at, roc
from markdown_blocks import markdown_table, replace_block, shown_command
from numpy.typing import NDArray
from real_catalogues import sdss_sets, vvds_sets
from situation_changes import hidden_at_random
from situation_samples import (
    PIVOTS,
    Sample,
    brown,
    noisy,
    pickles,
    qso_templates,
    simulated,
    spectra,
    table_of,
)

from jpassed.annotation import Flag, annotate
from jpassed.annotation.flag_limits import load_flag_limits
from jpassed.annotation.predictive import TaskChi2
from jpassed.annotation.task import prepare
from jpassed.weights import load_model

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

SEED = 20261128
FORMS = ("quick", "full")
BROWN_REDSHIFTS = (0.1, 0.4)
EDGES = (20.0, 21.0, 22.0)
MAGNITUDES = ("r < 20", "20-21", "21-22", "22-22.7")
OUTLIER = 0.05
TURNS = 3
SHARES = (0.90, 0.95, 0.97)
"""Of the bands that are hidden for PRIOR_DOMINATED: 6, 3 and 2 are left."""

CATALOGUE_ROWS = 800
REFINED_ROWS, DRAWS = 40, 1000


class Measured:
    """jp_flag, redshift and both forms of jp_chi2 of a sample's objects, each when asked for."""

    def __init__(self, table: Any, model: Any, z: Array | None, survey: Any = "auto") -> None:
        self._table, self._model, self._z, self._survey = table, model, z, survey

    @cached_property
    def _result(self) -> Any:
        return annotate(
            self._table, model=self._model, outputs=["z"], chi2="none", survey=self._survey
        )

    @cached_property
    def flag(self) -> NDArray[np.int32]:
        """Bits without the one of jp_chi2."""
        return np.asarray(self._result["jp_flag"])

    @cached_property
    def width(self) -> Array:
        """Half the 16-84 % interval of the redshift."""
        return _plain(self._result["jp_z_err"])

    @cached_property
    def outlier(self) -> Mask:
        """Redshifts beyond `OUTLIER` (1 + z)."""
        if self._z is None:
            return np.zeros(len(self._table), bool)
        with np.errstate(invalid="ignore"):
            off = np.abs(_plain(self._result["jp_z"]) - self._z) / (1 + self._z)
        return np.asarray(off > OUTLIER)

    @cached_property
    def _measured(self) -> dict[str, tuple[Array, Mask]]:
        task = prepare(
            self._table, model=self._model, outputs=("z",), context=None, survey=self._survey,
            device="cpu", batch_size=None,
        )  # fmt: skip
        found = {}
        for form in FORMS:
            chi2, tested = TaskChi2(task, form).measure()
            chi2 = np.nan_to_num(chi2)
            found[form] = (chi2, chi2 > load_flag_limits().chi2_limit(form, tested))
        return found

    @property
    def chi2(self) -> dict[str, Array]:
        """Reduced chi-square by form; 0 where there is none."""
        return {form: values for form, (values, _) in self._measured.items()}

    @property
    def poor(self) -> dict[str, Mask]:
        """Objects above the limit, by form."""
        return {form: poor for form, (_, poor) in self._measured.items()}

    def share(self, flag: Flag, rows: Any = slice(None)) -> float:
        """Percentage of the rows with a bit."""
        return 100.0 * float(np.mean(self.flag[rows] & int(flag) > 0))


def _plain(column: Any) -> Array:
    return np.asarray(np.ma.filled(np.ma.asarray(column).astype(float), np.nan))


def measure(sample: Sample, model: Any) -> Measured:
    """Of a sample in J-PAS bands."""
    return Measured(table_of(sample.flux, sample.error, sample.observed), model, sample.z)


def part(sample: Sample, rows: Any) -> Sample:
    """Some objects of a sample."""
    z = None if sample.z is None else sample.z[rows]
    return Sample(sample.flux[rows], sample.error[rows], sample.observed[rows], z)


def reconstruction(
    clean: dict[str, tuple[Sample, Measured]], intruders: dict[str, Sample], model: Any
) -> tuple[str, dict[str, Any]]:
    """Table of what jp_chi2 finds, and its curves."""
    rng = np.random.default_rng(SEED)
    body, curves = [], {}
    for label, (sample, own) in clean.items():
        for name, change in CORRUPTIONS.items():
            row = [name, label]
            bad = measure(change(sample, rng), model)
            for form in FORMS:
                row += scores(own.chi2[form], bad.chi2[form], bad.poor[form])
                curves[name, label, form] = roc(own.chi2[form], bad.chi2[form])
            body.append(row)
    own = clean["simulated"][1]
    for name, sample in intruders.items():
        bad = measure(sample, model)
        row = [name, "real" if "spectra" in name else "library"]
        for form in FORMS:
            row += scores(own.chi2[form], bad.chi2[form], bad.poor[form])
        body.append(row)
    head = ["photometry", "galaxies"]
    for form in FORMS:
        head += [f"{form}: flagged, %", "at 5 %", "area"]
    return markdown_table(head, body), curves


def scores(good: Array, bad: Array, flagged: Mask) -> list[str]:
    """Flagged, found at 5 % false alarms, area."""
    at_five = found_at(good, bad, 0.05)
    return [f"{100 * flagged.mean():.0f}", f"{at_five:.0f}", f"{area(good, bad):.2f}"]


def alarms(cases: dict[str, tuple[Measured, Any]]) -> str:
    """Table of galaxies without a fault that are flagged."""
    body = []
    for name, (own, rows) in cases.items():
        body.append(
            [name, f"{len(own.flag[rows])}"]
            + [f"{100 * own.poor[form][rows].mean():.1f}" for form in FORMS]
            + [f"{np.median(own.chi2[form][rows]):.2f}" for form in FORMS]
        )
    head = ["galaxies", "n", "quick: flagged, %", "full: flagged, %",
            "median chi2, quick", "full"]  # fmt: skip
    return markdown_table(head, body)


def speed(sample: Sample, model: Any) -> str:
    """Table of the processor time of `annotate` with its default outputs."""
    table = table_of(sample.flux, sample.error, sample.observed)
    used = {}
    for form in ("none", *FORMS):
        turns = []
        for _ in range(TURNS):
            start = time.process_time()
            annotate(table, model=model, chi2=form)
            turns.append(time.process_time() - start)
        used[form] = min(turns)
    body = [
        [f"`{form}`", f"{len(table) / spent:.0f}", f"{spent / used['none']:.2f}"]
        for form, spent in used.items()
    ]
    return markdown_table(["`--chi2`", "objects per second of one core", "time over `none`"], body)


def by_magnitude(sample: Sample) -> dict[str, Mask]:
    """Rows of each bin of r."""
    place = np.digitize(sample.magnitude, EDGES)
    return {name: place == i for i, name in enumerate(MAGNITUDES)}


def prior(samples: dict[str, Sample], model: Any) -> tuple[str, dict[str, tuple[Array, Array]]]:
    """Table of outliers inside and outside two bits, and ROC of the ratio of widths."""
    limits = load_flag_limits()
    body, curves = [], {}
    for label, sample in samples.items():
        for share in (0.0, *SHARES):
            change = hidden_at_random(share, SEED + 1)
            seen = sample if share == 0 else Sample(
                *change(sample.flux, sample.error, sample.observed, PIVOTS), sample.z
            )  # fmt: skip
            left = int(round(sample.flux.shape[1] * (1 - share)))
            own = measure(seen, model)
            ratio = own.width / limits.prior_width(sample.magnitude)
            for bit in (Flag.UNCERTAIN_REDSHIFT, Flag.PRIOR_DOMINATED):
                inside = own.flag & int(bit) > 0
                body.append(
                    [label, f"{left}", f"`{bit.name}`", f"{100 * inside.mean():.1f}",
                     percent(own.outlier[inside]), percent(own.outlier[~inside]),
                     caught(own.outlier, inside),
                     f"{area(ratio[~own.outlier], ratio[own.outlier]):.2f}"]
                )  # fmt: skip
            curves[f"{label}, {left} bands"] = roc(ratio[~own.outlier], ratio[own.outlier])
    head = ["galaxies", "bands left", "bit", "flagged, %", "outliers in flag, %", "outside, %",
            "outliers flagged, %", "area"]  # fmt: skip
    return markdown_table(head, body), curves


def percent(values: Mask) -> str:
    """A share with its standard error, or a dash for fewer than five."""
    if len(values) < 5:
        return "-"
    share = float(values.mean())
    return f"{100 * share:.1f} ± {100 * np.sqrt(share * (1 - share) / len(values)):.1f}"


def caught(wanted: Mask, flagged: Mask) -> str:
    """Share of the wanted that are flagged."""
    return percent(flagged[wanted])


def together(samples: dict[str, tuple[Sample, Measured]]) -> str:
    """Table of outliers in flagged and unflagged rows at each magnitude, all bits together."""
    body = []
    for label, (sample, own) in samples.items():
        flagged = (own.flag > 0) | own.poor["quick"]
        for name, rows in {**by_magnitude(sample), "all": np.ones(len(sample), bool)}.items():
            body.append(
                [label, name, f"{rows.sum()}", f"{100 * flagged[rows].mean():.1f}",
                 percent(own.outlier[rows & flagged]), percent(own.outlier[rows & ~flagged]),
                 percent(own.outlier[rows])]
            )  # fmt: skip
    head = ["galaxies", "r", "n", "flagged, %", "outliers, flagged, %", "unflagged, %", "all, %"]
    return markdown_table(head, body)


def thresholds(sample: Sample, own: Measured, model: Any) -> str:
    """Table of the bits with plain thresholds: what they should flag, and what they should not."""
    rng = np.random.default_rng(SEED + 3)
    n = min(500, len(sample))
    rows = rng.choice(len(sample), n, replace=False)
    sky = Sample(
        sample.error[rows] * rng.standard_normal((n, sample.flux.shape[1])),
        sample.error[rows], sample.observed[rows], None,
    )  # fmt: skip
    empty = measure(sky, model)
    bright, faint = (
        measure(noisy(sample.flux[rows] * factor, SEED + 4, sample.observed[rows], None), model)
        for factor in (10 ** (0.4 * 9.0), 10 ** (-0.4 * 4.0))
    )
    few = measure(
        Sample(*hidden_at_random(0.95, SEED)(sample.flux, sample.error, sample.observed, PIVOTS),
               sample.z), model,
    )  # fmt: skip
    body = [
        [f"`{flag.name}`", what, f"{case.share(flag):.1f}", f"{own.share(flag):.1f}"]
        for flag, what, case in (
            (Flag.NEGATIVE_FLUX, "empty sky", empty),
            (Flag.NOT_DETECTED, "empty sky", empty),
            (Flag.OUTSIDE_DOMAIN, "9 mag brighter", bright),
            (Flag.OUTSIDE_DOMAIN, "4 mag fainter", faint),
            (Flag.FEW_BANDS, "3 bands of 60", few),
        )
    ]
    return markdown_table(["bit", "objects", "flagged, %", "simulated galaxies flagged, %"], body)


def refined(cases: dict[str, Sample], model: str) -> str:
    """Table of LOW_EFFICIENCY among refined objects."""
    body = []
    rng = np.random.default_rng(SEED + 5)
    for name, sample in cases.items():
        rows = rng.choice(len(sample), min(REFINED_ROWS, len(sample)), replace=False)
        few = part(sample, rows)
        table = table_of(few.flux, few.error, few.observed)
        result = annotate(table, model=model, outputs=["z"], refine=DRAWS, chi2="none")
        flag = np.asarray(result["jp_flag"])
        body.append(
            [name, f"{len(rows)}"]
            + [f"{100 * np.mean(flag & int(bit) > 0):.0f}"
               for bit in (Flag.LOW_EFFICIENCY, Flag.NOT_REFINED)]
            + [f"{100 * np.median(np.asarray(result['jp_refine_efficiency'])):.1f}"]
        )  # fmt: skip
    head = ["objects", "n", "`LOW_EFFICIENCY`, %", "`NOT_REFINED`, %", "median efficiency, %"]
    return markdown_table(head, body)


def main() -> None:
    """Measure everything, print it, and put it into the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--each", type=int, default=200)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    logging.getLogger("jpassed").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    start = time.process_time()
    model = load_model(given.model)
    blocks, curves, ratios = everything(given.folder, given.each, given.cache, model, given.model)
    used = time.process_time() - start
    command = shown_command(sys.argv)
    note = (
        f"Model {model.name} {model.digest[:12]}, `PYTHONPATH=. python {command}"
        f" --markdown docs/flags.md`, {used:.0f} s of processor time."
    )
    for name, text in {"flags run": note, **blocks}.items():
        sys.stdout.write(f"{name}\n{text}\n\n")
        if given.markdown is not None:
            replace_block(given.markdown, name, text)
    if given.figure is not None:
        draw(given.figure, curves, ratios)


def everything(
    folder: Path, each: int, cache: Path | None, model: Any, source: str
) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
    """Blocks of the page, and the curves of the figure."""
    samples = {
        "simulated": simulated(folder, each, cache),
        "Brown SEDs": brown(folder, BROWN_REDSHIFTS),
    }
    clean = {name: (sample, measure(sample, model)) for name, sample in samples.items()}
    intruders = {
        "stars, SDSS spectra": spectra(folder, "STAR"),
        "QSOs, SDSS and DESI spectra": spectra(folder, "QSO"),
        "stars of Pickles": pickles(folder),
        "QSO templates": qso_templates(folder),
    }
    found, curves = reconstruction(clean, intruders, model)
    cases: dict[str, tuple[Measured, Any]] = {}
    for label, (sample, own) in clean.items():
        cases |= {f"{label}, {bin_}": (own, rows) for bin_, rows in by_magnitude(sample).items()}
    for label, sets in (
        ("SDSS, ugriz + 2MASS + GALEX", sdss_sets),
        ("VVDS, UBVRI + ugriz", vvds_sets),
    ):
        for kind, whole in zip(("real", "twins"), sets(folder), strict=True):
            rows = np.random.default_rng(SEED).choice(len(whole), CATALOGUE_ROWS, replace=False)
            few = whole.rows(rows)
            own = Measured(few.table(), model, few.z, survey=few.survey())
            cases[f"{label}, {kind}"] = (own, slice(None))
    widths, ratios = prior(samples, model)
    spoilt = CORRUPTIONS["one band by 1 mag"](samples["simulated"], np.random.default_rng(SEED))
    blocks = {
        "flags speed": speed(samples["simulated"], model),
        "flags chi2": found,
        "flags alarms": alarms(cases),
        "flags prior": widths,
        "flags thresholds": thresholds(*clean["simulated"], model),
        "flags refined": refined(
            {
                **samples,
                "simulated, one band by 1 mag": spoilt,
                "stars of Pickles": intruders["stars of Pickles"],
            },
            source,
        ),
        "flags together": together(clean),
    }
    return blocks, curves, ratios


if __name__ == "__main__":
    main()
