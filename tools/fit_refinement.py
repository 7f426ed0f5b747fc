"""Fit what refines a model's posteriors: emulator, prior, and the proposal of its network.

    PYTHONPATH=. python tools/fit_refinement.py FOLDER --work WORK [--model default] [-o OUT]

FOLDER is the shared data. Writes refine.safetensors and refine.json into the model's folder (or
OUT). May be stopped and started again: WORK keeps what is done. A new network of the same
simulator needs the proposal alone.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch

from jpassed.refinement.fit import fit_refinement
from jpassed.weights import find_model, load_model

SSP = ("ssp/ssp_bc03_lr_chabrier.npz", "ssp/ssp_emiles_kroupa.npz")
SHARES = (0.3, 0.7)
LINES = "ssp/fsps_nebular/ZAU_ND_mist.lines"


def main() -> None:
    """Fit and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the shared data")
    parser.add_argument("--work", type=Path, required=True, help="folder of what is kept")
    parser.add_argument("--model", default="default")
    parser.add_argument("--galaxies", type=int, default=120000)
    parser.add_argument("--prior-steps", type=int, default=3000)
    parser.add_argument("--steps", type=int, default=3000, help="steps of the proposal")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=None)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    parts = fit_refinement(
        load_model(options.model),
        options.output or find_model(options.model),
        ssp=[options.folder / path for path in SSP],
        lines=options.folder / LINES,
        shares=SHARES,
        work=options.work,
        galaxies=options.galaxies,
        prior_steps=options.prior_steps,
        proposal_steps=options.steps,
    )
    modules = (parts.emulator, parts.prior, parts.proposal)
    count = sum(v.numel() for m in modules for v in m.state_dict().values())
    print(f"{count} numbers; network {parts.card['network']}")


if __name__ == "__main__":
    main()
