"""Faults while a job is sent, watched and fetched: the right result or one clear error."""

from __future__ import annotations

import threading
import time

import pytest
import requests
from pyvo.dal import TAPService
from test_vo_faults import PASSING, QUERY, client, same

from jpassed.exceptions import InputError, LoginError, QueryError, ServiceError
from jpassed.vo import TapClient

SUBMIT = "POST /tap/async$"
START = "POST /tap/async/.*/phase"
LOOK = r"GET /tap/async/\w+$"
FETCH = "GET /tap/async/.*/results/result"
DELETE = "DELETE /tap/async/"
STEPS = {"sending": SUBMIT, "starting": START, "looking": LOOK, "fetching": FETCH}


@pytest.fixture(scope="module")
def right(tap):
    """The right answer."""
    return client(tap.url).run(QUERY, mode="sync")


@pytest.fixture
def no_job_stays(tap):
    """Nothing of a test may stay behind on the server."""
    before = jobs_of(tap)
    yield
    assert jobs_of(tap) - before == set()


def jobs_of(tap):
    """The server's jobs of the queries here: other test runs may use it too."""
    found = set()
    for job in TAPService(tap.url).get_job_list():
        text = requests.get(f"{tap.url}/async/{job.jobid}", timeout=30).text
        if "bulk.galaxies WHERE object_id &lt; 1000300" in text or "no_such_table" in text:
            found.add(job.jobid)
    return found


GROUPS = {
    "cuts": ["cut at once", "cut in the head", "cut in the rows"],
    "resets": ["reset before", "reset in the rows", "answer lost"],
    "statuses": ["503", "502", "429", "500", "503 wait"],
    "bodies": ["web page", "wrong type"],
    "slow": ["text", "trickle"],
}


@pytest.mark.parametrize("group", GROUPS)
def test_what_passes_gives_the_right_answer(fault_proxy, right, no_job_stays, group):
    """The same faults, one after the other, at every step."""
    for step in STEPS.values():
        for fault in GROUPS[group]:
            PASSING[fault](fault_proxy, step)
    same(client(fault_proxy.url, retries=9).run(QUERY, mode="async"), right)
    assert fault_proxy.count(DELETE) >= 1


def test_every_fault_is_in_a_group():
    assert sorted(sum(GROUPS.values(), [])) == sorted(PASSING)


@pytest.mark.parametrize("step", STEPS)
def test_a_stall(fault_proxy, right, step):
    """A submission that stalls is handed on late: its job is deleted, or never runs."""
    fault_proxy.stall(0.9, match=STEPS[step])
    same(client(fault_proxy.url, timeout=0.5).run(QUERY, mode="async"), right)


LASTING = {
    "sending": "sending the job failed 3 times: the connection was dropped",
    "starting": "starting the job failed 3 times: the connection was dropped",
    "looking": "looking at the job failed 3 times: .* go on later with the job URL http",
    "fetching": "fetching the result failed 3 times: .* fetch it later with the job URL http",
}


@pytest.mark.parametrize("step", STEPS)
def test_what_lasts_gives_one_clear_error_and_can_be_gone_on_with(
    fault_proxy, right, no_job_stays, tmp_path, step
):
    fault_proxy.reset(match=STEPS[step], times=3)
    asking = client(fault_proxy.url, retries=2, cache=tmp_path)
    with pytest.raises(ServiceError, match=LASTING[step]) as caught:
        asking.run(QUERY, mode="async")
    assert caught.value.__cause__ is None and caught.value.__context__ is None
    # The fault is over: the same query goes on with the same job.
    same(asking.run(QUERY, mode="async"), right)
    assert fault_proxy.count(SUBMIT) == (4 if step == "sending" else 1)
    assert [path.suffix for path in tmp_path.iterdir()] == [".vot"]


@pytest.mark.parametrize("step", ["sending", "looking", "fetching"])
def test_a_login_page(fault_proxy, right, no_job_stays, tmp_path, step):
    """Who logs in then, goes on with the same job."""
    fault_proxy.login_page(match=STEPS[step])
    asking = client(fault_proxy.url, cache=tmp_path)
    with pytest.raises(LoginError, match="a web page titled 'Sign in': it wants a login"):
        asking.run(QUERY, mode="async")
    same(asking.run(QUERY, mode="async"), right)
    assert fault_proxy.count(SUBMIT) == (2 if step == "sending" else 1)


def test_a_submission_whose_answer_is_lost_makes_one_job(fault_proxy, right, no_job_stays):
    fault_proxy.lose(match=SUBMIT)
    same(client(fault_proxy.url).run(QUERY, mode="async"), right)
    # The job was there already: it was found in the server's list, and no other sent.
    assert fault_proxy.count(SUBMIT) == 1


def test_a_submission_that_arrives_late_is_deleted(fault_proxy, right, no_job_stays):
    """The stalled first submission makes its job while the second one is being fetched."""
    fault_proxy.stall(1.0, match=SUBMIT)
    fault_proxy.stall(1.0, match=FETCH)
    same(client(fault_proxy.url, timeout=0.6).run(QUERY, mode="async"), right)
    assert fault_proxy.count(SUBMIT) == 2


def test_a_job_that_runs_is_not_started_again(fault_proxy, right, no_job_stays):
    """The server starts it, its answer is lost: a second start would make the job fail."""
    fault_proxy.lose(match=START)
    same(client(fault_proxy.url).run(QUERY, mode="async"), right)
    assert fault_proxy.count(START) == 1


def test_a_bad_query_leaves_no_job(fault_proxy, no_job_stays):
    with pytest.raises(QueryError, match="refuses the query: .*no_such_table"):
        client(fault_proxy.url).run("SELECT a FROM no_such_table", mode="async")
    assert fault_proxy.count(START) <= 1 and fault_proxy.count(SUBMIT) == 1


def test_the_timeout_of_a_query_at_once_makes_it_a_job(fault_proxy, right, no_job_stays):
    fault_proxy.stall(30.0, match="POST /tap/sync")
    said = []
    same(client(fault_proxy.url, timeout=0.5).run(QUERY, progress=said.append), right)
    assert said[0] == "no answer within 0.5 s; asking again as a job"
    assert fault_proxy.count("POST /tap/sync") == 1 and fault_proxy.count(SUBMIT) == 1


def test_progress_says_what_happens(tap, right):
    said = []
    client(tap.url).run(QUERY, mode="async", progress=said.append)
    assert said[0].startswith(f"job {tap.url}/async/")
    assert said[-1] == "300 rows"
    assert any(text.startswith(("queued", "executing", "completed")) for text in said[1:-1])


def submitted(tap):
    """The address of a job that somebody else has sent, at the address the server gives it."""
    return TAPService(tap.url).submit_job(QUERY).url


def test_resume(tap, right, no_job_stays):
    url = submitted(tap)
    table = client(tap.url).resume(url)
    same(table, right)
    assert table.meta["jp_query"] == QUERY and table.meta["jp_service"] == tap.url
    with pytest.raises(ServiceError, match="there is no job .*fetched already; send the query"):
        client(tap.url).resume(url)


@pytest.mark.parametrize(
    "url", ["http://elsewhere.org/tap/async/x", "http://127.0.0.1/tap/sync", "j7", ""]
)
def test_what_is_no_job_of_the_service(tap, url):
    with pytest.raises(InputError, match="has a URL like .*/async/JOB"):
        client(tap.url).resume(url)


def killer(tap):
    """Kills the web server, and starts it again a little later."""

    def kill():
        tap.kill_web()
        threading.Thread(target=lambda: (time.sleep(0.5), tap.start_web())).start()

    return kill


@pytest.fixture
def back_again(tap):
    """The web server is up again after the test, whatever happens."""
    yield
    for _ in range(200):
        try:
            if requests.get(f"{tap.url}/availability", timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    tap.start_web()


@pytest.mark.parametrize("step", STEPS)
def test_a_server_that_is_killed_and_restarted(fault_proxy, tap, right, back_again, step):
    """Whether its jobs live on or not."""
    fault_proxy.call(killer(tap), match=STEPS[step])
    asking = TapClient(fault_proxy.url, cache=False, retries=8, timeout=10.0)
    same(asking.run(QUERY, mode="async"), right)
