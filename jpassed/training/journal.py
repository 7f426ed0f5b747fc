"""The log of a training: ``log.jsonl``, one JSON object a step, and ``log.csv``, the same flat.

Both are appended to after every step and cut back at a resume, so that every step has one line.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jpassed.exceptions import FileError

__all__ = ["COLUMNS", "CSV", "LOG", "Journal", "loss_groups", "read_log"]

LOG = "log.jsonl"
CSV = "log.csv"

COLUMNS = {
    "step": "steps done",
    "objects": "objects seen",
    "seconds": "seconds of training, those before a resume included",
    "samples_per_second": "objects a second, over the last 20 steps",
    "learning_rate": "learning rate",
    "loss": "what is minimised: the weighted mean of the losses of all requests, and that of the "
    "dense question",
    "loss_z": "mean negative log likelihood of redshift (nat, scaled units)",
    "loss_labels": "the same of the labels asked that are neither redshift nor an EW",
    "loss_ew": "the same of the EWs asked",
    "loss_flux": "the same of the bandfluxes asked",
    "loss_dense": "the weighted mean of the losses of all labels asked of the dense readout",
    "loss_broad": "as loss_z, of the objects that show other surveys' bands alone",
    "gradient_norm": "norm of the gradient before it was clipped",
    "weight_ess": "effective number of objects over their number, from the weights of the batch of "
    "requests",
    "skipped": "steps skipped so far, for a loss or gradient that was not finite",
}
"""What a line of the log holds; ``validation`` comes with some lines, under its own names."""

VALIDATION = "validation"


class Journal:
    """Writes the log of a training.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, record: Mapping[str, Any]) -> None:
        """Append a step; numbers that are not finite become null."""
        plain = _plain(record)
        try:
            with (self.folder / LOG).open("a", encoding="utf-8") as log:
                log.write(json.dumps(plain, allow_nan=False) + "\n")
            table = self.folder / CSV
            head = not table.exists()
            with table.open("a", encoding="utf-8", newline="") as log:
                log.write(_rows([plain], head))
        except OSError as exc:
            raise FileError(f"cannot write the log in {self.folder}: {exc}") from exc

    def cut(self, step: int) -> None:
        """Drop the steps after `step`, and lines that a kill cut off."""
        path = self.folder / LOG
        if not path.exists():
            return
        lines = path.read_text("utf-8").splitlines()
        kept = [line for line in lines if step_of(line) <= step]
        _replace(path, "".join(f"{line}\n" for line in kept))
        _replace(self.folder / CSV, _rows([json.loads(line) for line in kept], True))


def step_of(line: str) -> float:
    """Step of a line of the log; infinity for a line that a kill or a full disk cut off."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


def read_log(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read the log of a training.

    Parameters
    ----------
    path : path
        A ``log.jsonl``, or the folder of a training.

    Returns
    -------
    list of dict
        One a step, see `COLUMNS`; a last line that was cut off is left out.

    Raises
    ------
    FileError
        If it is missing, or no line of it can be read.
    """
    place = Path(path)
    file = place / LOG if place.is_dir() else place
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise FileError(f"cannot read the log {file}: {exc}") from exc
    records = [json.loads(line) for line in lines if math.isfinite(step_of(line))]
    if not records:
        raise FileError(f"{file} is no log of a training: expected one JSON object a line")
    return records


def loss_groups(names: Iterable[str], losses: Iterable[float]) -> dict[str, float]:
    """Mean losses of redshift, other labels, EWs and bandfluxes, NaN where none was asked."""
    groups: dict[str, list[float]] = {"z": [], "labels": [], "ew": [], "flux": []}
    for name, value in zip(names, losses, strict=True):
        start = name.partition(":")[0].partition("_")[0]
        groups[start if start in ("z", "ew", "flux") else "labels"].append(value)
    return {f"loss_{k}": sum(v) / len(v) if v else math.nan for k, v in groups.items()}


def _plain(value: Any) -> Any:
    """JSON knows no NaN: null instead."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _rows(records: list[dict[str, Any]], head: bool) -> str:
    """Records as CSV; columns of figures that come with a few steps only are empty elsewhere."""
    from jpassed.training.validation import FIGURES

    text = io.StringIO()
    names = [*COLUMNS, *(f"validation_{n}" for n in FIGURES)]
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    if head:
        writer.writeheader()
    for record in records:
        figures = record.get(VALIDATION) or {}
        writer.writerow({**record, **{f"validation_{k}": v for k, v in figures.items()}})
    return text.getvalue()


def _replace(path: Path, content: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(content, encoding="utf-8")
    os.replace(temporary, path)
