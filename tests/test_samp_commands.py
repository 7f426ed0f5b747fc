"""The commands of docs/samp.md with a real hub, and STILTS as a client that knows nothing of us."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from annotation_tables import make_table, write_small
from click.testing import CliRunner
from samp_hub import (
    JSAMP,
    LONG,
    Hub,
    HubProcess,
    JsampHub,
    Viewer,
    end_processes,
    path_of,
    start_process,
    with_package,
)

from jpassed.cli import main
from jpassed.io.catalogs import read_catalog, write_catalog

needs_stilts = pytest.mark.skipif(
    (shutil.which("stilts") is None or not JSAMP.exists())
    and os.environ.get("CI", "").lower() != "true",
    reason="STILTS is not installed (Debian: apt install stilts)",
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder of its own for everything."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:file://{tmp_path}/samp.lock")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    end_processes()


@pytest.fixture
def example(home):
    """Its first rows, as ``example.fits``."""
    assert CliRunner().invoke(main, ["example", "example.fits"]).exit_code == 0
    table = read_catalog("example.fits")[:4]
    table["z_spec"] = table["true_z"]
    write_catalog(table, "example.fits", overwrite=True)
    return Path("example.fits")


def stilts(*words: str) -> str:
    done = subprocess.run(
        ["stilts", "-Djava.awt.headless=true", *words], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def commands(page: str) -> list[str]:
    found = re.findall(r"^ *```sh\n(.+?)^ *```", page, flags=re.M | re.S)
    return [line.strip() for block in found for line in block.splitlines()]


class User(threading.Thread):
    """Sends the example to the service, as a person would, and ends it: runs beside a command."""

    def __init__(self, words: list[str]) -> None:
        super().__init__(daemon=True)
        self.words = words
        self.viewer = Viewer()
        self.loaded: list[tuple[dict, object]] = []
        self.trouble: BaseException | None = None

    def run(self) -> None:
        try:
            self._wait_for_service()
            example = Path("example.fits").resolve()
            self.viewer.send(example, table_id="t1")
            if "--on-selection" in self.words:
                self.viewer.ask("table.select.rowList", table_id="t1", row_list=["1"])
            self.loaded.append(self.viewer.next())
        except BaseException as exc:
            self.trouble = exc
        finally:
            os.kill(os.getpid(), signal.SIGINT)  # Ctrl-C

    def _wait_for_service(self) -> None:
        last = time.monotonic() + LONG
        while time.monotonic() < last:
            try:
                if "table.load.fits" in self.viewer.client.get_subscriptions(self.viewer.jpassed()):
                    return
            except LookupError:
                time.sleep(0.02)
        raise LookupError("the service did not come")


def test_every_command_of_the_page(home, example, project_root):
    page = (project_root / "docs" / "samp.md").read_text("utf-8")
    shown = commands(page)
    assert len(shown) == 6
    hub = Hub()
    try:
        for line in shown:
            words = line.split()
            if words[:2] == ["jpassed", "samp"]:
                check_service(words)
            elif words[0] == "jpassed":
                viewer = Viewer()
                said = CliRunner().invoke(main, words[1:])
                assert said.exit_code == 0, said.output
                assert said.output == "example_jpassed.fits: 4 rows\nviewer: loaded\n"
                about, table = viewer.next()
                assert path_of(about["url"]) == home / "example_jpassed.fits"
                assert "jp_z" in table.colnames
                viewer.close()
            else:
                assert words[:2] == ["stilts", "tpipe"]  # it has a test of its own
    finally:
        hub.stop()
    assert list((home / "temporary").iterdir()) == []


def check_service(words: list[str]) -> None:
    user = User(words)
    user.start()
    # A shell that starts the tests in the background has them ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        said = CliRunner().invoke(main, words[1:])
    finally:
        signal.signal(signal.SIGINT, before)
    user.join()
    user.viewer.close()
    assert user.trouble is None
    assert said.exit_code == 0, said.output
    lines = said.output.splitlines()
    assert lines[0] == "on the SAMP hub, ready for tables"
    assert lines[-1] == "left the SAMP hub"
    about, table = user.loaded[0]
    assert about["table-id"] == "t1"
    assert len(table) == 4
    if "--outputs" in words:
        assert {"jp_z", "jp_logmstar", "jp_flux_galex_nuv"} <= set(table.colnames)
        assert "jp_logsfr" not in table.colnames
    if "--context" in words:
        assert table.meta["jp_context"] == "z=z_spec"
    if "--on-selection" in words:
        assert list(np.ma.getmaskarray(np.ma.asarray(table["jp_z"]))) == [True, False, True, True]


def test_python_of_the_page(home, example, project_root):
    page = (project_root / "docs" / "samp.md").read_text("utf-8")
    (code,) = re.findall(r"^```python\n(.+?)^```", page, flags=re.M | re.S)
    shutil.copy("example.fits", "example_jpassed.fits")
    hub, viewer = Hub(), Viewer()
    exec(compile(code, "samp.md", "exec"), {})
    assert path_of(viewer.next()[0]["url"]) == home / "example_jpassed.fits"
    viewer.close()
    hub.stop()


# --- STILTS ---------------------------------------------------------------------------------------


class Service:
    """``jpassed samp`` in a process of its own, with the small model."""

    def __init__(self, folder: Path, *words: str) -> None:
        model = write_small(folder / "model")
        self.process = start_process(
            [sys.executable, "-m", "jpassed", "samp", "--model", str(model), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=with_package(),
        )
        self.wait_for("on the SAMP hub")

    def wait_for(self, text: str) -> str:
        assert self.process.stdout is not None
        for line in iter(self.process.stdout.readline, ""):
            if text in line:
                return line.strip()
        raise AssertionError(f"{text!r} was not said: {self.process.stderr.read()}")

    def end(self, number: int) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate()
        return self.process.returncode, out, err


@needs_stilts
def test_stilts_sends_tables_and_reads_what_comes_back(home, example, project_root):
    page = (project_root / "docs" / "samp.md").read_text("utf-8")
    (line,) = [line for line in commands(page) if line.startswith("stilts")]
    hub = JsampHub(home / "samp.lock")
    service = Service(home, "--outputs", "z,flux:galex_nuv")
    viewer = Viewer()
    said = stilts(*line.split()[1:])
    assert "Response samp.ok" in said, said
    about, first = viewer.next()
    assert about["name"] == "example.fits (jpassed)"
    assert service.wait_for("annotated") == "example.fits: 4 rows annotated; sent to viewer"
    # The result as STILTS sees it.
    shown = stilts(
        "tpipe", f"in={path_of(about['url'])}", "cmd=keepcols 'jp_z jp_flux_galex_nuv'",
        "cmd=meta name units ucd", "ofmt=csv",
    )  # fmt: skip
    assert "jp_z,,src.redshift.phot" in shown
    assert "jp_flux_galex_nuv,uJy,phot.flux.density;em.UV.200-300nm" in shown
    assert stilts("votlint", str(path_of(about["url"]))) == ""
    # As FITS, and as a text VOTable with a name, as TOPCAT sends it.
    for form in ("fits", "votable"):
        said = stilts("tpipe", "in=example.fits", "omode=samp", f"format={form}", "client=jpassed")
        assert "Response samp.ok" in said, said
        about, again = viewer.next()
        assert list(again["jp_z"]) == list(first["jp_z"])
    # One that makes no sense.
    Path("positions.csv").write_text("ra,dec\n1,2\n")
    said = stilts("tpipe", "in=positions.csv", "omode=samp", "client=jpassed")
    assert "Response samp.error" in said, said
    assert "no bandflux column" in service.wait_for("failed")
    assert stilts("tpipe", "in=example.fits", "omode=samp", "client=jpassed").count("samp.ok") == 1
    viewer.close()
    assert len(list((home / "temporary").rglob("*_jpassed.vot"))) > 0
    code, out, err = service.end(signal.SIGINT)
    assert code == 0
    # The small model's own, once for each table.
    assert all("has no score of intruders" in line for line in err.splitlines()), err
    assert out.endswith("left the SAMP hub\n")
    assert list((home / "temporary").glob("jpassed-samp-*")) == []
    hub.stop()


def test_kill_leaves_the_hub_cleanly(home):
    hub = HubProcess()
    service = Service(home)
    viewer = Viewer()
    viewer.jpassed()
    assert list((home / "temporary").glob("jpassed-samp-*"))
    code, out, err = service.end(signal.SIGTERM)
    assert (code, out, err) == (0, "left the SAMP hub\n", "")
    assert list((home / "temporary").glob("jpassed-samp-*")) == []
    with pytest.raises(LookupError):
        viewer.jpassed()
    viewer.close()
    hub.stop()


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 1, "Error: no SAMP hub is running: start TOPCAT or Aladin"),
        (["--outputs", "redshift"], 2, "'redshift'"),
        (["--outputs", " , "], 2, "--outputs names no quantity"),
        (["--survey", "sdss", "--map", "m.yaml"], 2, "exclude each other"),
        (["--max-size", "0"], 2, "0 is not in the range"),
        (["--context", "z"], 2, "expected QUANTITY=COLUMN"),
        (["--model", "nothing"], 2, "unknown model 'nothing'"),
    ],
)
def test_what_cannot_be_served(home, words, code, said):
    shown = CliRunner().invoke(main, ["samp", *words])
    assert shown.exit_code == code
    assert said in shown.output
    assert list((home / "temporary").iterdir()) == []


def test_annotate_looks_for_the_hub_first(home):
    shown = CliRunner().invoke(main, ["annotate", "example.fits", "--samp"])
    assert shown.exit_code == 1
    assert "no SAMP hub is running" in shown.output
    assert not Path("example_jpassed.fits").exists()


def test_annotate_with_nobody_to_see_it_keeps_the_file(home):
    hub = Hub()
    write_catalog(make_table(3), "small.vot")
    model = write_small(home / "model")
    shown = CliRunner().invoke(
        main, ["annotate", "small.vot", "--model", str(model), "--outputs", "z", "--samp"]
    )
    hub.stop()
    assert shown.exit_code == 1
    assert "no program on the SAMP hub takes tables" in shown.output
    assert "jp_z" in read_catalog("small_jpassed.vot").colnames
