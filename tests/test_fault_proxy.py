"""The proxy hands on what the server says, and each of its faults is what it claims to be."""

from __future__ import annotations

import time

import pytest
import requests
from fault_proxy import FaultProxy
from tap_server import TapServer

pyvo = pytest.importorskip("pyvo")
QUERY = "SELECT TOP 200 * FROM minijpas.magabdualobj"
SYNC = {"REQUEST": "doQuery", "LANG": "ADQL", "QUERY": QUERY}


def get(proxy: FaultProxy, **options) -> requests.Response:
    return requests.get(proxy.url + "/sync", params=SYNC, **options)


def test_hands_on_answers_and_counts_requests(fault_proxy, tap: TapServer) -> None:
    direct = requests.get(tap.url + "/sync", params=SYNC).content
    through = get(fault_proxy)
    there, here = tap.base.encode(), fault_proxy.base.encode()
    assert through.content == direct.replace(there, here)
    assert fault_proxy.count("GET /tap/sync") == 1
    assert fault_proxy.count("POST") == 0


def test_jobs_keep_going_through_the_proxy(fault_proxy) -> None:
    job = pyvo.dal.TAPService(fault_proxy.url).submit_job("SELECT TOP 5 * FROM galex.fields")
    assert job.url.startswith(fault_proxy.base)
    job.run().wait(timeout=60)
    assert len(job.fetch_result()) == 5
    job.delete()
    assert fault_proxy.count("DELETE|action=DELETE|POST /tap/async/.*") > 0
    assert fault_proxy.count("results/result") > 0


def test_uploads_go_through(fault_proxy) -> None:
    from astropy.table import Table

    found = pyvo.dal.TAPService(fault_proxy.url).run_sync(
        "SELECT COUNT(*) AS n FROM TAP_UPLOAD.mine", uploads={"mine": Table({"x": [1.0, 2.0]})}
    )
    assert found["n"][0] == 2


def test_cut_breaks_the_promise_of_the_length(fault_proxy) -> None:
    fault_proxy.cut(after=1000)
    answer = get(fault_proxy, stream=True)
    assert int(answer.headers["Content-Length"]) > 1000
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        _ = answer.content
    assert get(fault_proxy).ok


@pytest.mark.parametrize("after", [None, 1000])
def test_reset(fault_proxy, after) -> None:
    fault_proxy.reset(after)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)) as e:
        get(fault_proxy)
    assert "reset by peer" in str(e.value)
    assert get(fault_proxy).ok


@pytest.mark.parametrize("after", [None, 1000])
def test_stall(fault_proxy, after) -> None:
    fault_proxy.stall(30.0, after)
    with pytest.raises(requests.RequestException, match="timed out"):
        get(fault_proxy, timeout=0.3)
    begun = time.monotonic()
    fault_proxy.close()  # ends the stall
    assert time.monotonic() - begun < 20


def test_trickle_delivers_everything_slowly(fault_proxy) -> None:
    whole = get(fault_proxy).content
    fault_proxy.trickle(0.01, chunk=len(whole) // 20)
    begun = time.monotonic()
    assert get(fault_proxy).content == whole
    assert time.monotonic() - begun >= 0.2


def test_unavailable_for_the_next_n(fault_proxy) -> None:
    fault_proxy.unavailable(retry_after=1, times=2)
    statuses = [get(fault_proxy) for _ in range(3)]
    assert [s.status_code for s in statuses] == [503, 503, 200]
    assert statuses[0].headers["Retry-After"] == "1"


def test_wrong_type_login_page_and_replacement(fault_proxy) -> None:
    whole = get(fault_proxy).content
    fault_proxy.wrong_type("image/png")
    fault_proxy.login_page()
    fault_proxy.replace(b"<VOTABLE/>", status=400)
    first, second, third = (get(fault_proxy) for _ in range(3))
    assert (first.content, first.headers["Content-Type"]) == (whole, "image/png")
    assert second.status_code == 200
    assert "password" in second.text
    assert (third.status_code, third.content) == (400, b"<VOTABLE/>")


def test_redirect_loop(fault_proxy) -> None:
    fault_proxy.redirect_loop(match="/sync")
    with pytest.raises(requests.TooManyRedirects):
        get(fault_proxy)
    assert requests.get(fault_proxy.url + "/availability").ok


def test_faults_choose_their_requests(fault_proxy) -> None:
    called = []
    fault_proxy.unavailable(match="availability")
    fault_proxy.call(lambda: called.append(1), match="GET /tap/sync")
    assert get(fault_proxy).ok
    assert called == [1]
    assert requests.get(fault_proxy.url + "/availability").status_code == 503


def test_basic_login(fault_proxy) -> None:
    fault_proxy.require_login("ada", "secret")
    refused = get(fault_proxy)
    assert refused.status_code == 401
    assert "Basic" in refused.headers["WWW-Authenticate"]
    assert get(fault_proxy, auth=("ada", "wrong")).status_code == 401
    assert get(fault_proxy, auth=("ada", "secret")).ok
    declared = requests.get(fault_proxy.url + "/capabilities").text
    assert "ivo://ivoa.net/sso#BasicAA" in declared


def test_session_login(fault_proxy) -> None:
    fault_proxy.require_session("ada", "secret")
    assert "password" in get(fault_proxy).text
    with requests.Session() as session:
        form = {"username": "ada", "password": "secret"}
        assert session.post(fault_proxy.base + "/login", data=form).ok
        answer = session.get(fault_proxy.url + "/sync", params=SYNC)
        assert answer.headers["Content-Type"].startswith("application/x-votable")


def test_a_dead_server_is_a_reset(fault_proxy, tap: TapServer) -> None:
    fault_proxy.call(tap.kill_web)
    try:
        with pytest.raises(requests.ConnectionError):
            get(fault_proxy)
    finally:
        tap.start_web()
    assert get(fault_proxy).ok
