"""Photometric noise on tensors: the torch twin of the error model of `jpassed.jspectrum`.

It takes the plain arrays of ``ErrorModel.arrays()`` and follows the same law; a test proves that
both add the same noise from the same normal deviates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from jpassed.exceptions import InputError

__all__ = ["NoiseModel"]

PER_BAND = (
    "depth_jitter",
    "poisson",
    "floor",
    "zp_scatter",
    "aperture_scale",
    "aperture_power",
    "aperture_max",
    "reference_weight",
)
SCALARS = ("aperture_scatter", "aperture_pivot", "ab_zeropoint")


class NoiseModel:
    """Noise of a survey as a function of flux, tile and band, batched.

    Parameters
    ----------
    arrays : mapping of str to array
        As returned by ``ErrorModel.arrays()``: ``depth5 (T, B)`` (5-sigma AB depth); (B,) of
        ``depth_jitter`` and ``zp_scatter`` (mag), ``poisson`` (microjansky), ``floor``,
        ``aperture_scale``, ``aperture_power``, ``aperture_max``, ``reference_weight``; and the
        numbers ``aperture_scatter``, ``aperture_pivot``, ``ab_zeropoint`` (microjansky).
    device : torch.device or str
        Where fluxes live.
    dtype : torch.dtype
        Of the computation.

    Raises
    ------
    InputError
        Missing arrays or wrong shapes.
    """

    def __init__(
        self,
        arrays: Mapping[str, ArrayLike],
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        missing = [key for key in ("depth5", *PER_BAND, *SCALARS) if key not in arrays]
        if missing:
            raise InputError(
                f"the noise arrays lack {missing}; pass what ErrorModel.arrays() returns"
            )
        self.device, self.dtype = torch.device(device), dtype
        depth = np.asarray(arrays["depth5"], dtype=np.float64)
        if depth.ndim != 2:
            raise InputError(f"depth5 must have shape (tiles, bands), got {depth.shape}")
        self.n_tiles, self.n_bands = depth.shape
        zeropoint = float(np.asarray(arrays["ab_zeropoint"]))
        # ln of the sky noise: exponentials of differences stay exact in float32
        self._log_sky = self._tensor(math.log(zeropoint / 5.0) - 0.4 * math.log(10.0) * depth)
        self._band: dict[str, Tensor] = {}
        for key in PER_BAND:
            values = np.asarray(arrays[key], dtype=np.float64)
            if values.shape != (self.n_bands,):
                raise InputError(f"{key} must have shape ({self.n_bands},), got {values.shape}")
            self._band[key] = self._tensor(values)
        self._scatter = float(np.asarray(arrays["aperture_scatter"]))
        self._pivot = float(np.asarray(arrays["aperture_pivot"]))

    def _tensor(self, values: ArrayLike) -> Tensor:
        return torch.as_tensor(np.asarray(values), dtype=self.dtype, device=self.device)

    def select(self, index: Sequence[int]) -> NoiseModel:
        """The model of some of the bands, by position; the aperture's reference stays."""
        out = object.__new__(NoiseModel)
        out.__dict__.update(self.__dict__)
        own = torch.as_tensor(list(index), dtype=torch.long, device=self.device)
        out._log_sky = self._log_sky[:, own]
        out._band = {key: value[own] for key, value in self._band.items()}
        out.n_bands = len(own)
        return out

    def sigma(
        self,
        flux: Tensor,
        tile: Tensor,
        *,
        depth_normals: Tensor | None = None,
        size_normals: Tensor | None = None,
        reference: Tensor | None = None,
    ) -> Tensor:
        """Standard deviation of fluxes (N, B), without the zero-point scatter; microjansky."""
        self._check(flux)
        sky, aperture = self._sky(flux, tile, depth_normals, size_normals, reference)
        return self._total(flux, sky, aperture)

    def apply(
        self,
        flux: Tensor,
        generator: torch.Generator | None = None,
        *,
        tile: Tensor | None = None,
        normals: Tensor | None = None,
        zp_normals: Tensor | None = None,
        depth_normals: Tensor | None = None,
        size_normals: Tensor | None = None,
        reference: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Noisy fluxes and the errors a pipeline would quote for them.

        With a generator whatever is not given is drawn, every object on a tile of its own with
        the depths of a tile drawn uniformly. Without one `normals` and `tile` are required and
        the other deviates are zero when not given.

        Parameters
        ----------
        flux : Tensor (N, B)
            True total flux, microjansky; NaN stays NaN.
        generator : torch.Generator, optional
            Source of the draws; it may live on another device.
        tile : Tensor (N,), integer, optional
        normals, zp_normals, depth_normals : Tensor (N, B), optional
            Standard normal deviates of noise, zero point and depth.
        size_normals : Tensor (N,), optional
        reference : Tensor (N,), optional
            Flux that sets the aperture, microjansky.

        Returns
        -------
        noisy, err : Tensor (N, B)
            Microjansky.

        Raises
        ------
        InputError
            Wrong shapes, or neither `generator` nor `normals` and `tile`.
        """
        self._check(flux)
        flux = flux.to(self.device, self.dtype)
        if generator is None:
            if normals is None or tile is None:
                raise InputError("apply() needs a generator, or both normals and tile")
        else:
            source = generator.device

            def draw(*shape: int) -> Tensor:
                out = torch.randn(shape, generator=generator, device=source, dtype=self.dtype)
                return out.to(self.device)

            n = len(flux)
            if tile is None:
                tile = torch.randint(self.n_tiles, (n,), generator=generator, device=source)
                tile = tile.to(self.device)
            normals = draw(n, self.n_bands) if normals is None else normals
            zp_normals = draw(n, self.n_bands) if zp_normals is None else zp_normals
            depth_normals = draw(n, self.n_bands) if depth_normals is None else depth_normals
            size_normals = draw(n) if size_normals is None else size_normals
        sky, aperture = self._sky(flux, tile, depth_normals, size_normals, reference)
        noisy = flux
        if zp_normals is not None:
            offset = 0.4 * math.log(10.0) * zp_normals * self._band["zp_scatter"]
            noisy = flux * torch.exp(offset)
        noisy = noisy + self._total(flux, sky, aperture) * normals
        return noisy, self._total(noisy, sky, aperture)

    def _check(self, flux: Tensor) -> None:
        if flux.ndim != 2 or flux.shape[1] != self.n_bands:
            raise InputError(
                f"flux must have shape (objects, {self.n_bands}), got {tuple(flux.shape)}"
            )

    def _sky(
        self,
        flux: Tensor,
        tile: Tensor,
        depth_normals: Tensor | None,
        size_normals: Tensor | None,
        reference: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        log_sky = self._log_sky[tile]
        if depth_normals is not None:
            jitter = depth_normals * self._band["depth_jitter"]
            log_sky = log_sky - 0.4 * math.log(10.0) * jitter
        if reference is None:
            known = torch.where(torch.isfinite(flux), flux, torch.zeros_like(flux))
            reference = known @ self._band["reference_weight"]
        x = reference.clamp(min=0.0)[:, None] / self._pivot
        growth = self._band["aperture_scale"] * x ** self._band["aperture_power"]
        if size_normals is not None:
            growth = growth * torch.exp(size_normals * self._scatter)[:, None]
        return torch.exp(log_sky), torch.minimum(1.0 + growth, self._band["aperture_max"])

    def _total(self, flux: Tensor, sky: Tensor, aperture: Tensor) -> Tensor:
        source = self._band["poisson"] * aperture * flux.clamp(min=0.0)
        return torch.sqrt((aperture * sky) ** 2 + source + (self._band["floor"] * flux) ** 2)
