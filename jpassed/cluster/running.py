"""A Dask cluster, brought or made here, and the parts of a catalogue on it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jpassed import exceptions
from jpassed.cluster.parts import write_part
from jpassed.exceptions import (
    FileError,
    InputError,
    JpassedError,
    MissingDependencyError,
    ServiceError,
)
from jpassed.io.texts import one_line

__all__ = ["Outcome", "cluster_client", "outcome_of", "run_parts"]

logger = logging.getLogger(__name__)

CONNECT_SECONDS, WORKERS_SECONDS = 30, 300
RETRIES = 2
"""How often a part is tried again after an error of the system (a file that cannot be read)."""


@dataclass(frozen=True)
class Outcome:
    """What a worker says of a part.

    Attributes
    ----------
    rows : int
    messages : tuple of str
        On its values.
    error : tuple of str or None
        Class and message of a `JpassedError`. Exceptions with arguments of their own do not
        always survive the way between processes.
    """

    rows: int
    messages: tuple[str, ...] = ()
    error: tuple[str, str] | None = None


def outcome_of(*arguments: Any) -> Outcome:
    """`write_part`, with what was wrong with the rows as part of the outcome."""
    try:
        rows, messages = write_part(*arguments)
    except FileError:
        raise  # may be another time, or on another machine
    except JpassedError as exc:
        return Outcome(0, (), (type(exc).__name__, str(exc)))
    return Outcome(rows, tuple(messages))


@contextmanager
def cluster_client(scheduler: str | None = None, workers: int | None = None) -> Iterator[Any]:
    """A client of a Dask cluster.

    Parameters
    ----------
    scheduler : str, optional
        Address of a cluster, e.g. ``"tcp://host:8786"``, or path of its scheduler file. A cluster
        of processes on this machine is made and ended without.
    workers : int, optional
        Processes of that; as many as processors by default.

    Yields
    ------
    distributed.Client

    Raises
    ------
    ServiceError
        If the cluster cannot be reached, or has no workers.
    MissingDependencyError
        Without Dask.
    InputError
        If both arguments are given.
    """
    if scheduler is not None and workers is not None:
        raise InputError("workers: a cluster that is there has its own; leave out one of both")
    try:
        import dask
        import distributed
    except ImportError as exc:
        raise MissingDependencyError(
            "clusters need Dask: python -m pip install 'jpassed[distributed]'"
        ) from exc
    if scheduler is None:
        n = workers if workers is not None else os.cpu_count() or 1
        # Dask's profiler stops the worker's threads a hundred times a second, for nobody.
        with (
            dask.config.set({"distributed.worker.profile.enabled": False}),
            distributed.LocalCluster(
                n_workers=n,
                threads_per_worker=1,
                processes=True,
                dashboard_address="127.0.0.1:0",  # not for the whole network
                silence_logs=logging.CRITICAL,
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client
        return
    try:
        if Path(scheduler).is_file():
            connected = distributed.Client(scheduler_file=scheduler, timeout=CONNECT_SECONDS)
        else:
            connected = distributed.Client(scheduler, timeout=CONNECT_SECONDS)
    except (OSError, ValueError, TimeoutError) as exc:
        raise ServiceError(
            f"no Dask scheduler answers at {scheduler}: {one_line(exc) or type(exc).__name__}"
        ) from exc
    with connected as client:
        try:
            client.wait_for_workers(1, timeout=WORKERS_SECONDS)
        except TimeoutError as exc:
            raise ServiceError(
                f"the Dask cluster at {scheduler} has no workers after {WORKERS_SECONDS} s"
            ) from exc
        yield client


def run_parts(
    futures: Mapping[Any, str],
    *,
    total: int,
    read: Callable[[Any], Outcome] = lambda result: result,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Wait for parts, in the order in which they are done.

    Parameters
    ----------
    futures : mapping
        Future of each part to its name.
    total : int
        Rows of all of them.
    read : callable, optional
        Makes an `Outcome` of a result.
    progress : callable, optional
        Called with rows that are done, and `total`.

    Returns
    -------
    int
        Rows.

    Raises
    ------
    JpassedError
        The first that a part ends with; the others are given up.
    """
    from distributed import as_completed

    names = dict(futures)
    done = 0
    told: set[str] = set()
    values = logging.getLogger("jpassed.annotation.task")
    try:
        for future in as_completed(list(names)):
            name = names.pop(future)
            outcome = _outcome(future, name, read)
            if outcome.error is not None:
                kind, text = outcome.error
                raise getattr(exceptions, kind, InputError)(f"{name}: {text}")
            for message in outcome.messages:
                if message not in told:
                    values.warning(message)
                    told.add(message)
            done += outcome.rows
            if progress is not None:
                progress(done, total)
    finally:
        if names:
            next(iter(names)).client.cancel(list(names))
    return done


def _outcome(future: Any, name: str, read: Callable[[Any], Outcome]) -> Outcome:
    from distributed import KilledWorker

    try:
        return read(future.result())
    except KilledWorker as exc:
        raise FileError(
            f"{name}: every worker that tried it was lost, most likely for want of memory; use "
            "fewer or larger workers, or smaller partitions"
        ) from exc
    except JpassedError as exc:
        raise type(exc)(f"{name}: {exc}") from exc
    except Exception as exc:
        raise FileError(f"{name}: {type(exc).__name__}: {_innermost(exc)}") from exc


def _innermost(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return one_line(error)
