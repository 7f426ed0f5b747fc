"""Readers of simple-stellar-population (SSP) grids named by the user.

Every reader ends in the same `SSPGrid`: the spectra of one solar mass formed at a constant rate
inside each age bin of one common set of bins, in vacuum, for a Chabrier IMF. Nothing of a grid is
kept in the package.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jpassed.exceptions import FileError, InputError
from jpassed.simulator.massloss import remaining_fraction
from jpassed.units import air_to_vacuum

__all__ = ["AGE_EDGES", "SSPGrid", "read_ssp"]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

KROUPA_TO_CHABRIER = 0.034
"""dex by which masses fall from a Kroupa (2001) to a Chabrier (2003) IMF at the same light."""

PHOTON_SCALE = 1e46
"""Ionising photon rates are kept in units of 1e46 photons/s, line luminosities per photon in
units of L_sun / 1e46 photons/s: neither fits float32 otherwise."""

LSUN_OVER_HC = 3.828e33 / 1.98644586e-8
"""Photons/s of 1 L_sun at 1 Å (IAU 2015 nominal luminosity; h c in erg Å)."""


def _age_edges() -> FloatArray:
    """Edges (yr): 0, 5, 10 Myr, then 0.07 dex steps that meet 100 Myr, to 13.8 Gyr.

    The first bin is the shortest time over which the histories are smooth: the BC03 grid of
    inverted models carries noise on single bins below 5 Myr.
    """
    first = np.linspace(7.0, 8.0, 15)
    later = np.linspace(8.0, np.log10(1.38e10), 32)
    return np.concatenate([[0.0, 5e6], 10.0**first, 10.0 ** later[1:]])


AGE_EDGES: FloatArray = _age_edges()
"""Common age-bin edges in years."""


@dataclass(frozen=True)
class SSPGrid:
    """Spectra of one solar mass formed, by metallicity and age bin.

    Parameters
    ----------
    name : str
        Short name of the library, e.g. ``"bc03"``.
    wave : ndarray (W,)
        Vacuum wavelength, Å, increasing.
    logz : ndarray (Z,)
        log10 of the metal mass fraction, increasing.
    flux : ndarray (Z, A, W)
        L_sun / Å per M_sun formed at a constant rate in each bin of `AGE_EDGES`.
    ionising : ndarray (Z, A)
        Photons below 912 Å per M_sun formed, in units of 1e46 photons/s.
    remaining : ndarray (Z, A)
        Mass in living stars and remnants per mass formed (Chabrier IMF).
    zsun : float
        The solar metal mass fraction of the library.
    source : str
        File the grid was read from.
    """

    name: str
    wave: FloatArray
    logz: FloatArray
    flux: FloatArray
    ionising: FloatArray
    remaining: FloatArray
    zsun: float
    source: str = ""


def read_ssp(
    path: str | Path,
    *,
    companion: str | Path | None = None,
    massloss: str | Path | None = None,
) -> SSPGrid:
    """Read an SSP grid; the kind of file is found from its contents.

    Parameters
    ----------
    path : str or Path
        ``.npz`` with ``flux, Z, edges, wave`` (BC03, Chabrier; Bruzual & Charlot 2003, MNRAS 344,
        1000) or with ``flux, mh, age_gyr, wave`` (E-MILES, Kroupa, air wavelengths; Vazdekis et
        al. 2016, MNRAS 463, 3409).
    companion : str or Path, optional
        BC03 file that completes an E-MILES grid: below 30 Myr, outside 1680-11500 Å, and where
        its spectra are missing. Default: a file ``*bc03*.npz`` beside `path`.
    massloss : str or Path, optional
        Folder with ``massloss_chabrier.txt`` and ``massloss_kroupa.txt``. Default: the folder of
        `path`; where it has none, an analytic fit to the remaining mass serves.

    Returns
    -------
    SSPGrid

    Raises
    ------
    FileError
        The file is missing or cannot be read as ``.npz``.
    InputError
        Its arrays are those of no known grid, or E-MILES has no companion.
    """
    path = Path(path).expanduser()
    arrays = _load(path)
    folder = Path(massloss).expanduser() if massloss is not None else path.parent
    keys = set(arrays)
    if {"flux", "Z", "edges", "wave"} <= keys:
        return _bc03(path, arrays, folder)
    if {"flux", "mh", "age_gyr", "wave"} <= keys:
        other = _find_companion(path) if companion is None else Path(companion).expanduser()
        return _emiles(path, arrays, _bc03(other, _load(other), folder))
    raise InputError(
        f"{path} is no SSP grid that jpassed can read: it holds the arrays {sorted(keys)}. "
        "Expected flux, Z, edges, wave (BC03) or flux, mh, age_gyr, wave (E-MILES)."
    )


def _load(path: Path) -> dict[str, NDArray[np.float64]]:
    if not path.exists():
        raise FileError(
            f"no SSP grid at {path}. Name the .npz file of a BC03 or E-MILES grid "
            "(ssp=PATH, or --ssp PATH on the command line)."
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: np.asarray(archive[name], dtype=np.float64) for name in archive.files}
    except Exception as error:  # numpy raises several kinds for a damaged or foreign file
        raise FileError(f"{path} cannot be read as an .npz SSP grid: {error}") from error


def _find_companion(path: Path) -> Path:
    found = sorted(path.parent.glob("*bc03*.npz"))
    if not found:
        raise InputError(
            f"the E-MILES grid {path} has no ages below 30 Myr and no far ultraviolet: it needs "
            "a BC03 grid. Give companion=PATH, or put a file named *bc03*.npz beside it."
        )
    return found[0]


def _check(path: Path, condition: bool, what: str) -> None:
    if not condition:
        raise InputError(f"the SSP grid {path} is damaged: {what}")


def _bc03(path: Path, arrays: dict[str, NDArray[np.float64]], folder: Path) -> SSPGrid:
    if not {"flux", "Z", "edges", "wave"} <= set(arrays):
        raise InputError(f"{path} is no BC03 grid: expected arrays flux, Z, edges, wave")
    flux, metals = arrays["flux"], arrays["Z"]
    edges, wave = arrays["edges"], arrays["wave"]
    shape = (metals.size, edges.size - 1, wave.size)
    _check(path, flux.shape == shape, f"flux has shape {flux.shape}, expected {shape}")
    _check(path, bool(np.isfinite(flux).all()), "flux has values that are not finite")
    binned = np.einsum("ao,zow->zaw", _overlap(edges, AGE_EDGES), flux)
    # At Z = 0.05 the inversion leaves noise (and zeros) in the ultraviolet between 0.1 and 3 Gyr:
    # a running mean over seven bins (0.4 dex) in age, on at least five bins' mean level.
    age = 0.5 * (AGE_EDGES[1:] + AGE_EDGES[:-1])
    for i in np.flatnonzero(metals > 0.03):
        blend = np.clip((3000.0 - wave) / 1000.0, 0.0, 1.0)
        smooth = _running_mean(binned[i], 3)
        binned[i] = np.where(
            (age > 1e8)[:, None], binned[i] + blend * (smooth - binned[i]), binned[i]
        )
    ionising = np.stack([_photon_rate(wave, spectrum) for spectrum in binned])
    logz = np.log10(metals)
    zsun = 0.02
    return SSPGrid(
        name="bc03",
        wave=wave,
        logz=logz,
        flux=binned,
        ionising=ionising,
        remaining=remaining_fraction(folder, AGE_EDGES, logz - np.log10(zsun)),
        zsun=zsun,
        source=str(path),
    )


def _emiles(path: Path, arrays: dict[str, NDArray[np.float64]], base: SSPGrid) -> SSPGrid:
    """Complete E-MILES with a BC03 grid, bin by bin, and rescale BC03 to meet it at the joints."""
    flux, mh, age = arrays["flux"], arrays["mh"], arrays["age_gyr"] * 1e9
    shape = (mh.size, age.size, arrays["wave"].size)
    _check(path, flux.shape == shape, f"flux has shape {flux.shape}, expected {shape}")
    wave = air_to_vacuum(arrays["wave"])
    zsun = 0.0198  # BaSTI isochrones, Vazdekis+2016, sect. 2
    logz_own = mh + np.log10(zsun)
    # Extremes that E-MILES does not reach come from BC03 alone.
    low = base.logz[base.logz < logz_own.min() - 0.1]
    high = base.logz[base.logz > logz_own.max() + 0.1]
    logz = np.concatenate([low, logz_own, high])
    inside = (base.wave > wave[0]) & (base.wave < wave[-1])
    grid = np.concatenate([base.wave[base.wave <= wave[0]], wave, base.wave[base.wave >= wave[-1]]])
    interpolate = _along_logz(base)
    full = np.stack([interpolate(base.flux, lz) for lz in logz])
    result = np.empty((logz.size, AGE_EDGES.size - 1, grid.size))
    mid = np.sqrt(np.maximum(AGE_EDGES[:-1], 1e6) * AGE_EDGES[1:])
    own = (grid >= wave[0]) & (grid <= wave[-1])
    for i, lz in enumerate(logz):
        for a in range(mid.size):
            result[i, a] = np.interp(grid, base.wave, full[i, a])
        match = np.flatnonzero(np.isclose(logz_own, lz))
        if match.size == 0:
            continue
        spectra = flux[match[0]] * 10.0**KROUPA_TO_CHABRIER
        for a in range(mid.size):
            if AGE_EDGES[a] < 0.9 * age[0]:
                continue
            merged, valid = _at_age(spectra, age, mid[a])
            result[i, a] = _join(grid, result[i, a], own, merged, valid)
    logger.debug(
        "E-MILES %s completed with %s (%d BC03 pixels inside)", path, base.source, int(inside.sum())
    )
    ionising = np.stack([interpolate(base.ionising[..., None], lz)[..., 0] for lz in logz])
    remaining = np.stack([interpolate(base.remaining[..., None], lz)[..., 0] for lz in logz])
    return SSPGrid("emiles", grid, logz, result, ionising, remaining, zsun, str(path))


def _along_logz(base: SSPGrid) -> Callable[[FloatArray, float], FloatArray]:
    """Linear interpolation in log Z, the end values beyond the grid."""

    def interpolate(values: FloatArray, logz: float) -> FloatArray:
        x = float(np.clip(logz, base.logz[0], base.logz[-1]))
        j = int(np.clip(np.searchsorted(base.logz, x) - 1, 0, base.logz.size - 2))
        f = (x - base.logz[j]) / (base.logz[j + 1] - base.logz[j])
        return (1 - f) * values[j] + f * values[j + 1]

    return interpolate


def _at_age(
    spectra: FloatArray, age: FloatArray, target: float
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Spectrum at one age, linear in log age; zeros mean missing (valid is False there)."""
    x = np.clip(target, age[0], age[-1])
    j = int(np.clip(np.searchsorted(age, x) - 1, 0, age.size - 2))
    f = np.log(x / age[j]) / np.log(age[j + 1] / age[j])
    valid = ((spectra[j] > 0) | (f == 1)) & ((spectra[j + 1] > 0) | (f == 0))
    return (1 - f) * spectra[j] + f * spectra[j + 1], valid


def _join(
    grid: FloatArray,
    base: FloatArray,
    own: NDArray[np.bool_],
    spectrum: FloatArray,
    valid: NDArray[np.bool_],
) -> FloatArray:
    """Put a spectrum into the pixels `own`; BC03 elsewhere, scaled to meet it at both ends."""
    out = base.copy()
    inner = np.flatnonzero(own)[valid]
    if inner.size < 100:
        return out
    out[inner] = spectrum[valid]
    wave = grid[inner]
    # 200 Å of common range at either end fix the scale of what is taken from BC03; the scale
    # of the far ultraviolet is bounded because both libraries are poor there at old ages.
    blue, red = inner[wave < wave[0] + 200.0], inner[wave > wave[-1] - 200.0]
    ratio_blue = np.clip(out[blue].sum() / max(base[blue].sum(), 1e-30), 0.33, 3.0)
    ratio_red = np.clip(out[red].sum() / max(base[red].sum(), 1e-30), 0.7, 1.4)
    index = np.arange(grid.size)
    out[index < inner[0]] = base[index < inner[0]] * ratio_blue
    out[index > inner[-1]] = base[index > inner[-1]] * ratio_red
    gap = (index > inner[0]) & (index < inner[-1]) & ~np.isin(index, inner)
    out[gap] = base[gap] * ratio_red
    return out


def _overlap(old: FloatArray, new: FloatArray) -> FloatArray:
    """(new bins, old bins): share of each new bin's time that lies in each old bin."""
    start = np.maximum(old[None, :-1], new[:-1, None])
    stop = np.minimum(old[None, 1:], new[1:, None])
    return np.clip(stop - start, 0.0, None) / np.diff(new)[:, None]


def _running_mean(spectra: FloatArray, half: int) -> FloatArray:
    """Mean over 2 half + 1 bins of age in log flux (zeros left out), (A, W)."""
    log = np.log(np.maximum(spectra, 1e-12))
    weight = (spectra > 1e-9).astype(np.float64) + 1e-6
    total, norm = np.zeros_like(log), np.zeros_like(log)
    for shift in range(-half, half + 1):
        index = np.clip(np.arange(len(log)) + shift, 0, len(log) - 1)
        total += log[index] * weight[index]
        norm += weight[index]
    return np.exp(total / norm)


def _photon_rate(wave: FloatArray, flux: FloatArray) -> FloatArray:
    """Photons below 912 Å in 1e46 /s, floored: old SSPs keep their hot evolved stars.

    The floor, log Q = 40.5 per M_sun, is half the value of 1-10 Gyr populations (Cid Fernandes et
    al. 2011, MNRAS 413, 1687, their eq. 2); single bins of the BC03 grid have none.
    """
    below = wave <= 912.0
    rate = np.trapezoid(flux[:, below] * wave[below] * LSUN_OVER_HC, wave[below], axis=1)
    return np.maximum(rate, 10.0**40.5) / PHOTON_SCALE
