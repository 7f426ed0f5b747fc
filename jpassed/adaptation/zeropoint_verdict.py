"""What the offsets of a catalogue's bands tell, in words for people and in its file's header."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from jpassed.surveys.zeropoints import DOUBTFUL, KIND, SIGNIFICANT, UNMEASURED, VERDICT

__all__ = ["verdict_of"]

logger = logging.getLogger(__name__)

SIGMAS = 3.0
ENOUGH = 0.02
"""Magnitudes; larger errors do not tell a good catalogue from a bad one."""

MANY_BANDS = 20
"""With fewer, some galaxy imitates nearly any set of offsets."""

LARGEST_SCATTER = 0.08
"""Magnitudes; offsets that probably scatter by more than surveys have."""

NAMED = 8


def verdict_of(
    bands: tuple[str, ...],
    offset: NDArray[np.float64],
    error: NDArray[np.float64],
    *,
    n: int,
    scatter: float,
    baseline: bool,
) -> dict[str, str]:
    """Which offsets are significant, and whether the catalogue suffices to tell.

    Parameters
    ----------
    bands : tuple of str
    offset, error : ndarray (B,)
        Magnitude; NaN where nothing was measured.
    n : int
        Galaxies.
    scatter : float
        Of the offsets, magnitude.
    baseline : bool
        Whether the model's own residuals in these bands are known.

    Returns
    -------
    dict
        Entries of the header; also logged, as a warning where offsets are not to be relied on.
    """
    known = np.flatnonzero(np.isfinite(offset) & np.isfinite(error))
    beyond = [i for i in known if abs(offset[i]) > SIGMAS * error[i]]
    beyond.sort(key=lambda i: -abs(offset[i] / error[i]))
    unsure = int((error[known] > ENOUGH).sum())
    median = float(np.median(error[known])) if len(known) else np.inf
    named = ", ".join(bands[i] for i in beyond[:NAMED])
    named += f" and {len(beyond) - NAMED} more" if len(beyond) > NAMED else ""
    found = {
        SIGNIFICANT: f"{len(beyond)} of {len(known)} offsets are beyond {SIGMAS:g} standard errors"
        + (f": {named}" if beyond else "")
    }
    if median > ENOUGH:
        found[VERDICT] = (
            f"{UNMEASURED}: {n} galaxies in {len(known)} bands tell offsets to {median:.4f} mag "
            f"(median error; {ENOUGH:g} would suffice). That is not to say that the zero points "
            "are right"
        )
    elif beyond:
        found[VERDICT] = f"measured: {len(beyond)} significant offsets, median error {median:.4f}"
    else:
        found[VERDICT] = (
            f"measured: no offset is significant, to {median:.4f} mag (median error). There is "
            "nothing to correct"
        )
    if unsure and median <= ENOUGH:
        found[VERDICT] += f"; {unsure} of {len(known)} bands have errors above {ENOUGH:g} mag"
    why = [f"{len(known)} bands, fewer than {MANY_BANDS}"] if len(known) < MANY_BANDS else []
    why += [] if baseline else ["the model's own residuals in these bands are not known"]
    found[KIND] = (
        f"a calibration to the model, not a measurement of the catalogue ({'; '.join(why)})"
        if why
        else "a measurement of the catalogue, the model's own residuals taken off"
    )
    if scatter > LARGEST_SCATTER:
        found[DOUBTFUL] = (
            f"offsets that scatter by {scatter:.3f} mag, more than surveys have: look at the units "
            "of the columns; or the model does not describe these bands"
        )
    for key, words in found.items():
        wrong = key == DOUBTFUL or (key == VERDICT and words.startswith(UNMEASURED))
        logger.log(logging.WARNING if wrong else logging.INFO, "zero points: %s", words)
    return found
