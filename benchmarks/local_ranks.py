"""Trainings of several ranks on this machine: for benchmarks, tools and tests alike."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

__all__ = ["all_succeed", "held_port", "start_ranks"]


@contextmanager
def held_port() -> Iterator[tuple[str, int]]:
    """A free port, and the descriptor of a socket that keeps it for processes which inherit it.

    The socket is bound and does not listen: nobody else is given its port, and the first rank may
    listen on it, as it sets ``SO_REUSEADDR``.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("", 0))
        yield str(held.getsockname()[1]), held.fileno()


def start_ranks(command: Sequence[str], count: int, **options: Any) -> list[subprocess.Popen[Any]]:
    """Start a command once a rank, with the environment that torchrun sets and one thread each.

    Parameters
    ----------
    command : sequence of str
    count : int
    **options
        Of `subprocess.Popen`.
    """
    with held_port() as (port, holder):
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(count)}
        shared["OMP_NUM_THREADS"] = "1"
        return [
            subprocess.Popen(
                list(command),
                env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                pass_fds=(holder,),
                **options,
            )
            for rank in range(count)
        ]


def all_succeed(ranks: Sequence[subprocess.Popen[Any]]) -> bool:
    """Wait for all ranks; one that fails ends the others, as they would wait for it."""
    while any(rank.poll() is None for rank in ranks):
        if any(rank.returncode for rank in ranks):
            for rank in ranks:
                rank.kill()
        time.sleep(0.05)
    return not any(rank.returncode for rank in ranks)
