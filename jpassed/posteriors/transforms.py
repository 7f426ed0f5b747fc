"""Transforms between physical values x and the scaled values y in which distributions live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jpassed.exceptions import InputError

if TYPE_CHECKING:
    from jpassed.vocabulary import Kind

__all__ = ["SCALES", "Transform"]

FloatArray = NDArray[np.float64]
Parameter = float | FloatArray

SCALES = ("linear", "asinh", "log1p")
"""Scales: y = (g(x) - loc) / width with g(x) = x, asinh(x / softening), ln(1 + x)."""


@dataclass(frozen=True)
class Transform:
    """A monotone map y = (g(x) - loc) / width.

    Parameters
    ----------
    scale : {"linear", "asinh", "log1p"}
        The function g, see `SCALES`.
    loc, width, softening : float or array (N,)
        One number, or one per object. `width` and `softening` are positive.

    Raises
    ------
    UnknownNameError
        For another scale.
    InputError
        For a width or softening that is not positive.
    """

    scale: str = "linear"
    loc: Parameter = 0.0
    width: Parameter = 1.0
    softening: Parameter = 1.0

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            from jpassed.exceptions import UnknownNameError

            raise UnknownNameError("scale", self.scale, SCALES)
        for name in ("loc", "width", "softening"):
            value = np.asarray(getattr(self, name), dtype=np.float64)
            if value.ndim > 1:
                raise InputError(f"{name} must be a number or one per object, got {value.shape}")
            if name != "loc" and np.any(value <= 0):
                raise InputError(f"{name} must be positive, got {value.min()}")
            object.__setattr__(self, name, float(value) if value.ndim == 0 else value)

    @classmethod
    def of(cls, kind: Kind) -> Transform:
        """The transform of a vocabulary kind.

        Raises
        ------
        InputError
            For a kind that is scaled per object (bandfluxes): build its transform from the
            object's own flux scale.
        """
        if kind.scale not in SCALES:
            raise InputError(f"kind {kind.name!r} is scaled per object; give its transform")
        return cls(kind.scale, kind.loc, kind.width, kind.softening)

    @property
    def n_objects(self) -> int | None:
        """Number of objects if a parameter differs from object to object, else None."""
        sizes = [
            len(p) for p in (self.loc, self.width, self.softening) if isinstance(p, np.ndarray)
        ]
        return max(sizes) if sizes else None

    def _shaped(self, ndim: int) -> tuple[Parameter, Parameter, Parameter]:
        """Parameters that broadcast against arrays of shape (N,) or (N, Q, ...)."""

        def shape(p: Parameter) -> Parameter:
            if isinstance(p, np.ndarray) and ndim > 1:
                return p.reshape((-1,) + (1,) * (ndim - 1))
            return p

        return shape(self.loc), shape(self.width), shape(self.softening)

    def forward(self, x: ArrayLike) -> FloatArray:
        """Scaled values of physical values, shape (N,) or (N, Q); first axis: objects.

        ``log1p`` gives -inf at and below x = -1.
        """
        x = np.asarray(x, dtype=np.float64)
        loc, width, softening = self._shaped(x.ndim)
        if self.scale == "asinh":
            g = np.arcsinh(x / softening)
        elif self.scale == "log1p":
            with np.errstate(divide="ignore"):
                g = np.log1p(np.maximum(x, -1.0))
        else:
            g = x
        return (g - loc) / width

    def inverse(self, y: ArrayLike) -> FloatArray:
        """Physical values of scaled values, the inverse of `forward`.

        Parameters
        ----------
        y : array (N,) or (N, Q)

        Returns
        -------
        array (N,) or (N, Q)
            In the unit of x.
        """
        y = np.asarray(y, dtype=np.float64)
        loc, width, softening = self._shaped(y.ndim)
        g = y * width + loc
        if self.scale == "asinh":
            return np.sinh(np.clip(g, -700.0, 700.0)) * softening
        if self.scale == "log1p":
            return np.expm1(np.minimum(g, 700.0))
        return g

    def log_slope(self, x: ArrayLike) -> FloatArray:
        """ln(dy/dx): turns a log density in y into one in x.

        Parameters
        ----------
        x : array (N,) or (N, Q)

        Returns
        -------
        array (N,) or (N, Q)
        """
        x = np.asarray(x, dtype=np.float64)
        _, width, softening = self._shaped(x.ndim)
        if self.scale == "asinh":
            return -np.log(np.hypot(x, softening) * width)
        if self.scale == "log1p":
            return -np.log(np.where(x > -1.0, 1.0 + x, np.nan) * width)
        return np.broadcast_to(-np.log(width), x.shape).astype(np.float64)

    def scaled_error(self, x: ArrayLike, error: ArrayLike) -> FloatArray:
        """Standard error of y for a value x with a standard error, to first order.

        Parameters
        ----------
        x, error : array (N,) or (N, Q)
            In the same unit.

        Returns
        -------
        array (N,) or (N, Q)
            In scaled values.
        """
        return np.asarray(error, dtype=np.float64) * np.exp(self.log_slope(x))

    def take(self, rows: Any) -> Transform:
        """The transform of some of the objects.

        Parameters
        ----------
        rows : slice, index array or mask

        Returns
        -------
        Transform
        """

        def rows_of(p: Parameter) -> Parameter:
            return p[rows] if isinstance(p, np.ndarray) else p

        return Transform(
            self.scale, rows_of(self.loc), rows_of(self.width), rows_of(self.softening)
        )

    @staticmethod
    def concatenate(transforms: list[Transform], counts: list[int]) -> Transform:
        """One transform for the objects of several, which must have the same scale.

        Parameters
        ----------
        transforms : sequence of Transform
        counts : sequence of int
            Objects of each.

        Raises
        ------
        InputError
            If the scales differ.
        """
        scales = {t.scale for t in transforms}
        if len(scales) != 1:
            raise InputError(f"cannot join distributions on different scales: {sorted(scales)}")

        def join(name: str) -> Parameter:
            values = [getattr(t, name) for t in transforms]
            if all(isinstance(v, float) for v in values) and len(set(values)) == 1:
                return values[0]
            return np.concatenate(
                [np.broadcast_to(v, (n,)) for v, n in zip(values, counts, strict=True)]
            )

        return Transform(scales.pop(), join("loc"), join("width"), join("softening"))
