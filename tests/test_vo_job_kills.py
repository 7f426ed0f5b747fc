"""A run that is interrupted deletes its job; one that is killed is gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest
import requests

from jpassed.vo import TapClient
from jpassed.vo.cache import AnswerCache, key_of

# Some seconds of work for the database.
SLOW = (
    "SELECT COUNT(*) AS n FROM bulk.galaxies AS a JOIN bulk.galaxies AS b "
    "ON SQRT(a.ra) < SQRT(b.ra) WHERE a.object_id < {}"
)
SUBMIT = "POST /tap/async$"


def start(url, query, cache):
    """A process that runs the query as a job and prints what happens."""
    script = f"""
        import logging, sys
        from pathlib import Path
        from jpassed.vo import TapClient
        logging.basicConfig(level=logging.INFO, stream=sys.stdout)
        client = TapClient({url!r}, cache=Path({str(cache)!r}))
        table = client.run({query!r}, mode="async", progress=lambda text: print(text, flush=True))
        print("rows", len(table), flush=True)
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ},
    )  # fmt: skip


def executing(process):
    """Read its output until the job runs; the job's URL."""
    url = ""
    for line in process.stdout:
        if line.startswith("job "):
            url = line.split()[1]
        if line.startswith("executing"):
            return url
    raise AssertionError(f"it ended before its job ran: {url}")


def phase(url):
    return requests.get(f"{url}/phase", timeout=30).text


def test_ctrl_c_deletes_the_job(tap, tmp_path):
    process = start(tap.url, SLOW.format(1002003), tmp_path)
    url = executing(process)
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode not in (0, None)
    assert "KeyboardInterrupt" in rest and "interrupted: deleting the job" in rest
    assert requests.get(url, timeout=30).status_code == 404
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["phase", r"\w+$", "results/result"])
def test_ctrl_c_at_each_step(fault_proxy, step):
    """The signal comes while an answer is waited for."""
    interrupt = lambda: os.kill(os.getpid(), signal.SIGINT)  # noqa: E731
    fault_proxy.call(interrupt, match=f"/tap/async/.*{step}")
    said = []
    with pytest.raises(KeyboardInterrupt):
        client = TapClient(fault_proxy.url, cache=False)
        client.run("SELECT COUNT(*) AS n FROM galex.ais", mode="async", progress=said.append)
    assert said[-1] == "interrupted: deleting the job"
    assert requests.get(said[0].removeprefix("job "), timeout=30).status_code == 404


def test_kill_9_and_the_same_query_again(fault_proxy, tmp_path):
    query = SLOW.format(1000301)
    process = start(fault_proxy.url, query, tmp_path)
    url = executing(process)
    process.kill()
    process.communicate()
    (state,) = tmp_path.iterdir()
    assert json.loads(state.read_text())["job_url"] == url
    assert state.stat().st_mode & 0o777 == 0o600
    said = []
    client = TapClient(fault_proxy.url, cache=tmp_path)
    # Written in another way, it is the same query.
    table = client.run(f"{query} -- again\n;", mode="async", progress=said.append)
    assert said[0] == f"going on with the job {url}"
    assert table["n"][0] > 0 and len(table) == 1
    assert fault_proxy.count(SUBMIT) == 1
    assert requests.get(url, timeout=30).status_code == 404
    assert [path.suffix for path in tmp_path.iterdir()] == [".vot"]


def test_kill_9_and_resume_by_url(tap, tmp_path):
    process = start(tap.url, SLOW.format(1000304), tmp_path)
    url = executing(process)
    process.kill()
    process.communicate()
    table = TapClient(tap.url, cache=False).resume(url)
    assert len(table) == 1 and "1000304" in table.meta["jp_query"]


def test_two_runs_of_one_query_do_not_share_a_job(fault_proxy, tmp_path):
    """Each would delete the other's."""
    query = SLOW.format(1000105)
    process = start(fault_proxy.url, query, tmp_path)
    url = executing(process)
    said = []
    TapClient(fault_proxy.url, cache=tmp_path).run(query, mode="async", progress=said.append)
    assert said[0].startswith("job ") and url not in said[0]
    rest, _ = process.communicate(timeout=120)
    assert "rows 1" in rest and process.returncode == 0
    assert fault_proxy.count(SUBMIT) == 2


def test_two_threads_with_one_query(fault_proxy, tmp_path):
    query = SLOW.format(1000056)
    client = TapClient(fault_proxy.url, cache=tmp_path)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(client.run(query, mode="async")))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2 and found[0]["n"][0] == found[1]["n"][0]
    assert fault_proxy.count(SUBMIT) == 2


def test_a_server_that_is_killed_while_the_job_runs(fault_proxy, tap):
    said = []

    def listen(text):
        said.append(text)
        if text.startswith("executing") and "killed" not in said:
            said.append("killed")
            tap.kill_web()
            threading.Thread(target=lambda: (time.sleep(0.5), tap.start_web())).start()

    client = TapClient(fault_proxy.url, cache=False, retries=8, timeout=10.0)
    table = client.run(SLOW.format(1000307), mode="async", progress=listen)
    assert "killed" in said and table["n"][0] > 0


@pytest.mark.parametrize("left", ["gone", "of another place", "damaged", "failed"])
def test_a_job_that_is_of_no_use_any_more(tap, tmp_path, left):
    query = "SELECT COUNT(*) AS n FROM galex.ais"
    client = TapClient(tap.url, cache=tmp_path)
    if left == "failed":
        note = {"job_url": failed_job(tap)}
    else:
        note = {
            "gone": {"job_url": f"{tap.url}/async/nosuchjob"},
            "of another place": {"job_url": "http://elsewhere.invalid/tap/async/x"},
            "damaged": {"job": 7},
        }[left]
    cache = AnswerCache(tmp_path)
    cache.keep_job(key_of(tap.url, query, "", None, False, ""), note)
    assert len(list(tmp_path.iterdir())) == 1
    assert client.run(query, mode="async")["n"][0] > 0
    if left == "failed":
        assert requests.get(note["job_url"], timeout=30).status_code == 404
    assert [path.suffix for path in tmp_path.iterdir()] == [".vot"]


def failed_job(tap):
    data = {"REQUEST": "doQuery", "LANG": "ADQL", "QUERY": "SELECT a FROM nowhere"}
    url = requests.post(f"{tap.url}/async", data=data, timeout=30).url
    requests.post(f"{url}/phase", data={"PHASE": "RUN"}, timeout=30)
    while phase(url) != "ERROR":
        time.sleep(0.1)
    return url
