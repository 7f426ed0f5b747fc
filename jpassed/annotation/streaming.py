"""Annotating a table page by page, as it comes from a service."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import jpassed
from jpassed.annotation.devices import choose_device, choose_precision
from jpassed.annotation.table import annotate
from jpassed.annotation.task import read_outputs
from jpassed.exceptions import InputError, UnrecognisedTableError
from jpassed.io.zeropoint_file import read_zeropoints
from jpassed.surveys import Survey, detect_survey, load_survey
from jpassed.surveys.zeropoints import ZeroPoints
from jpassed.weights import load_model, model_vocabulary

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["PageAnnotator", "few_messages"]

logger = logging.getLogger(__name__)

_MESSAGES = "jpassed.annotation.task"
SHOWN = 5
"""Messages on the values of a table that are shown of all pages together."""


class PageAnnotator:
    """`annotate` for the pages of one table.

    Parameters
    ----------
    **options
        As of `annotate`. The model is loaded once, and the columns are recognised in the first
        page.

    Raises
    ------
    UnknownNameError, FileError, ModelError
        For an unknown, missing or damaged model or survey, or an unknown output.

    Notes
    -----
    A prediction does not depend on the page that its row is in; what is drawn at random
    (``samples``, derived quantities, ``refine``) depends on where the pages begin, and no two
    pages have the same draws.
    """

    def __init__(
        self, *, progress: Callable[[int, int], None] | None = None, **options: Any
    ) -> None:
        self._options, self._given = dict(options), dict(options)
        self._progress = progress
        # A slip there is told before a page is asked.
        read_outputs(
            self._options.get("outputs"), model_vocabulary(self._options.get("model", "default"))
        )
        if self._options.get("zeropoints") is not None:
            self._options["zeropoints"] = read_zeropoints(self._options["zeropoints"])
        self._loaded = load_model(self._options.get("model", "default"))
        if not self._options.get("refine"):  # which finds its own files beside the model's
            self._options["model"] = self._loaded
        asked = self._options.get("survey", "auto")
        self._survey: Any = asked if isinstance(asked, Survey) else None
        if isinstance(asked, str | os.PathLike) and os.fspath(asked) != "auto":
            self._survey = load_survey(asked if isinstance(asked, str) else Path(asked))

    @property
    def options(self) -> dict[str, Any]:
        """What was given, as `annotate` takes it."""
        return dict(self._given)

    @property
    def task(self) -> dict[str, Any]:
        """What decides on the result, in plain values."""
        own = {key: _plain(value) for key, value in self._options.items() if key != "device"}
        device = choose_device(self._options.get("device", "auto"))
        own["precision"] = choose_precision(self._options.get("precision", "auto"), device)
        model = f"{self._loaded.name} {self._loaded.version} {self._loaded.digest}"
        # The digest is that of the weights; a calibration in place changes the card alone.
        maps = json.dumps(self._loaded.card.get("recalibration"), sort_keys=True)
        calibrated = hashlib.sha256(maps.encode()).hexdigest()[:16]
        return {**own, "model": f"{model} {calibrated}", "jpassed": jpassed.__version__}

    def __call__(
        self, page: QTable, before: int, progress: Callable[[int, int], None] | None = None
    ) -> QTable:
        """Annotate a page that has so many rows before it.

        Raises
        ------
        InputError
            See `annotate`.
        """
        options = dict(self._options)
        seed = options.get("seed", 0)
        if seed is not None:
            mixed = np.random.SeedSequence([int(seed), before])
            options["seed"] = int(seed) if before == 0 else int(mixed.generate_state(1)[0])
        options["survey"] = self._recognised(page, first=before == 0)
        try:
            return annotate(page, progress=progress or self._progress, **options)
        except InputError as exc:
            if before == 0:
                raise
            raise InputError(f"rows {before + 1} to {before + len(page)}: {exc}") from exc

    def _recognised(self, page: QTable, first: bool) -> Any:
        if self._survey is None:
            asked = self._options.get("survey", "auto")
            if asked != "auto":
                return asked
            try:
                self._survey = detect_survey(page)
            except UnrecognisedTableError:
                self._survey = "auto"  # labels alone may do; `annotate` says so if not
        if first or not isinstance(self._survey, Survey):
            return self._survey
        return replace(self._survey, judged=True)


def _plain(value: Any) -> Any:
    if isinstance(value, ZeroPoints):
        return value.label
    if isinstance(value, Path):
        # A map that was edited meanwhile is another map.
        return [str(value), value.read_text("utf-8") if value.is_file() else ""]
    return value


@contextmanager
def few_messages() -> Iterator[None]:
    """Show the first messages on the values of a table and count the others.

    All are shown where the package logs at INFO. Every page has some, of every band.
    """
    source = logging.getLogger(_MESSAGES)
    if source.isEnabledFor(logging.INFO):
        yield
        return
    counted = _Counted()
    source.addFilter(counted)
    try:
        yield
    finally:
        source.removeFilter(counted)
        if counted.hidden:
            logger.warning(
                "%d more messages of this kind (--verbose shows all of them)", counted.hidden
            )


class _Counted(logging.Filter):
    """Lets the first few through, and of each kind the first: pages differ in numbers only."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()
        self._shown: set[str] = set()
        self.hidden = 0

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if text in self._seen:
            return False
        self._seen.add(text)
        kind = _kind(text)
        if kind not in self._shown and len(self._shown) < SHOWN:
            self._shown.add(kind)
            return True
        self.hidden += 1
        return False


def _kind(text: str) -> str:
    """What a message says without its bands, numbers and rows."""
    return re.sub(r"^[^:]*: \d+ (values|rows?)( \([\d, .]*\))?", "", text)
