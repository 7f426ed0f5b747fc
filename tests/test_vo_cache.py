"""Answers that are kept: found again, never believed when damaged, and never in the way."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from io import BytesIO

import pytest
from astropy.table import Table
from canned_service import Reply, failure, serving, votable
from hypothesis import given
from hypothesis import strategies as st

from jpassed.exceptions import QueryError, ServiceError
from jpassed.io import read_catalog
from jpassed.vo import TapClient, clear_cache, list_cached
from jpassed.vo.cache import AnswerCache, alive, default_folder, key_of, now

QUERY = "SELECT a FROM t"


def ask(service, folder, query=QUERY, **given):
    return TapClient(service.url, cache=folder, retries=0, backoff=0).run(query, **given)


@pytest.fixture(autouse=True)
def own_folder(tmp_path_factory, monkeypatch):
    """astropy's cache of one test, so that no other test's answers lie in it."""
    folder = tmp_path_factory.mktemp("cache")
    (folder / "astropy").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))


@pytest.fixture
def service():
    with serving(lambda _: Reply(votable("<TR><TD>7</TD></TR>"))) as found:
        yield found


def test_the_same_query_is_asked_once(service, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    said = []
    first = ask(service, tmp_path)
    again = ask(service, tmp_path, "SELECT  a\nFROM t -- the same\n;", progress=said.append)
    assert len(service.requests) == 1
    assert list(again["a"]) == list(first["a"]) == [7]
    assert again.meta == first.meta and type(again["a"]) is type(first["a"])
    assert said == [f"1 rows from the cache of {first.meta['jp_query_date']}"]
    assert "answer of 0.0 hours ago from the cache" in caplog.text


@pytest.mark.parametrize(
    "given",
    [
        {"query": "SELECT b FROM t"},
        {"query": "SELECT A FROM t"},
        {"maxrec": 9},
        {"uploads": {"mine": Table({"a": [1]})}},
    ],
    ids=["query", "case", "maxrec", "uploads"],
)
def test_another_query_is_another(service, tmp_path, given):
    for _ in range(2):
        ask(service, tmp_path)
        ask(service, tmp_path, **given)
    assert len(service.requests) == len(list_cached(tmp_path)) == 2


def test_uploads_count_by_what_they_hold(service, tmp_path):
    for values in ([1, 2], [1, 3], [1, 2]):
        ask(service, tmp_path, uploads={"mine": Table({"a": values}, meta={"made": str(values)})})
    assert len(service.requests) == 2


def test_no_cache(service, tmp_path):
    for _ in range(2):
        ask(service, False)
    assert len(service.requests) == 2 and not default_folder().exists()


def test_the_folder_by_default(service):
    ask(service, True)
    assert default_folder().parts[-3:] == ("astropy", "jpassed", "tap")
    assert os.environ["XDG_CACHE_HOME"] in str(default_folder())
    assert [kept.query for kept in list_cached()] == [QUERY]
    assert clear_cache() == 1 and list_cached() == []


def test_list_and_clear(service, tmp_path):
    ask(service, tmp_path)
    ask(service, tmp_path, "SELECT b FROM t")
    with serving(lambda _: Reply(votable())) as other:
        ask(other, tmp_path)
    kept = list_cached(tmp_path)
    assert sorted(answer.query for answer in kept) == [QUERY, QUERY, "SELECT b FROM t"]
    assert {answer.service for answer in kept} == {service.url, other.url}
    assert {answer.rows for answer in kept} == {1}
    # A kept answer is a VOTable for everybody.
    assert list(read_catalog(kept[0].path)["a"]) in ([1], [7])
    assert clear_cache(other.url, tmp_path) == 1
    assert clear_cache(folder=tmp_path) == 2 and list(tmp_path.iterdir()) == []
    assert clear_cache(folder=tmp_path / "nowhere") == 0


def test_failures_are_not_kept(tmp_path):
    replies = [Reply("busy", "text/plain", 503), Reply(failure("no")), Reply(votable())]
    with serving(replies) as service:
        for expected in (ServiceError, QueryError):
            with pytest.raises(expected):
                ask(service, tmp_path)
        assert list(ask(service, tmp_path)["a"]) == [1]


def test_a_cut_answer_stays_cut(tmp_path):
    after = '<INFO name="QUERY_STATUS" value="OVERFLOW"/>'
    with serving(lambda _: Reply(votable(after=after))) as service:
        first = ask(service, tmp_path, maxrec=1)
        again = ask(service, tmp_path, maxrec=1)
    assert len(service.requests) == 1
    assert first.meta["jp_overflow"] is again.meta["jp_overflow"] is True


@given(st.data())
def test_a_damaged_file_is_never_believed(draw):
    """Whatever byte is changed, or wherever it is cut."""
    content = kept_file()
    if draw.draw(st.booleans()):
        place = draw.draw(st.integers(0, len(content) - 1))
        other = draw.draw(st.integers(0, 255).filter(lambda value: value != content[place]))
        bad = content[:place] + bytes([other]) + content[place + 1 :]
    else:
        bad = content[: draw.draw(st.integers(0, len(content) - 8))]
    path = default_folder() / "x.vot"
    path.write_bytes(bad)
    found = AnswerCache(default_folder()).get("x")
    if found is not None:  # only the note's own words may differ, or blanks after it
        stream, note = found
        with stream:
            assert stream.read(note["size"]) == votable().encode()


def kept_file():
    cache = AnswerCache(default_folder())
    note = {"service": "s", "query": "q -- r", "date": now(), "rows": 1, "cut": False}
    cache.put("x", BytesIO(votable().encode()), note)
    return (default_folder() / "x.vot").read_bytes()


def test_a_damaged_file_is_asked_for_again(service, tmp_path, caplog):
    ask(service, tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-20])
    assert list(ask(service, tmp_path)["a"]) == [7]
    assert f"ignoring the damaged kept answer {path}" in caplog.text
    assert len(service.requests) == 2
    ask(service, tmp_path)
    assert len(service.requests) == 2


def test_what_cannot_be_kept_is_still_an_answer(service, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    assert list(ask(service, tmp_path / "file")["a"]) == [7]
    assert "the answer is not kept" in caplog.text


def test_the_oldest_make_room(service, tmp_path, monkeypatch):
    size = 0
    for number in range(6):
        ask(service, tmp_path, f"SELECT {number} FROM t")
        size = size or sum(path.stat().st_size for path in tmp_path.iterdir())
        monkeypatch.setattr("jpassed.vo.cache.LARGEST", 3 * size + 1)
    kept = {answer.query for answer in list_cached(tmp_path)}
    assert kept == {"SELECT 3 FROM t", "SELECT 4 FROM t", "SELECT 5 FROM t"}


def test_processes_that_keep_the_same_answer_at_once(service, tmp_path):
    script = (
        "import sys; from pathlib import Path; from jpassed.vo import TapClient\n"
        f"print(TapClient({service.url!r}, cache=Path({str(tmp_path)!r})).run({QUERY!r})['a'][0])"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate()[0].strip() for process in running] == ["7", "7"]
    assert len(list_cached(tmp_path)) == 1 and len(list(tmp_path.iterdir())) == 1


def test_who_left_a_job():
    me = {"pid": os.getpid(), "host": socket.gethostname(), "time": 2e9}
    parent = {**me, "pid": os.getppid()}
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert alive(parent)
    assert not alive(me)  # an earlier try of this very process
    assert not alive({**me, "pid": done.pid})
    assert not alive({**parent, "host": "elsewhere"})
    assert not alive({**parent, "time": 0.0})  # the number is another process's by now
    assert not alive({})


def test_keys_tell_parts_apart():
    assert key_of("a", "b") != key_of("ab", "") != key_of("", "ab")
    assert key_of("a", None) == key_of("a", None) and len(key_of("a")) == 40


def test_a_note_with_two_hyphens_stays_a_comment(tmp_path):
    cache = AnswerCache(tmp_path)
    query = "SELECT 'a--b', '-->' FROM t"
    cache.put("k", BytesIO(votable().encode()),
              {"service": "s", "query": query, "date": now(), "rows": 1, "cut": False})  # fmt: skip
    assert list_cached(tmp_path)[0].query == query
    assert list(read_catalog(tmp_path / "k.vot")["a"]) == [1]
