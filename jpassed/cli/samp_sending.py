"""``--samp``: a file that was written goes to the programs on the SAMP hub."""

from __future__ import annotations

from pathlib import Path

import click


def check_hub() -> None:
    """
    Refuse before any work is done where there is no hub.

    Raises
    ------
    ServiceError
        There is none, or it cannot be spoken to.
    """
    from jpassed.samp.connection import connect, disconnect

    disconnect(connect("Looks whether there is a hub."))


def send_to_hub(path: Path) -> None:
    """
    Send a table file to every program on the hub, and say what each of them said.

    Raises
    ------
    ServiceError
        There is no hub any more, or nobody on it takes tables.
    """
    from jpassed.samp import broadcast

    for client, said in broadcast(path).items():
        click.echo(f"{client}: {said}")
