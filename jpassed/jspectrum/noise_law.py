"""Photometric error model of a survey: depth per tile and band, Poisson term, zero-point scatter.

The model of one object in tile ``t`` and band ``b``, all fluxes in microjansky:

* depth of the draw, ``d = depth5[t, b] + depth_jitter[b] n_d``, and the 5-sigma sky noise in the
  reference aperture, ``s = f(d) / 5`` with ``f(m) = 3631e6 10^(-0.4 m)``;
* total-flux factor of the aperture,
  ``A = min(1 + aperture_scale[b] x^aperture_power[b] exp(aperture_scatter n_s), aperture_max[b])``,
  where ``x = f_ref / f(20)`` and ``f_ref = sum_b reference_weight[b] flux[b]``: brighter galaxies
  are larger, so less of their light is inside the reference aperture and the noise of the total
  flux grows;
* variance of the flux, ``var(f) = (A s)^2 + poisson[b] A max(f, 0) + (floor[b] f)^2``;
* noisy flux, ``10^(0.4 zp_scatter[b] n_z) f + sqrt(var(f)) n``, and the error that a pipeline
  would quote, ``sqrt(var(noisy flux))``: it follows the noisy flux, is never zero, and does not
  contain the zero-point scatter.

``n``, ``n_z``, ``n_d`` are standard normals of shape ``(N, B)``, ``n_s`` of shape ``(N,)``.
`ErrorModel.arrays` hands the same numbers to the torch twin in ``jpassed.simulator.noise``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.units import AB_ZEROPOINT_MICROJANSKY, from_ab_magnitude

__all__ = ["BAND_COLUMNS", "FORMAT", "ErrorModel", "reference_flux"]

FloatArray = NDArray[np.float64]

FORMAT = 1
"""Version of the preset's content; part of the digest."""

#: Flux of r = 20 in microjansky, the pivot of the aperture law.
_APERTURE_PIVOT = float(from_ab_magnitude(20.0))

BAND_COLUMNS: dict[str, tuple[str, str]] = {
    "depth_jitter": ("mag", "scatter of the depth around the listed tiles"),
    "poisson": ("uJy", "Poisson variance over flux: zero point, gain and exposure"),
    "floor": ("", "fractional error of the flux, part of the quoted error"),
    "zp_scatter": ("mag", "zero-point scatter per tile and band, not part of the quoted error"),
    "aperture_scale": ("", "aperture factor minus 1 at r = 20"),
    "aperture_power": ("", "power of the flux in the aperture factor"),
    "aperture_max": ("", "largest aperture factor"),
    "reference_weight": ("", "weight of the band in the flux that sets the aperture"),
}
"""Columns of a preset file beside the depths, with their unit and meaning."""


def reference_flux(flux: FloatArray, weight: FloatArray) -> FloatArray:
    """Weighted sum of the fluxes that sets the aperture, ``(N, B), (B,) -> (N,)``; NaN is 0."""
    return np.where(np.isfinite(flux), flux, 0.0) @ weight


@dataclass(frozen=True)
class ErrorModel:
    """Noise of a survey as a function of flux, tile and band.

    Parameters
    ----------
    bands : tuple of str
        Names of the B bands.
    depth5 : array (T, B)
        5-sigma depth in the reference aperture of T tiles, AB magnitude.
    depth_jitter, zp_scatter : array (B,)
        Scatter of the depth around the tiles, and of the zero point, magnitude.
    poisson : array (B,)
        Poisson variance divided by flux, microjansky: ``f(ZPT) / (gain exposure)``.
    floor : array (B,)
        Fractional error, part of the quoted error.
    aperture_scale, aperture_power, aperture_max, reference_weight : array (B,)
        The aperture law of the module's description.
    aperture_scatter : float
        Scatter of ``ln(A - 1)`` from object to object at a given flux.
    name : str
        Name of the preset.
    meta : dict
        References and provenance; not part of the digest.

    Raises
    ------
    InputError
        Wrong shapes, values that are not finite or negative, repeated bands.
    """

    bands: tuple[str, ...]
    depth5: FloatArray
    depth_jitter: FloatArray
    poisson: FloatArray
    floor: FloatArray
    zp_scatter: FloatArray
    aperture_scale: FloatArray
    aperture_power: FloatArray
    aperture_max: FloatArray
    reference_weight: FloatArray
    aperture_scatter: float = 0.0
    name: str = "custom"
    meta: dict[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bands", tuple(str(b) for b in self.bands))
        n_bands = len(self.bands)
        if n_bands == 0 or len(set(self.bands)) != n_bands:
            raise InputError(f"an error model needs distinct bands, got {list(self.bands)}")
        depth = np.atleast_2d(np.array(self.depth5, dtype=np.float64))
        if depth.ndim != 2 or depth.shape[1] != n_bands or not np.all(np.isfinite(depth)):
            raise InputError(
                f"depth5 must be finite, of shape (tiles, {n_bands}); got shape {depth.shape}"
            )
        object.__setattr__(self, "depth5", depth)
        for key in BAND_COLUMNS:
            column = np.array(getattr(self, key), dtype=np.float64)
            if column.ndim == 0:
                column = np.full(n_bands, float(column))
            if column.shape != (n_bands,) or not np.all(np.isfinite(column) & (column >= 0)):
                raise InputError(
                    f"{key} must be {n_bands} finite numbers that are not negative, "
                    f"got shape {column.shape}"
                )
            object.__setattr__(self, key, column)
        if np.any(self.aperture_max < 1):
            raise InputError("aperture_max must be at least 1 in every band")
        for key in ("depth5", *BAND_COLUMNS):
            getattr(self, key).setflags(write=False)

    def __repr__(self) -> str:
        return (
            f"ErrorModel({self.name!r}, {self.n_tiles} tiles x {len(self.bands)} bands, "
            f"digest {self.digest[:12]})"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ErrorModel) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def n_tiles(self) -> int:
        """Number of tiles T."""
        return int(self.depth5.shape[0])

    @property
    def digest(self) -> str:
        """SHA-256 of bands and numbers (name and references do not count), 64 hex digits."""
        content = {
            "format": FORMAT,
            "bands": list(self.bands),
            "aperture_scatter": float(self.aperture_scatter),
            "depth5": self.depth5.tolist(),
            **{key: getattr(self, key).tolist() for key in BAND_COLUMNS},
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def arrays(self) -> dict[str, FloatArray]:
        """Everything that `apply` uses, as plain float64 arrays for the torch twin.

        Returns
        -------
        dict
            ``depth5 (T, B)``; ``depth_jitter, poisson, floor, zp_scatter, aperture_scale,
            aperture_power, aperture_max, reference_weight (B,)``; ``aperture_scatter ()``;
            ``aperture_pivot ()``, the flux of r = 20, and ``ab_zeropoint ()``, that of
            magnitude 0, microjansky. Units as in the class.
        """
        out = {"depth5": self.depth5.copy()}
        out.update({key: getattr(self, key).copy() for key in BAND_COLUMNS})
        out["aperture_scatter"] = np.array(float(self.aperture_scatter))
        out["aperture_pivot"] = np.array(_APERTURE_PIVOT)
        out["ab_zeropoint"] = np.array(AB_ZEROPOINT_MICROJANSKY)
        return out

    def select(self, bands: Sequence[str]) -> ErrorModel:
        """The model of some of the bands, in the order asked.

        Where no band of positive `reference_weight` is left, the mean flux of the bands kept
        sets the aperture.

        Raises
        ------
        UnknownNameError
            For a band that the model does not have.
        """
        for band in bands:
            if band not in self.bands:
                raise UnknownNameError("band of the noise preset", band, self.bands)
        index = [self.bands.index(b) for b in bands]
        columns = {key: getattr(self, key)[index] for key in BAND_COLUMNS}
        total = columns["reference_weight"].sum()
        columns["reference_weight"] = (
            columns["reference_weight"] / total
            if total > 0
            else np.full(len(index), 1 / len(index))
        )
        return replace(
            self, bands=tuple(bands), depth5=self.depth5[:, index], meta=dict(self.meta), **columns
        )

    def __add__(self, other: ErrorModel) -> ErrorModel:
        """Bands of both models; the first one's bands set the aperture.

        Tiles of unequal number are repeated up to the least common multiple.
        """
        if not isinstance(other, ErrorModel):
            return NotImplemented
        shared = set(self.bands) & set(other.bands)
        if shared:
            raise InputError(
                f"noise presets {self.name!r} and {other.name!r} share the bands {sorted(shared)}; "
                "select() the bands of one before adding"
            )
        tiles = int(np.lcm(self.n_tiles, other.n_tiles))
        depth = [np.tile(m.depth5, (tiles // m.n_tiles, 1)) for m in (self, other)]
        columns = {
            key: np.concatenate([getattr(self, key), getattr(other, key)]) for key in BAND_COLUMNS
        }
        columns["reference_weight"][len(self.bands) :] = 0.0
        return ErrorModel(
            bands=self.bands + other.bands,
            depth5=np.concatenate(depth, axis=1),
            aperture_scatter=max(self.aperture_scatter, other.aperture_scatter),
            name=f"{self.name}+{other.name}",
            meta={"parts": {m.name: m.digest for m in (self, other)}},
            **columns,
        )

    def sigma(
        self,
        flux: ArrayLike,
        tile: ArrayLike,
        *,
        depth_normals: ArrayLike | None = None,
        size_normals: ArrayLike | None = None,
        reference: ArrayLike | None = None,
    ) -> FloatArray:
        """Standard deviation of fluxes, without the zero-point scatter.

        Parameters
        ----------
        flux : array (N, B)
            Total flux, microjansky.
        tile : int or array (N,) of int
            Tile of each object.
        depth_normals, size_normals : array (N, B) and (N,), optional
            Standard normals of depth and aperture; zero when not given.
        reference : array (N,), optional
            Flux that sets the aperture, microjansky; from `reference_weight` when not given.

        Returns
        -------
        array (N, B)
            Microjansky; NaN where the flux is NaN.
        """
        values = self._check_flux(flux)
        sky, aperture = self._sky(values, tile, depth_normals, size_normals, reference)
        return self._total(values, sky, aperture)

    def apply(
        self,
        flux: ArrayLike,
        rng: np.random.Generator | int | None = None,
        *,
        tile: ArrayLike | None = None,
        normals: ArrayLike | None = None,
        zp_normals: ArrayLike | None = None,
        depth_normals: ArrayLike | None = None,
        size_normals: ArrayLike | None = None,
        reference: ArrayLike | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Noisy fluxes and the errors a pipeline would quote for them.

        With a generator (or a seed) whatever is not given is drawn: the tile uniformly, every
        object as if on a tile of its own with that tile's depths. Without one, `normals` and
        `tile` are required, the others are zero when not given, and the result is deterministic.

        Parameters
        ----------
        flux : array (N, B)
            True total flux, microjansky; NaN stays NaN.
        rng : numpy Generator or int, optional
            Source of the draws.
        tile : int or array (N,) of int, optional
        normals, zp_normals, depth_normals : array (N, B), optional
            Standard normals of noise, zero point and depth. For a shared zero point of a tile
            give ``zp_normals = offsets[tile]``.
        size_normals : array (N,), optional
        reference : array (N,), optional
            Flux that sets the aperture, microjansky.

        Returns
        -------
        noisy, err : array (N, B)
            Microjansky.

        Raises
        ------
        InputError
            Wrong shapes, a tile out of range, or neither `rng` nor `normals` and `tile`.
        """
        values = self._check_flux(flux)
        if rng is None:
            if normals is None or tile is None:
                raise InputError("apply() needs a random generator, or both normals and tile")
        else:
            draw = np.random.default_rng(rng)
            tile = draw.integers(self.n_tiles, size=len(values)) if tile is None else tile
            normals = draw.standard_normal(values.shape) if normals is None else normals
            zp_normals = draw.standard_normal(values.shape) if zp_normals is None else zp_normals
            if depth_normals is None:
                depth_normals = draw.standard_normal(values.shape)
            if size_normals is None:
                size_normals = draw.standard_normal(len(values))
        sky, aperture = self._sky(values, tile, depth_normals, size_normals, reference)
        offset = _checked(zp_normals, values.shape, "zp_normals") * self.zp_scatter
        noisy = values * 10 ** (0.4 * offset)
        noisy = noisy + self._total(values, sky, aperture) * _checked(
            normals, values.shape, "normals"
        )
        return noisy, self._total(noisy, sky, aperture)

    def _check_flux(self, flux: ArrayLike) -> FloatArray:
        values = np.asarray(flux, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.bands):
            raise InputError(
                f"flux must have shape (objects, {len(self.bands)}) for the bands of "
                f"{self.name!r}, got {values.shape}"
            )
        return values

    def _sky(
        self,
        values: FloatArray,
        tile: ArrayLike | None,
        depth_normals: ArrayLike | None,
        size_normals: ArrayLike | None,
        reference: ArrayLike | None,
    ) -> tuple[FloatArray, FloatArray]:
        """Sky noise in the reference aperture and the aperture factor, both (N, B)."""
        n_objects = len(values)
        index = np.broadcast_to(np.asarray(0 if tile is None else tile), (n_objects,))
        if not np.issubdtype(index.dtype, np.integer):
            raise InputError(f"tile must be integers, got {index.dtype}")
        if n_objects and (index.min() < 0 or index.max() >= self.n_tiles):
            raise InputError(f"tile must lie in 0..{self.n_tiles - 1} for {self.name!r}")
        jitter = _checked(depth_normals, values.shape, "depth_normals") * self.depth_jitter
        sky = from_ab_magnitude(self.depth5[index] + jitter) / 5
        scatter = _checked(size_normals, (n_objects,), "size_normals") * self.aperture_scatter
        if reference is None:
            bright = reference_flux(values, self.reference_weight)
        else:
            bright = _checked(reference, (n_objects,), "reference")
        x = np.maximum(bright, 0.0)[:, None] / _APERTURE_PIVOT
        growth = self.aperture_scale * x**self.aperture_power * np.exp(scatter)[:, None]
        return sky, np.minimum(1.0 + growth, self.aperture_max)

    def _total(self, flux: FloatArray, sky: FloatArray, aperture: FloatArray) -> FloatArray:
        source = self.poisson * aperture * np.maximum(flux, 0.0)
        return np.sqrt((aperture * sky) ** 2 + source + (self.floor * flux) ** 2)


def _checked(values: ArrayLike | None, shape: tuple[int, ...], what: str) -> FloatArray:
    if values is None:
        return np.zeros(shape)
    out = np.asarray(values, dtype=np.float64)
    if out.shape != shape:
        raise InputError(f"{what} must have shape {shape}, got {out.shape}")
    return out
