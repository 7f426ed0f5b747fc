"""The command line itself: help, options, exit codes, and what reaches the library."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from cli_fixtures import catalogue, library, run
from hypothesis import strategies as st

import jpassed.io.catalogs
from jpassed import exceptions
from jpassed.cli import main
from jpassed.cli.application import COMMANDS

__all__ = ["catalogue", "library", "run"]  # fixtures

NAMES = st.text("abcxyz0123_:", min_size=1, max_size=12)


# --- help ---------------------------------------------------------------------------------------


def test_help_lists_every_command_and_ends_with_an_example(run):
    shown = run("--help")
    assert shown.exit_code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in shown.stdout
    assert shown.stdout.strip().splitlines()[-1].startswith("  Example: jpassed ")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_ends_with_an_example_of_it(run, name):
    shown = run(name, "--help")
    assert shown.exit_code == 0
    example = shown.stdout[shown.stdout.index("Example: ") :]
    assert example.startswith(f"Example: jpassed {name}")
    assert "Options:" not in example


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented(name):
    command = main.get_command(click.Context(main), name)
    bare = [
        option.name
        for option in command.params
        if isinstance(option, click.Option) and not (option.help or option.show_default)
    ]
    assert set(bare) <= {"count"}  # -n N says it all
    assert command.get_short_help_str().endswith(".")


def test_version(run):
    assert run("--version").stdout == f"jpassed, version {jpassed.__version__}\n"


# --- usage errors: exit code 2 ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["anotate"], "No such command 'anotate'"),
        (["annotate"], "Missing argument 'IN'"),
        (["annotate", "x.fits", "--pfd"], "--pfd"),
        (["annotate", "x.fits", "--samples", "-1"], "-1 is not in the range x>=0"),
        (["annotate", "x.fits", "--batch-size", "0"], "0 is not in the range x>=1"),
        (["annotate", "x.fits", "--survey", "jpas", "--map", "m.yaml"], "exclude each other"),
        (["annotate", "x.fits", "--context", "z_spec"], "expected QUANTITY=COLUMN"),
        (["annotate", "x.fits", "--context", "z="], "expected QUANTITY=COLUMN"),
        (["annotate", "x.fits", "--context", "z=a", "--context", "z=b"], "'z' is given twice"),
        (["annotate", "x.fits", "--device", "abacus"], "'abacus' is none of auto, cpu"),
        (["jspectra", "-o", "x.fits"], "Missing argument 'SPEC...'"),
        (["jspectra", "a.fits"], "Missing option '-o'"),
        (["jspectra", "a.fits", "-ox.fits", "--ebv", "some"], "'some' is not a valid float"),
        (["jspectra", "a.fits", "-ox.fits", "--total-mag", "r="], "'' is not a valid float"),
        (["simulate", "-n", "5", "-o", "x.fits"], "Missing option '--ssp'"),
        (["simulate", "-n", "0", "--ssp", "a", "-o", "x.fits"], "0 is not in the range x>=1"),
        (["simulate", "--ssp", "a", "-o", "x.fits"], "Missing option '-n'"),
        (["simulate", "-n1", "--ssp", "a", "-ox.fits", "--galex", "gis"], "'gis' is not one of"),
        (["train", "x.yaml"], "Missing option '-o'"),
        (["example"], "Missing argument 'OUT'"),
    ],
)
def test_wrong_usage_exits_with_2_and_writes_nothing(run, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    shown = run(*words)
    assert shown.exit_code == 2
    assert said in shown.stderr
    assert shown.stdout == ""
    assert list(tmp_path.iterdir()) == []


# --- errors of the library ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (exceptions.UnknownNameError("survey", "jpaz", ["jpas"]), 2, "Did you mean 'jpas'?"),
        (exceptions.InputError("the table has no rows"), 1, "the table has no rows"),
        (exceptions.FileError("x.fits is truncated"), 1, "x.fits is truncated"),
        (exceptions.ModelError("weights are damaged"), 1, "weights are damaged"),
        (OSError(28, "No space left on device"), 1, "No space left on device"),
        (RuntimeError("two\nlines"), 1, "unexpected RuntimeError: two lines (--debug shows"),
        (KeyError(), 1, "unexpected KeyError: no message"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_an_error_is_one_line_on_stderr(run, library, catalogue, error, code, said):
    path = catalogue[0]
    library("jpassed.annotation.files", "annotate_file", error)
    shown = run("annotate", path)
    assert shown.exit_code == code
    assert shown.stdout == ""
    assert shown.stderr.startswith("Error: ")
    assert shown.stderr.count("\n") == 1
    assert said in shown.stderr


@pytest.mark.parametrize("words", [("--debug", "annotate"), ("annotate", "--debug")])
def test_debug_lets_the_traceback_through(run, library, catalogue, words):
    library("jpassed.annotation.files", "annotate_file", exceptions.InputError("no rows"))
    shown = run(*words, catalogue[0])
    assert isinstance(shown.exception, exceptions.InputError)
    assert shown.exit_code == 1


def test_debug_does_not_outlive_its_run(run, library, catalogue):
    library("jpassed.annotation.files", "annotate_file", exceptions.InputError("no rows"))
    run("annotate", "--debug", catalogue[0])
    assert run("annotate", catalogue[0]).stderr == "Error: no rows\n"


# --- what reaches the library -------------------------------------------------------------------


def test_simulate_options(run, library, catalogue, tmp_path):
    calls = library("jpassed.simulation", "simulate", ["galaxy"] * 3)
    out = tmp_path / "mock.fits"
    shown = run(
        *("simulate", "-n", "3", "--ssp", "s.npz", "--lines", "l.lines", "--noise", "n.yaml"),
        *("--galex", "NONE", "--seed", "7", "-o", out),
    )
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout == f"{out}: 3 simulated galaxies\n"
    assert calls == [
        (
            (3,),
            {
                "seed": 7,
                "ssp": [Path("s.npz")],
                "lines": Path("l.lines"),
                "noise": "n.yaml",
                "galex": None,
                "device": "cpu",
                "progress": None,
            },
        )
    ]


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ([], {}),
        (["--total-mag", "19.5"], {"total_mag": 19.5}),
        (["--total-mag", "sdss_r=19.5"], {"total_mag": {"sdss_r": 19.5}}),
        (["--ebv", "0.03"], {"ebv": 0.03}),
        (["--ebv", "metadata"], {"ebv": "metadata"}),
        (["--filters", "jpas,galex"], {"filters": ["jpas", "galex"]}),
        (["--medium", "air"], {"medium": "air"}),
    ],
)
def test_jspectra_options(run, library, catalogue, tmp_path, words, given):
    calls = library("jpassed.jspectrum", "jspectra", ["spectrum"] * 2)
    out = tmp_path / "j.fits"
    shown = run("jspectra", "a.fits", "b.fits", "-o", out, *words)
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout == f"{out}: 2 spectra\n"
    defaults = {"filters": "jpas", "total_mag": None, "ebv": None, "medium": "vacuum"}
    defaults["skip_unreadable"] = True
    assert calls == [(([Path("a.fits"), Path("b.fits")],), defaults | given)]


def test_train_options(run, library, tmp_path):
    calls = library("jpassed.training.loop", "train", None)
    out = tmp_path / "run"
    assert run("train", "config.yaml", "-o", out).exit_code == 0
    assert (
        run(
            *("train", "config.yaml", "-o", out, "--ssp", "a.npz", "--ssp", "b.npz"),
            *("--lines", "c.lines", "--device", "cuda", "--resume", "--start-from", "runs/a"),
        ).exit_code
        == 0
    )
    assert [arguments for arguments, _ in calls] == [(Path("config.yaml"), out)] * 2
    assert calls[0][1] == {
        "ssp": None,
        "lines": None,
        "start_from": None,
        "resume": False,
        "device": "auto",
        "progress": None,
    }
    assert calls[1][1] == {
        "ssp": ("a.npz", "b.npz"),
        "lines": "c.lines",
        "start_from": Path("runs/a"),
        "resume": True,
        "device": "cuda",
        "progress": None,
    }


CARD = {
    "version": "1.2",
    "parameters": 8_600_000,
    "sha256": "0123456789abcdef" * 4,
    "steps": 12_000,
    "objects": 12_288_000,
    "seconds": 1800.0,
    "device": "cuda",
    "training": {"simulation": {"noise": "minijpas-v1", "r_select": 22.7}},
}


def test_models_lists_each_with_its_card(run, library):
    library("jpassed.weights", "list_models", {"default": CARD, "bare": {"version": "0"}})
    assert run("models").stdout.splitlines() == [
        "default 1.2",
        "  8.6 M parameters, sha256 0123456789abcdef",
        "  trained for 12,000 steps on 12.3 M objects, 30 minutes on cuda",
        "  noise preset minijpas-v1, r < 22.7",
        "bare 0",
    ]


def test_models_shows_one_card(run, library):
    library("jpassed.weights", "list_models", {"default": CARD})
    assert json.loads(run("models", "default").stdout) == CARD
    shown = run("models", "defualt")
    assert shown.exit_code == 2
    assert "Did you mean 'default'" in shown.stderr


def test_train_refuses_a_file_as_its_folder(run, library, tmp_path):
    calls = library("jpassed.training.loop", "train", None)
    (tmp_path / "run").touch()
    shown = run("train", "config.yaml", "-o", tmp_path / "run")
    assert shown.exit_code == 1
    assert "not a folder" in shown.stderr
    assert calls == []
