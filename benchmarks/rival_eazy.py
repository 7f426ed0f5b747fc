"""eazy-py (Brammer et al. 2008; pip package `eazy`) on bandfluxes, for compare.py and real.py.

The pip package brings no templates, filters or prior. Here: our passbands; the twelve FSPS
templates of the shared data, or non-negative factors of rest-frame spectra of our own simulator;
a prior p(z | r) from the simulator's natural density; a flat template error of 3 %, or none.
A systematic error of 2 % stands for the zero points, which the stated errors leave out.
"""

from __future__ import annotations

import contextlib
import io
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from astropy.table import Table
from numpy.typing import NDArray
from simulated_sample import LINES, SHARES, SSP

from jpassed.filters import load_filters
from jpassed.simulator import GalaxySimulator, read_ssp

logger = logging.getLogger(__name__)

Array = NDArray[np.float64]

Z_MIN, Z_MAX, Z_STEP = 0.002, 1.25, 0.002
SYS_ERR, TEMPLATE_ERROR = 0.02, 0.03
FACTORS = 12
FIRST = 1400.0
"""Shortest wavelength of templates made of simulated spectra, Å; GALEX FUV asks for less."""

MISSING = -1e8
"""Flux of a band that is not observed; eazy-py leaves out what is below -1e6."""

FINE = 2.5e-4
"""Step in ln(wavelength) of the integration over passbands."""


@dataclass(frozen=True)
class Fit:
    """What eazy-py gives for N objects.

    Attributes
    ----------
    z : array (G,)
        Redshift grid.
    log_density : dict of str to array (N, G)
        ln of the density of z, with and without the prior.
    best : dict of str to array (N,)
        Redshift at the maximum, interpolated by eazy-py.
    seconds : float
        CPU time of the fit alone.
    """

    z: Array
    log_density: dict[str, Array]
    best: dict[str, Array]
    seconds: float


def fsps_templates(folder: Path) -> list[tuple[Array, Array]]:
    """The twelve templates of eazy's fsps_QSF_12_v3: vacuum Å, F_lambda."""
    files = sorted((folder / "templates" / "eazy_fsps_full").glob("fsps_QSF_12_v3_0??.dat"))
    found = []
    for path in files:
        wave, flux = np.loadtxt(path, usecols=(0, 1), unpack=True)
        found.append((wave, flux))
    return found


def simulated_spectra(folder: Path, n: int, seed: int, first: float = FIRST) -> tuple[Array, Array]:
    """Rest-frame spectra of n simulated galaxies from `first` Å: vacuum Å (W,), F_lambda (n, W).

    Triangular passbands of 0.1 % (0.4 % below 2,950 Å), a galaxy's spectrum being left at rest:
    a line is shared by two of them such that its centre stays where it is.
    """
    blue = np.exp(np.arange(np.log(first), np.log(2950.0), 4e-3))
    red = np.exp(np.arange(np.log(blue[-1]) + 4e-3, np.log(11150.0), 1e-3))
    centres = np.concatenate([blue, red])
    edges = np.concatenate([[centres[0] * (1 - 4e-3)], centres, [centres[-1] * (1 + 1e-3)]])
    passbands = []
    for i, centre in enumerate(centres):
        wave = np.unique(
            np.concatenate([np.linspace(edges[i], centre, 5), np.linspace(centre, edges[i + 2], 5)])
        )
        passbands.append((f"t{i}", wave, np.interp(wave, edges[i : i + 3], [1e-6, 1.0, 1e-6])))
    source = GalaxySimulator(
        [read_ssp(folder / path) for path in SSP], passbands, lines=folder / LINES,
        shares=SHARES, balance=1.0, chunk=512,
    )  # fmt: skip
    synthesis = source.synthesis
    observe = synthesis.bandflux

    def at_rest(z: torch.Tensor, *others: Any) -> Any:
        return observe(torch.zeros_like(z), *others)

    synthesis.bandflux = at_rest  # type: ignore[method-assign]
    flux = source.sample(n, torch.Generator().manual_seed(seed)).bandflux.numpy().astype(float)
    return centres, flux / centres**2


def simulator_templates(
    folder: Path, cache: Path, seed: int, first: float = FIRST
) -> list[tuple[Array, Array]]:
    """Non-negative factors of 1,500 simulated spectra (Lee & Seung 1999)."""
    from sklearn.decomposition import NMF

    path = cache / f"nmf-{FACTORS}-{seed}{'' if first == FIRST else f'-{first:g}'}.npz"
    if not path.exists():
        wave, flux = simulated_spectra(folder, 1500, seed, first)
        middle = (wave > 3500) & (wave < 7500)
        scaled = np.maximum(flux / flux[:, middle].mean(axis=1, keepdims=True), 0.0)
        # Young galaxies are ten times brighter in the ultraviolet: weight it less.
        weight = np.where(wave < 3000, 0.3, 1.0)
        factor = NMF(FACTORS, init="nndsvda", max_iter=200, random_state=0)
        factor.fit(scaled * weight)
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(path, wave=wave, flux=factor.components_ / weight)
    with np.load(path) as stored:
        return [(stored["wave"], row) for row in stored["flux"]]


def filter_file(path: Path, passbands: Sequence[Any]) -> None:
    """Passbands in eazy's format."""
    lines = []
    for band in passbands:
        lines.append(f"{len(band.wave)} {band.name} lambda_c= {band.pivot_wavelength:.1f}")
        lines += [
            f"{i} {w:.4f} {t:.6e}"
            for i, (w, t) in enumerate(zip(band.wave, band.throughput, strict=True), 1)
        ]
    path.write_text("\n".join(lines) + "\n")


def template_grid(
    templates: list[tuple[Array, Array]], z: Array, passbands: Sequence[Any]
) -> Array:
    """F_nu of every template through every band at every redshift, (Z, T, B).

    eazy-py integrates the same products one by one; this does it as one matrix product.
    """
    bands = [(np.asarray(b.wave), np.asarray(b.throughput)) for b in passbands]
    low = np.log(min(w[0] for w, _ in bands)) - FINE
    high = np.log(max(w[-1] for w, _ in bands)) + FINE
    edges = np.arange(low, high + FINE, FINE)
    middles = np.exp(0.5 * (edges[1:] + edges[:-1]))
    weights = np.stack([np.interp(middles, w, t, left=0.0, right=0.0) for w, t in bands], 1)
    weights /= weights.sum(axis=0)
    grid = np.empty((len(z), len(templates), len(bands)))
    for t, (wave, flux) in enumerate(templates):
        log_wave, fnu = np.log(wave), flux * wave**2
        fnu = fnu / fnu[(wave > 4000) & (wave < 7000)].mean()
        steps = 0.5 * (fnu[1:] + fnu[:-1]) * np.diff(log_wave)
        total = np.concatenate([[0.0], np.cumsum(steps)])
        for i, shift in enumerate(np.log1p(z)):
            inside = np.diff(np.interp(edges - shift, log_wave, total)) / FINE
            grid[i, t] = inside @ weights
    return grid


def prior_file(path: Path, folder: Path) -> None:
    """p(z | r) of the natural density of the simulator, in eazy's format."""
    from simulated_sample import simulator

    table = simulator(folder, balance=0.0).table
    density = table.natural.sum(axis=0)  # (Z, M)
    z = 0.5 * (table.z_edges[1:] + table.z_edges[:-1])
    magnitudes = np.arange(15.0, 23.01, 0.5)
    columns = [z]
    for m in magnitudes:
        chosen = (table.m_edges[:-1] >= m - 0.25) & (table.m_edges[:-1] < m + 0.25)
        per_z = density[:, chosen].sum(axis=1) / np.diff(table.z_edges)
        columns.append(per_z / np.trapezoid(per_z, z))
    head = "# z " + " ".join(f"{m:.1f}" for m in magnitudes)
    body = [" ".join(f"{v:.6e}" for v in row) for row in np.stack(columns, 1)]
    path.write_text("\n".join([head, *body]) + "\n")


def prepared_eazy(
    flux: Array,
    error: Array,
    templates: list[tuple[Array, Array]],
    folder: Path,
    work: Path,
    *,
    template_error: bool,
    z_step: float = Z_STEP,
    passbands: Sequence[Any] | None = None,
    observed: NDArray[np.bool_] | None = None,
    reference: str = "rSDSS",
) -> Any:
    """A fitter of eazy-py for N objects, its templates through all bands at all redshifts.

    Bandfluxes and errors are of shape (N, B) and in microjansky, those that are not `observed`
    left out; the passbands are those of J-PAS if no others are given. `reference` is the band of
    the prior.

    Returns
    -------
    eazy.photoz.PhotoZ
    """
    from eazy import photoz, utils

    passbands = list(load_filters("jpas") if passbands is None else passbands)
    names = [band.name for band in passbands]
    if flux.shape[1] != len(names):
        raise ValueError(f"{flux.shape[1]} columns of fluxes for {len(names)} passbands")
    if observed is not None:
        flux, error = np.where(observed, flux, MISSING), np.where(observed, error, 1.0)
    work.mkdir(parents=True, exist_ok=True)
    filter_file(work / "FILTER.RES", passbands)
    if not (work / "prior.dat").exists():
        prior_file(work / "prior.dat", folder)
    listed = []
    for i, (wave, values) in enumerate(templates, 1):
        np.savetxt(work / f"template_{i:02d}.dat", np.stack([wave, values], 1), fmt="%.7e")
        listed.append(f"{i} {work / f'template_{i:02d}.dat'} 1.0")
    (work / "templates.param").write_text("\n".join(listed) + "\n")
    size = TEMPLATE_ERROR if template_error else 1e-8
    rest = np.linspace(500.0, 20000.0, 40)
    np.savetxt(work / "template_error.dat", np.stack([rest, np.full_like(rest, size)], 1))
    catalogue = Table({"id": np.arange(1, len(flux) + 1), "z_spec": np.full(len(flux), -1.0)})
    catalogue["ra"] = catalogue["dec"] = np.zeros(len(flux))
    for i in range(len(names)):
        catalogue[f"F{i + 1}"], catalogue[f"E{i + 1}"] = flux[:, i], error[:, i]
    Table({"column": ["none"], "trans": ["none"]}).write(
        work / "none.translate", format="ascii.no_header", overwrite=True
    )
    z = utils.log_zgrid((Z_MIN, Z_MAX), z_step)
    settings = {
        "CATALOG_FILE": catalogue, "FILTERS_RES": str(work / "FILTER.RES"),
        "TEMPLATES_FILE": str(work / "templates.param"),
        "TEMP_ERR_FILE": str(work / "template_error.dat"), "TEMP_ERR_A2": 1.0,
        "SYS_ERR": SYS_ERR, "PRIOR_FILE": str(work / "prior.dat"),
        "PRIOR_FILTER": names.index(reference) + 1, "PRIOR_ABZP": 23.9, "PRIOR_FLOOR": 1e-3,
        "Z_MIN": Z_MIN, "Z_MAX": Z_MAX, "Z_STEP": z_step, "Z_STEP_TYPE": 1,
        "NOT_OBS_THRESHOLD": -1e6, "APPLY_IGM": "y", "MW_EBV": 0.0, "VERBOSITY": 0,
        "OUTPUT_DIRECTORY": str(work), "MAIN_OUTPUT_FILE": str(work / "out"),
    }  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return photoz.PhotoZ(
            translate_file=str(work / "none.translate"), params=settings, n_proc=-1,
            tempfilt_data=template_grid(templates, z, passbands).astype(np.float32), random_draws=1,
        )  # fmt: skip


def run_eazy(
    flux: Array,
    error: Array,
    templates: list[tuple[Array, Array]],
    folder: Path,
    work: Path,
    **settings: Any,
) -> Fit:
    """Fit N objects on one core; arguments as in `prepared_eazy`."""
    fitter = prepared_eazy(flux, error, templates, folder, work, **settings)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        began = time.process_time()
        fitter.fit_catalog(n_proc=0, get_best_fit=False, prior=False, verbose=False)
        seconds = time.process_time() - began
        log_density, best = {}, {}
        for name, prior in (("flat", False), ("prior", True)):
            fitter.compute_lnp(prior=prior)
            log_density[name] = fitter.lnp.astype(float).copy()
            found = fitter.get_maxlnp_redshift(prior=prior)[0]
            best[name] = np.asarray(found, dtype=float)
    return Fit(np.asarray(fitter.zgrid, dtype=float), log_density, best, seconds)
