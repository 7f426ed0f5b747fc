"""Recalibrate a model on simulated galaxies of the declared prior, and keep the maps in its card.

    PYTHONPATH=. python tools/recalibrate_model.py MODEL --ssp A.npz B.npz --lines LINES

The galaxies (another seed than the training's and the benchmark's) have all bands; quantities
whose 68 and 95 % intervals are right within --tolerance are left alone. ``--clear`` removes the
maps again.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np

import jpassed
from jpassed.annotation import infer
from jpassed.evaluation import coverage, pit
from jpassed.posteriors.calibration import Recalibration
from jpassed.vocabulary import load_vocabulary

SEED = 77_000_001


def main() -> None:
    """Fit, report, and write the card under a temporary name first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--ssp", nargs="+")
    parser.add_argument("--shares", nargs="+", type=float, default=None)
    parser.add_argument("--lines", default=None)
    parser.add_argument("--n", type=int, default=20000)
    parser.add_argument("--tolerance", type=float, default=0.015)
    parser.add_argument("--clear", action="store_true")
    options = parser.parse_args()
    path = options.model / "model.json"
    card = json.loads(path.read_text("utf-8"))
    card.pop("recalibration", None)
    write(path, card)
    if options.clear:
        return
    table = jpassed.simulate(
        options.n, seed=SEED, ssp=options.ssp, lines=options.lines, shares=options.shares
    )
    names = load_vocabulary().scalars
    posterior = infer(table, model=str(options.model), outputs=names)
    maps = {}
    for name in names:
        truth = np.ma.filled(np.ma.asarray(table[f"true_{name}"], dtype=float), np.nan)
        known = np.isfinite(truth)
        values = pit(posterior[name][known], truth[known])
        found = np.asarray(coverage(values, (0.68, 0.95)))
        off = float(np.abs(found - (0.68, 0.95)).max())
        print(f"{name:10s} coverage {found[0]:.3f} {found[1]:.3f}")
        if off > options.tolerance:
            maps[name] = Recalibration.fit(values).to_dict()
    card["recalibration"] = maps
    card["recalibration_sample"] = {"seed": SEED, "objects": options.n}
    write(path, card)
    print(f"recalibrated: {', '.join(maps) or 'none'}")


def write(path: Path, card: dict[str, object]) -> None:
    """Replace the card."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(card, indent=2) + "\n", "utf-8")
    os.replace(temporary, path)


if __name__ == "__main__":
    main()
