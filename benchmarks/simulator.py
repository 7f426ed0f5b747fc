"""Galaxies a second of the simulator, with 62 bands and every label.

    python benchmarks/simulator.py [FOLDER] [--threads 2] [--device cpu] [--number 40000]

FOLDER holds `ssp/` (default: JPASSED_TEST_DATA, else ../shared/data). The 62 bands are J-PAS and
GALEX. Two rates are given: by the wall clock, and by processor time times the number of threads,
which does not suffer from other processes on the machine.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import torch

from jpassed.filters import load_filters
from jpassed.simulator import GalaxySimulator


def passbands(*sets: str) -> list[tuple]:
    """(name, wave, throughput) of filter sets."""
    return [(band.name, band.wave, band.throughput) for name in sets for band in load_filters(name)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("JPASSED_TEST_DATA", "../shared/data")
    parser.add_argument("folder", nargs="?", default=default)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--number", type=int, default=40000)
    parser.add_argument("--sets", default="jpas,galex")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    ssp = Path(arguments.folder) / "ssp"
    grids = [ssp / "ssp_bc03_lr_chabrier.npz", ssp / "ssp_emiles_kroupa.npz"]
    start = time.perf_counter()
    bands = passbands(*arguments.sets.split(","))
    simulator = GalaxySimulator(
        grids, bands, lines=ssp / "fsps_nebular" / "ZAU_ND_mist.lines", device=arguments.device
    )
    print(f"{len(bands)} bands, set up in {time.perf_counter() - start:.1f} s")
    generator = torch.Generator().manual_seed(1)
    simulator.sample(4096, generator)
    for _ in range(3):
        wall, cpu = time.perf_counter(), time.process_time()
        sample = simulator.sample(arguments.number, generator)
        if arguments.device != "cpu":
            torch.cuda.synchronize()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        rate = len(sample) / wall
        by_cpu = len(sample) / cpu * arguments.threads
        print(f"{rate:,.0f} galaxies/s by the clock, {by_cpu:,.0f} by processor time")


if __name__ == "__main__":
    main()
