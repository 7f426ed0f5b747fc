"""What the heads read: vectors of requests for simulated galaxies, on disk.

    python benchmarks/request_vectors.py ../shared/data CACHE --model default

Galaxies as in training (flat in magnitude, at a given magnitude the declared prior), the bands of
J-PAS and GALEX, fresh ``minijpas-v1`` noise on every draw, all bands given, no labels. One float16
file of vectors a request; `benchmarks/heads.py` trains heads on them.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import jpassed
from jpassed.nn import SEDModel
from jpassed.tokens import Context, Requests, build_context, build_requests
from jpassed.tokens.scaling import flux_scale, flux_to_scaled
from jpassed.training.config import MixConfig, SimulationConfig, TrainingConfig
from jpassed.training.setup import Setup, prepare
from jpassed.training.sources import Observation
from jpassed.vocabulary import load_vocabulary

REQUESTS = (
    "z", "logmstar", "logsfr", "av", "tau", "logage_l", "ew_halpha", "ew_oiii", "flux:galex_nuv",
    "flux:J0660",
)  # fmt: skip
SEED = 20261121
BATCH = 2048


@dataclass(frozen=True)
class Vectors:
    """Vectors of requests with their answers.

    Attributes
    ----------
    names : tuple of str
        R requests.
    x : tensor
        (R, N, D) float16, mapped from disk.
    target : tensor
        (N, R) scaled truths.
    asked : tensor
        (N, R) bool: the truth is defined.
    magnitude : tensor
        (N,) observed r.
    """

    names: tuple[str, ...]
    x: torch.Tensor
    target: torch.Tensor
    asked: torch.Tensor
    magnitude: torch.Tensor

    def rows(self, rows: slice) -> Vectors:
        """Some of the objects."""
        return Vectors(
            self.names, self.x[:, rows], self.target[rows], self.asked[rows], self.magnitude[rows]
        )


def sources(folder: Path, galaxies: int, seed: int) -> Setup:
    """Simulated galaxies with J-PAS and GALEX bands, from grids of the shared data."""
    config = TrainingConfig(
        simulation=SimulationConfig(
            ssp=tuple(
                str(folder / "ssp" / f"ssp_{name}.npz")
                for name in ("bc03_lr_chabrier", "emiles_kroupa")
            ),
            shares=(0.3, 0.7),
            lines=str(folder / "ssp" / "fsps_nebular" / "ZAU_ND_mist.lines"),
            bands=("jpas", "galex"),
            noise_other=(),
            pool=galaxies,
            segment=min(galaxies, 8192),
        ),
        mix=MixConfig(balance=1.0, density=0.0),
        seed=seed,
    )
    config = replace(config, optimiser=replace(config.optimiser, validation=64))
    return prepare(config, torch.device("cpu"))


@torch.inference_mode()
def before_heads(network: SEDModel, context: Context, requests: Requests) -> torch.Tensor:
    """Vectors (N, R, W) that the heads read, which the network itself never makes of them all."""
    encoded = network.encode(context)
    decoded = network.decode(encoded, requests, context)
    if network.dense is None or encoded.dense is None:
        return decoded
    return torch.stack([network.dense(h, encoded.dense) for h in decoded.unbind(1)], 1)


@torch.inference_mode()
def decode(
    network: Any, setup: Setup, seen: Observation, names: tuple[str, ...]
) -> tuple[torch.Tensor, ...]:
    """Vectors (N, R, W) for the heads, scaled truths (N, R), and which of them are defined."""
    vocabulary, scaling = load_vocabulary(), setup.questioner.scaling
    requests = build_requests(names, vocabulary, setup.questioner.bands)
    context = build_context(
        seen.flux, seen.error, seen.observed, setup.layout, vocabulary=vocabulary, scaling=scaling
    )
    vectors = before_heads(network, context, requests)
    scaled, _ = scaling.to_scaled(seen.labels)
    scale, _ = flux_scale(seen.flux, seen.error, seen.observed)
    bands, _ = flux_to_scaled(seen.target, scale)
    target, asked = [], []
    for name in names:
        if name.startswith("flux:"):
            target.append(bands[:, setup.layout.bands.index(name[5:])])
            asked.append(torch.ones(len(scaled), dtype=torch.bool))
        else:
            column = scaling.names.index(name)
            target.append(scaled[:, column])
            asked.append(seen.label_known[:, column])
    return vectors, torch.stack(target, 1), torch.stack(asked, 1)


def write(folder: Path, cache: Path, model: str, galaxies: int, draws: int, test: int) -> Path:
    """Simulate, decode and write the vectors; existing ones of the same making are kept."""
    loaded = jpassed.load_model(model)
    record = {
        "weights": loaded.digest, "galaxies": galaxies, "draws": draws, "test": test,
        "requests": list(REQUESTS), "seed": SEED,
    }  # fmt: skip
    card = cache / "vectors.json"
    if card.is_file() and json.loads(card.read_text())["record"] == record:
        return cache
    cache.mkdir(parents=True, exist_ok=True)
    network, began = loaded.network.eval(), time.perf_counter()
    for part, count, n, seed in (
        ("test", int(1.3 * test), test, SEED + 1), ("train", galaxies, galaxies * draws, SEED)
    ):  # fmt: skip
        setup = sources(folder, count, seed)
        setup.pool.fill()
        print(f"{part}: {count} galaxies, {time.perf_counter() - began:.0f} s", flush=True)
        band = setup.layout.bands.index("rSDSS")
        generator = torch.Generator().manual_seed(seed)
        width = network.config.head_width
        shape = (len(REQUESTS), n, width)
        x = np.lib.format.open_memmap(
            cache / f"{part}_x.npy", mode="w+", dtype=np.float16, shape=shape
        )
        rest: list[list[torch.Tensor]] = [[], [], []]
        for start in range(0, n, BATCH):
            count = min(BATCH, n - start)
            seen = setup.simulated.draw(count, generator)
            vectors, target, asked = decode(network, setup, seen, REQUESTS)
            x[:, start : start + count] = vectors.transpose(0, 1).half().numpy()
            magnitude = -2.5 * torch.log10(seen.flux[:, band].clamp(min=1e-9) / 3631e6)
            for column, values in zip(rest, (target, asked, magnitude), strict=True):
                column.append(values)
        x.flush()
        torch.save([torch.cat(v) for v in rest], cache / f"{part}.pt")
        print(f"{part}: {n} objects, {time.perf_counter() - began:.0f} s", flush=True)
    card.write_text(json.dumps({"record": record}, indent=1) + "\n")
    return cache


def read(cache: Path, part: str) -> Vectors:
    """The vectors of ``"train"`` or ``"test"``."""
    x = torch.from_numpy(np.load(cache / f"{part}_x.npy", mmap_mode="r+"))
    return Vectors(REQUESTS, x, *torch.load(cache / f"{part}.pt", weights_only=True))


def main() -> None:
    """Write the vectors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the shared data")
    parser.add_argument("cache", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--galaxies", type=int, default=90_112)
    parser.add_argument("--draws", type=int, default=3, help="noise draws of a galaxy")
    parser.add_argument("--test", type=int, default=20_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    write(
        options.folder, options.cache, options.model, options.galaxies, options.draws, options.test
    )


if __name__ == "__main__":
    main()
