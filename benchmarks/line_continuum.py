"""Stellar continuum at [NII] and [SII] against that at Halpha, in simulated galaxies.

    PYTHONPATH=. python benchmarks/line_continuum.py FOLDER [--n N]

The luminosities of [NII] and [SII] are their equivalent widths times the continuum at Halpha
times a constant ratio: this measures the ratio and its scatter, behind the galaxies' dust.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jpassed.filters import load_filters
from jpassed.simulator import GalaxySimulator, read_ssp
from jpassed.simulator.lines import LABEL_LINES

SSP = ("ssp/ssp_bc03_lr_chabrier.npz", "ssp/ssp_emiles_kroupa.npz")
SEED = 20261120


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the shared data")
    parser.add_argument("--n", type=int, default=20000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    passbands = [(b.name, b.wave, b.throughput) for b in load_filters("jpas").select(["rSDSS"])]
    simulator = GalaxySimulator(
        [read_ssp(options.folder / path) for path in SSP], passbands, balance=0.0, shares=(0.3, 0.7)
    )
    levels: list[np.ndarray] = []
    compute = simulator.synthesis.continuum

    def recorded(*args: Any, **kwargs: Any) -> Any:
        continuum, bare = compute(*args, **kwargs)
        levels.append(continuum.numpy())
        return continuum, bare

    simulator.synthesis.continuum = recorded  # type: ignore[method-assign]
    simulator.sample(options.n, torch.Generator().manual_seed(SEED))
    column = {name: i for i, name in enumerate(LABEL_LINES)}
    continuum = np.concatenate(levels)
    figures = {}
    for name in ("ew_nii", "ew_sii"):
        log_ratio = np.log10(continuum[:, column[name]] / continuum[:, column["ew_halpha"]])
        lowest, low, middle, high, highest = (
            round(float(v), 4) for v in np.quantile(log_ratio, [0.025, 0.16, 0.5, 0.84, 0.975])
        )
        figures[name] = {
            "median dex": middle,
            "half of 16-84 %, dex": round((high - low) / 2, 4),
            "2.5, 97.5 %": [lowest, highest],
        }
    print(json.dumps({"galaxies": len(continuum), **figures}, indent=1))


if __name__ == "__main__":
    main()
