"""Fit the score of intruders, stars and quasars, for one network, and keep it with the package.

    PYTHONPATH=. python tools/fit_intruders.py FOLDER [--model default] [-o FILE]

FOLDER is the shared data. Simulated galaxies, flat in magnitude and of the declared prior at each,
against the stars and quasars of `intruder_sources`, all with fresh noise of ``minijpas-v1`` and
half of them with a part of their bands: a logistic regression on the vector of the network's patch.
The threshold is the lowest at which at most 5 % of simulated galaxies are flagged with any number
of bands for which there is a score, of r < 21 and of all. Under a minute of one core. Every new
network needs its own.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fit_refinement import LINES, SHARES, SSP
from intruder_sources import BANDS, quasars, stars
from numpy.typing import NDArray

from jpassed.annotation.inference import Predictor
from jpassed.annotation.intruders import (
    FILE,
    LEAST_BANDS,
    IntruderScore,
    write_intruder_score,
)
from jpassed.filters import known_bands, load_filters
from jpassed.jspectrum.error_model import load_noise
from jpassed.nn.checkpoint import LoadedModel
from jpassed.simulator import GalaxySimulator, read_ssp
from jpassed.simulator.noise import NoiseModel
from jpassed.surveys import Photometry
from jpassed.tokens.masking import hide_bands
from jpassed.weights import load_model

Array = NDArray[np.float64]

SEED = 90_210_064
NOISE = "minijpas-v1"
GALAXIES, STARS, QUASARS, CHECKED = 40_000, 20_000, 20_000, 20_000
BRIGHT, FAINT = 15.5, 22.7
REFERENCE = BANDS.index("rSDSS")
COUNTS = (LEAST_BANDS, 45, len(BANDS))
BRIGHT_LIMIT = 21.0
FALSE_ALARMS = 0.05
STEPS, RATE, DECAY, BATCH = 2400, 4e-3, 1e-3, 256

logger = logging.getLogger("fit_intruders")


def galaxies(folder: Path, n: int, balance: float, seed: int) -> Array:
    """True bandfluxes (n, 60) of simulated galaxies to r = 23.5, microjansky."""
    source = GalaxySimulator(
        [read_ssp(folder / path) for path in SSP],
        [(b.name, b.wave, b.throughput) for b in load_filters("jpas")],
        lines=folder / LINES, shares=SHARES, balance=balance,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    parts: list[Array] = []
    while sum(map(len, parts)) < n:
        sample = source.sample(8192, generator)
        good = (sample.mag_r < 23.5) & torch.isfinite(sample.bandflux).all(-1)
        parts.append(sample.bandflux[good].numpy().astype(float))
    return np.concatenate(parts)[:n]


class Observer:
    """Noise, hidden bands, and what the network makes of the rest."""

    def __init__(self, model: LoadedModel, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.noise = NoiseModel(load_noise(NOISE).select(BANDS).arrays())
        self.predictor = Predictor(model, ("z",), known_bands(), "cpu")
        self.bands = BANDS
        self.pivot, self.width = (
            np.array([known_bands()[band][i] for band in BANDS]) for i in (0, 1)
        )

    def measure(self, flux: Array) -> tuple[Array, Array]:
        """Noisy fluxes and their errors."""
        noisy, error = self.noise.apply(
            torch.from_numpy(flux.astype(np.float32)), generator=self.generator
        )
        return noisy.numpy().astype(float), error.numpy().astype(float)

    def hide(self, n: int, keep_all: float) -> NDArray[np.bool_]:
        """Which bands are observed, as in a training."""
        every = torch.ones(n, len(BANDS), dtype=torch.bool)
        pivot = torch.from_numpy(self.pivot.astype(np.float32))
        return hide_bands(every, pivot, self.generator, keep_all=keep_all).numpy()

    def vectors(
        self, flux: Array, error: Array, observed: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """(N, W) vectors of the network's patch."""
        photometry = Photometry(
            BANDS, self.pivot, self.width, np.where(observed, flux, 0.0),
            np.where(observed, error, 0.0), observed, np.zeros(len(flux), dtype=bool),
        )  # fmt: skip
        found = [batch.vector for batch in self.predictor.batches(photometry)]
        vectors = [part for part in found if part is not None]
        if not vectors:
            raise SystemExit("the model has no dense readout: there is nothing to read")
        return np.concatenate(vectors)


def sources(folder: Path, rng: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
    """True bandfluxes of galaxies (0), stars (1) and quasars (2)."""
    shapes = [stars(folder, rng, STARS), quasars(folder, rng, QUASARS)[0]]
    parts = [galaxies(folder, GALAXIES, 1.0, SEED)]
    for shape in shapes:
        magnitude = rng.uniform(BRIGHT, FAINT, (len(shape), 1))
        parts.append(shape * 3631e6 * 10 ** (-0.4 * magnitude))
    kind = np.repeat([0, 1, 2], [len(part) for part in parts])
    return np.concatenate(parts), kind


def fit(x: NDArray[np.float32], kind: NDArray[np.int64]) -> tuple[Array, Array]:
    """Weights (2, W) and biases (2,) of star and quasar against galaxy."""
    torch.manual_seed(SEED)
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-3
    inputs, target = torch.from_numpy((x - mean) / spread), torch.from_numpy(kind)
    layer = torch.nn.Linear(x.shape[1], 3)
    optimiser = torch.optim.AdamW(layer.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=STEPS)
    for _ in range(STEPS):
        rows = torch.randint(len(inputs), (BATCH,))
        loss = torch.nn.functional.cross_entropy(layer(inputs[rows]), target[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    weight, bias = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
    against = (weight[1:] - weight[0]) / spread
    return against, bias[1:] - bias[0] - against @ mean


def shown(count: int, n: int, window: bool, rng: np.random.Generator, pivot: Array) -> Any:
    """(n, 60) `count` bands of each object: any, or neighbours in wavelength."""
    if not window:
        return np.argsort(rng.random((n, len(BANDS))), axis=1) < count
    place = np.argsort(np.argsort(pivot))
    start = rng.integers(0, len(BANDS) - count + 1, (n, 1))
    return (place >= start) & (place < start + count)


def main() -> None:
    """Simulate, fit, choose the threshold, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the shared data")
    parser.add_argument("--model", default="default")
    parser.add_argument("-o", "--output", type=Path, default=FILE)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    began = time.perf_counter()
    rng = np.random.default_rng(SEED)
    model = load_model(options.model)
    observer = Observer(model, SEED)
    flux, kind = sources(options.folder, rng)
    noisy, error = observer.measure(flux)
    logger.info("%d objects, %.0f s", len(flux), time.perf_counter() - began)
    x = observer.vectors(noisy, error, observer.hide(len(flux), 0.5))
    weight, bias = fit(x, kind)
    # As it is stored.
    weight = weight.astype(np.float16).astype(np.float32)
    score = IntruderScore(weight, bias.astype(np.float32), 0.5, {})
    logger.info("fitted, %.0f s", time.perf_counter() - began)

    true = galaxies(options.folder, CHECKED, 0.0, SEED + 1)
    noisy, error = observer.measure(true)
    kept = noisy[:, REFERENCE] > 3631e6 * 10 ** (-0.4 * FAINT)
    noisy, error = noisy[kept], error[kept]
    bright = noisy[:, REFERENCE] > 3631e6 * 10 ** (-0.4 * BRIGHT_LIMIT)
    scores: dict[str, NDArray[np.float32]] = {}
    for count in COUNTS:
        for window in (False, True) if count < len(BANDS) else (False,):
            seen = shown(count, len(noisy), window, rng, observer.pivot)
            vector = observer.vectors(noisy, error, seen)
            name = f"{count} {'neighbours' if window else 'bands'}"
            scores[name] = score(vector, seen.sum(axis=1))
            scores[f"{name}, r < {BRIGHT_LIMIT:g}"] = scores[name][bright]
    quantile = max(float(np.quantile(v, 1.0 - FALSE_ALARMS)) for v in scores.values())
    threshold = round(max(0.5, quantile) + 0.005, 2)
    card = {
        "network": model.digest, "model": model.name, "noise": load_noise(NOISE).digest[:16],
        "seed": SEED, "galaxies": GALAXIES, "stars": STARS, "quasars": QUASARS,
        "command": "tools/fit_intruders.py FOLDER",
        "false alarms": {k: round(float((v > threshold).mean()), 4) for k, v in scores.items()},
    }  # fmt: skip
    path = write_intruder_score(IntruderScore(weight, bias, threshold, card), options.output)
    print(f"{path}: threshold {threshold}; false alarms {card['false alarms']}")
    logger.info("%.0f s", time.perf_counter() - began)


if __name__ == "__main__":
    main()
