"""Make the sample of simulated galaxies that fine-tunings replay.

    PYTHONPATH=. python tools/make_replay.py FOLDER

FOLDER is the shared data. Filter sets, noise presets and grids are those of the default model's
training; bandfluxes are noise-free. The seed is that of no training.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import torch

import jpassed
from jpassed.adaptation.replay import FILE, StoredGalaxies, write_replay
from jpassed.simulator import GalaxySimulator, read_ssp
from jpassed.training.config import SimulationConfig
from jpassed.training.pool import GalaxyPool
from jpassed.training.setup import _filter_group
from jpassed.vocabulary import load_vocabulary
from jpassed.weights import list_models

SEED = 77_002_011
GRIDS = ("ssp/ssp_bc03_lr_chabrier.npz", "ssp/ssp_emiles_kroupa.npz")
LINES = "ssp/fsps_nebular/ZAU_ND_mist.lines"


def main() -> None:
    """Simulate and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the shared data")
    parser.add_argument("--n", type=int, default=4096)
    parser.add_argument("--output", type=Path, default=FILE)
    options = parser.parse_args()
    torch.set_num_threads(1)
    told = list_models()["default"]["training"]["simulation"]
    settings = {k: tuple(v) if isinstance(v, list) else v for k, v in told.items()}
    simulation = SimulationConfig(**settings)
    bands = [band for entry in simulation.bands for band in _filter_group(entry)]
    grids, lines = [options.folder / entry for entry in GRIDS], options.folder / LINES
    simulator = GalaxySimulator(
        [read_ssp(path) for path in grids],
        [(b.name, b.wave, b.throughput) for b in bands],
        lines=str(lines),
        balance=1.0,
        r_limit=simulation.r_limit,
        shares=simulation.shares or None,
    )
    names = load_vocabulary().scalars
    pool = GalaxyPool(
        simulator, names, seed=SEED, size=options.n, segment=options.n,
        faintest=simulation.r_select + 0.3,
    )  # fmt: skip
    pool.fill()
    if pool.galaxies is None:
        raise RuntimeError("no galaxies")
    provenance = {
        "command": f"python tools/make_replay.py FOLDER --n {options.n}",
        "seed": SEED,
        "package_version": jpassed.__version__,
        "galaxies": options.n,
        "files": {p.name: hashlib.sha256(p.read_bytes()).hexdigest()[:16] for p in (*grids, lines)},
        "density": "balance 1.0: flattened in redshift and magnitude, log_weight gives the prior",
    }
    stored = StoredGalaxies(
        pool.galaxies, tuple(b.name for b in bands), names, simulation, provenance
    )
    write_replay(options.output, stored)
    print(f"{options.output}: {options.n} galaxies, {options.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
