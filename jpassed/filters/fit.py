"""Fit of two error-function edges and a sloping top to a measured transmission curve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jpassed.exceptions import InputError
from jpassed.filters.edges import EdgeModel

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["fit_edges"]


def _unpack(parameters: NDArray[np.float64]) -> EdgeModel:
    amplitude, slope, blue, blue_soft, red, red_soft = (float(v) for v in parameters[:6])
    curvature = float(parameters[6]) if parameters.size > 6 else 0.0
    return EdgeModel(amplitude, slope, curvature, blue, blue_soft, red, red_soft)


def fit_edges(
    wavelength: ArrayLike, throughput: ArrayLike, *, curved: bool = False, reach: float = 2.0
) -> EdgeModel:
    """Least-squares `EdgeModel` of a measured curve.

    Two residuals are minimised together: that of the curve, and that of its running integral,
    which fixes centre and width (hence colours) where narrow absorption of the atmosphere or
    ripple cannot be followed. No spectral energy distribution enters.

    Parameters
    ----------
    wavelength : array_like, shape (n,)
        Å, increasing; the edges come out in the same medium (air or vacuum).
    throughput : array_like, shape (n,)
        Transmission in any normalisation; negative values are measurement noise and count as 0.
    curved : bool
        Fit a curvature of the top too (broad bands).
    reach : float
        Wavelengths farther than this many half-maximum widths from the band are left out: what a
        curve shows there is the floor of the measurement, not a band.

    Raises
    ------
    InputError
        If the arrays do not match or hold no band.
    """
    from scipy.integrate import cumulative_trapezoid
    from scipy.optimize import least_squares

    wave = np.asarray(wavelength, dtype=np.float64)
    curve = np.clip(np.asarray(throughput, dtype=np.float64), 0.0, None)
    if wave.ndim != 1 or wave.shape != curve.shape or wave.size < 8:
        raise InputError(
            "fit_edges needs wavelength and throughput of the same length, at least 8 points; "
            f"got shapes {wave.shape} and {curve.shape}"
        )
    if not curve.max() > 0 or np.any(np.diff(wave) <= 0):
        raise InputError("fit_edges needs increasing wavelengths and some positive throughput")
    curve = curve / curve.max()
    inside = wave[curve > 0.5]
    width = max(inside[-1] - inside[0], 2.0 * float(np.median(np.diff(wave))))
    near = (wave > inside[0] - reach * width) & (wave < inside[-1] + reach * width)
    wave, curve = wave[near], curve[near]
    total = cumulative_trapezoid(curve, wave, initial=0.0) / width

    def residual(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        model = _unpack(parameters)(wave)
        running = cumulative_trapezoid(model, wave, initial=0.0) / width
        return np.concatenate([model - curve, 3.0 * (running - total)])

    # A detector's cut-off is not an edge: the second start leaves the red side to the top's slope
    # and puts the edge where the transmission ends.
    ends = np.interp([0.01, 0.99], total / total[-1], wave)
    soft = 0.05 * width
    starts = [(inside[0], inside[-1]), (ends[0], ends[1])]
    extra = [0.0] if curved else []
    lower = [0.0, -5.0, wave[0], 1e-3 * width, inside[0], 1e-3 * width] + [-5.0] * len(extra)
    upper = [2.0, 5.0, inside[-1], 0.4 * width, wave[-1], 0.4 * width] + [5.0] * len(extra)
    fits = [
        least_squares(
            residual,
            [curve[curve > 0.5].mean(), 0.0, blue, soft, red, soft, *extra],
            x_scale=[1.0, 1.0, soft, soft, soft, soft, *([1.0] if extra else [])],
            bounds=(lower, upper),
            max_nfev=4000,
        )
        for blue, red in starts
    ]
    model = _unpack(min(fits, key=lambda fitted: float(fitted.cost)).x)
    peak = float(np.asarray(throughput, dtype=np.float64).max())
    return EdgeModel(
        model.amplitude * peak,
        model.slope,
        model.curvature,
        model.blue,
        model.blue_soft,
        model.red,
        model.red_soft,
    )
