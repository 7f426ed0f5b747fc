"""Where the flags set in: numbers of a file that one command makes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jpassed.exceptions import FileError

__all__ = ["FILE", "FlagLimits", "load_flag_limits"]

FILE = Path(str(files("jpassed.annotation"))) / "data" / "flag_limits.yaml"


@dataclass(frozen=True)
class FlagLimits:
    """Thresholds of the flags.

    Attributes
    ----------
    few_bands : int
        Fewest bands without `Flag.FEW_BANDS`.
    detected : float
        Weighted mean flux over its error, below which `Flag.NOT_DETECTED` is set.
    brightest, faintest : float
        AB magnitudes of the training, `Flag.OUTSIDE_DOMAIN` beyond.
    prior_ratio : float
        Width of the redshift's posterior over that of the prior, above which
        `Flag.PRIOR_DOMINATED` is set.
    redshift_error : float
        Half the 16-84 % interval of the redshift over 1 + z, above which
        `Flag.UNCERTAIN_REDSHIFT` is set: that of an outlier.
    efficiency : float
        Effective share of the refinement's draws, below which `Flag.LOW_EFFICIENCY` is set.
    prior : ndarray (2, M)
        AB magnitudes, increasing, and the half 16-84 % interval of the redshifts of simulated
        galaxies there.
    chi2 : dict
        Form of `jp_chi2` to an ndarray (2, K): numbers of tested bands, increasing, and the
        reduced chi-square that 1 % of the simulated galaxies exceed.
    measured : dict
        Command, seed, model and preset that the tables belong to.
    """

    few_bands: int
    detected: float
    brightest: float
    faintest: float
    prior_ratio: float
    redshift_error: float
    efficiency: float
    untrained: float
    prior: NDArray[np.float64]
    chi2: dict[str, NDArray[np.float64]]
    measured: dict[str, Any]

    def prior_width(self, magnitude: ArrayLike) -> NDArray[np.float64]:
        """Half the 16-84 % interval of the prior of the redshift at AB magnitudes (N,)."""
        at = np.asarray(magnitude, dtype=np.float64)
        return np.asarray(np.interp(at, *self.prior), dtype=np.float64)

    def chi2_limit(self, form: str, tested: ArrayLike) -> NDArray[np.float64]:
        """Reduced chi-square (N,) above which objects with so many tested bands are flagged."""
        n, limit = self.chi2[form]
        number = np.maximum(np.asarray(tested, dtype=np.float64), 1.0)
        return np.asarray(np.interp(np.log(number), np.log(n), limit), dtype=np.float64)


@lru_cache(maxsize=4)
def load_flag_limits(path: Path = FILE) -> FlagLimits:
    """The thresholds of a file; the package's own by default.

    Raises
    ------
    FileError
        If the file is missing or damaged.
    """
    import yaml

    try:
        stored = yaml.safe_load(path.read_text("utf-8"))
        prior = np.array([stored["prior"]["magnitude"], stored["prior"]["half_width"]], dtype=float)
        chi2 = {
            form: np.array([entry["tested"], entry["limit"]], dtype=float)
            for form, entry in stored["chi2"].items()
        }
        numbers = {key: float(value) for key, value in stored["limits"].items()}
        few = int(numbers.pop("few_bands"))
        return FlagLimits(few, **numbers, prior=prior, chi2=chi2, measured=stored["measured"])
    except (OSError, KeyError, TypeError, ValueError, AttributeError, yaml.YAMLError) as exc:
        raise FileError(f"{path} is no file of thresholds: {exc}. Install jpassed again") from exc
