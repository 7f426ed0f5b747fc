"""An answer that goes to a file page by page: the next page comes while the last is worked on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jpassed.exceptions import InputError, ServiceError
from jpassed.io.atomic import check_output
from jpassed.io.catalogs import write_catalog
from jpassed.io.formats import table_file
from jpassed.io.pieces import Pieces
from jpassed.vo.queries import Question, key_column
from jpassed.vo.uploads import Uploads

if TYPE_CHECKING:
    from astropy.table import QTable

    from jpassed.io.pieces import Piece

__all__ = ["save_answer"]

logger = logging.getLogger(__name__)

QUERY_SHOWN = 200
"""Characters of a query in an error."""

Work = Callable[[Any, int], Any]
"""From a page and the number of rows before it to the table that is kept of it."""


def save_answer(
    question: Question,
    output: str | Path,
    *,
    work: Work | None = None,
    task: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    progress: Callable[[str], None] | None = None,
) -> int:
    """Ask, and write the answer, worked on, to a file.

    Parameters
    ----------
    question : Question
        With keys it goes page by page through a folder beside `output` (see
        `jpassed.io.pieces`), in the memory of a few pages: if it is interrupted, the same call goes
        on where it was. Without keys the answer is in memory.
    output : str or Path
        Format by its ending.
    work : callable, optional
        From a page and the number of rows before it to the table to keep, row by row. It runs in
        another thread while the next page comes.
    task : mapping, optional
        What else than the query decides what `work` gives, in plain values.
    overwrite : bool
    progress : callable, optional
        Is told in words how far it is.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    InputError
        If the answer has no rows.
    FileError
        If the file cannot be written.
    ServiceError, QueryError
        See `jpassed.query`.
    """
    check_output(table_file(output).path, overwrite)
    if not question.keys:
        return _at_once(question, output, work, overwrite, progress)
    whole = {
        "service": question.client.service.url,
        "query": question.text,
        "keys": list(question.keys),
        "rows of a page": question.rows,
        "uploads": Uploads.of(question.uploads).digest(),
        **dict(task or {}),
    }
    if question.maxrec is not None:
        whole["rows at most"] = question.maxrec
    with Pieces(output, whole) as pieces:
        try:
            overflow = _fetch(question, pieces, work, progress)
        except BaseException as exc:
            if not pieces.rows:
                pieces.remove()  # of a query with a slip of the pen nothing is left
            elif isinstance(exc, KeyboardInterrupt):
                logger.warning("interrupted: the same command goes on behind %d rows", pieces.rows)
            raise
        if not pieces.rows:
            pieces.remove()
            raise _nothing(question)
        if progress:
            progress(f"{pieces.rows} rows: writing {output}")
        about = {"jp_query": question.text, **({"jp_overflow": True} if overflow else {})}
        rows = pieces.merge(meta=about, overwrite=overwrite)
        pieces.remove()
    return rows


def _at_once(
    question: Question,
    output: str | Path,
    work: Work | None,
    overwrite: bool,
    progress: Callable[[str], None] | None,
) -> int:
    table = question.table(progress)
    if len(table) == 0:
        raise _nothing(question)
    result = table if work is None else work(table, 0)
    write_catalog(result, output, overwrite=overwrite)
    return len(result)


def _nothing(question: Question) -> InputError:
    asked = question.text or question.resume
    shown = asked if len(asked) <= QUERY_SHOWN else f"{asked[:QUERY_SHOWN]} ..."
    return InputError(
        f"{question.client.service.name}: no row fits the query, nothing was written: {shown}"
    )


def _fetch(
    question: Question,
    pieces: Pieces,
    work: Work | None,
    progress: Callable[[str], None] | None,
) -> bool:
    """Bring in the pages that are missing; whether the service has more rows than were asked for.

    Pages come in this thread, which an interrupt reaches, so that the client can delete its job.
    """
    came = pieces.rows
    # From the first page on the client itself compares what came with what the service counted.
    expected, overflow = (question.count() if came else None), False
    if expected is not None and question.maxrec is not None:
        overflow = expected > question.maxrec
        expected = min(expected, question.maxrec)
    if progress and came:
        progress(f"going on behind {came} rows of {pieces.folder}")
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="jpassed-page") as worker:
        waiting: Future[Piece] | None = None
        for page in question.pages(after=pieces.after, before=came):
            if waiting is not None:
                waiting.result()
            if len(page) == 0:
                continue
            overflow = overflow or "jp_overflow" in page.meta
            waiting = worker.submit(_keep, pieces, page, came, question.keys, work)
            came += len(page)
            if progress:
                progress(f"{came} rows")
        if waiting is not None:
            waiting.result()
    if expected is not None and came != expected:
        raise ServiceError(
            f"{question.client.service.name}: {came} rows came of the {expected} that the service "
            f"counts: the table changed meanwhile. Remove {pieces.folder} to begin anew"
        )
    return overflow


def _keep(
    pieces: Pieces, page: QTable, before: int, keys: tuple[str, ...], work: Work | None
) -> Piece:
    after = [_plain(page[key_column(page, key)][-1]) for key in keys]
    return pieces.add(page if work is None else work(page, before), after)


def _plain(value: Any) -> Any:
    """A key as number or text."""
    value = getattr(value, "value", value)  # of a Quantity
    return value.item() if hasattr(value, "item") else value
