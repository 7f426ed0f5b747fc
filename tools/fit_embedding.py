"""Fit the map from a network's tokens to embeddings, and keep it with the package.

    PYTHONPATH=. python tools/fit_embedding.py FOLDER [--model default] [-o FILE]

FOLDER is the shared data. Simulated galaxies, flat in magnitude, are measured six times, with other
noise and other bands. The map keeps the 32 directions in which galaxies differ most compared to
measurements of one galaxy. Under a minute of one core. Every new network needs its own.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
import torch
from fit_intruders import FAINT, NOISE, REFERENCE, Observer, galaxies
from numpy.typing import NDArray
from scipy.linalg import eigh

from jpassed.annotation.embedding_map import FILE, EmbeddingMap, pooled, write_embedding_map
from jpassed.annotation.inference import DEFAULT_BATCH
from jpassed.jspectrum.error_model import load_noise
from jpassed.surveys import Photometry
from jpassed.tokens import BandLayout
from jpassed.weights import load_model

SEED = 90_210_065
GALAXIES, SIZE = 12_000, 32
RIDGE = 1e-3
"""Of the mean scatter, added to that of every direction: no direction is without noise."""

logger = logging.getLogger("fit_embedding")


def tokens(observer: Observer, photometry: Photometry) -> NDArray[np.float32]:
    """Pooled tokens (N, W)."""
    predictor = observer.predictor
    layout = BandLayout.make(
        photometry.bands, photometry.pivot, photometry.width, predictor.network.config.patch_bands
    )
    size = DEFAULT_BATCH["cpu"]
    parts = []
    for start in range(0, len(photometry), size):
        rows = slice(start, min(start + size, len(photometry)))
        parts.append(pooled(predictor.network, predictor.context(photometry, {}, rows, layout)))
    return torch.cat(parts).numpy()


def views(n: int, bands: int, rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """What is observed of each galaxy: everything twice, half, odd, even, and a window."""
    every = np.ones((n, bands), dtype=bool)
    odd = np.broadcast_to(np.arange(bands) % 2 == 1, (n, bands))
    first = rng.integers(0, bands // 2, (n, 1))
    place = np.arange(bands)
    window = (place >= first) & (place < first + bands // 2 + 4)
    return [every, every, rng.random((n, bands)) < 0.5, odd, ~odd, window]


def main() -> None:
    """Simulate, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the shared data")
    parser.add_argument("--model", default="default")
    parser.add_argument("-o", "--output", type=Path, default=FILE)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    model = load_model(options.model)
    observer = Observer(model, SEED)
    true = galaxies(options.folder, GALAXIES, 1.0, SEED)
    true = true[true[:, REFERENCE] > 3631e6 * 10 ** (-0.4 * FAINT)]
    rng = np.random.default_rng(SEED)
    found = []
    for observed in views(len(true), true.shape[1], rng):
        observed = observed | ~observed.any(axis=1, keepdims=True)
        noisy, error = observer.measure(true)
        photometry = Photometry(
            observer.bands, observer.pivot, observer.width, np.where(observed, noisy, 0.0),
            np.where(observed, error, 0.0), observed, np.zeros(len(true), dtype=bool),
        )  # fmt: skip
        found.append(tokens(observer, photometry).astype(np.float64))
        logger.info("measured %d galaxies", len(true))
    first, others = found[0], found[1:]
    mean = first.mean(axis=0)
    between = np.cov(first.T)
    # Two measurements differ by the scatter of both.
    within = sum((x - first).T @ (x - first) / (2.0 * len(x)) for x in others) / len(others)
    within += RIDGE * np.trace(within) / len(within) * np.eye(len(within))
    values, vectors = eigh(between, within)
    order = np.argsort(values)[::-1][:SIZE]
    weight = vectors[:, order]
    weight *= np.sign(weight[np.abs(weight).argmax(axis=0), np.arange(SIZE)])
    card = {
        "network": model.digest, "model": model.name, "noise": load_noise(NOISE).digest[:16],
        "seed": SEED, "galaxies": len(true), "command": "tools/fit_embedding.py FOLDER",
        "variance over scatter": [round(float(v), 1) for v in values[order]],
    }  # fmt: skip
    path = write_embedding_map(
        EmbeddingMap(weight.astype(np.float32), mean.astype(np.float32), card), options.output
    )
    print(f"{path}: variance over scatter {card['variance over scatter']}")


if __name__ == "__main__":
    main()
