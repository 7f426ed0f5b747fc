"""`annotate`: a catalogue in, the same catalogue with predictions out."""

from __future__ import annotations

import datetime
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import jpassed
from jpassed.annotation.flags import FLAGS, raise_flags
from jpassed.annotation.targets import line_out_of_range
from jpassed.exceptions import InputError, UnknownNameError, UnrecognisedTableError
from jpassed.filters import find_band, known_bands
from jpassed.posteriors import Posterior
from jpassed.posteriors.columns import column_name, grid_meta, posterior_columns
from jpassed.surveys import (
    LabelColumn,
    Photometry,
    Survey,
    detect_survey,
    load_survey,
    read_labels,
    read_photometry,
)
from jpassed.vocabulary import load_vocabulary, split_quantity
from jpassed.weights import load_model

if TYPE_CHECKING:
    from astropy.table import QTable

    from jpassed.nn.checkpoint import LoadedModel

__all__ = ["DEFAULT_OUTPUTS", "annotate", "infer"]

logger = logging.getLogger(__name__)

DEFAULT_OUTPUTS = (
    "z", "logmstar", "logsfr", "logzstar", "t0", "tau", "av", "ur_rest", "ur_int", "logage_m",
    "logage_l", "ew_oii", "ew_hbeta", "ew_oiii", "ew_halpha", "ew_nii", "ew_sii",
    "flux:galex_fuv", "flux:galex_nuv",
)  # fmt: skip
"""Quantities that `annotate` predicts unless others are asked for."""

PREFIX = "jp_"


@dataclass(frozen=True)
class _Task:
    """What is asked of which rows."""

    photometry: Photometry
    labels: dict[str, LabelColumn]
    model: LoadedModel
    outputs: tuple[str, ...]
    passbands: dict[str, tuple[float, float]]
    device: str
    batch_size: int | None

    def batches(self) -> Iterator[tuple[slice, Posterior, NDArray[np.float64]]]:
        from jpassed.annotation.inference import Predictor

        predictor = Predictor(self.model, self.outputs, self.passbands, self.device)
        return predictor.batches(self.photometry, self.labels, self.batch_size)


def annotate(
    table: Any,
    *,
    model: str | os.PathLike[str] | LoadedModel = "default",
    outputs: Sequence[str] | None = None,
    context: Mapping[str, str] | None = None,
    survey: str | os.PathLike[str] | Survey = "auto",
    device: str = "auto",
    batch_size: int | None = None,
    samples: int = 0,
    pdf: bool = False,
    replace_columns: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> QTable:
    """Add predictions to a catalogue.

    Parameters
    ----------
    table : astropy.table.Table or QTable
        N objects. It is not changed.
    model : str, path or LoadedModel
        An embedded model, or the folder of one.
    outputs : sequence of str, optional
        Quantities of the vocabulary, and ``flux:<band>`` for bandfluxes; `DEFAULT_OUTPUTS`
        otherwise.
    context : mapping, optional
        Labels that are known: quantity to column (and, after a comma, its error column), e.g.
        ``{"z": "z_spec"}``. No label enters otherwise, whatever columns are called.
    survey : str, path or Survey
        ``"auto"`` takes every column that is recognised; or a survey's name, or a YAML map.
    device : str
        ``"auto"`` takes a GPU if there is one.
    batch_size : int, optional
        Objects at a time.
    samples : int
        Draws from each marginal posterior to add as ``jp_<quantity>_samples``.
    pdf : bool
        Add tabulated posteriors, ``jp_<quantity>_pdf``; their grid is in the column's
        description and in the table's meta.
    replace_columns : bool
        Allow to replace columns that the table already has.
    progress : callable, optional
        Called with (objects done, N).

    Returns
    -------
    astropy.table.QTable
        The table's own columns, unchanged, then for every quantity q ``jp_q`` (median),
        ``jp_q_err`` (half the 16-84 % interval), ``jp_q_lo``, ``jp_q_hi``; then ``jp_flag`` (see
        `jpassed.annotation.FLAGS`) and ``jp_nbands``. Bandfluxes are in microjansky. Rows
        without any usable band or label are flagged and masked; so are lines that lie outside
        the J-PAS range at the predicted redshift.

    Raises
    ------
    InputError
        If `table` is no table, is empty, or already has columns that would be written.
    UnrecognisedTableError
        If no bandflux column is recognised (and no context is given).
    UnknownNameError
        For unknown outputs, context quantities, surveys or models.
    """
    _check_table(table)
    task = _prepare(table, model, outputs, context, survey, device, batch_size)
    if samples < 0:
        raise InputError(f"samples: expected 0 or a positive number, got {samples}")
    existing = [c for c in table.colnames if _would_write(c, task.outputs)]
    if existing and not replace_columns:
        raise InputError(
            f"the table already has {', '.join(existing[:5])}"
            f"{' and more' if len(existing) > 5 else ''}: it was annotated before. Ask for "
            "replace_columns=True (--replace-columns), or rename those columns"
        )
    columns, log_scale = _columns(task, samples, pdf, progress)
    return _assemble(table, existing, task, columns, log_scale, pdf)


def infer(
    table: Any,
    *,
    model: str | os.PathLike[str] | LoadedModel = "default",
    outputs: Sequence[str] | None = None,
    context: Mapping[str, str] | None = None,
    survey: str | os.PathLike[str] | Survey = "auto",
    device: str = "auto",
    batch_size: int | None = None,
) -> Posterior:
    """Posteriors of a catalogue's objects, for work in Python; arguments as in `annotate`.

    Returns
    -------
    Posterior
        One distribution per quantity, in the table's order of rows; objects without any usable
        band or label have the prior.
    """
    _check_table(table)
    task = _prepare(table, model, outputs, context, survey, device, batch_size)
    return Posterior.concatenate([posterior for _, posterior, _ in task.batches()])


def _check_table(table: Any) -> None:
    from astropy.table import Table

    if not isinstance(table, Table):
        raise InputError(
            f"expected an astropy Table or QTable, got {type(table).__name__}; a pandas DataFrame "
            "becomes one with Table.from_pandas(frame), a file with jpassed.io.read_catalog(path)"
        )
    if len(table) == 0 or not table.colnames:
        raise InputError(
            f"the table is empty ({len(table)} rows, {len(table.colnames)} columns); expected at "
            "least one row with bandfluxes"
        )


def _prepare(
    table: Any,
    model: str | os.PathLike[str] | LoadedModel,
    outputs: Sequence[str] | None,
    context: Mapping[str, str] | None,
    survey: str | os.PathLike[str] | Survey,
    device: str,
    batch_size: int | None,
) -> _Task:
    vocabulary = load_vocabulary()
    if isinstance(outputs, str):
        outputs = [name.strip() for name in outputs.split(",")]
    wanted = tuple(dict.fromkeys(DEFAULT_OUTPUTS if outputs is None else outputs))
    if not wanted:
        raise InputError("outputs: expected at least one quantity, got none")
    rules = _survey_of(table, survey)
    named = dict(rules.context) if rules is not None else {}
    named.update(context or {})
    labels = read_labels(table, named) if named else {}
    if rules is not None:
        photometry = read_photometry(table, rules)
    elif labels:
        photometry = _no_photometry(len(table))
    else:
        detect_survey(table)  # raises, and says what it saw
        raise InputError("no bandflux column was recognised")
    for message in (*photometry.messages, *(m for c in labels.values() for m in c.messages)):
        logger.warning(message)
    passbands = {
        **known_bands(),
        **{
            band: (float(p), float(w))
            for band, p, w in zip(
                photometry.bands, photometry.pivot, photometry.width, strict=True
            )
        },
    }
    for name in wanted:
        kind, band = split_quantity(name)
        if kind not in vocabulary.names or (kind == "flux") != (band is not None):
            raise UnknownNameError(
                "output", name, [*vocabulary.scalars, "flux:<band>, e.g. flux:J0660"]
            )
        if band is not None and band not in passbands:
            find_band(band)  # raises, and lists the choices
    loaded = load_model(model)
    return _Task(photometry, labels, loaded, wanted, passbands, device, batch_size)


def _survey_of(table: Any, survey: str | os.PathLike[str] | Survey) -> Survey | None:
    if isinstance(survey, Survey):
        return survey
    if os.fspath(survey) != "auto":
        return load_survey(survey if isinstance(survey, str) else Path(survey))
    try:
        return detect_survey(table)
    except UnrecognisedTableError:
        return None


def _no_photometry(n: int) -> Photometry:
    empty = np.zeros((n, 0))
    return Photometry(
        bands=(),
        pivot=np.zeros(0),
        width=np.zeros(0),
        flux=empty,
        error=empty,
        observed=empty.astype(bool),
        bad_errors=np.zeros(n, dtype=bool),
    )


def _would_write(column: str, outputs: Sequence[str]) -> bool:
    stems = {column_name(q) for q in outputs}
    if column in (f"{PREFIX}flag", f"{PREFIX}nbands") or column in stems:
        return True
    stem, _, suffix = column.rpartition("_")
    return stem in stems and suffix in ("err", "lo", "hi", "pdf", "samples")


def _columns(
    task: _Task, samples: int, pdf: bool, progress: Callable[[int, int], None] | None
) -> tuple[list[Any], NDArray[np.float64]]:
    """Columns of all rows, and the log flux scale of each."""
    from astropy.table import MaskedColumn, Table, vstack

    count = len(task.photometry)
    n_bands = task.photometry.observed.sum(1)
    nothing = (n_bands == 0) & (_label_count(task.labels, count) == 0)
    log_scale = np.zeros(count)
    parts: list[Table] = []
    rng = np.random.default_rng(0)
    for rows, posterior, scale in task.batches():
        log_scale[rows] = scale
        masks = {
            name: nothing[rows] | line_out_of_range(name, posterior, task.labels, rows)
            for name in task.outputs
        }
        columns = posterior_columns(
            posterior,
            masked=masks,
            pivots={k: v[0] for k, v in task.passbands.items()},
            pdf=pdf,
            samples=samples,
            rng=rng,
        )
        # Batches differ in whether anything is masked; all become masked columns to be stacked.
        parts.append(Table([MaskedColumn(c, copy=False) for c in columns], copy=False))
        if progress is not None:
            progress(rows.stop, count)
    first = parts[0]
    joined = vstack(parts, metadata_conflicts="silent") if len(parts) > 1 else first
    result = []
    for name in first.colnames:
        column = joined[name]
        column.info.meta = dict(first[name].info.meta or {})
        column.description = first[name].description
        column.format = first[name].format
        result.append(column if np.any(column.mask) else column.filled())
        result[-1].info.meta = column.info.meta
    return result, log_scale


def _label_count(labels: Mapping[str, LabelColumn], n: int) -> NDArray[np.int64]:
    count = np.zeros(n, dtype=np.int64)
    for column in labels.values():
        count += column.observed
    return count


def _assemble(
    table: Any,
    existing: Sequence[str],
    task: _Task,
    columns: Sequence[Any],
    log_scale: NDArray[np.float64],
    pdf: bool,
) -> QTable:
    from astropy.table import Column, QTable

    photometry = task.photometry
    n_bands = photometry.observed.sum(1)
    seen = photometry.observed
    weight = np.where(seen, 1.0 / np.where(seen, photometry.error, 1.0) ** 2, 0.0)
    total = weight.sum(1)
    significance = (weight * photometry.flux).sum(1) / np.sqrt(np.where(total > 0, total, 1.0))
    flag = raise_flags(
        n_bands=n_bands,
        n_labels=_label_count(task.labels, len(table)),
        bad_input=photometry.bad_errors,
        log_scale=log_scale,
        significance=significance,
    )
    result = QTable(table, copy=True)
    if existing:
        result.remove_columns(list(existing))
    for column in columns:
        result.add_column(column)
    bits = "; ".join(f"{int(bit)}: {meaning}" for bit, meaning in FLAGS.items())
    result["jp_flag"] = Column(
        flag, description=f"Bits; {bits}", meta={"ucd": "meta.code.qual"}, format="%d"
    )
    result["jp_nbands"] = Column(
        n_bands.astype(np.int16),
        description="Number of bands that the prediction used",
        meta={"ucd": "meta.number"},
        format="%d",
    )
    result.meta.update(
        {
            "jp_model": task.model.name,
            "jp_model_version": task.model.version,
            "jp_weights": task.model.digest,
            "jp_version": jpassed.__version__,
            "jp_date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "jp_context": ", ".join(f"{k}={v.column}" for k, v in task.labels.items()),
        }
    )
    if pdf:
        result.meta.update(grid_meta(task.outputs))
    return result
