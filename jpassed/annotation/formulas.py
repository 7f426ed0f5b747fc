"""What is computed from joint draws, element by element: lines, star formation, classes.

Every formula takes the draws by quantity, arrays of one shape, the lines that its entry in
``derived.ecsv`` names, and the constants of that file. The logarithm of what is not positive is
-inf; a ratio to what is not positive is inf, and of two such numbers NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jpassed.simulator.cosmology import FlatUniverse

__all__ = ["FORMULAS", "Constants", "Draws", "luminosity_distance"]

FloatArray = NDArray[np.float64]
Draws = Mapping[str, FloatArray]
Constants = Mapping[str, Any]
Formula = Callable[[Draws, Sequence[str], Constants], FloatArray]

CM_PER_MPC = 3.0856775814913673e24
CONTINUUM = {"nii": "halpha", "sii": "halpha"}
"""Lines that have no continuum label of their own."""


@lru_cache(maxsize=4)
def _universe(h0: float, om0: float) -> FlatUniverse:
    return FlatUniverse(h0, om0)


def luminosity_distance(z: ArrayLike, h0: float = 70.0, om0: float = 0.3) -> FloatArray:
    """Luminosity distance in cm of a flat universe, for redshifts from 0 to 3.

    Interpolated from a table, to 4e-6 for z > 0.001 and 1e-6 for z > 0.01.
    """
    redshift = np.asarray(z, dtype=np.float64)
    comoving = _universe(h0, om0).comoving_distance(redshift)
    return comoving * (1.0 + redshift) * CM_PER_MPC


def _log(x: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.isnan(x), np.nan, np.log10(np.maximum(x, 0.0)))


def _log_continuum(draws: Draws, line: str, constants: Constants) -> FloatArray:
    level = draws[f"logc_{CONTINUUM.get(line, line)}"]
    return level + constants.get(f"log_continuum_{line}", 0.0)


def line_flux(draws: Draws, lines: Sequence[str], constants: Constants) -> FloatArray:
    """erg/s/cm2; negative with the equivalent width."""
    (line,) = lines
    distance = luminosity_distance(draws["z"], constants["h0"], constants["om0"])
    # Near redshift 0 there is no distance, and no flux to speak of.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        dilution = np.where(distance > 0, 4.0 * np.pi * distance**2, np.nan)
        return draws[f"ew_{line}"] * 10.0 ** _log_continuum(draws, line, constants) / dilution


def log_luminosity(draws: Draws, lines: Sequence[str], constants: Constants) -> FloatArray:
    """log10 of erg/s."""
    (line,) = lines
    return _log(draws[f"ew_{line}"]) + _log_continuum(draws, line, constants)


def log_ratio(draws: Draws, lines: Sequence[str], constants: Constants) -> FloatArray:
    """log10 of the ratio of two lines; lines without their continua are neighbours."""
    above, below = lines
    ratio = _log(draws[f"ew_{above}"]), _log(draws[f"ew_{below}"])
    own = [f"logc_{CONTINUUM.get(line, line)}" for line in lines]
    if own[0] == own[1]:
        continuum: Any = sum(
            sign * constants.get(f"log_continuum_{line}", 0.0)
            for sign, line in ((1, above), (-1, below))
        )
    else:
        continuum = _log_continuum(draws, above, constants)
        continuum = continuum - _log_continuum(draws, below, constants)
    with np.errstate(invalid="ignore"):  # neither positive: -inf - -inf
        return ratio[0] - ratio[1] + continuum


def decrement(draws: Draws, lines: Sequence[str], constants: Constants) -> FloatArray:
    """Ratio of two lines: 0 where the first is not positive, inf where the second is not."""
    return 10.0 ** log_ratio(draws, lines, constants)


def log_luminosity_corrected(
    draws: Draws, lines: Sequence[str], constants: Constants
) -> FloatArray:
    """log10 of the dust-corrected luminosity of the first line, from its ratio to the second.

    ``A = k_1 / (k_2 - k_1) 2.5 log10(ratio / intrinsic)``, at least 0; NaN without a ratio.
    """
    ratio = log_ratio(draws, lines, constants) - np.log10(constants["balmer_ratio"])
    ratio = np.where(np.isfinite(ratio), ratio, np.nan)
    k_1, k_2 = constants["k_halpha"], constants["k_hbeta"]
    lost = np.maximum(k_1 / (k_2 - k_1) * ratio, 0.0)
    corrected = log_luminosity(draws, lines[:1], constants) + lost
    nothing = draws[f"ew_{lines[0]}"] <= 0
    return np.where(nothing, -np.inf, corrected)


def _log_sfr(luminosity: FloatArray, constants: Constants) -> FloatArray:
    return luminosity + constants["log_sfr_halpha"] + constants["kroupa_to_chabrier"]


def log_sfr(draws: Draws, lines: Sequence[str], constants: Constants) -> FloatArray:
    """log10 of solMass/yr, not corrected for dust."""
    return _log_sfr(log_luminosity(draws, lines, constants), constants)


def log_sfr_corrected(draws: Draws, lines: Sequence[str], constants: Constants) -> FloatArray:
    """log10 of solMass/yr, corrected for dust."""
    return _log_sfr(log_luminosity_corrected(draws, lines, constants), constants)


def log_specific(draws: Draws, lines: Sequence[str], constants: Constants) -> FloatArray:
    """log10 of 1/yr."""
    return draws["logsfr"] - draws["logmstar"]


def absolute_u(draws: Draws, lines: Sequence[str], constants: Constants) -> FloatArray:
    """AB magnitude."""
    return draws["mabs_r"] + draws["ur_rest"]


def _bpt(draws: Draws, lines: Sequence[str], constants: Constants) -> tuple[Any, Any, Any]:
    """Below Kauffmann's curve, below Kewley's, and whether all lines are positive."""
    n2 = log_ratio(draws, lines[:2], constants)
    o3 = log_ratio(draws, lines[2:], constants)
    known = np.isfinite(n2) & np.isfinite(o3)
    below = []
    for name in ("kauffmann", "kewley"):
        a, b, c = constants[name]
        with np.errstate(divide="ignore", invalid="ignore"):
            below.append((n2 < b) & (o3 < a / (n2 - b) + c))
    return below[0], below[1], known


def bpt_star_forming(draws: Draws, lines: Sequence[str], constants: Constants) -> FloatArray:
    """1 below Kauffmann's curve, else 0; NaN where a line is not positive."""
    pure, _, known = _bpt(draws, lines, constants)
    return np.where(known, pure.astype(np.float64), np.nan)


def bpt_composite(draws: Draws, lines: Sequence[str], constants: Constants) -> FloatArray:
    """1 between the two curves, else 0; NaN where a line is not positive."""
    pure, starburst, known = _bpt(draws, lines, constants)
    return np.where(known, (starburst & ~pure).astype(np.float64), np.nan)


def bpt_active(draws: Draws, lines: Sequence[str], constants: Constants) -> FloatArray:
    """1 above Kewley's curve, else 0; NaN where a line is not positive."""
    pure, starburst, known = _bpt(draws, lines, constants)
    return np.where(known, (~starburst & ~pure).astype(np.float64), np.nan)


FORMULAS: dict[str, Formula] = {
    f.__name__: f
    for f in (
        line_flux, log_luminosity, log_luminosity_corrected, log_ratio, decrement, log_sfr,
        log_sfr_corrected, log_specific, absolute_u, bpt_star_forming, bpt_composite, bpt_active,
    )
}  # fmt: skip
"""Formulas by the name that ``derived.ecsv`` calls them."""
