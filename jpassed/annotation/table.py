"""`annotate`: a catalogue in, the same catalogue with predictions out."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import jpassed
from jpassed.annotation.derived import is_derived
from jpassed.annotation.draws import DrawPlan, derived_columns, plan_draws
from jpassed.annotation.flags import describe_flags
from jpassed.annotation.output import (
    PREFIX,
    OutputColumns,
    in_order,
    written_before,
)
from jpassed.annotation.refined import ROW_COLUMNS, TaskRefiner
from jpassed.annotation.row_flags import RowFlags, known_quantiles
from jpassed.annotation.seeds import generators
from jpassed.annotation.targets import redshifts, without_result
from jpassed.annotation.task import Task, check_table, prepare, read_outputs
from jpassed.annotation.threads import one_thread_each
from jpassed.exceptions import InputError
from jpassed.io.native_columns import copied
from jpassed.posteriors import Posterior
from jpassed.posteriors.columns import column_texts, grid_meta, posterior_values
from jpassed.weights import model_vocabulary

if TYPE_CHECKING:
    from astropy.table import QTable

    from jpassed.nn.checkpoint import LoadedModel
    from jpassed.surveys import Survey
    from jpassed.surveys.zeropoints import ZeroPoints

__all__ = ["annotate", "infer"]


def annotate(
    table: Any,
    *,
    model: str | os.PathLike[str] | LoadedModel = "default",
    outputs: Sequence[str] | str | None = None,
    context: Mapping[str, str] | None = None,
    survey: str | os.PathLike[str] | Survey = "auto",
    device: str = "auto",
    precision: str = "auto",
    batch_size: int | None = None,
    zeropoints: str | os.PathLike[str] | ZeroPoints | None = None,
    samples: int = 0,
    joint: bool = True,
    pdf: bool = False,
    refine: int = 0,
    chi2: str = "quick",
    replace_columns: bool = False,
    seed: int | None = 0,
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
        Quantities of the vocabulary, ``flux:<band>`` for bandfluxes, and derived quantities
        (``"lineflux_halpha"``, ... see `jpassed.annotation.load_derived`), also as one text with
        commas; `jpassed.annotation.DEFAULT_OUTPUTS` otherwise.
    context : mapping, optional
        Labels that are known: quantity to column (and, after a comma, its error column), e.g.
        ``{"z": "z_spec"}``. No label enters otherwise, whatever columns are called, unless the
        survey file names it. A table may have labels and no bandfluxes at all.
    survey : str, path or Survey
        ``"auto"`` takes every column that is recognised; or a survey's name, or a YAML map.
    device : str
        ``"auto"`` takes a GPU if there is one.
    precision : {"auto", "float32", "bfloat16"}
        Of the network's large matrix products: ``"auto"`` takes bfloat16 where the device has it
        natively. Posteriors are the same to 0.01 nat (docs/speed.md).
    batch_size : int, optional
        Objects at a time; it has no influence on the result.
    zeropoints : str, path or ZeroPoints, optional
        File of `jpassed.adaptation.fit_zeropoints`: its offsets are added to the catalogue's
        magnitudes before anything is predicted. The table's own columns stay as they are, and
        predicted bandfluxes are in the corrected system.
    samples : int
        Draws of each quantity to add as ``jp_<quantity>_samples``.
    joint : bool
        Draw the quantities together: draw i of one belongs to draw i of all others, so that
        columns may be combined. It costs some 100 microseconds for each draw of a quantity.
        Otherwise samples of two quantities are independent, from the posterior of each, at
        hardly any cost.
    pdf : bool
        Add tabulated posteriors, ``jp_<quantity>_pdf`` (not of bandfluxes); their bins are in the
        column's description and in the table's meta.
    refine : int
        Draws for each object whose weights by the likelihood of its photometry and by the prior
        refine its posterior; 0 for the network's own posterior, 2000 is a good number. It takes
        a quarter of a second an object. Bandfluxes are not refined. The context may hold a
        redshift, but no other label.
    chi2 : {"quick", "full", "none"}
        Whether to compare measured bandfluxes with what the object's other bands predict: every
        fourth band of many in one more pass (1.8 times as long), every band in four more (four
        times as long), or not at all.
    replace_columns : bool
        Allow to replace columns that the table already has.
    seed : int or None
        Seed of the samples: the same seed and outputs give a row the same samples whatever the
        batches; None draws new ones at each call.
    progress : callable, optional
        Called with (objects done, N).

    Returns
    -------
    astropy.table.QTable
        The table's own columns, unchanged, then for every quantity q ``jp_q`` (median),
        ``jp_q_err`` (half the 16-84 % interval), ``jp_q_lo``, ``jp_q_hi``; then ``jp_intruder``
        (probability of a star or QSO, where the model has such a score), ``jp_chi2`` (reduced
        chi-square of measured against predicted bandfluxes), ``jp_flag`` (see
        `jpassed.annotation.FLAGS`) and ``jp_nbands``. Bandfluxes are in microjansky. Rows
        without any usable band or label are flagged and masked; so are lines that lie outside
        the J-PAS range at the known or predicted redshift. Of derived quantities these are the
        quantiles of joint draws, and ``jp_q_defined`` is the share of the draws with a value.
        With `refine` also ``jp_refine_efficiency``, the effective share of the draws, with
        ``jp_refine_logevidence`` and ``jp_refine_k``; where fewer than 10 draws are effective
        the posterior is not refined.

    Raises
    ------
    InputError
        If `table` is no table, is empty, or already has columns that would be written; if an
        argument makes no sense; if a passband is asked far from those of the training.
    UnrecognisedTableError
        If no bandflux column is recognised (and no context is given).
    UnknownNameError
        For unknown outputs, context quantities, surveys or models.
    FileError, ModelError
        For a missing or damaged model.

    Notes
    -----
    A quantity that is both in the context and asked is predicted from everything *but* its own
    label: ``jp_z`` with ``context={"z": "z_spec"}`` is the photometric redshift, and the other
    quantities know ``z_spec``. Joint samples know all labels: ``jp_z_samples`` is then about
    ``z_spec``, with its error.

    Examples
    --------
    >>> from astropy import units as u
    >>> from astropy.table import QTable
    >>> import jpassed
    >>> table = QTable()
    >>> for band in jpassed.load_filters("jpas").names:
    ...     table[band], table[f"{band}_err"] = [20, 30] * u.uJy, [1, 1] * u.uJy
    >>> annotated = jpassed.annotate(table, outputs=["z"])
    >>> [name for name in annotated.colnames if name.startswith("jp_z")]
    ['jp_z', 'jp_z_err', 'jp_z_lo', 'jp_z_hi']
    >>> annotated["jp_nbands"].tolist()
    [60, 60]
    """
    check_table(table)
    wanted = read_outputs(outputs, model_vocabulary(model))
    if isinstance(samples, bool) or not isinstance(samples, (int, np.integer)) or samples < 0:
        raise InputError(f"samples: expected 0 or a positive whole number, got {samples!r}")
    existing = written_before(table.colnames, wanted)
    if refine or replace_columns:
        existing += [name for name in table.colnames if name.lower() in ROW_COLUMNS]
    if existing and not replace_columns:
        raise InputError(
            f"the table already has {', '.join(existing[:5])}"
            f"{' and more' if len(existing) > 5 else ''}: it was annotated before. Ask for "
            "replace_columns=True (--replace-columns), or rename those columns"
        )
    task = prepare(
        table,
        model=model,
        outputs=wanted,
        context=context,
        survey=survey,
        device=device,
        batch_size=batch_size,
        zeropoints=zeropoints,
        precision=precision,
    )
    refiner = None
    if refine:
        refiner = TaskRefiner(task, refine, model, seed)
        task = refiner.task
    plan = plan_draws(task, int(samples), bool(joint), seed)
    own = generators(wanted, seed)
    flags = RowFlags(task, chi2)
    with one_thread_each():
        columns, flag = _columns(task, int(samples), pdf, own, plan, refiner, flags, progress)
    result = copied(table)
    _drop(result, existing)
    for column in columns:
        result.add_column(column)
    flags.intruders.add_column(result)
    flags.fit.add_column(result)
    _add_row_columns(result, task, flag)
    if refiner is not None:
        refiner.add_row_columns(result)
    for name in ("jp_zeropoints", "jp_calibration"):
        result.meta.pop(name, None)  # of an earlier annotation
    result.meta.update(_provenance(task))
    if pdf:
        result.meta.update(grid_meta(task.quantities, task.model.vocabulary))
    return result


def infer(
    table: Any,
    *,
    model: str | os.PathLike[str] | LoadedModel = "default",
    outputs: Sequence[str] | str | None = None,
    context: Mapping[str, str] | None = None,
    survey: str | os.PathLike[str] | Survey = "auto",
    device: str = "auto",
    precision: str = "auto",
    batch_size: int | None = None,
    zeropoints: str | os.PathLike[str] | ZeroPoints | None = None,
) -> Posterior:
    """Posteriors of a catalogue's objects, for work in Python; arguments as in `annotate`.

    Parameters
    ----------
    table : astropy.table.Table
        N objects.
    model, outputs, context, survey, device, precision, batch_size, zeropoints
        As in `jpassed.annotate`; outputs without derived quantities.

    Returns
    -------
    Posterior
        One distribution per quantity, in the table's order of rows; objects without any usable
        band or label have the prior. It holds the parameters of all objects: some 11 kB each
        with the default outputs. ``posterior.sample(100)`` draws all quantities together.

    Raises
    ------
    InputError, UnrecognisedTableError, UnknownNameError, FileError
        As `jpassed.annotate`; derived quantities have draws, but no distribution.
    """
    check_table(table)
    asked = read_outputs(outputs, model_vocabulary(model))
    derived = [name for name in asked if is_derived(name)]
    if derived:
        raise InputError(
            f"{', '.join(derived)}: derived quantities have draws, not a distribution; ask for "
            f"them with posterior.sample(100, names={derived})"
        )
    task = prepare(
        table,
        model=model,
        outputs=asked,
        context=context,
        survey=survey,
        device=device,
        batch_size=batch_size,
        zeropoints=zeropoints,
        precision=precision,
    )
    with one_thread_each():
        posterior = Posterior.concatenate([batch.posterior for batch in task.batches()])
    return posterior.with_joint(task.sampler())


def _columns(
    task: Task,
    samples: int,
    pdf: bool,
    own: Mapping[str, np.random.Generator],
    plan: DrawPlan | None,
    refiner: TaskRefiner | None,
    flags: RowFlags,
    progress: Callable[[int, int], None] | None,
) -> tuple[list[Any], NDArray[np.int32]]:
    """Columns and flags of all rows."""
    pivots = {band: pivot for band, (pivot, _) in task.passbands.items()}
    together = plan is not None and samples > 0 and set(task.quantities) <= set(plan.names)
    texts = column_texts(
        task.quantities, task.model.vocabulary, prefix=PREFIX, pivots=pivots, pdf=pdf,
        samples=samples, joint=together,
    )  # fmt: skip
    out = OutputColumns(len(task), texts)
    flag = np.zeros(len(task), dtype=np.int32)
    derived = [name for name in task.outputs if name not in task.quantities]
    for batch in task.batches(task.outputs_and_redshift):
        rows = batch.rows
        posterior = batch.posterior
        refined = None if refiner is None else refiner.batch(rows)
        if refined is not None:
            posterior = refined.instead_of(posterior)
        quantiles, central = known_quantiles(posterior)
        z = redshifts(posterior, task.labels, rows, None if central is None else central[:, 1])
        draws = None
        if plan is not None:
            draws = plan.draw(rows) if refined is None else refined.joint(plan.n, plan.names)
        written = None if draws is None or not together else draws.first(samples)
        out.put_values(
            rows,
            posterior_values(
                posterior,
                task.model.vocabulary,
                names=task.quantities,
                prefix=PREFIX,
                masked=without_result(task, task.quantities, rows, z),
                pdf=pdf,
                samples=samples,
                rng=own,
                draws=None if written is None else dict(written.items()),
                quantiles=quantiles,
            ),
        )
        if draws is not None:
            blind = {name: task.distance_unknown(rows) for name in derived}
            out.put(
                rows,
                derived_columns(draws, derived, prefix=PREFIX, masked=blind, samples=samples),
            )
        flag[rows] = flags.of(batch, posterior, central)
        if progress is not None:
            progress(rows.stop, len(task))
    return in_order(out.finish(), task.outputs), flag


def _drop(table: QTable, names: Sequence[str]) -> None:
    """Remove columns of an earlier annotation, and what its meta says of them."""
    if names:
        table.remove_columns(list(names))
    for name in names:
        for key in [k for k in table.meta if str(k).lower() == f"{name.lower()}_edges"]:
            del table.meta[key]


def _add_row_columns(table: QTable, task: Task, flag: NDArray[np.int32]) -> None:
    from astropy.table import Column

    table[f"{PREFIX}flag"] = Column(
        flag,
        description=f"Bits; {describe_flags()}",
        meta={"ucd": "meta.code.qual"},
        format="%d",
    )
    table[f"{PREFIX}nbands"] = Column(
        task.photometry.observed.sum(axis=1).astype(np.int16),
        description="Number of bands that the prediction used",
        meta={"ucd": "meta.number"},
        format="%d",
    )


def _provenance(task: Task) -> dict[str, str]:
    own = {"jp_zeropoints": task.zeropoints} if task.zeropoints else {}
    if calibrations := task.model.card.get("calibrations"):
        last = calibrations[-1]  # which the digest of the weights does not tell
        own["jp_calibration"] = f"{last['date']} {last['table']}".strip()
    return {
        **own,
        "jp_model": task.model.name,
        "jp_model_version": task.model.version,
        "jp_weights": task.model.digest,
        "jp_precision": task.precision,
        "jp_version": jpassed.__version__,
        "jp_date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "jp_survey": task.survey,
        "jp_context": ", ".join(f"{k}={v.column}" for k, v in task.labels.items()),
    }
