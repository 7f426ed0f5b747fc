"""Stars and quasars among galaxies: a score from what the network makes of the J-PAS bands.

The score is logistic in the vector of the network's patch, which is there in every pass: it costs
next to nothing, and depends neither on the labels of the context nor on what is asked. Its 2 x W
numbers were fitted to simulated galaxies against real stars and made quasars
(``tools/fit_intruders.py``) for one network, known by its digest: of another one nothing is said.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jpassed.annotation.flags import Flag
from jpassed.annotation.output import PREFIX
from jpassed.exceptions import ModelError

if TYPE_CHECKING:
    from astropy.table import QTable

    from jpassed.annotation.task import Task
    from jpassed.nn.checkpoint import LoadedModel

__all__ = [
    "COLUMN",
    "FILE",
    "LEAST_BANDS",
    "IntruderScore",
    "TaskIntruders",
    "load_intruder_score",
    "write_intruder_score",
]

logger = logging.getLogger(__name__)

COLUMN = f"{PREFIX}intruder"

FILE = Path(__file__).with_name("data") / "intruders.safetensors"

LEAST_BANDS = 30
"""Bands of the patch below which there is no score: with fewer, galaxies are taken for others."""


@dataclass(frozen=True)
class IntruderScore:
    """Probability of being a star or a quasar.

    Attributes
    ----------
    weight : ndarray (2, W)
        Of the star and of the quasar against the galaxy, for the W numbers of the patch vector.
    bias : ndarray (2,)
    threshold : float
        Score above which an object is flagged.
    card : dict
        Provenance, digest of the network, and the figures at `threshold`.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    threshold: float
    card: dict[str, Any]

    def __call__(
        self, vector: NDArray[np.float32], bands: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Scores of N objects.

        Parameters
        ----------
        vector : ndarray (N, W)
            What the network's patch embedding makes of the bands.
        bands : ndarray (N,)
            Observed bands of the patch.

        Returns
        -------
        ndarray (N,) of float32
            From 0 (a galaxy) to 1, where galaxies are as many as stars and quasars together, and
            these alike; NaN below `LEAST_BANDS` bands.
        """
        odds = np.asarray(vector, dtype=np.float32) @ self.weight.T + self.bias
        against = np.logaddexp(odds[:, 0], odds[:, 1])
        score = 1.0 / (1.0 + np.exp(-np.clip(against, -60.0, 60.0)))
        return np.where(bands >= LEAST_BANDS, score, np.nan).astype(np.float32)

    def flagged(self, score: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which scores raise the flag; one that is not known does not."""
        with np.errstate(invalid="ignore"):
            return np.asarray(score > self.threshold)


def load_intruder_score(model: LoadedModel, path: Path = FILE) -> IntruderScore | None:
    """The score that was fitted for a model, or None (the log says so, once a model).

    Raises
    ------
    ModelError
        If the file is damaged.
    """
    return _load(model.digest, model.name, path)


@lru_cache(maxsize=8)
def _load(digest: str, name: str, path: Path) -> IntruderScore | None:
    from safetensors import SafetensorError, safe_open

    found: IntruderScore | None = None
    if path.is_file():
        try:
            with safe_open(path, framework="numpy") as stored:
                card = json.loads(stored.metadata()["card"])
                if card["network"] == digest:
                    parts = [stored.get_tensor(k).astype(np.float32) for k in ("weight", "bias")]
                    found = IntruderScore(parts[0], parts[1], float(card["threshold"]), card)
        except (SafetensorError, KeyError, TypeError, ValueError, OSError) as exc:
            raise ModelError(f"{path} is damaged: {exc}. Install jpassed again") from exc
    if found is None:
        logger.warning(
            "model %r (%s) has no score of intruders: stars and QSOs are not flagged "
            "(NOT_A_GALAXY); the flag of the default model tells of them",
            name, digest,
        )  # fmt: skip
    return found


def write_intruder_score(score: IntruderScore, path: Path = FILE) -> Path:
    """Write a score in half precision, as a whole or not at all.

    Raises
    ------
    FileError
        If the file cannot be written.
    """
    from safetensors.numpy import save

    from jpassed.io.atomic import atomic_output

    half: dict[str, NDArray[Any]] = {
        "weight": np.ascontiguousarray(score.weight, dtype=np.float16),
        "bias": np.ascontiguousarray(score.bias, dtype=np.float32),
    }
    card = {**score.card, "threshold": score.threshold}
    blob = save(half, metadata={"card": json.dumps(card)})
    with atomic_output(path, overwrite=True) as temporary:
        temporary.write_bytes(blob)
    return path


class TaskIntruders:
    """Scores of a task's objects, a batch at a time.

    Parameters
    ----------
    task : Task
    """

    def __init__(self, task: Task) -> None:
        self.score = load_intruder_score(task.model)
        patch = set(task.model.network.config.patch_bands)
        inside = [i for i, band in enumerate(task.photometry.bands) if band in patch]
        self._bands = task.photometry.observed[:, inside].sum(axis=1)
        self._values = np.full(len(task), np.nan, dtype=np.float32)

    def flags(self, rows: slice, vector: NDArray[np.float32] | None) -> NDArray[np.int32]:
        """Bits of ``jp_flag`` of some rows, from `Batch.vector`; their scores are kept."""
        flag = np.zeros(rows.stop - rows.start, dtype=np.int32)
        if self.score is not None and vector is not None:
            self._values[rows] = self.score(vector, self._bands[rows])
            flag[self.score.flagged(self._values[rows])] = Flag.NOT_A_GALAXY
        return flag

    def add_column(self, table: QTable) -> None:
        """Add ``jp_intruder``, unless the model has no score."""
        from astropy.table import MaskedColumn

        if self.score is None:
            return
        table[COLUMN] = MaskedColumn(
            self._values,
            mask=np.isnan(self._values),
            description="Probability of a star or QSO, at even odds of these and galaxies; "
            f"flagged above {self.score.threshold:g}. From the J-PAS bands alone, where there are "
            f"at least {LEAST_BANDS}",
            meta={"ucd": "stat.probability;src.class"},
            format=".3f",
        )
