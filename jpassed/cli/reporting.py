"""What a command tells its user while it runs: log lines, warnings, a progress bar."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

logger = logging.getLogger(__name__)

EVERY = 30.0
"""Seconds between two lines on the progress."""

Progress = Callable[[int, int], None]
Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class Reporting:
    """
    How much a run tells: ``--verbose`` and ``--debug``, given before or after the command.

    Warnings of the libraries beneath jpassed are shown only when asked for; those of jpassed itself
    are log lines, and always shown.
    """

    def __init__(self) -> None:
        self.debug = False
        self._package = logging.getLogger("jpassed")
        self._libraries = logging.getLogger("py.warnings")
        self._level_before = self._package.level
        self._handler = logging.StreamHandler(sys.stderr)
        self._handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        self._package.addHandler(self._handler)
        # pyvo logs through the root logger, which gets a handler of its own at the first such
        # line unless it has one: everything would be shown twice.
        self._nowhere = logging.NullHandler()
        logging.getLogger().addHandler(self._nowhere)
        logging.captureWarnings(True)

    @classmethod
    def of(cls, ctx: click.Context) -> Reporting:
        """The one instance of a run, kept on the outermost context."""
        root = ctx.find_root()
        if not isinstance(root.obj, cls):
            root.obj = cls()
            root.call_on_close(root.obj.close)
        return root.obj

    def close(self) -> None:
        """Leave logging as it was found."""
        logging.getLogger().removeHandler(self._nowhere)
        self._package.removeHandler(self._handler)
        self._package.setLevel(self._level_before)
        self._libraries.removeHandler(self._handler)
        logging.captureWarnings(False)

    def raise_level(self, *, verbose: bool = False, debug: bool = False) -> None:
        """Show what jpassed does (``verbose``), and its debugging lines as well (``debug``)."""
        self.debug |= debug
        if verbose or debug:
            self._package.setLevel(logging.DEBUG if self.debug else logging.INFO)
            self._libraries.addHandler(self._handler)


def _verbose(ctx: click.Context, _: click.Parameter, given: bool) -> None:
    Reporting.of(ctx).raise_level(verbose=given)


def _debug(ctx: click.Context, _: click.Parameter, given: bool) -> None:
    Reporting.of(ctx).raise_level(debug=given)


def reporting_options(command: Decorated) -> Decorated:
    """Add ``--verbose`` and ``--debug``."""
    for name, callback, said in (
        ("--debug", _debug, "Show the traceback of an error, and debugging log lines."),
        ("--verbose", _verbose, "Show what is done, and warnings of the libraries used."),
    ):
        option = click.option(
            name, is_flag=True, expose_value=False, is_eager=True, callback=callback, help=said
        )
        command = option(command)
    return command


@contextmanager
def progress_bar(unit: str) -> Iterator[Progress | None]:
    """
    A progress bar on stderr, where stderr is a terminal; with --verbose elsewhere a line at times.

    Both tell the rate and the time left.

    Parameters
    ----------
    unit : str
        What is counted, e.g. ``"objects"``.

    Yields
    ------
    callable or None
        To be called with the number done and the total, 0 where nobody knows; None where nothing
        is to be told.
    """
    if not sys.stderr.isatty():
        yield _Lines(unit) if logger.isEnabledFor(logging.INFO) else None
        return
    from tqdm import tqdm

    with tqdm(unit=f" {unit}", file=sys.stderr, leave=False) as bar:

        def advance(done: int, total: int) -> None:
            bar.total = total or None  # 0: nobody knows yet
            bar.update(done - bar.n)
            if done >= total > 0:
                bar.refresh()  # tqdm skips updates that follow each other closely

        yield advance


class _Lines:
    """Progress as lines of the log, not more than one in `EVERY` seconds."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._began = self._told = time.monotonic()
        self._first: int | None = None

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self._first is None:
            self._began, self._first = now, done
        if now - self._told < EVERY:
            return
        self._told = now
        rate = (done - self._first) / max(now - self._began, 1e-9)
        left = ""
        if total and rate:
            left = f", {max(total - done, 0) / rate / 60:.0f} min left"
        of = f" of {total:,}" if total else ""
        logger.info("%s%s %s, %s/s%s", f"{done:,}", of, self._unit, f"{rate:,.0f}", left)
