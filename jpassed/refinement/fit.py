"""Fit everything that refines a network's posteriors, in pieces that a stop does not lose."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import jpassed
from jpassed.exceptions import InputError
from jpassed.filters import FilterSet, load_filters
from jpassed.nn.checkpoint import LoadedModel
from jpassed.refinement.emulator import EmulatorNet
from jpassed.refinement.fit_emulator import fit_emulator, fit_prior
from jpassed.refinement.fit_proposal import ContextSource, ProposalNets, fit_proposal
from jpassed.refinement.flow import AutoregressiveMixture
from jpassed.refinement.spectra import Spectra, draw_spectra
from jpassed.refinement.storage import Refinement, write_refinement
from jpassed.simulator import GalaxySimulator, read_ssp

__all__ = ["fit_refinement"]

logger = logging.getLogger(__name__)

BANDS = ("jpas", "galex")
NOISE = ("minijpas-v1",)
SEED = 11


def fit_refinement(
    model: LoadedModel,
    folder: str | os.PathLike[str],
    *,
    ssp: Sequence[str | os.PathLike[str]],
    lines: str | os.PathLike[str] | None,
    shares: Sequence[float] | None = None,
    work: str | os.PathLike[str],
    galaxies: int = 120000,
    spectra: int = 30000,
    prior_steps: int = 3000,
    proposal_steps: int = 3000,
    bands: Sequence[str] = BANDS,
    noise: Sequence[str] = NOISE,
) -> Refinement:
    """Fit emulator, prior and proposal, and write them beside a network.

    What depends on the simulator alone (galaxies, emulator, prior) is kept in `work` and taken
    from there when the settings are the same; the proposal goes on from its last checkpoint
    there, or from the proposal of an earlier network.

    Parameters
    ----------
    model : LoadedModel
        The network.
    folder : path
        Where ``refine.safetensors`` and ``refine.json`` go: the folder of the network.
    ssp, lines, shares
        Of the simulator, as in the network's training.
    work : path
        Folder of the intermediate results.
    galaxies, spectra : int
        Galaxies drawn, and how many of them with their spectra (for the emulator).
    prior_steps, proposal_steps : int
        Steps of the two flows; 1,000 steps of the proposal take some 80 seconds of one core.
    bands, noise : sequence of str
        Filter sets and noise presets of the contexts.

    Returns
    -------
    Refinement
        As written.

    Raises
    ------
    InputError
        For a network without a binned redshift head.
    """
    if model.network.redshift_head is None:
        raise InputError("refinement needs a network with a binned redshift head")
    work = Path(work)
    work.mkdir(parents=True, exist_ok=True)
    settings: dict[str, Any] = {
        "ssp": [Path(p).name for p in ssp], "lines": None if lines is None else Path(lines).name,
        "shares": None if shares is None else list(shares), "galaxies": galaxies,
        "spectra": spectra, "bands": list(bands), "prior_steps": prior_steps, "seed": SEED,
    }  # fmt: skip
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    filters = _filters(bands)
    drawn, emulator, prior = _from_simulator(
        work, key, filters, ssp, lines, shares, galaxies, spectra, prior_steps
    )
    nets = _proposal(work, key, model, drawn, filters, noise, proposal_steps)
    card = {
        "network": model.digest,
        "model": model.name,
        "package_version": jpassed.__version__,
        "simulation": settings,
        "proposal_steps": proposal_steps,
        "noise": list(noise),
    }
    parts = Refinement(emulator, prior, nets, card)
    write_refinement(folder, parts)
    return parts


def _filters(names: Sequence[str]) -> FilterSet:
    filters = load_filters(names[0])
    for name in names[1:]:
        filters = filters + load_filters(name)
    return filters


def _save(path: Path, content: Any) -> None:
    temporary = path.with_suffix(".tmp")
    torch.save(content, temporary)
    os.replace(temporary, path)


def _from_simulator(
    work: Path,
    key: str,
    filters: FilterSet,
    ssp: Sequence[Any],
    lines: Any,
    shares: Sequence[float] | None,
    galaxies: int,
    spectra: int,
    prior_steps: int,
) -> tuple[Spectra, EmulatorNet, AutoregressiveMixture]:
    """Galaxies, emulator and prior, each from `work` where it is there already."""
    path = work / f"galaxies-{key}.pt"
    if path.exists():
        drawn = Spectra(*torch.load(path))
    else:
        grids = [read_ssp(Path(p)) for p in ssp]
        simulator = GalaxySimulator(
            grids, [(b.name, b.wave, b.throughput) for b in filters],
            lines=None if lines is None else Path(lines), balance=1.0, shares=shares,
        )  # fmt: skip
        logger.info("drawing %d galaxies", galaxies)
        drawn = draw_spectra(
            simulator, galaxies, torch.Generator().manual_seed(SEED), spectra=spectra
        )
        fields = ("theta", "log_spectrum", "log_lines", "bandflux", "log_weight")
        _save(path, tuple(getattr(drawn, name) for name in fields))
    path = work / f"emulator-{key}.pt"
    if path.exists():
        sizes, state = torch.load(path)
        emulator = EmulatorNet(**sizes)
        emulator.load_state_dict(state)
        emulator.eval()
    else:
        emulator = fit_emulator(drawn)
        _save(path, (emulator.sizes, emulator.state_dict()))
    path = work / f"prior-{key}.pt"
    if path.exists():
        sizes, state = torch.load(path)
        prior = AutoregressiveMixture(**sizes)
        prior.load_state_dict(state)
        prior.eval()
    else:
        prior = fit_prior(drawn.theta, steps=prior_steps)
        _save(path, (prior.sizes, prior.state_dict()))
    return drawn, emulator, prior


def _proposal(
    work: Path,
    key: str,
    model: LoadedModel,
    drawn: Spectra,
    filters: FilterSet,
    noise: Sequence[str],
    steps: int,
) -> ProposalNets:
    """The proposal of this network: read, gone on with, or begun from another network's."""
    config = model.network.config
    nets = ProposalNets(config.width, dense=config.patch_width * config.dense_readout)
    nets.flow.standardise(drawn.theta)
    source = ContextSource(model.network, filters, drawn.bandflux, drawn.theta, noise, SEED + 1)
    path = work / f"proposal-{key}-{model.digest}.pt"
    latest = work / f"proposal-{key}-latest.pt"
    start = 0
    if path.exists():
        kept = torch.load(path)
        nets.load_state_dict(kept["state"])
        start = int(kept["step"])
    elif latest.exists():
        # Another network's context means something else, but the flow after it is much the same.
        own = nets.state_dict()
        kept = torch.load(latest)["state"]
        fits = {k: v for k, v in kept.items() if k in own and v.shape == own[k].shape}
        nets.load_state_dict(fits, strict=False)

    def keep(step: int) -> None:
        content = {"state": nets.state_dict(), "step": step}
        _save(path, content)
        _save(latest, content)

    fit_proposal(nets, source, steps=steps, start=start, keep=keep)
    return nets
