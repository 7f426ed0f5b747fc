"""`calibrate`: make the intervals of a model hold for a survey, from objects of known truth."""

from __future__ import annotations

import datetime
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import jpassed
from jpassed.adaptation.calibration_files import (
    RECALIBRATION,
    RECORDS,
    undone,
    update_model,
    write_beside,
)
from jpassed.adaptation.calibration_fit import CrossValidation, choose_recalibration
from jpassed.adaptation.calibration_informed import over_distribution
from jpassed.annotation.targets import line_out_of_range, redshifts
from jpassed.annotation.task import check_table, prepare
from jpassed.evaluation import Truth, coverage, pit_distance, read_truth, score_objects
from jpassed.evaluation.groups import object_of_rows
from jpassed.evaluation.row_sketch import row_sketch
from jpassed.exceptions import InputError
from jpassed.posteriors import Recalibration
from jpassed.weights import model_vocabulary

if TYPE_CHECKING:
    from astropy.table import Table

    from jpassed.adaptation.heldout import Verdict
    from jpassed.annotation.task import Task
    from jpassed.nn.checkpoint import LoadedModel
    from jpassed.surveys import Survey
    from jpassed.surveys.zeropoints import ZeroPoints

__all__ = ["Calibration", "calibrate", "uncalibrate"]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

SCOPE = (
    "coverage holds on average over this sample, not in each bin of magnitude or redshift: see "
    "jpassed evaluate --by"
)
"""What the figures of a calibration do not say; in its record."""


@dataclass(frozen=True)
class Calibration:
    """What `calibrate` found.

    Attributes
    ----------
    model : LoadedModel
        With the new recalibrations: `jpassed.annotate` takes it.
    folder : Path or None
        Where it was written.
    table : Table
        A row for each quantity: numbers of objects, the distance of PIT values from uniform and
        the coverage of 68 % intervals before, and after on held-out objects, the gain in log
        score, and whether the recalibration was taken.
    pit : dict of str to ndarray (N,)
        PIT values of the objects used, before.
    held_out_pit : dict of str to ndarray (N,)
        The same after, each by a map that was fitted without its object.
    """

    model: LoadedModel
    folder: Path | None
    table: Table
    pit: dict[str, FloatArray]
    held_out_pit: dict[str, FloatArray]


def calibrate(
    table: Any,
    truth: Mapping[str, str],
    output: str | os.PathLike[str] | None = None,
    *,
    model: str | os.PathLike[str] | LoadedModel = "default",
    context: Mapping[str, str] | None = None,
    survey: str | os.PathLike[str] | Survey = "auto",
    zeropoints: str | os.PathLike[str] | ZeroPoints | None = None,
    groups: str | None = None,
    folds: int = 5,
    seed: int = 0,
    force: bool = False,
    overwrite: bool = False,
    in_place: bool = False,
    table_name: str = "",
    device: str = "auto",
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Recalibrate a model's posteriors with objects of known truth.

    The probability integral transforms of the objects say how often the posteriors promise too
    much or too little. A monotone map of the cumulative probability, the same for all objects,
    puts that right (see `jpassed.posteriors.Recalibration`): intervals then hold as often as they
    say, on average over objects like these. Point estimates move with them where posteriors are
    biased.

    A quantity stays as it was if held-out objects gain nothing, and if the posteriors, before and
    after, predict the truth no better than the distribution of the true values does: they may be
    in the wrong rows or units.

    Parameters
    ----------
    table : astropy.table.Table
        A catalogue as for `jpassed.annotate`, with columns of known values.
    truth : mapping
        Quantity to column, ``{"z": "z_spec"}``, and after a comma its error column.
    output : path, optional
        Folder of the new model; nothing is written without it.
    model : str, path or LoadedModel
        What to start from. Its own recalibrations stay, and the new ones come on top of them.
    context, survey, zeropoints, device, batch_size
        As of `jpassed.annotate`.
    groups : str, optional
        Column that names the object of each row, where objects have several rows.
    folds : int
        Parts of the sample that are held out in turn to judge the result.
    seed : int
        Of the partition.
    force : bool
        Take recalibrations all the same that do not improve the log score of held-out objects,
        or whose posteriors tell no more than the distribution of the true values.
    overwrite : bool
        Whether `output` may be replaced.
    in_place : bool
        Change the folder that `model` names instead of writing a new one.
    table_name : str
        What the model's card calls the table.
    progress : callable, optional
        Called with (objects done, N).

    Returns
    -------
    Calibration

    Raises
    ------
    InputError
        If `table` or `truth` cannot be used, or fewer than 50 objects are left.
    FileError, ModelError
        If the folder exists, or is one of the embedded models.
    """
    check_table(table)
    truths = read_truth(table, truth, model_vocabulary(model))
    target = _target(model, output, in_place, overwrite)
    task = prepare(
        table,
        model=model,
        outputs=tuple(truths),
        context=context,
        survey=survey,
        device=device,
        batch_size=batch_size,
        zeropoints=zeropoints,
    )
    label = None if groups is None else object_of_rows(table, groups)
    pits, scores = _scores(task, truths, progress)
    card = dict(task.model.card)
    maps = dict(card.get(RECALIBRATION) or {})
    quantities: dict[str, Any] = {}
    used: dict[str, FloatArray] = {}
    held_out: dict[str, FloatArray] = {}
    for name, true in truths.items():
        good = np.isfinite(pits[name])
        used[name] = pits[name][good]
        fitted, check = choose_recalibration(
            used[name],
            groups=None if label is None else label[good],
            folds=folds,
            seed=seed,
        )
        held_out[name] = check.pit
        before = maps.get(name)
        kind = task.model.vocabulary[name]
        told = over_distribution(scores[name][good], true.value[good], check, kind, seed)
        kept = (check.helps and told.better) or force
        seen = task.photometry
        quantities[name] = {
            **_figures(true, good, used[name], check),
            "over_its_distribution": round(told.gain, 5),
            "over_its_distribution_error": round(told.error, 5),
            "taken": kept,
            "before": before,
            "row_sketch": row_sketch(true.value[good], seen.flux[good], seen.observed[good]),
        }
        _warn(true, check, told, force)
        if kept:
            first = None if before is None else Recalibration.from_dict(before)
            maps[name] = (fitted if first is None else fitted.after(first)).to_dict()
    card[RECALIBRATION] = maps
    record = {
        "table": table_name,
        "rows": len(table),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "package_version": jpassed.__version__,
        "parent": {"name": task.model.name, "version": task.model.version,
                   "digest": task.model.digest},
        "survey": task.survey,
        "zeropoints": task.zeropoints,
        "context": {name: column.column for name, column in task.labels.items()},
        "folds": folds,
        "seed": seed,
        "forced": force,
        "scope": SCOPE,
        "quantities": quantities,
    }  # fmt: skip
    card[RECORDS] = [*(card.get(RECORDS) or []), record]
    if target is not None and not in_place:
        card["name"] = target.name
        write_beside(model, target, card, overwrite)
    elif target is not None:
        update_model(target, card)
    return Calibration(replace(task.model, card=card), target, _table(quantities), used, held_out)


def uncalibrate(folder: str | os.PathLike[str]) -> list[str]:
    """Take the last calibration of a model back; those before it, and its parent's, stay.

    Parameters
    ----------
    folder : path
        A model that `calibrate` wrote.

    Returns
    -------
    list of str
        The quantities whose recalibration changed.

    Raises
    ------
    ModelError
        If it holds none, or is one of the embedded models.
    """
    card, names = undone(folder)
    update_model(Path(folder), card)
    return names


def _target(model: Any, output: Any, in_place: bool, overwrite: bool) -> Path | None:
    """The folder to write, checked before any work is done."""
    from jpassed.adaptation.calibration_files import check_new, own_folder

    if in_place and output is not None:
        raise InputError("give an output, or in_place=True: not both")
    if in_place:
        return own_folder(model)
    if output is None:
        return None
    return check_new(model, output, overwrite)


def _scores(
    task: Task, truths: Mapping[str, Truth], progress: Callable[[int, int], None] | None
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """PIT values and log scores of every row, NaN without truth or where nothing is annotated."""
    pits, logs = ({name: np.full(len(task), np.nan) for name in truths} for _ in range(2))
    for batch in task.batches(task.outputs_and_redshift):
        rows = batch.rows
        z = redshifts(batch.posterior, task.labels, rows)
        for name, true in truths.items():
            scores = score_objects(batch.posterior[name], true.value[rows], true.error[rows])
            masked = task.nothing_known(rows, name) | line_out_of_range(name, z)
            pits[name][rows] = np.where(masked, np.nan, scores.pit)
            logs[name][rows] = np.where(masked, np.nan, scores.log_score)
        if progress is not None:
            progress(rows.stop, len(task))
    return pits, logs


def _figures(
    true: Truth, good: NDArray[np.bool_], pit: FloatArray, check: CrossValidation
) -> dict[str, Any]:
    return {
        "column": true.column,
        "error_column": true.error_column,
        "n": int(good.sum()),
        "without_truth": int(true.missing.sum()),
        "truth_outside": int(true.outside.sum()),
        "not_predicted": int((true.use & ~good).sum()),
        "form": check.form,
        "pit_distance_before": round(pit_distance(pit), 5),
        "pit_distance_after": round(check.distance, 5),
        "coverage_68_before": round(coverage(pit, 0.68), 5),
        "coverage_68_after": round(check.coverage_68, 5),
        "log_score_gain": round(check.gain, 5),
        "log_score_gain_error": round(check.gain_error, 5),
    }


def _warn(true: Truth, check: CrossValidation, told: Verdict, force: bool) -> None:
    outcome = "taken all the same, as asked" if force else "the model stays as it was there"
    if not told.better:
        logger.warning(
            "%s: the posteriors tell no more (or not significantly more) of held-out true values "
            "than the distribution of column %r does (%+.3f +- %.3f nats an object, before or "
            "after recalibration); is it in the right rows and units? %s",
            true.quantity, true.column, told.gain, told.error, outcome,
        )  # fmt: skip
    if not check.helps:
        logger.warning(
            "%s: recalibration gains %.3f +- %.3f nats an object on held-out rows, which is "
            "nothing: %s",
            true.quantity, check.gain, check.gain_error, outcome,
        )  # fmt: skip


def _table(quantities: Mapping[str, Mapping[str, Any]]) -> Table:
    from astropy.table import Table

    hidden = ("before", "column", "error_column", "row_sketch")
    rows = [
        {"quantity": name, **{k: v for k, v in entry.items() if k not in hidden}}
        for name, entry in quantities.items()
    ]
    return Table(rows=rows)
