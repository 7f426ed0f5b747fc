"""Simulated galaxies as a table: the simulator and the error model behind one call."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import InputError, UnknownNameError

if TYPE_CHECKING:
    from astropy.table import QTable

    from jpassed.jspectrum import ErrorModel

__all__ = ["simulate"]

CHUNK = 2048
"""Galaxies drawn at once, always the same: the first rows of a long table are a short one."""

SELECTION_BAND = "rSDSS"
BRIGHTEST_SELECTION = 16.0
GALEX_DEPTHS = ("ais", "mis", "dis")


def simulate(
    n: int,
    *,
    seed: int | None = None,
    ssp: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    lines: str | os.PathLike[str] | None = None,
    shares: Sequence[float] | None = None,
    noise: str | os.PathLike[str] | ErrorModel = "minijpas-v1",
    galex: str | None = "ais",
    r_limit: float = 24.0,
    r_select: float = 22.7,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> QTable:
    """Simulate galaxies as a survey would see them.

    Parameters
    ----------
    n : int
        Number of galaxies that pass the selection on noisy r < `r_select`.
    seed : int, optional
        The same seed gives the same table, and the first rows of a longer one; without one
        every call is new. The seed that was used is in the table's meta.
    ssp : path or sequence of paths
        SSP grid files (BC03 or E-MILES; see the documentation for the layout); with several,
        every galaxy draws one.
    lines : path, optional
        CloudyFSPS line table (Byler+2017); without it the embedded line ratios are used.
    shares : sequence of float, optional
        Share of the galaxies that each grid makes, equal ones by default; the default model was
        trained with 0.3 of BC03 and 0.7 of E-MILES.
    noise : str, path or ErrorModel
        Noise preset of the J-PAS bands; names and digests of the presets are kept in the
        table's meta.
    galex : {"ais", "mis", "dis"} or None
        GALEX depth; None leaves GALEX out.
    r_limit, r_select : float
        True magnitude to which galaxies are simulated, and limit of the selection on the noisy
        one: between 16 and `r_limit`.
    device : str
        Where the simulator runs.
    progress : callable, optional
        Called with (galaxies done, n).

    Returns
    -------
    astropy.table.QTable
        ``id``, ``<band>`` and ``<band>_err`` (microjansky) and the truth: ``true_<quantity>`` for
        every scalar kind (masked where it is no target) and ``true_mag_rsdss``. It feeds
        `jpassed.annotate` as it is; ``true_`` columns are never read by it.

    Raises
    ------
    InputError
        If an argument makes no sense.
    FileError
        If a grid cannot be read.
    UnknownNameError
        For an unknown preset.

    Examples
    --------
    With an SSP grid in a file:

    >>> import jpassed
    >>> table = jpassed.simulate(5, ssp="ssp.npz", seed=1)
    >>> len(table), table["J0660"].unit, bool(table["true_z"].max() < 1.2)
    (5, Unit("uJy"), True)
    """
    _check(n, seed, galex, r_limit, r_select)
    paths = [ssp] if isinstance(ssp, (str, os.PathLike)) else list(ssp)
    if not paths:
        raise InputError("ssp: expected at least one SSP grid file, got none")

    import torch

    from jpassed.filters import load_filters
    from jpassed.jspectrum.error_model import load_noise
    from jpassed.simulator import GalaxySimulator, read_ssp
    from jpassed.simulator.noise import NoiseModel
    from jpassed.vocabulary import load_vocabulary

    filters = load_filters("jpas")
    model = load_noise(noise)
    digests = [model.digest[:16]]
    if galex is not None:
        filters = filters + load_filters("galex")
        depth = load_noise(f"galex-{galex}")
        digests.append(depth.digest[:16])
        model = model + depth
    missing = [b for b in filters.names if b not in model.bands]
    if missing:
        raise InputError(
            f"noise preset {model.name!r} lacks the bands {', '.join(missing)}; a preset for "
            "jpassed.simulate has all J-PAS bands"
        )
    model = model.select(filters.names)
    grids = [read_ssp(Path(path)) for path in paths]
    simulator = GalaxySimulator(
        grids if len(grids) > 1 else grids[0],
        [(b.name, b.wave, b.throughput) for b in filters],
        lines=None if lines is None else Path(lines),
        balance=0.0,
        device=device,
        r_limit=r_limit,
        shares=shares,
    )
    twin = NoiseModel(model.arrays(), device=simulator.device)
    generator = torch.Generator(device=simulator.device)
    seed = secrets.randbits(31) if seed is None else int(seed)
    generator.manual_seed(seed)
    selection = filters.names.index(SELECTION_BAND)
    limit = 3631e6 * 10 ** (-0.4 * r_select)
    parts: list[dict[str, Any]] = []
    count = 0
    while count < n:
        sample = simulator.sample(CHUNK, generator)
        noisy, error = twin.apply(sample.bandflux, generator=generator)
        passed = noisy[:, selection] > limit
        part: dict[str, Any] = {
            "flux": noisy[passed].cpu().numpy(),
            "error": error[passed].cpu().numpy(),
            "mag": sample.mag_r[passed].cpu().numpy(),
        }
        for name, value in sample.labels.items():
            part[f"value {name}"] = value[passed].cpu().numpy()
            part[f"target {name}"] = sample.observable[name][passed].cpu().numpy()
        parts.append(part)
        count += int(passed.sum())
        if progress is not None:
            progress(min(count, n), n)
    joined = {key: np.concatenate([p[key] for p in parts])[:n] for key in parts[0]}
    meta = {
        "noise": model.name,
        "noise_digest": "+".join(digests),
        "seed": seed,
        "ssp": ", ".join(os.path.basename(os.fspath(p)) for p in paths),
        "r_limit": r_limit,
        "r_select": r_select,
    }
    return _as_table(joined, filters, load_vocabulary(), meta)


def _check(n: Any, seed: int | None, galex: str | None, r_limit: float, r_select: float) -> None:
    """Refuse arguments before any grid is read."""
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise InputError(f"n: expected a positive number of galaxies, got {n!r}")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer))):
        raise InputError(f"seed: expected a whole number or None, got {seed!r}")
    if galex is not None and galex not in GALEX_DEPTHS:
        raise UnknownNameError("GALEX depth", galex, GALEX_DEPTHS)
    if not BRIGHTEST_SELECTION <= r_select <= r_limit:
        raise InputError(
            f"r_select: expected a magnitude from {BRIGHTEST_SELECTION:g} to r_limit = "
            f"{r_limit:g}, got {r_select!r}: galaxies fainter than r_limit are not simulated, and "
            "hardly any is brighter"
        )


def _as_table(
    joined: dict[str, np.ndarray], filters: Any, vocabulary: Any, meta: dict[str, Any]
) -> QTable:
    from astropy import units as u
    from astropy.table import Column, MaskedColumn, QTable

    import jpassed
    from jpassed.posteriors.columns import band_ucd

    table = QTable()
    table["id"] = np.arange(1, len(joined["mag"]) + 1)
    _say(table["id"], "Number of the simulated galaxy", "meta.id;meta.main")
    for i, passband in enumerate(filters):
        band = passband.name
        ucd = band_ucd(vocabulary["flux"].ucd, passband.pivot_wavelength)
        table[band] = joined["flux"][:, i].astype(np.float32) * u.uJy
        _say(table[band], f"Total AB bandflux in {band}, with noise", ucd)
        table[f"{band}_err"] = joined["error"][:, i].astype(np.float32) * u.uJy
        _say(table[f"{band}_err"], f"Random error of {band}", f"stat.error;{ucd}")
    for kind in vocabulary:
        if f"value {kind.name}" not in joined:
            continue
        hidden = ~joined[f"target {kind.name}"]
        value = np.where(hidden, np.nan, joined[f"value {kind.name}"]).astype(np.float32)
        about = {
            "name": f"true_{kind.name}",
            "unit": kind.unit or None,
            "format": kind.format.removeprefix("%"),
        }
        if hidden.any():
            column = MaskedColumn(value, mask=hidden, **about)
        else:
            column = Column(value, **about)
        # The UCD of the vocabulary is that of a photometric redshift, which truth is not.
        _say(column, f"True value: {kind.description}", kind.ucd.replace(".phot", ""))
        table[column.name] = column
    table["true_mag_rsdss"] = joined["mag"].astype(np.float32) * u.mag
    _say(table["true_mag_rsdss"], "True AB magnitude in rSDSS", "phot.mag;em.opt.R")
    table.meta.update({k: v for k, v in meta.items() if v is not None})
    table.meta["jpassed_version"] = jpassed.__version__
    return table


def _say(column: Any, description: str, ucd: str) -> None:
    column.info.description = description
    column.info.meta = {"ucd": ucd}
