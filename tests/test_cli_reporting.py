"""Arguments of the commands, and what a run tells: log lines, progress."""

from __future__ import annotations

import io
import logging
import sys
import types

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from jpassed.cli import main
from jpassed.cli.arguments import comma_list, pairs
from jpassed.cli.reporting import progress_bar

NAMES = st.text("abcxyz0123_:", min_size=1, max_size=12)


@pytest.fixture
def run():
    """Run ``jpassed`` in this process; gives click's result with .stdout, .stderr, .exit_code."""
    runner = CliRunner()
    return lambda *words: runner.invoke(main, [str(word) for word in words])


# --- arguments ----------------------------------------------------------------------------------


@given(st.lists(st.lists(NAMES, max_size=4), max_size=4))
def test_comma_list_keeps_order_and_drops_repeats(groups):
    flat = [name for group in groups for name in group]
    assert comma_list(",".join(group) for group in groups) == list(dict.fromkeys(flat))


@given(st.dictionaries(NAMES, NAMES, max_size=4))
def test_pairs_reads_what_it_is_given(expected):
    assert pairs([f" {k} = {v} " for k, v in expected.items()], "--context") == expected


# --- what a run tells ---------------------------------------------------------------------------


def test_log_lines_are_shown_when_asked_for(run, monkeypatch, tmp_path):
    def chatty(*_, **__):
        logging.getLogger("jpassed.chatty").info("doing it")
        logging.getLogger("jpassed.chatty").warning("mind this")

    loop = types.SimpleNamespace(train=chatty)
    monkeypatch.setitem(sys.modules, "jpassed.training.loop", loop)
    quiet = run("train", "c.yaml", "-o", tmp_path)
    assert "doing it" not in quiet.stderr
    assert "WARNING jpassed.chatty: mind this\n" in quiet.stderr
    loud = run("train", "c.yaml", "-o", tmp_path, "--verbose")
    assert "INFO jpassed.chatty: doing it\n" in loud.stderr
    package = logging.getLogger("jpassed")
    assert package.handlers == []
    assert package.level == logging.NOTSET


def test_no_progress_bar_where_stderr_is_no_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", types.SimpleNamespace(isatty=lambda: False))
    with progress_bar("objects") as progress:
        assert progress is None


def test_progress_bar_on_a_terminal_counts_to_the_total(monkeypatch):

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar("objects") as progress:
        progress(40, 120)
        progress(120, 120)
    assert "120/120" in terminal.getvalue()
    assert "objects" in terminal.getvalue()


def test_progress_in_a_batch_job_is_logged_at_times(monkeypatch, caplog):
    monkeypatch.setattr(sys, "stderr", types.SimpleNamespace(isatty=lambda: False))
    now = [0.0]
    monkeypatch.setattr("jpassed.cli.reporting.time.monotonic", lambda: now[0])
    with caplog.at_level(logging.INFO, "jpassed"), progress_bar("objects") as progress:
        for now[0], done in ((1.0, 1000), (10.0, 5000), (41.0, 41_000), (50.0, 50_000)):
            progress(done, 241_000)
    assert [r.getMessage() for r in caplog.records] == [
        "41,000 of 241,000 objects, 1,000/s, 3 min left"
    ]
