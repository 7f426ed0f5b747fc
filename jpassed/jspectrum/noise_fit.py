"""Error models from a survey's own tables: depth per tile and band, or error against flux."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jpassed.exceptions import InputError
from jpassed.jspectrum.noise_law import ErrorModel
from jpassed.units import AB_ZEROPOINT_MICROJANSKY, ab_magnitude, from_ab_magnitude

__all__ = ["APERTURE_LAW", "fit_catalogue", "fit_tiles"]

FloatArray = NDArray[np.float64]

APERTURE_LAW: dict[str, float] = {
    "aperture_scale": 1.24,
    "aperture_power": 0.525,
    "aperture_max": 10.0,
    "aperture_scatter": 0.3,
}
"""Total over 3 arcsec aperture flux, against the flux of the reference band.

Fitted (to 4 % over r = 17-23) to exponential discs of half-light radius
``0.6 arcsec 10^(-0.137 (r - 22.5))`` (2.5 arcsec at r = 18, 0.6 arcsec at 22.5) seen through a
Moffat profile (beta = 3) of 1.2 arcsec FWHM, the median of the miniJPAS tiles: the factor is 4.4,
2.2, 1.5 at r = 18, 20, 22. The scatter stands for 0.2 dex of size at a given magnitude
(Shen et al. 2003, MNRAS 343, 978).
"""


def fit_tiles(
    tile: ArrayLike,
    band: ArrayLike,
    depth5: ArrayLike,
    zero_point: ArrayLike,
    exposure: ArrayLike,
    *,
    bands: list[str] | None = None,
    reference: str | None = None,
    gain: float = 1.0,
    zp_scatter: float = 0.02,
    floor: float = 0.0,
    single_tile_jitter: float = 0.2,
    name: str = "custom",
    meta: dict[str, Any] | None = None,
) -> ErrorModel:
    """Error model from a table with one row per tile and band.

    The depths of the tiles are kept as they are; `depth_jitter` is Silverman's kernel width
    (1986), ``(4 / 3T)^(1/5)`` times the standard deviation over the T tiles (its square the mean
    of the band's own variance and that of all bands), so that depths are drawn from a smoothed
    bootstrap of the tiles and are not limited to T values.

    Parameters
    ----------
    tile, band : array (R,) of str or int, and of str
        Tile and band of each row; every band must be there for every tile.
    depth5 : array (R,)
        5-sigma depth in the aperture, AB magnitude.
    zero_point : array (R,)
        AB magnitude of one count per second.
    exposure : array (R,)
        Effective exposure, s.
    bands : list of str, optional
        Bands to keep and their order; by default in order of appearance.
    reference : str, optional
        Band whose flux sets the aperture factor (`APERTURE_LAW`); without it there is none.
    gain : float
        Electrons per count.
    zp_scatter : float
        Magnitude.
    floor : float
        Fractional error.
    single_tile_jitter : float
        `depth_jitter` where there is only one tile.
    name, meta : str, dict
        Kept with the model.

    Raises
    ------
    InputError
        A band missing on a tile, or repeated; values that are not finite; unknown reference.
    """
    tiles, bands_in = np.asarray(tile).astype(str), np.asarray(band).astype(str)
    names = list(dict.fromkeys(bands_in)) if bands is None else list(bands)
    tile_names = list(dict.fromkeys(tiles))
    shape = (len(tile_names), len(names))
    values = {key: np.full(shape, np.nan) for key in ("depth5", "zero_point", "exposure")}
    for key, column in (("depth5", depth5), ("zero_point", zero_point), ("exposure", exposure)):
        rows = np.asarray(column, dtype=np.float64)
        if rows.shape != tiles.shape or bands_in.shape != tiles.shape:
            raise InputError(f"{key} must have one value per row, {tiles.shape}; got {rows.shape}")
        for t, b, value in zip(tiles, bands_in, rows, strict=True):
            if b not in names:
                continue
            place = tile_names.index(t), names.index(b)
            if np.isfinite(values[key][place]):
                raise InputError(f"band {b!r} appears twice on tile {t!r}")
            values[key][place] = value
    missing = np.argwhere(~np.isfinite(values["depth5"] + values["zero_point"]))
    if len(missing):
        t, b = missing[0]
        raise InputError(f"no depth or zero point for band {names[b]!r} on tile {tile_names[t]!r}")
    if not np.all(values["exposure"] > 0):
        raise InputError("exposure must be positive")
    weight = np.zeros(len(names))
    if reference is not None:
        if reference not in names:
            raise InputError(f"reference band {reference!r} is not among {names}")
        weight[names.index(reference)] = 1.0
    n_tiles = len(tile_names)
    if n_tiles > 1:
        kernel = (4.0 / (3.0 * n_tiles)) ** 0.2
        variance = np.var(values["depth5"], axis=0, ddof=1)
        # A variance from few tiles is itself noisy: half of it is the mean over the bands.
        jitter = kernel * np.sqrt(0.5 * variance + 0.5 * np.mean(variance))
    else:
        jitter = np.full(len(names), single_tile_jitter)
    # One Poisson term per band: the tiles' zero points and exposures differ far less than depths.
    poisson = np.exp(
        np.mean(np.log(from_ab_magnitude(values["zero_point"]) / values["exposure"]), axis=0)
    )
    law = APERTURE_LAW if reference is not None else _no_aperture()
    return ErrorModel(
        bands=tuple(names),
        depth5=np.round(values["depth5"], 4),
        depth_jitter=np.round(jitter, 4),
        poisson=_significant(poisson / gain, 5),
        floor=np.full(len(names), float(floor)),
        zp_scatter=np.full(len(names), float(zp_scatter)),
        reference_weight=weight,
        name=name,
        meta={**(meta or {}), "tiles": tile_names},
        **_law_columns(law, len(names)),
    )


def fit_catalogue(
    bands: list[str],
    flux: ArrayLike,
    error: ArrayLike,
    tile: ArrayLike | None = None,
    *,
    zp_scatter: float = 0.02,
    name: str = "custom",
    meta: dict[str, Any] | None = None,
    min_objects: int = 20,
) -> ErrorModel:
    """Error model from a catalogue's own fluxes and errors.

    In every band ``error^2 = sky[tile]^2 + poisson max(flux, 0) + floor^2 flux^2`` is fitted by
    non-negative least squares of the relative variance residuals, with three passes in which
    objects beyond 3 robust standard deviations count less. The growth of the aperture with
    brightness is in the last two terms: the model has no aperture factor. The scatter of the
    objects' errors around the fit, as magnitudes of depth, becomes `depth_jitter`.

    Parameters
    ----------
    bands : list of str
        The B bands.
    flux, error : array (N, B)
        Microjansky; rows that are not finite, or with error <= 0, are left out band by band.
    tile : array (N,), optional
        Tile of each object, any labels; one tile when not given.
    zp_scatter : float
        Magnitude; a catalogue cannot tell it.
    min_objects : int
        Fewest usable objects of a tile in a band.

    Raises
    ------
    InputError
        Wrong shapes or too few usable objects.
    """
    from scipy.optimize import nnls

    f, e = np.asarray(flux, dtype=np.float64), np.asarray(error, dtype=np.float64)
    if f.ndim != 2 or f.shape != e.shape or f.shape[1] != len(bands):
        raise InputError(
            f"flux and error must have shape (objects, {len(bands)}), got {f.shape} and {e.shape}"
        )
    labels = np.zeros(len(f), dtype=int) if tile is None else np.asarray(tile)
    if labels.shape != (len(f),):
        raise InputError(f"tile must have shape ({len(f)},), got {labels.shape}")
    tile_names, index = np.unique(labels, return_inverse=True)
    n_tiles, n_bands = len(tile_names), len(bands)
    depth = np.empty((n_tiles, n_bands))
    jitter, poisson, floor = np.empty(n_bands), np.empty(n_bands), np.empty(n_bands)
    for b, band in enumerate(bands):
        good = np.isfinite(f[:, b]) & np.isfinite(e[:, b]) & (e[:, b] > 0)
        counts = np.bincount(index[good], minlength=n_tiles)
        if counts.min() < min_objects:
            raise InputError(
                f"band {band!r} has {counts.min()} usable objects on tile "
                f"{tile_names[counts.argmin()]!r}; at least {min_objects} are needed"
            )
        variance, x = e[good, b] ** 2, f[good, b]
        design = np.zeros((len(x), n_tiles + 2))
        design[np.arange(len(x)), index[good]] = 1.0
        design[:, n_tiles] = np.maximum(x, 0.0)
        design[:, n_tiles + 1] = x**2
        weight = np.ones(len(x))
        for _ in range(4):
            scaled = design / variance[:, None] * weight[:, None]
            unit = np.sqrt(np.sum(scaled**2, axis=0))
            unit[unit == 0] = 1.0
            solution = nnls(scaled / unit, weight)[0] / unit
            ratio = np.log(variance / np.maximum(design @ solution, 1e-300))
            centred = ratio - np.median(ratio)
            spread = 1.4826 * np.median(np.abs(centred)) + 1e-12
            weight = np.minimum(1.0, 3.0 * spread / np.maximum(np.abs(centred), 1e-300))
        sky = np.sqrt(solution[:n_tiles])
        if np.any(sky**2 <= 1e-6 * np.min(variance)):
            raise InputError(
                f"the errors of band {band!r} show no sky noise: they vanish with the flux. "
                "Are they relative errors, or magnitudes?"
            )
        depth[:, b] = ab_magnitude(5 * sky)
        poisson[b], floor[b] = solution[n_tiles], np.sqrt(solution[n_tiles + 1])
        # ln(variance) scatter -> magnitudes of depth: 2.5 / ln(10) / 2.
        jitter[b] = spread * 1.25 / np.log(10.0)
    return ErrorModel(
        bands=tuple(bands),
        depth5=depth,
        depth_jitter=jitter,
        poisson=poisson,
        floor=floor,
        zp_scatter=np.full(n_bands, float(zp_scatter)),
        reference_weight=np.full(n_bands, 1.0 / n_bands),
        name=name,
        meta={**(meta or {}), "tiles": [str(t) for t in tile_names]},
        **_law_columns(_no_aperture(), n_bands),
    )


def sky_depth(depth5: float, zero_point: float, exposure: float, gain: float = 1.0) -> float:
    """Depth of the sky noise alone, from a quoted 5-sigma depth that includes the source's own.

    All magnitudes AB; `exposure` in s. ``sky^2 = (f5 / 5)^2 - poisson f5``.
    """
    f5 = float(from_ab_magnitude(depth5))
    poisson = AB_ZEROPOINT_MICROJANSKY * 10 ** (-0.4 * zero_point) / (gain * exposure)
    variance = (f5 / 5) ** 2 - poisson * f5
    if variance <= 0:
        raise InputError(
            f"a depth of {depth5} is brighter noise than its own photons allow in {exposure} s"
        )
    return float(ab_magnitude(5 * np.sqrt(variance)))


def _no_aperture() -> dict[str, float]:
    return {
        "aperture_scale": 0.0,
        "aperture_power": 1.0,
        "aperture_max": 1.0,
        "aperture_scatter": 0.0,
    }


def _law_columns(law: dict[str, float], n_bands: int) -> dict[str, Any]:
    out: dict[str, Any] = {
        key: np.full(n_bands, law[key])
        for key in ("aperture_scale", "aperture_power", "aperture_max")
    }
    out["aperture_scatter"] = law["aperture_scatter"]
    return out


def _significant(values: FloatArray, digits: int) -> FloatArray:
    return np.array([float(f"{v:.{digits}g}") for v in values])
