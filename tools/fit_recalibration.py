"""Recalibrate quantities of a model on simulated galaxies, and keep the maps in its record.

    PYTHONPATH=. python tools/fit_recalibration.py FOLDER --quantities av logc_oii

FOLDER is the shared data. The galaxies are of the declared prior, with all bands, of a seed that
neither a training nor `benchmarks/accuracy.py` uses. For quantities whose intervals hold too many
or too few truths on average: what is wrong object by object is not mended.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
from fit_refinement import LINES, SHARES, SSP

from jpassed.annotation import infer
from jpassed.posteriors.calibration import Recalibration
from jpassed.simulation import simulate
from jpassed.weights import find_model, load_model

SEED = 90_210_002


def main() -> None:
    """Simulate, infer, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the shared data")
    parser.add_argument("--model", default="default")
    parser.add_argument("--quantities", nargs="+", required=True)
    parser.add_argument("--n", type=int, default=40000, help="simulated galaxies")
    options = parser.parse_args()
    path = find_model(options.model) / "model.json"
    card = json.loads(path.read_text("utf-8"))
    kept = card.pop("recalibration", {})
    model = load_model(options.model)
    for name in options.quantities:
        model.card.get("recalibration", {}).pop(name, None)
    ssp = [str(options.folder / entry) for entry in SSP]
    table = simulate(
        options.n, seed=SEED, ssp=ssp, lines=str(options.folder / LINES), shares=SHARES
    )
    posterior = infer(table, model=model, outputs=options.quantities)
    for name in options.quantities:
        truth = np.ma.filled(np.ma.asarray(table[f"true_{name}"], dtype=float), np.nan)
        pit = posterior.cdf(name, truth)
        pit = pit[np.isfinite(pit)]
        fitted = Recalibration.fit(pit)
        kept[name] = fitted.to_dict()
        inside = [np.mean(np.abs(p - 0.5) < 0.34) for p in (pit, fitted.forward(pit))]
        print(f"{name}: {len(pit)} galaxies, 68 % hold {inside[0]:.4f} -> {inside[1]:.4f}")
    card["recalibration"] = kept
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(card, indent=2) + "\n", "utf-8")
    os.replace(temporary, path)


if __name__ == "__main__":
    main()
