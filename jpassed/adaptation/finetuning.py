"""`finetune`: a model adapted to a survey by a handful of its objects."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from jpassed.adaptation.calibration_files import check_outside
from jpassed.adaptation.finetune_card import Finetuned, write_result
from jpassed.adaptation.finetune_figures import posterior_widths
from jpassed.adaptation.heldout import HeldOut, uninformed
from jpassed.adaptation.kind_descriptions import completed, read_kinds
from jpassed.adaptation.new_rows import grown, set_rows
from jpassed.adaptation.replay import Replay, read_replay, simulate_replay
from jpassed.adaptation.rows import LEAST_NEW, OwnRows, own_rows, split_rows
from jpassed.adaptation.settings import FinetuneSettings
from jpassed.adaptation.tuning import Baseline, Tuner
from jpassed.annotation.task import check_table, prepare
from jpassed.exceptions import FileError, InputError, UnknownNameError
from jpassed.nn.checkpoint import CARD, LoadedModel
from jpassed.surveys import read_labels
from jpassed.tokens.scaling import LabelScaling
from jpassed.training.config import TrainingConfig
from jpassed.training.presets import find_config
from jpassed.training.state import STATE
from jpassed.vocabulary import Vocabulary
from jpassed.weights import load_model

if TYPE_CHECKING:
    from jpassed.adaptation.kind_descriptions import KindDescription
    from jpassed.nn.model import SEDModel
    from jpassed.surveys import Survey

__all__ = ["finetune"]

logger = logging.getLogger(__name__)


def finetune(
    table: Any,
    output: str | os.PathLike[str],
    labels: Mapping[str, str] | None = None,
    *,
    model: str | os.PathLike[str] | LoadedModel = "default",
    new_kinds: Iterable[str | Mapping[str, Any] | KindDescription] = (),
    survey: str | os.PathLike[str] | Survey = "auto",
    steps: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    settings: FinetuneSettings | None = None,
    ssp: tuple[str, ...] | None = None,
    config: str | os.PathLike[str] | None = None,
    lines: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    stop_after: int | None = None,
) -> Finetuned:
    """Adapt a model to a survey by some of its objects.

    Three of ten objects (500 at most) are held out by the seed. The others are learned from:
    labels given all or some of the bands, and bands given the others, scored with the errors of
    the measurements; simulated galaxies are shown again, against forgetting. The weights with the
    best log score of the held-out labels (of their hidden bandfluxes, where there are no labels)
    are the result, if they are better than the start by two standard errors, and tell more than
    the labels' own distribution does. Otherwise the result is the start.

    Parameters
    ----------
    table : astropy.table.Table
        At least 50 objects with bandfluxes, as for `jpassed.annotate`.
    output : path
        Folder of the new model, which ``annotate(model=...)`` takes.
    labels : mapping, optional
        Quantity to column, and after a comma its error column: ``{"z": "z_spec,z_err"}``. Rows
        without a value teach through their bandfluxes alone.
    model : str, path or LoadedModel
        The start.
    new_kinds : iterable, optional
        Kinds that the model never saw, see `jpassed.adaptation.read_kinds`; each needs an entry
        in `labels` with at least 100 values.
    survey : str, path or Survey
        As of `jpassed.annotate`.
    steps, minutes : optional
        Largest number of steps, and largest time.
    seed : int
        Of the split, the questions and the noise of simulated galaxies.
    settings : FinetuneSettings, optional
        Everything else; `steps`, `minutes` and a `seed` other than 0 take its place where given.
    ssp, config, lines : optional
        Grids of stellar populations, training configuration and line table from which galaxies
        are simulated anew for the replay; without them the embedded sample of 4096 is replayed.
    resume : bool
        Go on from the checkpoint in `output`, with the same table and settings.
    overwrite : bool
        Replace a model in `output`, or start anew where a fine-tuning was interrupted.
    progress : callable, optional
        Called with (steps done, largest number of steps).
    stop_after : int, optional
        Stop, with a checkpoint, after this step.

    Returns
    -------
    Finetuned

    Raises
    ------
    InputError
        For too few rows or labels, or a table that makes no sense.
    UnknownNameError
        For an unknown quantity, column, survey or model.
    FileError
        If `output` exists, or cannot be written.
    """
    check_table(table)
    folder = _folder(output, resume, overwrite)
    if labels is not None and not isinstance(labels, Mapping):
        raise InputError(f"labels: expected {{'z': 'z_spec'}} or the like, got {labels!r}")
    given = _given(steps=steps, minutes=minutes, seed=seed or None)
    chosen = replace(settings or FinetuneSettings(), **given)
    start = load_model(model)
    described = read_kinds(new_kinds)
    vocabulary = _vocabulary(start, table, dict(labels or {}), described)
    names = tuple(kind.name for kind in described)
    # Tokens, masks and messages are those of an annotation with the labels as its context.
    known = LoadedModel(start.network, start.card, start.digest, vocabulary)
    task = prepare(
        table, model=known, outputs=("z",), context=labels or None, survey=survey, device="cpu",
        batch_size=None,
    )  # fmt: skip
    rows = own_rows(task, vocabulary, names)
    _make(folder)  # only now: a table that cannot be used leaves no empty folder behind
    learned, judged = split_rows(rows, chosen.seed)
    network = grown(start.network, vocabulary) if names else start.network
    told = set_rows(network, vocabulary, learned, names) if names else {}
    held_out = HeldOut(judged, vocabulary, rows.labelled)
    old = [name for name in rows.labelled if name not in names]
    baseline = _baseline(network, held_out, vocabulary, learned, judged, names)
    soft = chosen.softening * posterior_widths(network, vocabulary, learned, old)
    simulated = (ssp, None if config is None else os.fspath(config), lines)
    identity = _identity(start, rows, chosen, vocabulary, simulated)
    replay = _replay(start, vocabulary, chosen, ssp, config, lines)
    tuner = Tuner(
        network, vocabulary, learned, soft, held_out, baseline, names, replay, chosen, folder,
        identity,
    )  # fmt: skip
    done = tuner.restore() if resume and (folder / STATE).exists() else 0
    if not tuner.run(done, progress, stop_after):
        return Finetuned.unfinished(folder, start)
    result = write_result(folder, start, known, tuner, replay, learned, judged, names, told, chosen)
    tuner.forget()
    return result


def _replay(
    start: LoadedModel,
    vocabulary: Vocabulary,
    settings: FinetuneSettings,
    ssp: tuple[str, ...] | None,
    config: str | os.PathLike[str] | None,
    lines: str | None,
) -> Replay | None:
    """The simulated galaxies that are shown again, embedded or fresh ones."""
    if not settings.replay:
        return None
    stored = read_replay()
    simulation = stored.simulation
    if config is not None:
        simulation = TrainingConfig.from_yaml(find_config(config)).simulation
        ssp, lines = ssp or simulation.ssp, lines or simulation.lines
        if not ssp:
            raise InputError(
                "no SSP grid: name one or more files in the configuration (simulation: ssp:), or "
                "on the command line (--ssp FILE)"
            )
    if ssp:
        stored = simulate_replay(simulation, tuple(ssp), lines, settings.seed)
    return Replay(stored, start, vocabulary)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _folder(output: str | os.PathLike[str], resume: bool, overwrite: bool) -> Path:
    """The folder of the result, refused before any work is done if it cannot take it."""
    folder = Path(output)
    check_outside(folder)
    if folder.exists() and not folder.is_dir():
        raise FileError(f"{folder} is not a folder: name a folder for the model")
    unfinished, finished = (folder / STATE).exists(), (folder / CARD).exists()
    if unfinished and not (resume or overwrite):
        raise FileError(
            f"{folder} holds a fine-tuning that was interrupted: resume it (--resume), start anew "
            "(--overwrite), or name another folder"
        )
    if finished and not unfinished:
        if resume:
            raise FileError(f"{folder} holds a finished model: there is nothing to resume")
        if not overwrite:
            raise FileError(
                f"{folder} holds a model already: name another folder, or overwrite it "
                "(--overwrite)"
            )
    elif folder.exists() and any(folder.iterdir()) and not unfinished:
        raise FileError(f"{folder} holds something else than a model: name another folder")
    return folder


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise FileError(f"cannot make the folder {folder}: {exc}") from exc


def _vocabulary(
    start: LoadedModel,
    table: Any,
    labels: dict[str, str],
    described: tuple[KindDescription, ...],
) -> Vocabulary:
    """The start's vocabulary with the new kinds, completed from their values."""
    for kind in described:
        if kind.name not in labels:
            raise InputError(
                f"new kind {kind.name!r}: name the column that holds it, labels {kind.name}=COLUMN"
            )
        if kind.name in start.vocabulary:
            raise InputError(f"new kind {kind.name!r}: model {start.name!r} knows it already")
    found = start.vocabulary
    for kind in described:
        # Before its scale is known, every number is a value of it.
        wide = replace(kind, loc=0.0, width=1.0, softening=1.0, lower=-1e30, upper=1e30)
        probe = start.vocabulary.extended([completed(wide, [0.0, 1.0])])
        column = read_labels(table, {kind.name: labels[kind.name]}, probe)[kind.name]
        values = column.value[column.observed]
        if len(values) < LEAST_NEW:
            raise InputError(
                f"new kind {kind.name!r}: expected at least {LEAST_NEW} values in column "
                f"{column.column!r}, got {len(values)}"
            )
        found = found.extended([completed(kind, values)])
    for name in labels:
        if name not in found.scalars and not name.startswith("flux"):
            raise UnknownNameError("label quantity", name, found.scalars)
    return found


def _baseline(
    network: SEDModel,
    held_out: HeldOut,
    vocabulary: Vocabulary,
    learned: OwnRows,
    judged: OwnRows,
    names: tuple[str, ...],
) -> Baseline:
    """Scores of the start and of the labels' own distributions."""
    scores = held_out.scores(network)
    scaling = LabelScaling.from_vocabulary(vocabulary, learned.names)
    scaled = []
    for rows in (learned, judged):
        values, _ = scaling.to_scaled(rows.seen.labels)
        scaled.append(torch.where(rows.seen.label_known, values, torch.nan).double().numpy())
    own = {
        name: uninformed(scaled[0][:, learned.names.index(name)],
                         scaled[1][:, learned.names.index(name)])
        for name in learned.labelled
    }  # fmt: skip
    return Baseline({k: v for k, v in scores.items() if k not in names}, own)


def _identity(
    start: LoadedModel,
    rows: OwnRows,
    settings: FinetuneSettings,
    vocabulary: Vocabulary,
    simulated: tuple[Any, ...],
) -> str:
    """A digest of everything that decides on the steps, for a resume."""
    # How long it may take, and how often it is written, change nothing in a step.
    fixed = {k: v for k, v in settings.as_dict().items()
             if k not in ("steps", "minutes", "checkpoint_seconds")}  # fmt: skip
    # The vocabulary's digest tells how new kinds are scaled.
    told = (start.digest, fixed, vocabulary.digest, rows.labelled, simulated, rows.bands)
    digest = hashlib.sha256(repr(told).encode())
    seen = rows.seen
    for values in (
        seen.flux, seen.error, seen.observed, seen.labels, seen.label_error, seen.label_known
    ):  # fmt: skip
        digest.update(np.ascontiguousarray(values.numpy()).tobytes())
    return digest.hexdigest()[:16]
