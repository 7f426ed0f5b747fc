"""Galaxies a second of the simulator, with 62 bands and every label.

    python benchmarks/simulator.py [FOLDER] [--threads 2] [--device cpu] [--number 40000]
        [--chunk 2048] [--json FILE]

FOLDER holds `ssp/` (default: JPASSED_TEST_DATA, else ../shared/data). The 62 bands are J-PAS and
GALEX. Two rates are given: by the wall clock, and by processor time times the number of threads,
which does not suffer from other processes on the machine. The share is that of the float32 matrix
rate, measured in the same run: the other work is exponentials, and memory. A GPU wants more
galaxies at once than a processor: `--device cuda --chunk 32768 --number 1000000`.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import torch
from host_reads import HostReads
from machine import describe, matrix_rate, wait_for
from measuring import megaflop

from jpassed.filters import load_filters
from jpassed.simulator import GalaxySimulator


def passbands(*sets: str) -> list[tuple]:
    """(name, wave, throughput) of filter sets."""
    return [(band.name, band.wave, band.throughput) for name in sets for band in load_filters(name)]


def measure(simulator: GalaxySimulator, number: int, device: torch.device) -> dict[str, Any]:
    """Pace of the simulator, its operations, and reads of the device by the host."""
    generator = torch.Generator(device=device).manual_seed(1)
    chunk = simulator.chunk
    operations = 1e6 * megaflop(lambda: simulator.sample(chunk, generator)) / chunk
    with HostReads() as reads:
        simulator.sample(chunk, generator)
    walls, processors = [], []
    for _ in range(3):
        wait_for(device)
        wall, processor = time.perf_counter(), time.process_time()
        simulator.sample(number, generator)
        wait_for(device)
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    on_gpu = device.type == "cuda"
    spent = min(walls) if on_gpu else min(processors) / torch.get_num_threads()
    rate = matrix_rate(torch.float32, device.type)["gflops_by_processor_time"]
    return {
        "chunk": chunk,
        "galaxies_per_second": number / min(walls),
        "galaxies_per_second_by_processor_time": number / spent,
        "mflop_per_galaxy": operations / 1e6,
        "share_of_matrix_rate": operations * number / spent / 1e9 / rate,
        "host_reads_per_chunk": sum(reads.places.values()),
    }


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("JPASSED_TEST_DATA", "../shared/data")
    parser.add_argument("folder", nargs="?", default=default)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--number", type=int, default=40000)
    parser.add_argument("--chunk", type=int, default=2048)
    parser.add_argument("--sets", default="jpas,galex")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    ssp = Path(arguments.folder) / "ssp"
    grids = [ssp / "ssp_bc03_lr_chabrier.npz", ssp / "ssp_emiles_kroupa.npz"]
    start = time.perf_counter()
    bands = passbands(*arguments.sets.split(","))
    simulator = GalaxySimulator(
        grids, bands, lines=ssp / "fsps_nebular" / "ZAU_ND_mist.lines", device=device,
        chunk=arguments.chunk,
    )  # fmt: skip
    print(f"{len(bands)} bands, set up in {time.perf_counter() - start:.1f} s")
    found = measure(simulator, arguments.number, device)
    print(
        f"{found['galaxies_per_second']:,.0f} galaxies/s by the clock, "
        f"{found['galaxies_per_second_by_processor_time']:,.0f} by processor time; "
        f"{found['mflop_per_galaxy']:.2f} MFLOP a galaxy in matrix products, "
        f"{100 * found['share_of_matrix_rate']:.0f} % of the float32 matrix rate; "
        f"{found['host_reads_per_chunk']} reads by the host a chunk of {found['chunk']}"
    )
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        kept = {"machine": describe(arguments.device), "threads": arguments.threads, **found}
        arguments.json.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
