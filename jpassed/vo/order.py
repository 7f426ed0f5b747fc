"""One query with all that belongs to it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

from jpassed.vo.adql import top_of
from jpassed.vo.transport import Progress
from jpassed.vo.uploads import Uploads

__all__ = ["Order", "empty", "scratch"]


@dataclass(frozen=True)
class Order:
    """One query.

    Attributes
    ----------
    query : str
        As it is sent.
    uploads : Uploads
    maxrec : int or None
        Rows at most, if the user said so.
    key : str
        Its name in the cache.
    progress : callable or None
    part : bool
        Whether fewer rows than asked for will do.
    """

    query: str
    uploads: Uploads
    maxrec: int | None
    key: str
    progress: Progress | None
    part: bool = False

    @property
    def top(self) -> int | None:
        """TOP n of the query."""
        return top_of(self.query)

    def say(self, text: str) -> None:
        """Tell the user how far it is."""
        if self.progress:
            self.progress(text)

    def lacks_rows(self, rows: int, cut: bool, limits: Iterable[int | None]) -> bool:
        """Whether an answer lacks rows that were asked for.

        Parameters
        ----------
        rows : int
        cut : bool
            Whether the service says so (OVERFLOW).
        limits : iterable of int or None
            Its limits: some services cut there and do not say so.
        """
        if self.part:
            return False
        if cut:
            return self.maxrec is None or rows < self.maxrec
        return rows > 0 and rows in set(limits) and rows not in (self.maxrec, self.top)


def scratch() -> BinaryIO:
    """A file without a name for an answer that is being fetched."""
    return tempfile.TemporaryFile(prefix="jpassed-tap-")  # type: ignore[return-value]


def empty(stream: BinaryIO) -> None:
    """Make room for another try."""
    stream.seek(0)
    stream.truncate()
