"""Measure where the flags set in, for one network, and keep the numbers with the package.

    PYTHONPATH=. python tools/fit_flag_limits.py FOLDER [--model default] [-o FILE]

FOLDER is the shared data. Simulated galaxies of the declared prior to noisy r < 22.7 with the noise
of ``minijpas-v1``, all bands or a random part of them: the reduced chi-square that 1 % of them
exceed by the number of tested bands, and the redshifts of the prior by magnitude. The other numbers
are decisions, written here. Two minutes of one core; every new network needs it.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from astropy.table import QTable
from fit_refinement import LINES, SHARES, SSP
from numpy.typing import NDArray

from jpassed.annotation.flag_limits import FILE
from jpassed.annotation.flags import magnitude_of_scale
from jpassed.annotation.predictive import FORMS, TaskChi2
from jpassed.annotation.task import prepare
from jpassed.filters import load_filters
from jpassed.io.atomic import atomic_output
from jpassed.simulation import simulate
from jpassed.tokens import flux_scale
from jpassed.weights import load_model

Array = NDArray[np.float64]

DECISIONS: dict[str, float] = {
    "few_bands": 5,
    "detected": 3.0,
    "brightest": 13.0,
    "faintest": 24.0,
    "prior_ratio": 0.5,
    "redshift_error": 0.05,
    "efficiency": 0.01,
    # VVDS-like twins, whose bands no training had: 2 % flagged, 35 % without it
    "untrained": 0.1,
}
SEED = 61_120_128
GALAXIES = 9_000
FALSE_ALARMS = 0.01
TESTED = {"quick": (3, 5, 8, 11, 15), "full": (6, 9, 14, 24, 38, 60)}
MAGNITUDE_STEP = 0.5
BRIGHTEST_STEP = 16.5

COMMENT = """# Where the bits of jp_flag set in; made by
#     {command}
# limits: decisions. prior: half the 16-84 % interval of the redshifts of simulated galaxies by
# AB magnitude of the weighted mean flux. chi2: the reduced chi-square that 1 % of simulated
# galaxies exceed, by the number of tested bands, for each form of jp_chi2.
"""


def main() -> None:
    """Measure, and write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("-o", "--output", type=Path, default=FILE)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(given.model)
    table = simulate(
        GALAXIES, seed=SEED, ssp=[given.folder / path for path in SSP],
        lines=given.folder / LINES, shares=SHARES, galex=None,
    )  # fmt: skip
    z = np.asarray(table["true_z"], dtype=float)
    stored = {
        "limits": DECISIONS,
        "prior": prior_of(table, z),
        "chi2": {form: chi2_of(table, model, form) for form in FORMS if form != "none"},
        "measured": {
            "model": f"{model.name} {model.version}",
            "digest": model.digest,
            "noise": "minijpas-v1",
            "galaxies": GALAXIES,
            "seed": SEED,
            "false_alarms": FALSE_ALARMS,
        },
    }
    text = yaml.safe_dump(stored, sort_keys=False, default_flow_style=None, width=96)
    command = "PYTHONPATH=. python tools/fit_flag_limits.py FOLDER"
    with atomic_output(given.output, overwrite=True) as temporary:
        temporary.write_text(COMMENT.format(command=command) + text, encoding="utf-8")
    sys.stdout.write(text)


def prior_of(table: QTable, z: Array) -> dict[str, list[float]]:
    """Half widths of the redshifts by magnitude."""
    bands = load_filters("jpas").names
    flux, error = (
        torch.from_numpy(np.stack([table[f"{b}{end}"].value for b in bands], axis=1))
        for end in ("", "_err")
    )
    scale, _ = flux_scale(flux, error, torch.ones_like(flux, dtype=torch.bool))
    magnitude = magnitude_of_scale(np.log(scale.numpy()))
    middles, widths = [], []
    for low in np.arange(BRIGHTEST_STEP, 23.0, MAGNITUDE_STEP):
        inside = (magnitude >= low) & (magnitude < low + MAGNITUDE_STEP)
        if inside.sum() >= 50:
            first, last = np.quantile(z[inside], [0.15865525, 0.84134475])
            middles.append(round(float(low + 0.5 * MAGNITUDE_STEP), 2))
            widths.append(round(float(0.5 * (last - first)), 4))
    return {"magnitude": middles, "half_width": widths}


def chi2_of(table: QTable, model: Any, form: str) -> dict[str, list[float]]:
    """Limits by the number of tested bands: a third of the galaxies has all bands."""
    rng = np.random.default_rng(SEED + 1)
    task = prepare(
        table, model=model, outputs=("z",), context=None, survey="auto", device="cpu",
        batch_size=None,
    )  # fmt: skip
    p = task.photometry
    share = np.where(rng.random(len(p)) < 1 / 3, 1.0, np.exp(rng.uniform(np.log(0.08), 0, len(p))))
    shown = p.observed & (rng.random(p.observed.shape) < share[:, None])
    chi2, tested = TaskChi2(replace(task, photometry=replace(p, observed=shown)), form).measure()
    known = np.isfinite(chi2)
    centres = np.array(TESTED[form])
    edges = np.sqrt(centres[1:] * centres[:-1])
    place = np.digitize(tested, edges)
    rows = [known & (place == i) for i in range(len(centres))]
    limits = [float(np.quantile(chi2[own], 1.0 - FALSE_ALARMS)) for own in rows]
    numbers = [float(tested[own].mean()) for own in rows]
    return {"tested": [round(n, 2) for n in numbers], "limit": [round(v, 3) for v in limits]}


if __name__ == "__main__":
    main()
