"""`embed`: a vector for each object, and what lies near it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jpassed.annotation.blocks import in_blocks
from jpassed.annotation.embedding_map import load_embedding_map, pooled
from jpassed.annotation.inference import DEFAULT_BATCH, Predictor
from jpassed.annotation.output import PREFIX
from jpassed.annotation.task import check_table, prepare
from jpassed.exceptions import InputError
from jpassed.io.native_columns import copied
from jpassed.tokens import BandLayout, Context

if TYPE_CHECKING:
    from astropy.table import QTable

    from jpassed.nn.checkpoint import LoadedModel
    from jpassed.surveys import Survey
    from jpassed.surveys.zeropoints import ZeroPoints

__all__ = ["COLUMN", "embed", "similar"]

COLUMN = f"{PREFIX}embedding"
CHUNK = 65536
"""Vectors that are compared at a time: it bounds the memory."""


def embed(
    table: Any,
    *,
    model: str | os.PathLike[str] | LoadedModel = "default",
    context: Mapping[str, str] | None = None,
    survey: str | os.PathLike[str] | Survey = "auto",
    device: str = "auto",
    batch_size: int | None = None,
    zeropoints: str | os.PathLike[str] | ZeroPoints | None = None,
    replace_columns: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> QTable:
    """Add a vector of fixed length to each object, whatever bands it has.

    Parameters
    ----------
    table : astropy.table.Table or QTable
        N objects. It is not changed.
    model, context, survey, device, batch_size, zeropoints
        As in `jpassed.annotate`. A label of the context shapes the vector: vectors with and
        without it are not to be compared.
    replace_columns : bool
        Allow to replace a column ``jp_embedding`` that the table already has.
    progress : callable, optional
        Called with (objects done, N).

    Returns
    -------
    astropy.table.QTable
        The table's own columns, unchanged, then ``jp_embedding`` (N, 32): dimensionless, masked
        for rows without any band or label. The Euclidean distance of two vectors is in units of
        the scatter by noise and missing bands along each axis. The table's meta holds the model
        and its weights' hash: vectors of different weights have nothing to do with each other.

    Raises
    ------
    InputError, UnrecognisedTableError, UnknownNameError, FileError
        As `jpassed.annotate`.
    ModelError
        If the model has no map to embeddings.
    """
    from astropy.table import MaskedColumn

    check_table(table)
    existing = [name for name in table.colnames if name.lower() == COLUMN]
    if existing and not replace_columns:
        raise InputError(
            f"the table already has {existing[0]}. Ask for replace_columns=True "
            "(--replace-columns), or rename it"
        )
    task = prepare(
        table, model=model, outputs=("z",), context=context, survey=survey, device=device,
        batch_size=batch_size, zeropoints=zeropoints,
    )  # fmt: skip
    fitted = load_embedding_map(task.model)
    predictor = Predictor(task.model, (), task.passbands, task.device)
    photometry = task.photometry
    layout = BandLayout.make(
        photometry.bands, photometry.pivot, photometry.width, predictor.network.config.patch_bands
    )
    size = task.batch_size or DEFAULT_BATCH.get(predictor.device.type, 1024)
    vectors = np.zeros((len(task), fitted.size), dtype=np.float32)
    unknown = np.zeros(len(task), dtype=bool)
    for start in range(0, len(task), size):
        rows = slice(start, min(start + size, len(task)))
        there = predictor.context(photometry, task.labels, rows, layout).to(predictor.device)
        vectors[rows] = fitted(_vectors(predictor, there).cpu().numpy())
        unknown[rows] = task.nothing_known(rows, "")
        if progress is not None:
            progress(rows.stop, len(task))
    vectors[unknown] = np.nan
    result = copied(table)
    result.remove_columns(existing)
    result[COLUMN] = MaskedColumn(
        vectors,
        mask=np.broadcast_to(unknown[:, None], vectors.shape),
        description=f"Embedding: {fitted.size} numbers that place the object among others, in "
        "units of their scatter by noise and missing bands",
        meta={"ucd": "meta.modelled"},
        format=".3f",
    )
    result.meta["jp_embedding_model"] = task.model.name
    result.meta["jp_embedding_weights"] = task.model.digest
    return result


def _vectors(predictor: Predictor, context: Context) -> Tensor:
    """The network's vectors (N, W): of each object the same beside any others."""

    def work(block: Context, rows: Tensor | slice, singles: int) -> tuple[Tensor | None, ...]:
        return (pooled(predictor.network, block),)

    with torch.inference_mode():
        (found,) = in_blocks(context, work, with_bands=False)
    if found is None:
        raise RuntimeError("the network gave no vectors")
    return found


def similar(
    vectors: Any, row: int, n: int = 10, *, chunk: int = CHUNK
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows whose embeddings are nearest to that of one row.

    Parameters
    ----------
    vectors : array_like (N, D)
        Embeddings, e.g. ``table["jp_embedding"]``; masked and NaN rows are near nothing.
    row : int
        The object, counted from 0.
    n : int
        How many others, at most.
    chunk : int
        Rows compared at a time.

    Returns
    -------
    rows : ndarray of int64
        The nearest first; of equally near ones the lower row first. The row itself is not among
        them, a duplicate of it is.
    distances : ndarray of float64
        Euclidean.

    Raises
    ------
    InputError
        If there is no such row, it has no embedding, or an argument makes no sense.
    """
    shape = np.shape(vectors)
    if len(shape) != 2:
        raise InputError(f"vectors: expected embeddings of shape (N, D), got {shape}")
    for name, value in (("row", row), ("n", n), ("chunk", chunk)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise InputError(f"{name}: expected a whole number, got {value!r}")
    if not 0 <= row < shape[0]:
        raise InputError(f"row: expected 0 to {shape[0] - 1}, got {row}")
    if n < 1 or chunk < 1:
        raise InputError(f"n and chunk: expected positive numbers, got {n} and {chunk}")
    here = _plain(vectors[row : row + 1])[0]
    if not np.isfinite(here).all():
        raise InputError(f"row {row} has no embedding: no band or label of it is known")
    rows, distances = np.zeros(0, dtype=np.int64), np.zeros(0)
    for start in range(0, shape[0], chunk):
        part = _plain(vectors[start : start + chunk])
        apart = np.sqrt(np.square(part - here).sum(axis=1))
        number = np.arange(start, start + len(part))
        usable = np.isfinite(apart) & (number != row)
        rows = np.concatenate([rows, number[usable]])
        distances = np.concatenate([distances, apart[usable]])
        best = np.lexsort((rows, distances))[:n]
        rows, distances = rows[best], distances[best]
    return rows, distances


def _plain(part: Any) -> NDArray[np.float64]:
    """Values of a part of a column, NaN where masked."""
    value = getattr(part, "value", part)
    return np.asarray(np.ma.filled(np.ma.asarray(value, dtype=np.float64), np.nan))
