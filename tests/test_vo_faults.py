"""Faults between us and a real server: the right result or one clear error, never a short table.

Queries at once here; jobs are in test_vo_job_faults.py.
"""

from __future__ import annotations

import time
from email.utils import formatdate

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable, Table

from jpassed.exceptions import (
    InputError,
    LoginError,
    QueryError,
    ServiceError,
    TruncatedAnswerError,
)
from jpassed.vo import Service, TapClient
from jpassed.vo.transport import GaveUpError

QUERY = "SELECT object_id, ra, z_spec, flux_auto FROM bulk.galaxies WHERE object_id < 1000300"
SYNC = "POST /tap/sync"


def client(url, **given):
    given = {"cache": False, "retries": 3, "backoff": 0.01, "timeout": 5.0, **given}
    return TapClient(url, **given)


@pytest.fixture(scope="module")
def right(tap):
    """The right answer."""
    table = client(tap.url).run(QUERY, mode="sync")
    assert len(table) == 300
    return table


def same(table, right):
    assert table.colnames == right.colnames and len(table) == len(right)
    order, wanted = np.argsort(table["object_id"]), np.argsort(right["object_id"])
    for name in right.colnames:
        assert np.array_equal(table[name][order], right[name][wanted], equal_nan=True), name


PASSING = {
    "cut at once": lambda proxy, match: proxy.cut(after=0, match=match),
    "cut in the head": lambda proxy, match: proxy.cut(after=700, match=match),
    "cut in the rows": lambda proxy, match: proxy.cut(after=60_000, match=match),
    "reset before": lambda proxy, match: proxy.reset(match=match),
    "reset in the rows": lambda proxy, match: proxy.reset(after=60_000, match=match),
    "answer lost": lambda proxy, match: proxy.lose(match=match),
    "503": lambda proxy, match: proxy.unavailable(match=match, times=2),
    "503 wait": lambda proxy, match: proxy.unavailable(retry_after=1, match=match),
    "502": lambda proxy, match: proxy.unavailable(status=502, match=match, times=3),
    "429": lambda proxy, match: proxy.unavailable(status=429, match=match),
    "500": lambda proxy, match: proxy.unavailable(status=500, match=match),
    "web page": lambda proxy, match: proxy.replace(
        b"<html><title>Down</title></html>", "text/html", match=match
    ),
    "text": lambda proxy, match: proxy.replace(b"a,b\n1,2\n", "text/csv", match=match),
    "wrong type": lambda proxy, match: proxy.wrong_type(match=match, times=9),
    "trickle": lambda proxy, match: proxy.trickle(0.001, 20_000, match=match),
}


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_gives_the_right_answer(fault_proxy, right, fault):
    began = time.monotonic()
    PASSING[fault](fault_proxy, SYNC)
    said = []
    same(client(fault_proxy.url).run(QUERY, mode="sync", progress=said.append), right)
    assert said[-1] == f"{len(right)} rows"
    if fault not in ("wrong type", "trickle"):
        assert "trying again" in said[0]
        assert fault_proxy.count(SYNC) > 1
    if fault == "503 wait":
        assert time.monotonic() - began >= 1.0


def test_several_faults_in_a_row(fault_proxy, right):
    fault_proxy.reset(match=SYNC)
    fault_proxy.unavailable(match=SYNC)
    fault_proxy.cut(after=90_000, match=SYNC)
    same(client(fault_proxy.url).run(QUERY, mode="sync"), right)
    assert fault_proxy.count(SYNC) == 4


LASTING = {
    "cut": (lambda proxy: proxy.cut(after=9_000, times=99), 4, "broke off in the middle"),
    "reset": (lambda proxy: proxy.reset(times=99), 4, "connection was dropped"),
    "503": (lambda proxy: proxy.unavailable(times=99), 4, "HTTP 503 Service Unavailable: |503"),
    "text": (lambda proxy: proxy.replace(b"1,2\n", "text/csv", times=99), 2, "text/csv instead"),
    "redirects": (lambda proxy: proxy.redirect_loop(), 1, "redirects without end"),
}


@pytest.mark.parametrize("fault", LASTING)
@pytest.mark.parametrize("mode", ["sync", "auto"])
def test_what_lasts_gives_one_clear_error(fault_proxy, fault, mode):
    order, tries, said = LASTING[fault]
    order(fault_proxy)
    with pytest.raises(ServiceError, match=said) as caught:
        client(fault_proxy.url).run(QUERY, mode=mode)
    message = str(caught.value)
    assert fault_proxy.url in message and "the query failed" in message
    assert "try again later" in message
    assert fault_proxy.count() == tries
    assert caught.value.__cause__ is None and caught.value.__context__ is None


def test_a_login_page(fault_proxy):
    fault_proxy.login_page(match=SYNC)
    with pytest.raises(
        LoginError, match="a web page titled 'Sign in': it wants a login. Give cred"
    ):
        client(fault_proxy.url).run(QUERY)
    assert fault_proxy.count() == 1


@pytest.mark.parametrize("kind", ["require_login", "require_session"])
def test_a_release_behind_a_login(fault_proxy, right, kind, monkeypatch):
    getattr(fault_proxy, kind)("ann", "pass:word")
    with pytest.raises(LoginError):
        client(fault_proxy.url).run(QUERY)
    monkeypatch.setenv("JPASSED_VO_USER", "ann")
    monkeypatch.setenv("JPASSED_VO_PASSWORD", "pass:word")
    if kind == "require_session":
        from jpassed.vo.login import LoginForm

        form = LoginForm(f"{fault_proxy.base}/login", "username", "password", {})
        monkeypatch.setattr("jpassed.vo.login.login_form", lambda url: form)
        monkeypatch.setattr("jpassed.vo.transport.login_form", lambda url: form)
    for mode in ("sync", "async"):
        same(client(fault_proxy.url).run(QUERY, mode=mode), right)
    monkeypatch.setenv("JPASSED_VO_PASSWORD", "wrong")
    with pytest.raises(LoginError, match="although a login was sent, as ann"):
        client(fault_proxy.url).run(QUERY)


def test_a_stall_shorter_than_the_patience(fault_proxy, right):
    fault_proxy.stall(1.0, after=60_000, match=SYNC)
    same(client(fault_proxy.url, timeout=4.0).run(QUERY, mode="sync"), right)
    assert fault_proxy.count(SYNC) == 1


@pytest.mark.parametrize("after", [None, 0, 60_000], ids=["before", "at once", "in the rows"])
def test_a_stall_longer_than_the_patience(fault_proxy, right, after):
    fault_proxy.stall(30.0, after=after, match=SYNC)
    same(client(fault_proxy.url, timeout=0.5).run(QUERY, mode="sync"), right)
    assert fault_proxy.count(SYNC) == 2


def test_a_service_that_stalls_for_ever(fault_proxy):
    fault_proxy.stall(30.0, times=99)
    with pytest.raises(GaveUpError, match="failed 2 times: no answer within 0.3 s") as caught:
        client(fault_proxy.url, timeout=0.3, retries=1).run(QUERY, mode="sync")
    assert caught.value.timeout


def test_patience_by_default_is_longer_than_half_a_minute():
    assert TapClient("https://a.org/tap")._asking.transport.timeout == 60.0


@pytest.mark.parametrize("after", ["date", "far", "past", "nonsense"])
def test_when_to_try_again(fault_proxy, right, after):
    said = {
        "date": formatdate(time.time() + 2, usegmt=True),
        "far": "86400",
        "past": formatdate(0, usegmt=True),
        "nonsense": "soon",
    }[after]
    began = time.monotonic()
    fault_proxy.unavailable(retry_after=said, match=SYNC)
    if after == "far":
        with pytest.raises(ServiceError, match="It asks to wait 86400 s: try again after that"):
            client(fault_proxy.url).run(QUERY, mode="sync")
        return
    same(client(fault_proxy.url).run(QUERY, mode="sync"), right)
    assert time.monotonic() - began >= (0.9 if after == "date" else 0.0)


def test_a_server_that_is_not_there(tmp_path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/tap"
        with pytest.raises(ServiceError, match="failed 4 times: nothing listens there"):
            client(url).run(QUERY)
    with pytest.raises(ServiceError, match="failed 2 times: the name of the host is not known"):
        client("http://no-such-host.invalid/tap").run(QUERY)


def test_a_query_that_the_server_refuses(tap):
    with pytest.raises(QueryError, match="refuses the query: .*no_such_table"):
        client(tap.url).run("SELECT a FROM no_such_table")
    with pytest.raises(QueryError, match="refuses the query: .*[Cc]ould not parse"):
        client(tap.url).run("SELEKT a FROM bulk.galaxies")


def test_a_place_that_is_no_tap_service(tap):
    with pytest.raises(ServiceError, match="HTTP 404.*Check that the URL is that of a TAP service"):
        client(f"{tap.base}/nothing").run(QUERY)


def test_no_rows(tap, right):
    table = client(tap.url).run(QUERY + " AND object_id < -5")
    assert len(table) == 0 and table.colnames == right.colnames
    for name in right.colnames:
        assert table[name].dtype == right[name].dtype
        assert getattr(table[name], "unit", None) == getattr(right[name], "unit", None)
        assert table[name].info.description == right[name].info.description
        assert table[name].info.meta == right[name].info.meta
    assert table["flux_auto"].shape == (0, 60)
    assert table["ra"].info.meta["ucd"].startswith("pos.eq.ra")


def test_a_row_limit(tap):
    """The server gives 20,000 rows by default, 50,000 at most, and marks a cut."""
    query = "SELECT object_id FROM bulk.galaxies"
    assert client(tap.url).limits() == (20_000, 50_000)
    table = client(tap.url).run(f"{query} WHERE object_id < 1021111")
    assert len(np.unique(table["object_id"])) == 21_111 and "jp_overflow" not in table.meta
    with pytest.raises(TruncatedAnswerError, match="only the first 50000 rows, its own limit"):
        client(tap.url).run(query, mode="sync")
    few = client(tap.url).run(query, maxrec=11)
    assert len(few) == 11 and few.meta["jp_overflow"] is True
    assert len(client(tap.url).run(query, maxrec=0)) == 0
    exact = client(tap.url).run(f"{query} WHERE object_id < 1020000", mode="async")
    assert len(exact) == 20_000 and "jp_overflow" not in exact.meta
    assert client(tap.url).count(query) == 100_000


def test_a_limit_that_is_not_told(fault_proxy):
    """Without its capabilities there is no knowing of more than the default."""
    fault_proxy.replace(b"", status=404, match="capabilities", times=99)
    for mode in ("sync", "async"):
        with pytest.raises(TruncatedAnswerError, match="only the first 20000 rows, its own limit"):
            client(fault_proxy.url).run("SELECT object_id FROM bulk.galaxies", mode=mode)


def test_uploads(tap):
    mine = QTable({"id": [1, 2, 3], "x": [0.1, 1 / 3, -1e-300], "name": ["a", "é", "it's"]})
    mine["mag"] = [1.0, 2.0, 3.0] * u.mag(u.AB)
    mine["w"] = np.ma.array([1.5, 2.5, 3.5], mask=[0, 1, 0])
    for mode in ("sync", "async"):
        table = client(tap.url).run(
            "SELECT * FROM TAP_UPLOAD.mine ORDER BY id", uploads={"mine": mine}, mode=mode
        )
        assert table["mag"].unit == u.mag and table["mag"][2].value == 3.0
        assert list(table["x"]) == list(mine["x"])
        assert list(table["name"]) == ["a", "é", "it's"]
        assert list(table["w"].mask) == [False, True, False] and table["w"][2] == 3.5


@pytest.mark.parametrize(
    ("name", "table", "said"),
    [
        ("tap upload", Table({"a": [1]}), "a name that ADQL can write"),
        ("mine", Table({"a": [True]}), "make 'a' of the upload 'mine' integers"),
        ("mine", Table({"a": np.zeros(0)}), "has no rows"),
        ("mine", Table({"a": [{}]}), "the table to upload as 'mine' cannot be written"),
    ],
)
def test_what_cannot_be_uploaded(name, table, said):
    with pytest.raises(InputError, match=said):
        client("http://127.0.0.1:1/tap").run("SELECT 1", uploads={name: table})


def test_pages_of_a_real_server_with_faults_on_the_way(fault_proxy):
    """40,000 rows past a limit of 15,000, along keys that are not unique."""
    service = Service("bulk", fault_proxy.url, sync_rows=15_000)
    fault_proxy.cut(after=90_000, match=SYNC)
    fault_proxy.unavailable(match=SYNC)
    query = (
        "SELECT object_id, ROUND(ra, 2) AS r, ROUND(dec, 1) AS d FROM bulk.galaxies "
        "WHERE object_id < 1040000"
    )
    pages = list(client(service).pages(query, keys=["r", "d"], rows=99_000))
    assert len(pages) > 2 and all(len(page) <= 15_000 for page in pages)
    ids = np.concatenate([page["object_id"] for page in pages])
    assert np.array_equal(np.sort(ids), np.arange(1_000_000, 1_040_000))
    r = np.concatenate([page["r"].value for page in pages])
    assert (np.diff(r) >= 0).all()
    assert len(np.unique(r)) < len(r)


def test_nothing_is_lost_where_keys_are_null(tap):
    with pytest.raises((ServiceError, InputError), match="NULL"):
        list(client(tap.url).pages("SELECT z_spec FROM bulk.galaxies", keys=["z_spec"], rows=9000))


def test_begin_in_the_middle(tap):
    query = "SELECT object_id FROM bulk.galaxies"
    pages = client(tap.url).pages(query, keys=["object_id"], rows=3000, after=(1_091_999,))
    ids = np.concatenate([page["object_id"] for page in pages])
    assert np.array_equal(ids, np.arange(1_092_000, 1_100_000))


def test_a_page_that_is_too_small(tap):
    pages = client(tap.url).pages(
        "SELECT ROUND(ra, 0) AS r FROM bulk.galaxies", keys=["r"], rows=500
    )
    with pytest.raises(TruncatedAnswerError, match="500 rows or more share r = "):
        list(pages)
