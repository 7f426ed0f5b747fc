"""Simulated galaxies as a table: the simulator and the error model behind one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import InputError, UnknownNameError

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["simulate"]

CHUNK = 8192
SELECTION_BAND = "rSDSS"


def simulate(
    n: int,
    *,
    seed: int | None = None,
    ssp: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    lines: str | os.PathLike[str] | None = None,
    noise: str = "minijpas-v1",
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
        The same seed gives the same table; without one every call is new.
    ssp : path or sequence of paths
        SSP grid files (BC03 or E-MILES; see the documentation for the layout); with several,
        every galaxy draws one.
    lines : path, optional
        CloudyFSPS line table (Byler+2017); without it the embedded line ratios are used.
    noise : str
        Noise preset of the J-PAS bands; its name and digest are kept in the table's meta.
    galex : {"ais", "mis", "dis"} or None
        GALEX depth; None leaves GALEX out.
    r_limit, r_select : float
        True magnitude to which galaxies are simulated, and limit of the selection.
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
        If `n` is not positive.
    FileError
        If a grid cannot be read.
    UnknownNameError
        For an unknown preset.
    """
    import torch

    from jpassed.filters import load_filters
    from jpassed.jspectrum.error_model import load_noise
    from jpassed.simulator import GalaxySimulator, read_ssp
    from jpassed.simulator.noise import NoiseModel
    from jpassed.vocabulary import load_vocabulary

    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise InputError(f"n: expected a positive number of galaxies, got {n!r}")
    if galex is not None and galex not in ("ais", "mis", "dis"):
        raise UnknownNameError("GALEX depth", galex, ("ais", "mis", "dis"))
    filters = load_filters("jpas")
    model = load_noise(noise)
    if galex is not None:
        filters = filters + load_filters("galex")
        model = model + load_noise(f"galex-{galex}")
    missing = [b for b in filters.names if b not in model.bands]
    if missing:
        raise InputError(
            f"noise preset {noise!r} lacks the bands {', '.join(missing)}; a preset for "
            "jpassed.simulate has all J-PAS bands"
        )
    model = model.select(filters.names)
    paths = [ssp] if isinstance(ssp, (str, os.PathLike)) else list(ssp)
    grids = [read_ssp(Path(path)) for path in paths]
    simulator = GalaxySimulator(
        grids if len(grids) > 1 else grids[0],
        [(b.name, b.wave, b.throughput) for b in filters],
        lines=None if lines is None else Path(lines),
        balance=0.0,
        device=device,
        r_limit=r_limit,
    )
    twin = NoiseModel(model.arrays(), device=simulator.device)
    generator = torch.Generator(device=simulator.device)
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    selection = filters.names.index(SELECTION_BAND)
    limit = 3631e6 * 10 ** (-0.4 * r_select)
    parts: list[dict[str, Any]] = []
    count = 0
    while count < n:
        sample = simulator.sample(min(CHUNK, max(1024, 4 * (n - count))), generator)
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
        "noise_digest": model.digest,
        "seed": seed,
        "ssp": ", ".join(os.path.basename(os.fspath(p)) for p in paths),
        "r_limit": r_limit,
        "r_select": r_select,
    }
    return _as_table(joined, filters.names, load_vocabulary(), meta)


def _as_table(
    joined: dict[str, np.ndarray], bands: tuple[str, ...], vocabulary: Any, meta: dict[str, Any]
) -> QTable:
    from astropy import units as u
    from astropy.table import MaskedColumn, QTable

    import jpassed

    table = QTable()
    table["id"] = np.arange(1, len(joined["mag"]) + 1)
    table["id"].info.description = "Number of the simulated galaxy"
    for i, band in enumerate(bands):
        table[band] = joined["flux"][:, i].astype(np.float32) * u.uJy
        table[band].info.description = f"Total AB bandflux in {band}, with noise"
        table[f"{band}_err"] = joined["error"][:, i].astype(np.float32) * u.uJy
        table[f"{band}_err"].info.description = f"Random error of {band}"
    for kind in vocabulary:
        if f"value {kind.name}" not in joined:
            continue
        hidden = ~joined[f"target {kind.name}"]
        value = np.where(hidden, np.nan, joined[f"value {kind.name}"]).astype(np.float32)
        column = MaskedColumn(value, mask=hidden, name=f"true_{kind.name}")
        if kind.unit:
            column.unit = kind.unit
        column.description = f"True value: {kind.description}"
        table[f"true_{kind.name}"] = column
    table["true_mag_rsdss"] = joined["mag"].astype(np.float32) * u.mag
    table["true_mag_rsdss"].info.description = "True AB magnitude in rSDSS"
    table.meta.update({k: v for k, v in meta.items() if v is not None})
    table.meta["jpassed_version"] = jpassed.__version__
    return table
