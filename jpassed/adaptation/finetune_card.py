"""What a fine-tuning found, in a model folder that tells where it comes from."""

from __future__ import annotations

import datetime
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import jpassed
from jpassed.adaptation.finetune_figures import (
    figures_of,
    known_labels,
    label_figures,
    own_rows_of_replay,
    posteriors,
)
from jpassed.adaptation.heldout import BANDS, Verdict, compare
from jpassed.adaptation.new_rows import widen
from jpassed.evaluation import log_score
from jpassed.evaluation.objects import LEAST_LOG_DENSITY
from jpassed.evaluation.row_sketch import row_sketch
from jpassed.nn.checkpoint import LoadedModel, read_model, write_model
from jpassed.nn.model import SEDModel
from jpassed.posteriors import Recalibrated, Recalibration

if TYPE_CHECKING:
    from astropy.table import Table

    from jpassed.adaptation.replay import Replay
    from jpassed.adaptation.rows import OwnRows
    from jpassed.adaptation.settings import FinetuneSettings
    from jpassed.adaptation.tuning import Tuner
    from jpassed.vocabulary import Vocabulary

__all__ = ["FINETUNING", "Finetuned", "write_result"]

logger = logging.getLogger(__name__)

FINETUNING = "finetuning"
"""Entry of a card: the fine-tunings of a model, the last one last."""

RECALIBRATION, CALIBRATIONS = "recalibration", "calibrations"

REPLAY_SEED = 31

WIDTHS = (0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5, 1.7, 2.0, 2.4)
"""Factors that the width of a new kind's posteriors may be multiplied by."""

LEAST = 8.0
"""nat."""


@dataclass(frozen=True)
class Finetuned:
    """What `finetune` found.

    Attributes
    ----------
    folder : Path
        Of the new model.
    model : LoadedModel
        The new model, or the start where nothing was gained.
    accepted : bool
        Whether the weights changed.
    reason : str
        Why, or why not.
    record : dict
        As in the card: rows, settings, figures of the held-out rows before and after.
    finished : bool
        False after `stop_after`.
    """

    folder: Path
    model: LoadedModel
    accepted: bool
    reason: str
    record: dict[str, Any] = field(default_factory=dict)
    finished: bool = True

    @classmethod
    def unfinished(cls, folder: Path, start: LoadedModel) -> Finetuned:
        """After `stop_after`: a checkpoint and no model.

        Parameters
        ----------
        folder : Path
        start : LoadedModel

        Returns
        -------
        Finetuned
        """
        return cls(folder, start, False, "stopped: resume it", {}, False)

    @property
    def table(self) -> Table:
        """Figures of the held-out rows: a row for each quantity, before and after."""
        from astropy.table import Table

        rows = []
        for name, entry in self.record.get("held_out", {}).items():
            for when in ("before", "after"):
                if when in entry:
                    rows.append({"quantity": name, "when": when, **entry[when]})
        names = list(dict.fromkeys(key for row in rows for key in row))
        columns = {n: np.ma.masked_invalid([_number(row.get(n)) for row in rows])
                   for n in names if n not in ("quantity", "when", "n")}  # fmt: skip
        told = {n: [row[n] for row in rows] for n in ("quantity", "when", "n")} if rows else {}
        return Table({**told, **columns})

    def __str__(self) -> str:
        """The decision and the figures, as lines of text."""
        rows = self.record.get("rows", {})
        lines = [
            f"{self.reason}",
            f"{rows.get('learned_from', 0)} rows learned from, {rows.get('held_out', 0)} held out",
        ]
        if len(self.table):
            lines.append("figures of the held-out rows:")
            lines += self.table.pformat(max_width=-1, show_unit=False)
            shown = self.record["held_out"]
            alone = [name for name, entry in shown.items() if "before" not in entry]
            if alone:
                lines.append(
                    f"{', '.join(alone)}: new to the model, so there are no figures before"
                )
        replayed = self.record.get("simulated", {})
        if "before" in replayed:
            lines.append(
                f"simulated galaxies, z: scatter {replayed['before']['scatter']:.5f} before, "
                f"{replayed['after']['scatter']:.5f} after"
            )
        return "\n".join(lines)


def _number(value: Any) -> float:
    return float(value) if value is not None else float("nan")


def write_result(
    folder: Path,
    start: LoadedModel,
    known: LoadedModel,
    tuner: Tuner,
    replay: Replay | None,
    learned: OwnRows,
    judged: OwnRows,
    new: tuple[str, ...],
    told: Mapping[str, Any],
    settings: FinetuneSettings,
) -> Finetuned:
    """Decide between the start and the tuned weights, and write the model.

    Parameters
    ----------
    folder : Path
    start : LoadedModel
    known : LoadedModel
        The start with the vocabulary of the result.
    tuner : Tuner
        After its run.
    replay : Replay or None
    learned, judged : OwnRows
    new : tuple of str
        New kinds.
    told : mapping
        What `set_rows` tells of them.
    settings : FinetuneSettings
    """
    vocabulary = known.vocabulary
    network = SEDModel(start.network.config, vocabulary)
    # As it will be read again: half precision is part of the result.
    network.load_state_dict({k: v.half().float() for k, v in tuner.best_state().items()})
    network.eval()
    for name in new:
        told = {**told, name: {**told[name], **_fit_width(network, tuner, vocabulary, name)}}
    scores = tuner.held_out.scores(network)
    gains = tuner.baseline.gains(scores, settings.sigmas)
    old = [name for name in learned.labelled if name not in new]
    maps = _maps(start)
    for name in set(old) & set(maps):
        gains[name] = _gain_as_annotated(
            name, maps[name], (start.network, network), vocabulary, judged, settings.sigmas
        )
    accepted, reason = _decision(tuner, scores, gains, new, settings.sigmas)
    before = label_figures(start.network, vocabulary, judged, old, maps)
    kept = maps
    simulated: dict[str, Any] = {}
    if accepted:
        sample = None if replay is None else own_rows_of_replay(replay, 1024, REPLAY_SEED)
        if not tuner.others_stay:
            kept = _still_good(maps, network, vocabulary, judged, sample)
        if sample is not None:
            for when, one in (("before", start.network), ("after", network)):
                truth = known_labels(sample, "z")[1]
                simulated[when] = figures_of(posteriors(one, vocabulary, sample, "z"), truth, "z")
    after = label_figures(
        network if accepted else start.network, vocabulary, judged,
        learned.labelled if accepted else old, kept,
    )  # fmt: skip
    held = {
        name: {
            **({"before": before[name]} if name in before else {}),
            **({"after": after[name]} if name in after else {}),
            "gain": _plain(gains[name]),
            "over_its_distribution": _plain(
                compare(scores[name], tuner.baseline.uninformed[name], sigmas=settings.sigmas)
            ),
        }
        for name in learned.labelled
    }
    record = {
        "parent": {"name": start.name, "version": start.version, "digest": start.digest},
        "accepted": accepted,
        "reason": reason,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "package_version": jpassed.__version__,
        "rows": {
            "learned_from": len(learned), "held_out": len(judged),
            **{f"with_{n}": int(learned.seen.label_known[:, learned.names.index(n)].sum())
               for n in learned.labelled},
        },
        "row_sketches": _sketches(learned, judged),
        "bands": list(learned.bands),
        "labels": list(learned.labelled),
        "new_kinds": dict(told),
        "settings": settings.as_dict(),
        "steps": tuner.record["history"][-1]["step"],
        "best_step": tuner.record["best_step"],
        "seconds": round(tuner.record["seconds"], 1),
        "trained": sorted({name.split(".")[0] for name in tuner.tuned}),
        "replay": None if tuner.replay is None else tuner.replay.provenance,
        "held_out": held,
        BANDS: _plain(gains[BANDS]) if BANDS in gains else None,
        "simulated": simulated,
        "recalibrations_dropped": sorted(set(maps) - set(kept)),
        "history": tuner.record["history"],
    }  # fmt: skip
    card = {k: v for k, v in start.card.items() if k not in ("sha256", "parameters", "own_kinds")}
    if accepted:
        card["kinds"] = list(vocabulary.names)
        card[RECALIBRATION] = {name: start.card[RECALIBRATION][name] for name in kept}
        # The parent's tale of its maps is not this model's.
        card.pop(CALIBRATIONS, None)
        card["name"] = folder.resolve().name
    card[FINETUNING] = [*start.card.get(FINETUNING, []), record]
    chosen = (network, vocabulary) if accepted else (start.network, start.vocabulary)
    for stale in ("refine.safetensors", "refine.json"):
        (folder / stale).unlink(missing_ok=True)
    write_model(folder, chosen[0].state_dict(), start.network.config, card, chosen[1])
    return Finetuned(folder, read_model(folder), accepted, reason, record)


def _fit_width(
    network: SEDModel, tuner: Tuner, vocabulary: Vocabulary, name: str
) -> dict[str, Any]:
    """Set the width of a new kind by the held-out rows: leave-one-out residuals are too small.

    One number; scores are held within 8 nat of their median, so that no object rules.
    """
    kind, found = vocabulary.index(name), []
    for factor in WIDTHS:
        widen(network, kind, math.log(factor))
        score = tuner.held_out.scores(network)[name]
        found.append(float(np.nanmean(np.clip(score, np.nanmedian(score) - LEAST, None))))
        widen(network, kind, -math.log(factor))
    # Of equally good ones the widest: 30 rows tell a width to a tenth.
    best = [w for w, score in zip(WIDTHS, found, strict=True) if score > max(found) - 0.02][-1]
    widen(network, kind, math.log(best))
    network.load_state_dict({k: v.half().float() for k, v in network.state_dict().items()})
    return {"widened_by": best}


def _decision(
    tuner: Tuner,
    scores: Mapping[str, Any],
    gains: Mapping[str, Verdict],
    new: tuple[str, ...],
    sigmas: float,
) -> tuple[bool, str]:
    """Whether the tuned weights are taken, and why."""
    start = "the result is the start"
    if tuner.record["best_step"] == 0 and not new:
        return False, f"no step improved the held-out rows: {start}"
    labels = tuner.labels
    if not labels:
        verdict = gains[BANDS]
        told = f"hidden bandfluxes of held-out rows: {verdict.gain:+.3f} +- {verdict.error:.3f} nat"
        if verdict.better:
            told = f"{told}; posteriors of labels stay as they are"
        return verdict.better, told if verdict.better else f"{told}, not significant: {start}"
    informed = {
        name: compare(scores[name], tuner.baseline.uninformed[name], sigmas=sigmas)
        for name in labels
    }
    blind = [name for name in labels if informed[name].gain <= 0]
    if blind or not any(verdict.better for verdict in informed.values()):
        names = ", ".join(blind or labels)
        return False, (
            f"{names}: the bandfluxes tell no more (or not significantly more) of held-out labels "
            f"than their own distribution does; are they in the right rows and units? {start}"
        )
    worse = [
        name for name in labels
        if name not in new and gains[name].gain < -sigmas * gains[name].error
    ]  # fmt: skip
    told = ", ".join(
        f"{name} {gains[name].gain:+.3f} +- {gains[name].error:.3f} over "
        + ("the distribution of its values" if name in new else "the start")
        for name in labels
    )
    told = f"gain in log score of held-out labels (nat): {told}"
    if worse:
        return False, f"{told}; {', '.join(worse)} would be worse: {start}"
    if not any(gains[name].better for name in labels) or any(
        not gains[name].better for name in new
    ):
        return False, f"{told}, not significant: {start}"
    return True, told


def _maps(model: LoadedModel) -> dict[str, Recalibration]:
    stored = model.card.get(RECALIBRATION) or {}
    return {name: Recalibration.from_dict(entry) for name, entry in stored.items()}


def _still_good(
    maps: Mapping[str, Recalibration],
    network: SEDModel,
    vocabulary: Any,
    judged: OwnRows,
    sample: OwnRows | None,
) -> dict[str, Recalibration]:
    """The parent's recalibrations that still improve the log score.

    Judged on the held-out rows where they have the label, else on simulated galaxies.
    """
    kept = {}
    for name, entry in maps.items():
        rows = judged if name in judged.labelled else sample
        if rows is None or name not in rows.names or name not in vocabulary:
            continue
        some, truth = known_labels(rows, name)
        plain = posteriors(network, vocabulary, some, name)
        gain = log_score(Recalibrated(plain, entry), truth) - log_score(plain, truth)
        if np.mean(gain) > 0:
            kept[name] = entry
    return kept


def _gain_as_annotated(
    name: str,
    entry: Recalibration,
    networks: tuple[SEDModel, SEDModel],
    vocabulary: Vocabulary,
    judged: OwnRows,
    sigmas: float,
) -> Verdict:
    """Gain over a start that is recalibrated, as `annotate` uses it; the map is kept if it helps.

    What a fine-tuning gains by correcting what a map corrects already is no gain.
    """
    some, truth = known_labels(judged, name)
    before, after = (posteriors(network, vocabulary, some, name) for network in networks)
    start, plain, mapped = (
        np.maximum(log_score(distribution, truth), LEAST_LOG_DENSITY)
        for distribution in (Recalibrated(before, entry), after, Recalibrated(after, entry))
    )
    return compare(mapped if np.mean(mapped - plain) > 0 else plain, start, sigmas=sigmas)


def _sketches(learned: OwnRows, judged: OwnRows) -> dict[str, dict[str, list[str]]]:
    """By label, what tells the rows again: an evaluation with them flatters the model."""
    parts = (learned, judged)
    flux, seen = (
        np.concatenate([getattr(rows.seen, name).numpy() for rows in parts])
        for name in ("flux", "observed")
    )
    found = {}
    for name in learned.labelled:
        i = learned.names.index(name)
        value = np.concatenate(
            [np.where(rows.seen.label_known[:, i], rows.seen.labels[:, i], np.nan)
             for rows in parts]
        )  # fmt: skip
        found[name] = {"row_sketch": row_sketch(value, flux, seen)}
    return found


def _plain(verdict: Verdict) -> dict[str, Any]:
    # Infinite errors are no JSON.
    error = round(verdict.error, 4) if np.isfinite(verdict.error) else None
    return {"gain": round(verdict.gain, 4), "error": error, "better": verdict.better}
