"""Effective number of objects of a training step, by what it shows of them.

    python benchmarks/importance_weights.py FOLDER [--n 1024] [-o weights.json]

For a few choices of bands: the share of a batch that counts in the loss, (sum w)^2 / (N sum w^2),
with the weights of a training, the largest weight over the mean, and how well the shown bands
suggest the magnitude. FOLDER holds ``ssp/`` with the grids of stellar populations.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch

from jpassed.training.config import TrainingConfig
from jpassed.training.importance import context_weights, effective_share, suggested_log_flux
from jpassed.training.presets import find_config
from jpassed.training.setup import prepare

SHOWN = {
    "all J-PAS bands": ("patch",),
    "r": ("rSDSS",),
    "J0660": ("J0660",),
    "uJAVA": ("uJAVA",),
    "SDSS": ("sdss_",),
    "GALEX": ("galex_",),
    "2MASS": ("2mass_",),
    "WISE": ("wise_",),
    "nothing": (),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--n", type=int, default=1024, help="objects of the batch")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = TrainingConfig.from_yaml(find_config("default"))
    small = replace(
        config,
        simulation=replace(config.simulation, pool=32768),
        optimiser=replace(config.optimiser, validation=64),
    )
    grids = ("ssp_bc03_lr_chabrier.npz", "ssp_emiles_kroupa.npz")
    setup = prepare(
        small, torch.device("cpu"), ssp=tuple(str(options.folder / "ssp" / g) for g in grids)
    )
    setup.pool.fill()
    seen = setup.simulated.draw(options.n, torch.Generator().manual_seed(1))
    reference = setup.simulated.selection
    truth = seen.target[:, reference].log()
    figures: dict[str, dict[str, float]] = {}
    patch = set(setup.model_config.patch_bands)
    for name, starts in SHOWN.items():
        columns = [
            i for i, band in enumerate(setup.layout.bands)
            if band.startswith(starts or ("none",)) or ("patch" in starts and band in patch)
        ]  # fmt: skip
        shown = torch.zeros_like(seen.observed)
        shown[:, columns] = seen.observed[:, columns]
        suggested = suggested_log_flux(seen.flux, seen.error, shown, seen.target, reference)
        weight = context_weights(
            seen.weight, seen.weight_at_magnitude, truth, suggested, shown.any(-1),
            clip=config.mix.heaviest,
        )  # fmt: skip
        off = 1.0857 * (suggested - truth)
        figures[name] = {
            "effective share": effective_share(weight),
            "largest weight": float(weight.max()),
            "scatter of the suggested magnitude": float(
                1.4826 * (off - off.median()).abs().median()
            ),
        }
        print(f"{name:16s}", "  ".join(f"{k} {v:.2f}" for k, v in figures[name].items()))
    figures["full weights"] = {"effective share": effective_share(seen.weight)}
    print(f"{'full weights':16s} effective share {effective_share(seen.weight):.2f}")
    if options.output:
        options.output.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
