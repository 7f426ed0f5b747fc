"""Bits of ``jp_flag``: reasons not to believe a row."""

from __future__ import annotations

from enum import IntFlag
from typing import TYPE_CHECKING

import numpy as np

from jpassed.annotation.flag_limits import load_flag_limits
from jpassed.exceptions import InputError
from jpassed.units import AB_ZEROPOINT_MICROJANSKY

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "FLAGS",
    "Flag",
    "describe_flags",
    "magnitude_of_scale",
    "prior_dominated",
    "raise_flags",
    "significance",
]


class Flag(IntFlag):
    """Bits of ``jp_flag``; 0 means that nothing was noticed."""

    NO_BANDS = 1
    FEW_BANDS = 2
    BAD_INPUT = 4
    NOT_DETECTED = 8
    OUTSIDE_DOMAIN = 16
    NOT_REFINED = 32
    NOT_A_GALAXY = 64
    POOR_RECONSTRUCTION = 128
    PRIOR_DOMINATED = 256
    NEGATIVE_FLUX = 512
    LOW_EFFICIENCY = 1024
    UNCERTAIN_REDSHIFT = 2048

    @classmethod
    def names(cls, value: int) -> tuple[str, ...]:
        """Names of the bits that are set in one value of ``jp_flag``, lowest bit first.

        Parameters
        ----------
        value : int
            One row's value; a masked one has no bits.

        Raises
        ------
        InputError
            If the value is no whole number, or has bits that this version does not know.
        """
        if value is np.ma.masked:
            return ()
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
            raise InputError(f"flag: expected one whole number of jp_flag, got {value!r}")
        known = sum(int(bit) for bit in cls)
        if value < 0 or int(value) & ~known:
            raise InputError(
                f"flag: {int(value)} is not made of the bits {', '.join(str(int(b)) for b in cls)}"
            )
        return tuple(str(bit.name) for bit in cls if int(value) & int(bit))


FLAGS: dict[Flag, str] = {
    Flag.NO_BANDS: "no usable band and no label in the context: outputs are masked",
    Flag.FEW_BANDS: "fewer than 5 bands and no label in the context: outputs lean on the prior",
    Flag.BAD_INPUT: "a band or label was left out because its value or error makes no sense",
    Flag.NOT_DETECTED: "weighted mean flux below 3 times its error",
    Flag.OUTSIDE_DOMAIN: "brighter or fainter than the galaxies that the model was trained on, a "
    "label of the context outside its range, or more than half of the bands new to the model",
    Flag.NOT_REFINED: "refinement was asked and failed, with fewer than 10 effective draws: the "
    "outputs are those of unweighted draws",
    Flag.NOT_A_GALAXY: "the bands look like those of a star or QSO, which no galaxy model can fit",
    Flag.POOR_RECONSTRUCTION: "jp_chi2 above what 1 % of simulated galaxies reach: the bands do "
    "not fit each other as a galaxy's, or their errors are too small",
    Flag.PRIOR_DOMINATED: "the redshift's posterior is more than half as wide as the prior of "
    "simulated galaxies at the magnitude: the bands say little of it",
    Flag.NEGATIVE_FLUX: "weighted mean flux below zero",
    Flag.LOW_EFFICIENCY: "refinement rests on few draws, with an effective share below 1 %",
    Flag.UNCERTAIN_REDSHIFT: "half of the redshift's 16-84 % interval is above 0.05 (1 + z)",
}
"""What each bit means."""


def describe_flags() -> str:
    """All bits and their meanings in one line."""
    return "; ".join(f"{int(bit)}: {meaning}" for bit, meaning in FLAGS.items())


def magnitude_of_scale(log_scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """AB magnitude of the natural logarithm of a flux scale in microjansky."""
    return -2.5 * (np.asarray(log_scale) / np.log(10.0) - np.log10(AB_ZEROPOINT_MICROJANSKY))


def significance(
    flux: NDArray[np.float64], error: NDArray[np.float64], observed: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Weighted mean flux over its error, (N, B) -> (N,); 0 where nothing is observed."""
    weight = np.where(observed, 1.0 / np.where(observed, error, 1.0) ** 2, 0.0)
    total = weight.sum(axis=1)
    mean = (weight * np.where(observed, flux, 0.0)).sum(axis=1)
    return mean / np.sqrt(np.where(total > 0, total, 1.0))


def raise_flags(
    *,
    n_bands: NDArray[np.int64],
    n_labels: NDArray[np.int64],
    bad_input: NDArray[np.bool_],
    outside: NDArray[np.bool_],
    log_scale: NDArray[np.float64],
    significance: NDArray[np.float64],
) -> NDArray[np.int32]:
    """Flags of N objects.

    Parameters
    ----------
    n_bands, n_labels : ndarray (N,)
        Observed bands, and labels in the context.
    bad_input : ndarray (N,) of bool
        Rows in which something was left out.
    outside : ndarray (N,) of bool
        Rows with a label outside its range.
    log_scale : ndarray (N,)
        Natural logarithm of the flux scale, microjansky.
    significance : ndarray (N,)
        Weighted mean flux over its error.

    Returns
    -------
    ndarray (N,) of int32
    """
    limits = load_flag_limits()
    flag = np.zeros(len(n_bands), dtype=np.int32)
    some = n_bands > 0
    flag[~some & (n_labels == 0)] |= Flag.NO_BANDS
    flag[(n_bands < limits.few_bands) & (n_labels == 0)] |= Flag.FEW_BANDS
    flag[bad_input] |= Flag.BAD_INPUT
    flag[some & (significance < limits.detected)] |= Flag.NOT_DETECTED
    flag[some & (significance < 0.0)] |= Flag.NEGATIVE_FLUX
    magnitude = magnitude_of_scale(log_scale)
    beyond = some & ((magnitude < limits.brightest) | (magnitude > limits.faintest))
    flag[beyond | outside] |= Flag.OUTSIDE_DOMAIN
    return flag


def prior_dominated(
    width: NDArray[np.float64], log_scale: NDArray[np.float64], known: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """`Flag.PRIOR_DOMINATED` of N objects, else 0.

    Parameters
    ----------
    width : ndarray (N,)
        Half the 16-84 % interval of the redshift's posterior.
    log_scale : ndarray (N,)
        Natural logarithm of the flux scale, microjansky: the prior depends on the magnitude.
    known : ndarray (N,) of bool
        Objects whose redshift is given.
    """
    limits = load_flag_limits()
    ratio = width / limits.prior_width(magnitude_of_scale(log_scale))
    return np.where(~known & (ratio > limits.prior_ratio), Flag.PRIOR_DOMINATED, 0).astype(np.int32)


def uncertain_redshift(
    width: NDArray[np.float64], median: NDArray[np.float64], known: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """`Flag.UNCERTAIN_REDSHIFT` of N objects, else 0.

    Parameters
    ----------
    width, median : ndarray (N,)
        Half the 16-84 % interval of the redshift's posterior, and its median.
    known : ndarray (N,) of bool
        Objects whose redshift is given.
    """
    wide = width > load_flag_limits().redshift_error * (1.0 + median)
    return np.where(~known & wide, Flag.UNCERTAIN_REDSHIFT, 0).astype(np.int32)
