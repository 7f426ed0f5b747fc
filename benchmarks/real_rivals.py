"""eazy-py on the real objects of real.py: the same rows for both, and where it is better."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from compare import redshift_table
from numpy.typing import NDArray
from real_scores import (
    REDSHIFT_STATISTICS,
    SEED,
    Row,
    redshift_row,
    redshift_scores,
)
from real_sets import ObjectSet
from rival_eazy import fsps_templates, run_eazy, simulator_templates

from jpassed.annotation import infer
from jpassed.evaluation import bootstrap_interval

Array = NDArray[np.float64]

TEMPLATES = ("FSPS", "simulator's")
FIRST = 1260.0
"""Å: where the templates of the simulator begin; GALEX FUV is whole from z = 0.07 on."""

COMPARED = ("sigma_nmad", "bias", "outliers", "coverage", "nll")
VERSION = 1
"""To be raised when a setting of eazy-py changes: answers that were kept are then made anew."""

RESAMPLINGS = 300


def thinned(objects: ObjectSet, each: int) -> ObjectSet:
    """At most `each` rows of every place, spread evenly over its rows."""
    kept = []
    for place in objects.places:
        rows = np.flatnonzero(objects.place == place)
        kept.append(rows[np.unique(np.linspace(0, len(rows) - 1, each).astype(int))])
    return objects.rows(np.concatenate(kept))


def compared(
    folder: Path, objects: ObjectSet, reference: str, model: Any, work: Path
) -> dict[str, Any]:
    """jpassed and every variant of eazy-py on the same rows; `work` is a folder for its files.

    Returns
    -------
    dict
        ``rows``: by place and method the figures of `redshift_row`; ``better``: where a variant
        of eazy-py is; ``objects/s``: of each method.
    """
    rivals, seconds = kept(folder, objects, reference, work)
    answers = {"jpassed": own(objects, model)} | rivals
    rows: dict[str, dict[str, Row]] = {}
    better: list[str] = []
    for place in objects.places:
        here = objects.place == place
        rows[place] = {
            method: redshift_row(scores, objects.group, here) for method, scores in answers.items()
        }
        better += [f"{place}: {line}" for line in losses(answers, objects.group, here)]
    return {"rows": rows, "better": better, "objects/s": seconds}


def kept(
    folder: Path, objects: ObjectSet, reference: str, work: Path
) -> tuple[dict[str, dict[str, Array]], dict[str, float]]:
    """Scores of every variant of eazy-py and its objects/s, from `work` if they are there.

    They do not depend on our weights: a second run, with others, need not fit again.
    """
    work.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(repr((objects.bands, reference, VERSION)).encode())
    for values in (objects.flux, objects.error, objects.observed, objects.z):
        digest.update(np.ascontiguousarray(values).tobytes())
    path = work / f"answers-{digest.hexdigest()[:16]}.npz"
    if not path.exists():
        answers, seconds = fitted(folder, objects, reference, work)
        flat = {f"{m}|{key}": v for m, scores in answers.items() for key, v in scores.items()}
        rates = {f"{m}|objects/s": np.array(rate) for m, rate in seconds.items()}
        temporary = path.with_suffix(".tmp.npz")
        np.savez(temporary, **flat, **rates)
        temporary.replace(path)
    answers, seconds = {}, {}
    with np.load(path) as stored:
        for name in stored.files:
            method, key = name.split("|")
            if key == "objects/s":
                seconds[method] = float(stored[name])
            else:
                answers.setdefault(method, {})[key] = stored[name]
    return answers, seconds


def fitted(
    folder: Path, objects: ObjectSet, reference: str, work: Path
) -> tuple[dict[str, dict[str, Array]], dict[str, float]]:
    """Scores of every variant of eazy-py, and its objects/s without the prior's share."""
    answers: dict[str, dict[str, Array]] = {}
    seconds: dict[str, float] = {}
    for which in TEMPLATES:
        if which == "FSPS":
            found = fsps_templates(folder)
        else:
            found = simulator_templates(folder, work, SEED, FIRST)
        for with_error in (False, True):
            fit = run_eazy(
                objects.flux, objects.error, found, folder, work,
                template_error=with_error, passbands=objects.passbands,
                observed=objects.observed, reference=reference,
            )  # fmt: skip
            label = f"eazy, {which}{', template error' if with_error else ''}"
            seconds[label] = len(objects) / max(fit.seconds, 1e-9)
            for prior, end in (("prior", "prior"), ("flat", "flat prior")):
                scores = redshift_scores(redshift_table(fit.z, fit.log_density[prior]), objects.z)
                # Its own point estimate, which is -1 where the maximum is at an edge.
                edge = fit.z[np.argmax(fit.log_density[prior], axis=1)]
                scores["z"] = np.where(fit.best[prior] < 0, edge, fit.best[prior])
                answers[f"{label}, {end}"] = scores
    return answers, seconds


def own(objects: ObjectSet, model: Any) -> dict[str, Array]:
    """Scores of jpassed."""
    posterior = infer(objects.table(), model=model, survey=objects.survey(), outputs=("z",))
    return redshift_scores(posterior["z"], objects.z)


def distances(scores: tuple[Array, ...]) -> Array:
    """How far each of `COMPARED` is from the best there could be; smaller is better."""
    found = [REDSHIFT_STATISTICS[name](*scores) for name in COMPARED]
    best = {"coverage": 0.68}
    return np.array(
        [
            value if name == "nll" else abs(value - best.get(name, 0.0))
            for name, value in zip(COMPARED, found, strict=True)
        ]
    )


def losses(answers: dict[str, dict[str, Array]], group: Any, use: Any) -> list[str]:
    """Statistics in which a variant of eazy-py is better by more than the standard error.

    The error is that of the difference, from a bootstrap by object of both on the same rows. The
    best variant for each statistic is named.
    """
    keys = ("z", "true", "pit", "nll")
    ours = tuple(answers["jpassed"][key][use] for key in keys)
    labels = np.asarray(group)[use]
    lead: dict[str, tuple[float, str]] = {}
    for method, scores in answers.items():
        if method == "jpassed":
            continue
        theirs = tuple(scores[key][use] for key in keys)
        gain = distances(ours) - distances(theirs)
        low, high = bootstrap_interval(
            lambda *a: distances(a[:4]) - distances(a[4:]),
            (*ours, *theirs), labels, RESAMPLINGS, SEED,
        )  # fmt: skip
        error = (high - low) / 2
        for i, name in enumerate(COMPARED):
            if gain[i] > error[i] and gain[i] > lead.get(name, (0.0, ""))[0]:
                value = [REDSHIFT_STATISTICS[name](*both) for both in (ours, theirs)]
                sigma = gain[i] / error[i] if error[i] > 0 else np.inf
                lead[name] = (
                    gain[i],
                    f"{name} {value[0]:.4f}, {method} {value[1]:.4f} ({sigma:.1f} standard errors)",
                )
    return [text for _, text in lead.values()]
