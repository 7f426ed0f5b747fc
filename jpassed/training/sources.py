"""Observed objects for training steps: simulated galaxies with noise, and tables of real ones."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from jpassed.exceptions import FileError, InputError
from jpassed.jspectrum.error_model import load_noise
from jpassed.simulator.noise import NoiseModel
from jpassed.surveys import detect_survey, load_survey, read_labels
from jpassed.training.config import SimulationConfig, TableConfig
from jpassed.training.host import host_plan, picked
from jpassed.training.pool import GalaxyStore

__all__ = ["Observation", "SimulatedSource", "TableSource", "join"]

SELECTION_BAND = "rSDSS"


@dataclass(frozen=True)
class Observation:
    """N observed objects with what is known of them.

    Attributes
    ----------
    flux, error : Tensor
        (N, B) microjansky.
    observed : Tensor
        (N, B) bool.
    target, target_error : Tensor
        (N, B) bandfluxes to predict: true ones of simulated objects (error 0), the measured ones
        of real objects (with their error).
    target_known : Tensor
        (N, B) bool.
    labels, label_error : Tensor
        (N, L) physical values and their errors.
    label_known : Tensor
        (N, L) bool.
    weight, weight_at_magnitude : Tensor
        (N,) factors of the loss, see `jpassed.training.weighting.DensityWeights`.
    simulated : Tensor
        (N,) bool.
    """

    flux: Tensor
    error: Tensor
    observed: Tensor
    target: Tensor
    target_error: Tensor
    target_known: Tensor
    labels: Tensor
    label_error: Tensor
    label_known: Tensor
    weight: Tensor
    weight_at_magnitude: Tensor
    simulated: Tensor


def join(parts: list[Observation]) -> Observation:
    """Concatenate observations of the same columns."""
    if len(parts) == 1:
        return parts[0]
    return Observation(
        *(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Observation))
    )


class SimulatedSource:
    """Galaxies of the pool, with fresh noise at every draw and the survey's selection.

    Parameters
    ----------
    pool : GalaxyStore
    bands : tuple of str
        Names of the pool's bands.
    config : SimulationConfig
    """

    def __init__(self, pool: GalaxyStore, bands: tuple[str, ...], config: SimulationConfig) -> None:
        self.pool, self.bands, self.limit = pool, bands, config.r_select
        device = pool.device
        main = load_noise(config.noise)
        if SELECTION_BAND not in main.bands:
            raise InputError(
                f"noise preset {config.noise!r} lacks the selection band {SELECTION_BAND}; it has "
                f"{', '.join(main.bands)}"
            )
        position = {name: i for i, name in enumerate(bands)}
        self.selection = position[SELECTION_BAND]
        self.galex = []
        self.fixed = []
        for name in (config.noise, *config.noise_other):
            self.fixed.append(_NoiseGroup(name, position, device))
        for name in config.noise_galex:
            self.galex.append(_NoiseGroup(name, position, device))

    def draw(
        self, n: int, generator: torch.Generator, plan: torch.Generator | None = None
    ) -> Observation:
        """Draw n objects that pass the selection on their noisy magnitude.

        `plan` decides on the depth of GALEX, see `jpassed.training.host`.
        """
        bright = 3631e6 * 10 ** (-0.4 * self.limit)
        plan = host_plan(generator) if plan is None else plan
        preset = picked(len(self.galex), plan)
        share = self.pool.share_brighter(self.limit)
        # So many that too few would pass once in millions of draws, if at all.
        need = 16 + math.ceil((1.05 * n + 5.0 * math.sqrt(n)) / share)
        galaxies, weight, at_magnitude = self.pool.draw(need, generator)
        noisy = torch.zeros_like(galaxies.bandflux)
        error = torch.ones_like(noisy)
        observed = torch.zeros_like(noisy, dtype=torch.bool)
        for group in [*self.fixed, *self.galex[preset : preset + 1]]:
            group.apply(galaxies.bandflux, noisy, error, observed, generator)
        passed = noisy[:, self.selection] > bright
        # Those that passed come first. How many they are is never read; were they too few, some
        # would stand twice.
        order = torch.argsort((~passed).to(torch.int8), stable=True)
        rows = order[torch.arange(n, device=order.device) % passed.sum().clamp(min=1)]
        values = (noisy, error, observed, galaxies.bandflux)
        labels, known = galaxies.labels[rows], galaxies.observable[rows]
        noisy, error, observed, truth = (v[rows] for v in values)
        one = torch.ones(n, dtype=torch.bool, device=order.device)
        return Observation(
            noisy, error, observed, truth, torch.zeros_like(truth), torch.ones_like(observed),
            labels, torch.zeros_like(labels), known, weight[rows], at_magnitude[rows], one,
        )  # fmt: skip


class _NoiseGroup:
    """A noise model with the columns that it is for."""

    def __init__(self, name: str, position: dict[str, int], device: torch.device) -> None:
        model = load_noise(name)
        keep = [i for i, band in enumerate(model.bands) if band in position]
        columns = [position[model.bands[i]] for i in keep]
        if keep:
            model = model.select([model.bands[i] for i in keep])
        self.columns = torch.tensor(columns, dtype=torch.int64, device=device)
        self.noise = NoiseModel(model.arrays(), device=device) if keep else None

    def apply(
        self,
        flux: Tensor,
        noisy: Tensor,
        error: Tensor,
        observed: Tensor,
        generator: torch.Generator,
    ) -> None:
        """Fill the group's columns of `noisy`, `error` and `observed`."""
        if self.noise is None:
            return
        value, sigma = self.noise.apply(flux[:, self.columns], generator=generator)
        noisy[:, self.columns] = value
        error[:, self.columns] = sigma
        observed[:, self.columns] = True


class TableSource:
    """Real objects of a catalogue, with their own errors.

    Parameters
    ----------
    config : TableConfig
    bands : tuple of str
        Columns of the observation; bands of the table that are not among them are left out.
    names : tuple of str
        Label columns.
    device : torch.device
    """

    def __init__(
        self,
        config: TableConfig,
        bands: tuple[str, ...],
        names: tuple[str, ...],
        device: torch.device,
    ) -> None:
        from jpassed.io.catalogs import read_catalog

        path = Path(config.path)
        if path.is_dir() or not (path.exists() or "#" in config.path):
            what = "holds no training set" if path.is_dir() else "does not exist"
            raise FileError(
                f"tables: {path} {what}; expected a catalogue, or a folder of jpassed fetch"
            )
        table = read_catalog(config.path)
        survey = detect_survey(table) if config.survey == "auto" else load_survey(config.survey)
        photometry = survey.photometry(table)
        labels = read_labels(table, config.labels)
        rows = np.flatnonzero(~photometry.bad_rows)
        if not len(rows):
            raise InputError(f"{config.path}: no usable row to train on")
        shape = (len(rows), len(bands))
        arrays = [np.zeros(shape), np.ones(shape), np.zeros(shape, dtype=bool)]
        for source, name in enumerate(photometry.bands):
            if name in bands:
                column = bands.index(name)
                for array, full in zip(
                    arrays, (photometry.flux, photometry.error, photometry.observed), strict=True
                ):
                    array[:, column] = full[rows, source]
        label = [np.zeros((len(rows), len(names))) for _ in range(2)]
        known = np.zeros((len(rows), len(names)), dtype=bool)
        for name, entry in labels.items():
            column = names.index(name)
            good = entry.observed[rows]
            label[0][:, column] = np.where(good, entry.value[rows], 0.0)
            label[1][:, column] = np.where(good, np.nan_to_num(entry.error[rows]), 0.0)
            known[:, column] = good
        flux, error, observed = (torch.from_numpy(a) for a in arrays)
        self.rows = Observation(
            *(
                t.to(device)
                for t in (
                    flux.float(), error.float(), observed, flux.float(), error.float(), observed,
                    torch.from_numpy(label[0]).float(), torch.from_numpy(label[1]).float(),
                    torch.from_numpy(known), torch.ones(len(rows)), torch.ones(len(rows)),
                    torch.zeros(len(rows), dtype=torch.bool),
                )
            )
        )  # fmt: skip

    def draw(
        self, n: int, generator: torch.Generator, plan: torch.Generator | None = None
    ) -> Observation:
        """Draw n rows with replacement; nothing of it is planned on the host."""
        size = self.rows.flux.shape[0]
        rows = torch.randint(0, size, (n,), generator=generator, device=self.rows.flux.device)
        return Observation(*(getattr(self.rows, f.name)[rows] for f in fields(Observation)))
