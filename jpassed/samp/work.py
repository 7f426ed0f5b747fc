"""The work behind a message: fetch a table, annotate it or some of its rows, write it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.samp.fetching import Limits, fetch_table
from jpassed.samp.known_tables import KnownTable, KnownTables, row_numbers
from jpassed.samp.requests import ANNOTATE, SELECT, Request
from jpassed.samp.sending import best_format, write_for_clients

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["Answer", "StoppedError", "Workbench"]

_ids = itertools.count(1)

Progress = Callable[[int, int], None]


class StoppedError(Exception):
    """The service is to end, or its hub has gone: the work in hand is given up."""


class Answer:
    """The result of a message.

    Attributes
    ----------
    table : QTable or None
        None where nothing new is to be sent.
    name, table_id : str
        As the sender calls the table.
    said : str
        What was done, for the user.
    """

    def __init__(
        self, known: KnownTable, table: QTable | None, said: str, folder: Path, tables: KnownTables
    ) -> None:
        self.table = table
        self.name = known.name
        self.table_id = known.table_id
        self.said = said
        self._known = known
        self._folder = folder
        self._tables = tables
        self._urls: dict[str, str] = {}
        self._rows = int(known.done.sum())

    @property
    def title(self) -> str:
        """What the receivers call the table."""
        return f"{self.name} (jpassed)"

    @property
    def wanted_format(self) -> str:
        """The format in which the table is best sent."""
        return "votable" if self.table is None else best_format(self.table)

    def write(self, form: str) -> str:
        """Write the table once; returns its ``file:`` URL."""
        if form not in self._urls:
            stem = f"{Path(self.name).stem or 'table'}_jpassed"
            self._urls[form] = write_for_clients(self.table, self._folder, form, stem)
            self._tables.also(self._known, self._urls[form])
        return self._urls[form]

    def another_id(self) -> str:
        """A new id for a receiver that has a table under the sender's; selections may use it."""
        new = f"{self.table_id or self.name}#jpassed-{next(_ids)}"
        self._tables.also(self._known, new)
        return new

    def result(self) -> dict[str, str]:
        """What the reply holds; SAMP has text only."""
        found = {"rows": str(self._rows), "table-id": self.table_id}
        if self._urls:
            found["url"] = next(iter(self._urls.values()))
        return {key: text for key, text in found.items() if text}


class Workbench:
    """Annotates tables with one set of options, and remembers those that came.

    Parameters
    ----------
    options : mapping
        Arguments of `jpassed.annotate`.
    folder : Path
        Where tables are written; it outlives the workbench.
    on_selection : bool
        Only annotate rows that are selected.
    interrupted : callable
        Whether to give up.
    limits : Limits
        What may be fetched.

    Raises
    ------
    JpassedError
        If the options name an unknown output or model.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        folder: Path,
        *,
        on_selection: bool,
        interrupted: Callable[[], bool],
        limits: Limits,
    ) -> None:
        from jpassed.annotation.task import read_outputs
        from jpassed.weights import load_model

        self._options = {**options, "model": load_model(options.get("model", "default"))}
        read_outputs(self._options.get("outputs"), self._options["model"].vocabulary)
        self._folder = folder
        self._on_selection = on_selection
        self._interrupted = interrupted
        self._limits = limits
        self._tables = KnownTables()

    def do(self, request: Request, progress: Progress) -> Answer:
        """Do what a message asks.

        Parameters
        ----------
        request : Request
        progress : callable
            Called with (rows done, rows in all).

        Raises
        ------
        JpassedError
            If it cannot be done; the message is for the sender.
        StoppedError
            If the service is to end meanwhile.
        """
        if request.mtype == SELECT:
            known = self._tables.find(request.text("table-id"), request.text("url"))
            rows = row_numbers(request.params.get("row-list"), len(known.table))
            return self._annotate(known, rows, progress)
        known = self._receive(request)
        if self._on_selection and request.mtype != ANNOTATE:
            said = f"{len(known.table)} rows received, waiting for a selection"
            return Answer(known, None, said, self._folder, self._tables)
        return self._annotate(known, range(len(known.table)), progress)

    def _receive(self, request: Request) -> KnownTable:
        from jpassed.surveys import detect_survey

        table_id, url = request.text("table-id"), request.url
        table = fetch_table(url, request.table_format, self._folder, self._limits)
        if self._on_selection and self._options.get("survey", "auto") == "auto":
            if not self._options.get("context"):
                detect_survey(table)  # said now rather than after the selection
        known = KnownTable(table, request.name, table_id, request.sender)
        self._tables.add(known, (table_id, url))
        return known

    def _annotate(self, known: KnownTable, rows: Any, progress: Progress) -> Answer:
        from jpassed.annotation import annotate

        missing = known.missing(rows)
        if missing.size == 0:
            said = "these rows have their predictions already"
            return Answer(known, None, said, self._folder, self._tables)

        def advance(done: int, total: int) -> None:
            if self._interrupted():
                raise StoppedError
            progress(done, total)

        advance(0, int(missing.size))
        whole = missing.size == len(known.table)
        part = known.table if whole else known.table[missing]
        annotated = annotate(part, progress=advance, **self._options)
        known.add(annotated, np.asarray(missing))
        table = annotated if whole else known.annotated()
        plural = "row" if missing.size == 1 else "rows"
        said = f"{missing.size} {plural} annotated"
        return Answer(known, table, said, self._folder, self._tables)
