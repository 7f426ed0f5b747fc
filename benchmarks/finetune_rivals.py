"""What `benchmarks/finetune.py` compares with: regressions on the bandfluxes of the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import StandardScaler

from jpassed.surveys import detect_survey, load_survey, read_photometry

SDSS = tuple(f"sdss_{band}" for band in "ugriz")


def colours(table: Any) -> NDArray[np.float64]:
    """A magnitude and colours of neighbouring bands, of bands that all objects have.

    Magnitudes are arcsinh of the flux over a hundredth of the object's mean: negative fluxes have
    one, too.
    """
    is_sdss = "MODELFLUX" in table.colnames
    rules = load_survey("kcorrect-gst") if is_sdss else detect_survey(table)
    photometry = read_photometry(table, rules)
    names = SDSS if is_sdss else photometry.bands
    flux = np.stack([photometry.flux[:, photometry.bands.index(n)] for n in names], 1)
    mean = np.maximum(flux.mean(axis=1, keepdims=True), 1e-3)
    magnitude = -1.0857 * np.arcsinh(flux / mean / 0.01)
    level = -2.5 * np.log10(mean)
    return np.concatenate((level, np.diff(magnitude, axis=1)), axis=1)


def redshift_rivals(
    learn: NDArray[np.float64], truth: Any, test: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Redshifts by nearest neighbours and boosted trees."""
    near = 10 if len(learn) >= 100 else 5
    return _answers(
        {
            "kNN on colours": KNeighborsRegressor(near, weights="distance"),
            "boosted trees on colours": GradientBoostingRegressor(
                n_estimators=150, max_depth=3, learning_rate=0.07, subsample=0.7, random_state=0
            ),
        },
        learn, truth, test,
    )  # fmt: skip


def index_rivals(
    learn: NDArray[np.float64], truth: Any, test: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """An index by ridge regression and nearest neighbours."""
    return _answers(
        {
            "ridge on colours": RidgeCV(np.geomspace(1e-3, 1e3, 25)),
            "kNN on colours": KNeighborsRegressor(7, weights="distance"),
        },
        learn, truth, test,
    )  # fmt: skip


def _answers(
    methods: dict[str, Any], learn: NDArray[np.float64], truth: Any, test: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    scaler = StandardScaler().fit(learn)
    value = np.asarray(truth, dtype=float)
    return {
        name: method.fit(scaler.transform(learn), value).predict(scaler.transform(test))
        for name, method in methods.items()
    }
