"""A run that is killed goes on where it was, fetches nothing twice, and ends in the same files."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest
from archive_plans import SDSS, write_plan
from spectrum_files import SpectrumFiles, spectrum_files  # noqa: F401
from tap_server import TapServer

from jpassed.archives import fetch, read_training_set
from jpassed.archives.checksums import read_journal
from jpassed.archives.spectrum_store import SpectrumStore
from jpassed.exceptions import FileError, ServiceError

pytestmark = pytest.mark.real_data
WORKERS = 2


@pytest.fixture
def plan(
    spectrum_files: SpectrumFiles,  # noqa: F811
    spectra_server: TapServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
    """A plan of many small steps."""
    services = spectra_server.services(tmp_path / "services.yaml")
    monkeypatch.setenv("JPASSED_SERVICES", str(services))
    archive = deepcopy(SDSS)
    archive["objects"]["columns"] = ["plate", "mjd", "fiberid"]
    archive["spectra"] = {"kind": "url", "url": spectrum_files.url}
    del archive["tables"]["addresses"]
    yield write_plan(tmp_path, archive, shard_rows=5, page_rows=100)


def test_killed_at_any_moment_it_goes_on(plan, tmp_path, spectrum_files, project_root):  # noqa: F811
    # A process as the killed ones are, with as many threads: the last bits.
    assert start(plan, tmp_path / "whole", project_root).wait() == 0
    spectrum_files.requests.clear()
    spectrum_files.pause = 0.05
    folder = tmp_path / "killed"
    moments = random.Random(4)
    kills = 0
    done = False
    whole: dict[Path, int] = {}  # files that were there when a run was killed, and their inodes
    while not done:
        run = start(plan, folder, project_root)
        # From its first sign of life on, at any moment; the first kill comes in the queries.
        while not (folder / "plan.json").exists() and run.poll() is None:
            time.sleep(0.02)
        if kills < 4:
            time.sleep(moments.uniform(0.0, 0.5) + 0.25 * kills)
            run.send_signal(signal.SIGKILL)
        done = run.wait() == 0
        kills += not done
        assert kills < 9, run.stderr.read() if run.stderr else ""
        for path, inode in whole.items():
            assert path.stat().st_ino == inode, f"{path} was written again"
        for kind in ("spectra/**/*.fits", "queries/**/page-*.parquet"):
            whole |= {p: p.stat().st_ino for p in folder.glob(kind)}
    assert kills >= 2
    # A spectrum is asked for again only if a kill came while it was on its way.
    assert spectrum_files.requests.total() - 23 <= kills * WORKERS
    assert len(spectrum_files.requests) == 23
    first, second = (read_training_set(tmp_path / name) for name in ("whole", "killed"))
    assert [s["sha256"] for s in second.manifest["shards"]] == [
        s["sha256"] for s in first.manifest["shards"]
    ]
    for key in ("labels", "bands", "counts", "plan_digest"):
        assert second.manifest[key] == first.manifest[key]
    assert not list(folder.rglob("*.part"))


def start(plan: Path, folder: Path, project_root: Path) -> subprocess.Popen[str]:
    words = ["fetch", str(plan), "-o", str(folder), "--workers", str(WORKERS)]
    return subprocess.Popen(
        [sys.executable, "-m", "jpassed", *words],
        env={**os.environ, "PYTHONPATH": str(project_root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_one_run_at_a_time(plan, tmp_path, spectrum_files, project_root):  # noqa: F811
    spectrum_files.pause = 0.3
    folder = tmp_path / "set"
    run = start(plan, folder, project_root)
    while not (folder / "plan.json").exists() and run.poll() is None:
        time.sleep(0.02)
    with pytest.raises(FileError, match="another jpassed fetch works in"):
        fetch(plan, folder)
    run.kill()
    run.wait()
    assert fetch(plan, folder, limit=2, overwrite=True).rows == 2  # a kill leaves no lock


def test_a_journal_that_a_kill_cut_short(tmp_path):
    journal = tmp_path / "journal.jsonl"
    journal.write_text('{"key": "1", "file": "a.fits"}\n{"key": "2", "fi')
    assert [line["key"] for line in read_journal(journal)] == ["1"]
    assert journal.read_text().endswith("}\n")  # the next line begins on its own
    assert read_journal(tmp_path / "none.jsonl") == []


def test_a_spectrum_that_went_missing_is_fetched_again(plan, tmp_path, spectrum_files):  # noqa: F811
    fetch(plan, tmp_path / "set")
    store = SpectrumStore(tmp_path / "set/spectra/sdss-loopback")
    assert len(store.lines) == 23
    gone = store.path(store.lines[0]["key"])
    gone.unlink()
    (tmp_path / "set/shards/part-00000.parquet").unlink()
    assert fetch(plan, tmp_path / "set").fetched == 1
    assert gone.exists()
    assert spectrum_files.requests.total() == 24
    before = json.loads((tmp_path / "set/manifest.json").read_text())
    assert fetch(plan, tmp_path / "set").fetched == 0
    assert json.loads((tmp_path / "set/manifest.json").read_text()) == before


def test_pages_of_a_table_that_changed_meanwhile(plan, tmp_path):
    folder = tmp_path / "set"
    fetch(plan, folder)
    lines = folder / "queries/sdss-loopback/lines"
    pages = sorted(lines.glob("page-*.parquet"))
    assert len(pages) == 6
    # A run that was killed after the second page goes on with the third...
    (lines / "query.json").unlink()
    before = [path.read_bytes() for path in pages]
    for path in pages[2:]:
        path.unlink()
    fetch(plan, folder)
    assert [path.read_bytes() for path in pages] == before
    # ... and sees that a page is lacking, as if rows had come into the table.
    (lines / "query.json").unlink()
    pages[0].unlink()
    with pytest.raises(ServiceError, match="now the service counts 527: the table has changed"):
        fetch(plan, folder)


def test_killed_when_the_last_row_of_a_limit_was_here(plan, tmp_path):
    folder = tmp_path / "set"
    fetch(plan, folder, limit=3)
    record = folder / "queries/sdss-loopback/objects/query.json"
    before = json.loads(record.read_text())
    record.unlink()
    fetch(plan, folder, limit=3)
    after = json.loads(record.read_text())
    assert after.pop("date")[:10] == before.pop("date")[:10]
    assert after == before
    assert after["url"].startswith("http://127.0.0.1:")
