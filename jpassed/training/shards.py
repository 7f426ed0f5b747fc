"""Training sets of `jpassed fetch`, read so that memory stays small whatever their size."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from jpassed.archives.manifest import read_training_set
from jpassed.exceptions import InputError
from jpassed.training.config import TableConfig
from jpassed.training.host import host_plan, on_device
from jpassed.training.sources import Observation

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ShardedSource"]


class ShardedSource:
    """Objects of a training set, with the errors of their bandfluxes and labels.

    Shards are read once, checked against the manifest, and put as plain numbers into a temporary
    file that the system maps into memory as needed: rows are drawn from all of it at random, and
    the same ones for the same generator.

    Parameters
    ----------
    config : TableConfig
        Its path is the folder of the training set.
    bands : tuple of str
        Columns of the observation; other bands are left out.
    names : tuple of str
        Label columns.
    device : torch.device

    Raises
    ------
    FileError
        If a shard is missing or damaged, or the set is not finished.
    InputError
        If the configuration names labels or a survey, or no object has any of the bands or labels.
    """

    def __init__(
        self,
        config: TableConfig,
        bands: tuple[str, ...],
        names: tuple[str, ...],
        device: torch.device,
    ) -> None:
        if config.labels:
            raise InputError(
                f"{config.path} is a training set that knows its labels: leave out 'labels'"
            )
        if config.survey != "auto":
            raise InputError(
                f"{config.path} is a training set that knows its bands: leave out 'survey'"
            )
        found = read_training_set(config.path)
        self.device = device
        self.bands, self.names = bands, names
        columns = {name: found.label_columns(name) for name in names}
        # One row: flux and error of the bands, then value and error of the labels.
        count, width = found.rows, 2 * (len(bands) + len(names))
        self._numbers = _scratch((count, width), np.float32)
        self._known = _scratch((count, len(bands) + len(names)), np.bool_)
        used = 0
        for path in found.shards():
            numbers, known = _read(path, bands, columns)
            useful = known.any(axis=1)
            stop = used + int(useful.sum())
            self._numbers[used:stop] = numbers[useful]
            self._known[used:stop] = known[useful]
            used = stop
        if not used:
            raise InputError(
                f"{config.path}: no object has any of the bands {', '.join(bands[:5])}... or labels"
            )
        self.size = used

    def __len__(self) -> int:
        return self.size

    def draw(
        self, n: int, generator: torch.Generator, plan: torch.Generator | None = None
    ) -> Observation:
        """Draw n rows with replacement, by `plan`: they lie on the host."""
        plan = host_plan(generator) if plan is None else plan
        rows = torch.randint(0, self.size, (n,), generator=plan).numpy()
        numbers = on_device(torch.from_numpy(self._numbers[rows]), self.device)
        known = on_device(torch.from_numpy(self._known[rows]), self.device)
        b, k = len(self.bands), len(self.names)
        flux, error, labels, label_error = numbers.split((b, b, k, k), 1)
        observed, label_known = known.split((b, k), 1)
        one = torch.ones(n, device=self.device)
        return Observation(
            flux, error, observed, flux, error, observed, labels, label_error, label_known,
            one, one, torch.zeros(n, dtype=torch.bool, device=self.device),
        )  # fmt: skip


def _scratch(shape: tuple[int, int], kind: Any) -> Any:
    """An array in a temporary file, which is gone when the array is."""
    if not all(shape):
        return np.zeros(shape, dtype=kind)
    with tempfile.TemporaryFile(prefix="jpassed-shards-") as stream:
        return np.memmap(stream, dtype=kind, mode="w+", shape=shape)


def _read(
    path: Path, bands: tuple[str, ...], labels: dict[str, tuple[str, str]]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Numbers and presence of one shard; columns that it lacks are not observed."""
    from jpassed.io.catalogs import read_catalog

    table = read_catalog(path)
    pairs = [(band, f"{band}_err") for band in bands] + list(labels.values())
    values = np.zeros((2, len(table), len(pairs)), dtype=np.float32)
    values[1, :, : len(bands)] = 1.0
    known = np.zeros((len(table), len(pairs)), dtype=np.bool_)
    for k, (column, error) in enumerate(pairs):
        if column not in table.colnames:
            continue
        value, sigma = _plain(table[column]), _plain(table[error])
        good = np.isfinite(value) & np.isfinite(sigma) & (sigma > 0)
        known[:, k] = good
        values[0, good, k], values[1, good, k] = value[good], sigma[good]
    b = len(bands)
    parts = (values[0, :, :b], values[1, :, :b], values[0, :, b:], values[1, :, b:])
    return np.concatenate(parts, axis=1), known


def _plain(column: Any) -> NDArray[np.float64]:
    """Numbers of a column of whatever kind, NaN where masked."""
    mask = getattr(column, "mask", None)
    plain = getattr(column, "unmasked", column)
    values = np.asarray(np.ma.getdata(getattr(plain, "value", plain)), dtype=np.float64)
    return values if mask is None else np.where(np.asarray(mask), np.nan, values)
