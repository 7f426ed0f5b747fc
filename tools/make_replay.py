"""Make the sample of simulated galaxies that fine-tunings replay.

    PYTHONPATH=. python tools/make_replay.py FOLDER

FOLDER is the shared data. Filter sets, noise presets and grids are those of the default model's
training; bandfluxes are noise-free. The seed is that of no training.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from jpassed.adaptation.replay import FILE, simulate_replay, write_replay
from jpassed.training.config import SimulationConfig
from jpassed.weights import list_models

SEED = 77_002_011
GRIDS = ("ssp/ssp_bc03_lr_chabrier.npz", "ssp/ssp_emiles_kroupa.npz")
LINES = "ssp/fsps_nebular/ZAU_ND_mist.lines"


def main() -> None:
    """Simulate and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the shared data")
    parser.add_argument("--n", type=int, default=4096, help="galaxies")
    parser.add_argument("--output", type=Path, default=FILE)
    options = parser.parse_args()
    torch.set_num_threads(1)
    told = list_models()["default"]["training"]["simulation"]
    settings = {k: tuple(v) if isinstance(v, list) else v for k, v in told.items()}
    stored = simulate_replay(
        SimulationConfig(**settings),
        tuple(str(options.folder / entry) for entry in GRIDS),
        str(options.folder / LINES),
        SEED,
        options.n,
    )
    command = f"python tools/make_replay.py FOLDER --n {options.n}"
    write_replay(
        options.output, replace(stored, provenance={"command": command, **stored.provenance})
    )
    print(f"{options.output}: {options.n} galaxies, {options.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
