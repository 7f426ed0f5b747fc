"""From a training configuration to galaxies, noise and questions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from jpassed.archives.manifest import MANIFEST, is_training_set
from jpassed.exceptions import InputError
from jpassed.filters import FilterSet, load_filters
from jpassed.jspectrum.error_model import load_noise
from jpassed.nn.config import ModelConfig
from jpassed.simulator import GalaxySimulator, read_ssp
from jpassed.tokens.build import BandLayout
from jpassed.tokens.scaling import LabelScaling
from jpassed.training.config import TrainingConfig
from jpassed.training.pool import GalaxyPool
from jpassed.training.ranks import Ranks
from jpassed.training.shards import ShardedSource
from jpassed.training.sources import Observation, SimulatedSource, TableSource
from jpassed.training.steps import Questioner
from jpassed.vocabulary import load_vocabulary

__all__ = ["Setup", "prepare"]

VALIDATION_SEED = 424242

CHUNK = 2048
"""Galaxies that a processor simulates at once."""


@dataclass(frozen=True)
class Setup:
    """What a training works with.

    Attributes
    ----------
    pool : GalaxyPool
    simulated : SimulatedSource
    tables : list of TableSource or ShardedSource
    questioner : Questioner
    layout : BandLayout
    model_config : ModelConfig
        With the patch bands filled in.
    validation : Observation
        Objects that are never trained on, drawn as flatly in magnitude as the training is.
    provenance : dict
        Names and checksums of the files and presets.
    """

    pool: GalaxyPool
    simulated: SimulatedSource
    tables: list[TableSource | ShardedSource]
    questioner: Questioner
    layout: BandLayout
    model_config: ModelConfig
    validation: Observation
    provenance: dict[str, Any]


def prepare(
    config: TrainingConfig,
    device: torch.device,
    *,
    ssp: tuple[str, ...] | None = None,
    lines: str | None = None,
    ranks: Ranks | None = None,
) -> Setup:
    """Read every file that the configuration names, and build the sources.

    Of several `ranks` each reads all, and they share the simulation.

    Raises
    ------
    InputError, FileError, UnknownNameError
        For missing files and unknown names.
    """
    simulation = config.simulation
    paths = tuple(ssp) if ssp else simulation.ssp
    if not paths:
        raise InputError(
            "no SSP grid: the spectra of stellar populations do not come with the package; name "
            "one or more files in the configuration (simulation: ssp:), or on the command line "
            "(--ssp FILE). docs/training.md says what is in such a file, and the tutorial 'Train "
            "your own model' makes one up"
        )
    line_table = lines or simulation.lines
    sets = {name: _filter_group(name) for name in simulation.bands}
    passbands = [band for group in sets.values() for band in group]
    names = tuple(band.name for band in passbands)
    if not sets:
        raise InputError("simulation: bands: name at least one filter set, e.g. jpas")
    main = tuple(next(iter(sets.values())).names)
    model_config = config.model
    if not model_config.patch_bands and model_config.patch_tokens:
        pivots = tuple(round(float(b.pivot_wavelength), 3) for b in passbands[: len(main)])
        model_config = replace(model_config, patch_bands=main, patch_pivots=pivots)
    grids = [read_ssp(path) for path in paths]
    simulator = GalaxySimulator(
        grids if len(grids) > 1 else grids[0],
        [(b.name, b.wave, b.throughput) for b in passbands],
        lines=line_table,
        priors=simulation.priors,
        balance=config.mix.balance,
        device=device,
        r_limit=simulation.r_limit,
        shares=simulation.shares or None,
        # A GPU wants more galaxies at once than a processor's cache holds.
        chunk=CHUNK if device.type == "cpu" else max(CHUNK, simulation.segment),
    )
    vocabulary = load_vocabulary()
    scaling = LabelScaling.from_vocabulary(vocabulary, vocabulary.scalars)
    layout = BandLayout.make(
        names,
        [b.pivot_wavelength for b in passbands],
        [b.equivalent_width for b in passbands],
        model_config.patch_bands,
    )
    pool = GalaxyPool(
        simulator, scaling.names, seed=config.seed, size=simulation.pool,
        segment=simulation.segment, faintest=simulation.r_select + 0.8,
        density=config.mix.density, clip=config.mix.clip, ranks=ranks,
    )  # fmt: skip
    column = {name: i for i, name in enumerate(names)}
    groups = [
        [column[band.name] for band in group] for name, group in sets.items() if group.names != main
    ]
    questioner = Questioner(
        layout, [column[name] for name in main], groups, vocabulary, scaling, config.mix
    )
    count = config.optimiser.validation
    held_out = GalaxyPool(
        simulator, scaling.names, seed=VALIDATION_SEED, size=2 * count, segment=count,
        faintest=simulation.r_select + 0.8,
    )  # fmt: skip
    held_out.fill()
    generator = torch.Generator(device=device)
    generator.manual_seed(VALIDATION_SEED)
    validation = SimulatedSource(held_out, names, simulation).draw(count, generator)
    return Setup(
        pool,
        SimulatedSource(pool, names, simulation),
        [
            (ShardedSource if is_training_set(t.path) else TableSource)(
                t, names, scaling.names, device
            )
            for t in config.tables
        ],
        questioner,
        layout,
        model_config,
        validation,
        _provenance(config, paths, line_table),
    )


def _filter_group(entry: str) -> FilterSet:
    """A filter set by name, or some of its bands: ``"wise: wise_w1 wise_w2"``."""
    name, _, chosen = entry.partition(":")
    filters = load_filters(name.strip())
    return filters.select(chosen.split()) if chosen.strip() else filters


def _provenance(
    config: TrainingConfig, paths: tuple[str, ...], lines: str | None
) -> dict[str, Any]:
    # Of a training set the manifest tells everything, the checksums of its shards included.
    tables = [Path(t.path) / MANIFEST if is_training_set(t.path) else t.path for t in config.tables]
    files = [Path(p) for p in (*paths, *([lines] if lines else []), *tables)]
    presets = (
        config.simulation.noise, *config.simulation.noise_other, *config.simulation.noise_galex
    )  # fmt: skip
    return {
        "files": {
            f"{p.parent.name}/{p.name}" if p.name == MANIFEST else p.name: hashlib.sha256(
                p.read_bytes()
            ).hexdigest()[:16]
            for p in files
        },
        "noise": {name: load_noise(name).digest[:16] for name in presets},
        "cosmology": "FlatLambdaCDM(H0=70, Om0=0.3)",
        "redshift": "0-1.2",
    }
