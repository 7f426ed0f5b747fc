"""`evaluate`: what predictions are worth where the truth is known."""

from __future__ import annotations

import datetime
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import jpassed
from jpassed.evaluation import Truth, read_truth
from jpassed.evaluation.groups import object_of_rows
from jpassed.exceptions import InputError, UnknownNameError, UnrecognisedTableError
from jpassed.validation.compared import Compared
from jpassed.validation.figures import figures_of, figures_table
from jpassed.validation.from_columns import annotated_columns, compare_columns
from jpassed.validation.notes import notes_of, warnings_of
from jpassed.validation.own_kinds import with_annotated_kinds
from jpassed.validation.selections import ALL, axes_of_table, selections
from jpassed.validation.statistics import statistics_of
from jpassed.weights import model_vocabulary

if TYPE_CHECKING:
    from pathlib import Path

    from astropy.table import Table
    from matplotlib.figure import Figure

    from jpassed.nn.checkpoint import LoadedModel
    from jpassed.surveys import Photometry, Survey
    from jpassed.surveys.zeropoints import ZeroPoints
    from jpassed.vocabulary import Vocabulary

__all__ = ["Evaluation", "evaluate"]

logger = logging.getLogger(__name__)

BOOTSTRAP = 200
LEVEL = 0.68


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Attributes
    ----------
    figures : Table
        A row for each statistic of each selection of each quantity: ``value`` with its bootstrap
        interval ``lo`` to ``hi``, ``n``, ``definition``.
    counts : Table
        A row for each quantity: how many objects there are, are used, and are left out and why.
    flags : Table or None
        A row for each bit of ``jp_flag`` that is set.
    compared : dict of str to Compared
        Predictions and truth of every object.
    vocabulary : Vocabulary
        The kinds that the quantities are of.
    provenance : dict of str to str
        What was evaluated, with what.
    notes : tuple of str
        What a reader of the figures must know, the warnings first.
    warnings : tuple of str
        What speaks against the figures; logged as well.
    """

    figures: Table
    counts: Table
    flags: Table | None
    compared: dict[str, Compared]
    vocabulary: Vocabulary
    provenance: dict[str, str]
    notes: tuple[str, ...] = field(default=())
    warnings: tuple[str, ...] = field(default=())

    def value(self, statistic: str, quantity: str = "z", selection: str = ALL) -> float:
        """One figure.

        Parameters
        ----------
        statistic : str
            As `figures` names it.
        quantity : str
        selection : str

        Returns
        -------
        float

        Raises
        ------
        UnknownNameError
            If there is none of that name; NaN where the selection has too few objects.
        """
        rows = self.figures
        rows = rows[(rows["quantity"] == quantity) & (rows["selection"] == selection)]
        found = rows[rows["statistic"] == statistic]
        if not len(found):
            names = [f"{r['statistic']} of {r['quantity']}" for r in self.figures]
            raise UnknownNameError("figure", f"{statistic} of {quantity}, {selection}", names)
        return float(np.ma.filled(found["value"], np.nan)[0])

    def summary(self) -> list[str]:
        """A sentence on each quantity."""
        from jpassed.validation.words import sentence

        return [sentence(self, name) for name in self.compared]

    def plots(self) -> dict[str, tuple[Figure, str]]:
        """Figures by name, each with its text alternative."""
        from jpassed.validation.drawings import draw_all

        return draw_all(self)

    def write(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write ``report.html``, ``figures.ecsv``, ``objects.ecsv`` and the plots.

        Parameters
        ----------
        folder : path
        overwrite : bool
            Whether an earlier one may be replaced.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        FileError
            If the folder exists and may not be replaced, or cannot be written.
        """
        from jpassed.validation.writing import write_evaluation

        return write_evaluation(self, folder, overwrite=overwrite)


def evaluate(
    table: Any,
    truth: Mapping[str, str],
    *,
    model: str | os.PathLike[str] | LoadedModel | None = None,
    predictions: Mapping[str, str] | None = None,
    context: Mapping[str, str] | None = None,
    survey: str | os.PathLike[str] | Survey = "auto",
    by: Mapping[str, Sequence[float] | None] | None = None,
    zeropoints: str | os.PathLike[str] | ZeroPoints | None = None,
    groups: str | None = None,
    n_bootstrap: int = BOOTSTRAP,
    seed: int = 0,
    densities: bool = False,
    table_name: str = "",
    device: str = "auto",
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Compare predictions with known values: the statistics of the field, and calibration.

    Parameters
    ----------
    table : astropy.table.Table
        A catalogue with columns of known values: of bandfluxes, or annotated already, or with
        another code's predictions.
    truth : mapping
        Quantity to column, ``{"z": "z_spec"}``, and after a comma its error column.
    model : str, path or LoadedModel, optional
        What to predict with, the default model if `context` or `zeropoints` are given. Without
        any of these the columns ``jp_...`` are evaluated where the table has them for every
        quantity of `truth`, and the default model where not.
    predictions : mapping, optional
        Quantity to the column of other predictions: ``"z_phot"``, with an error
        ``"z_phot,z_err"``, or with the 16 and 84 % quantiles ``"z_phot,z_lo,z_hi"``.
    context, survey, zeropoints, device, batch_size
        As of `jpassed.annotate`. A quantity that is known in the context is predicted without it.
    by : mapping, optional
        A band (its AB magnitude) or a column to the edges of bins, or None to find them; by
        default the magnitude in an r band. Bins of the true redshift and the best objects by
        odds are always there.
    groups : str, optional
        Column that names the object of each row, where objects have several rows.
    n_bootstrap : int
        Resamplings for the 68 % intervals of the figures; 0 for none.
    seed : int
        Of the bootstrap.
    densities : bool
        Keep the posteriors of redshift on their grid, for `jpassed.validation.qp_ensemble`.
    table_name : str
        What the report calls the table.
    progress : callable, optional
        Called with (objects done, N).

    Returns
    -------
    Evaluation

    Raises
    ------
    InputError, UnknownNameError
        If the table, the truth or the predictions cannot be used.

    Notes
    -----
    Objects without a usable truth, with a truth outside the range of the quantity (no posterior
    can reach it), or without a prediction, are in no figure; `Evaluation.counts` counts them.
    Flagged objects are in every figure but those of the selection ``"no flag"``.
    """
    asked = any(given is not None for given in (model, context, zeropoints))
    _check(table, asked, predictions, n_bootstrap)
    vocabulary = model_vocabulary("default" if model is None else model)
    if not asked and isinstance(truth, Mapping):
        vocabulary = with_annotated_kinds(vocabulary, table, truth)
    truths = read_truth(table, truth, vocabulary)
    flag: NDArray[np.int32] | None = None
    asked_model: LoadedModel | None = None
    if predictions is None and (asked or not annotated_columns(table, truths)):
        from jpassed.annotation.task import prepare
        from jpassed.validation.from_model import compare_model

        task = prepare(
            table, model="default" if model is None else model, outputs=tuple(truths),
            context=context, survey=survey, device=device, batch_size=batch_size,
            zeropoints=zeropoints, precision="auto",
        )  # fmt: skip
        asked_model = task.model
        compared, flag = compare_model(task, truths, densities=densities, progress=progress)
        photometry: Photometry | None = task.photometry
        about = {
            "survey": task.survey,
            "zero points": task.zeropoints,
            "context": ", ".join(f"{k}={v.column}" for k, v in task.labels.items()),
        }
    else:
        compared = compare_columns(
            table, truths, predictions, vocabulary=vocabulary, densities=densities, seed=seed
        )
        photometry = _photometry(table, survey)
        flag = _flag_column(table) if predictions is None else None
        about = _earlier(table) if predictions is None else {}
    axes = axes_of_table(table, photometry, by)
    label = None if groups is None else object_of_rows(table, groups)
    rows: list[dict[str, Any]] = []
    z = truths["z"].value if "z" in truths else None
    for name, one in compared.items():
        if not one.use.any():
            raise InputError(f"{name}: no object has both a prediction and a usable truth")
        kind = vocabulary[name]
        rows += figures_of(
            one,
            selections(one, axes, z, flag),
            statistics_of(name, decades=kind.scale == "asinh"),
            unit=kind.unit,
            groups=label,
            n_bootstrap=n_bootstrap,
            seed=seed,
            level=LEVEL,
        )
    figures = figures_table(rows)
    provenance = {
        "table": table_name,
        "rows": str(len(table)),
        "predictions": "; ".join(dict.fromkeys(one.source for one in compared.values())),
        **{key: value for key, value in about.items() if value},
        "truth": ", ".join(_said(true) for true in truths.values()),
        "intervals": f"{100 * LEVEL:.0f} %, bootstrap of {n_bootstrap} resamplings (seed {seed}), "
        "of shares Jeffreys' binomial interval",
        "jpassed": jpassed.__version__,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    figures.meta.update(provenance)
    warned = warnings_of(table, compared, asked_model, photometry)
    for warning in warned:
        logger.warning(warning)
    return Evaluation(
        figures,
        _counts(compared),
        None if flag is None else _flags(compared, flag),
        compared,
        vocabulary,
        provenance,
        (*warned, *notes_of(compared, axes, flag)),
        tuple(warned),
    )


def _check(table: Any, asked: bool, predictions: Any, n_bootstrap: int) -> None:
    from astropy.table import Table

    if not isinstance(table, Table) or len(table) == 0:
        raise InputError(f"expected an astropy Table with rows, got {type(table).__name__}")
    if asked and predictions is not None:
        raise InputError(
            "give a model to predict with (its context, zero points), or columns of predictions: "
            "not both"
        )
    if predictions is not None and not isinstance(predictions, Mapping):
        raise InputError(f"predictions: expected {{'z': 'z_phot'}}, got {predictions!r}")
    if n_bootstrap < 0:
        raise InputError(f"n_bootstrap: expected 0 or more, got {n_bootstrap}")


def _photometry(table: Any, survey: Any) -> Photometry | None:
    """Bandfluxes of a table for its magnitudes, if it has any."""
    from jpassed.surveys import read_photometry

    try:
        return read_photometry(table, survey)
    except UnrecognisedTableError:
        return None
    except InputError as exc:
        if survey != "auto":
            raise
        # Predictions are there already: what a band is in may stay unknown.
        logger.warning("no magnitudes, as the bandfluxes cannot be read: %s", exc)
        return None


def _flag_column(table: Any) -> NDArray[np.int32] | None:
    if "jp_flag" not in table.colnames:
        return None
    return np.ma.filled(np.ma.asarray(table["jp_flag"]), 0).astype(np.int32)


def _earlier(table: Any) -> dict[str, str]:
    """What an annotated table says of itself."""
    named = {
        "model": ("jp_model", "jp_model_version", "jp_weights"),
        "annotated": ("jp_date", "jp_version"),
        "survey": ("jp_survey",),
        "context": ("jp_context",),
    }
    meta = {str(key).lower(): str(value) for key, value in table.meta.items()}
    return {
        name: " ".join(meta[key] for key in keys if meta.get(key)) for name, keys in named.items()
    }


def _said(true: Truth) -> str:
    return f"{true.quantity}={true.column}" + (f",{true.error_column}" if true.has_errors else "")


def _counts(compared: Mapping[str, Compared]) -> Table:
    from astropy.table import Table

    return Table(rows=[{"quantity": name, **one.counts()} for name, one in compared.items()])


def _flags(compared: Mapping[str, Compared], flag: NDArray[np.int32]) -> Table | None:
    """How many objects have each bit, and how wrong they are."""
    from astropy.table import Table

    from jpassed.annotation.flags import FLAGS
    from jpassed.evaluation import outlier_fraction

    one = compared.get("z", next(iter(compared.values())))
    rows = []
    for bit, meaning in FLAGS.items():
        has = (flag & int(bit)) != 0
        if has.any():
            used = has & one.use
            row: dict[str, Any] = {
                "bit": int(bit), "name": bit.name, "n": int(has.sum()), "used": int(used.sum()),
            }  # fmt: skip
            if one.truth.quantity == "z":
                row["outliers_0.05"] = (
                    outlier_fraction(one.scores.median[used], one.truth.value[used])
                    if used.any()
                    else np.nan
                )
            rows.append({**row, "meaning": meaning})
    return Table(rows=rows) if rows else None
