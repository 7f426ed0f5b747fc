"""The cluster that jpassed makes itself."""

from __future__ import annotations

import pytest

from jpassed.cluster.running import cluster_client

pytest.importorskip("distributed")
psutil = pytest.importorskip("psutil")


def listening():
    """Sockets of this process and of those that it started."""
    mine = psutil.Process()
    return {
        (process.pid, socket.laddr)
        for process in (mine, *mine.children(recursive=True))
        for socket in process.net_connections(kind="tcp")
        if socket.status == psutil.CONN_LISTEN
    }


def test_nothing_of_it_can_be_reached_from_other_machines():
    before = listening()
    with cluster_client(workers=1) as client:
        client.wait_for_workers(1)
        sockets = listening() - before
    assert len(sockets) > 2
    assert {address.ip for _, address in sockets} <= {"127.0.0.1", "::1"}
