"""Three short trainings that differ in the weighting of rare galaxies alone, for rare.py.

    PYTHONPATH=. python benchmarks/rare_training.py FOLDER --cache CACHE [--steps N]

Same seed, network, steps and one CPU thread; each takes some 80 CPU seconds at the default number
of steps and leaves a model folder ``CACHE/rare-<name>`` with its log. One that is there already is
resumed, or left alone if it is complete.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from simulated_sample import LINES, SHARES, SSP

from jpassed.nn.config import ModelConfig
from jpassed.training.config import (
    MixConfig,
    OptimiserConfig,
    SimulationConfig,
    TrainingConfig,
)
from jpassed.training.loop import train

STEPS = 600
VARIANTS = {
    "plain": {"density": 0.0, "prior": "declared"},
    "weighted": {"density": 0.3, "prior": "declared"},
    "balanced": {"density": 0.3, "prior": "balanced"},
}
"""Exponent of the density weighting, and the prior that posteriors refer to: the declared one
(the loss is multiplied by 1 / w), or the one that is drawn."""


def training_config(name: str, steps: int = STEPS) -> TrainingConfig:
    """The configuration of one of `VARIANTS`."""
    mix = MixConfig(
        full=0.6, partial=0.4, surveys=0.0, joined=0.0, labels=0.3, only_labels=0.0,
        most_labels=2, requests=10, bands=0,
        weights={"z": 8.0, "ew_halpha": 3.0, "ew_oiii": 2.0, "ew_oii": 2.0, "av": 2.0,
                 "ur_rest": 2.0},
    )  # fmt: skip
    return TrainingConfig(
        seed=5,
        name=f"rare-{name}",
        simulation=SimulationConfig(
            shares=SHARES, bands=("jpas",), noise_galex=(), pool=49152, refresh_every=50
        ),
        mix=replace(mix, **VARIANTS[name]),  # type: ignore[arg-type]
        model=ModelConfig(
            patch_width=384, patch_blocks=4, contrast_bands=56, width=128, heads=4, blocks=1
        ),
        optimiser=OptimiserConfig(
            steps=steps, batch=512, learning_rate=1.2e-3, warmup=100, decay=int(0.6 * steps),
            ema=0.99, validate_every=300, checkpoint_every=300, validation=2048, threads=1,
        ),
    )  # fmt: skip


def train_variants(folder: Path, cache: Path, steps: int = STEPS) -> dict[str, Path]:
    """Folders of the three models, trained where they are not complete."""
    models = {}
    for name in VARIANTS:
        output = cache / f"rare-{name}"
        models[name] = output
        card = output / "model.json"
        if card.exists() and json.loads(card.read_text("utf-8"))["steps"] >= steps:
            continue
        began = time.process_time()
        train(
            training_config(name, steps), output, resume=True, device="cpu",
            ssp=tuple(str(folder / path) for path in SSP), lines=str(folder / LINES),
        )  # fmt: skip
        spent: dict[str, Any] = {"CPU seconds": time.process_time() - began}
        (output / "spent.json").write_text(json.dumps(spent) + "\n")
    return models


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the shared data")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train_variants(options.folder, options.cache, options.steps)


if __name__ == "__main__":
    main()
