"""``jpassed annotate``: options, and what is refused before any work."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_fixtures import catalogue, library, run

__all__ = ["catalogue", "library", "run"]  # fixtures


def test_annotate_defaults(run, library, catalogue):
    path = catalogue[0]
    calls = library("jpassed.annotation.files", "annotate_file", 2)
    shown = run("annotate", path)
    assert (shown.exit_code, shown.stderr) == (0, "")
    target = path.with_name("galaxies_jpassed.fits")
    assert shown.stdout == f"{target}: 2 rows\n"
    assert calls == [
        (
            (path, target),
            {
                "workers": 1,
                "resume": False,
                "overwrite": False,
                "model": "default",
                "outputs": None,
                "context": None,
                "survey": "auto",
                "device": "auto",
                "precision": "auto",
                "batch_size": None,
                "samples": 0,
                "refine": 0,
                "joint": True,
                "pdf": False,
                "chi2": "quick",
                "zeropoints": None,
                "replace_columns": False,
                "progress": None,
            },
        )
    ]


def test_annotate_options(run, library, catalogue, tmp_path):
    path = catalogue[0]
    calls = library("jpassed.annotation.files", "annotate_file", 1)
    out = tmp_path / "out.vot"
    shown = run(
        *("annotate", path, "-o", out, "--outputs", "z,flux:J0660", "--outputs", "logmstar"),
        *("--context", "z=z_spec", "--context", "logmstar=mass,mass_err", "--survey", "minijpas"),
        *("--model", "mine.safetensors", "--device", "cuda:1", "--batch-size", "64", "--pdf"),
        *("--samples", "5", "--refine", "2000", "--independent"),
        *("--replace-columns", "--overwrite", "--workers", "2", "--resume"),
    )
    assert shown.exit_code == 0, shown.stderr
    assert calls[0][0] == (path, out)
    assert calls[0][1] == {
        "workers": 2,
        "resume": True,
        "overwrite": True,
        "model": "mine.safetensors",
        "outputs": ["z", "flux:J0660", "logmstar"],
        "context": {"z": "z_spec", "logmstar": "mass,mass_err"},
        "survey": "minijpas",
        "device": "cuda:1",
        "precision": "auto",
        "batch_size": 64,
        "samples": 5,
        "refine": 2000,
        "joint": False,
        "pdf": True,
        "chi2": "quick",
        "zeropoints": None,
        "replace_columns": True,
        "progress": None,
    }


def test_a_map_takes_the_place_of_the_survey(run, library, catalogue):
    calls = library("jpassed.annotation.files", "annotate_file", 1)
    run("annotate", catalogue[0], "--map", "mine.yaml")
    assert calls[0][1]["survey"] == Path("mine.yaml")


def test_an_existing_output_is_refused_before_any_work(run, library, catalogue):
    path = catalogue[0]
    calls = library("jpassed.annotation.files", "annotate_file", 1)
    target = path.with_name("galaxies_jpassed.fits")
    target.write_text("mine")
    shown = run("annotate", path)
    assert shown.exit_code == 1
    assert "exists" in shown.stderr
    assert "--overwrite" in shown.stderr
    assert calls == []
    assert run("annotate", path, "--overwrite").exit_code == 0
    assert calls[0][1]["overwrite"] is True


@pytest.mark.parametrize(
    "words",
    [
        ("annotate", "galaxies.fits"),
        ("example",),
        ("jspectra", "a.fits"),
        ("simulate", "-n", "1", "--ssp", "a.npz"),
    ],
)
@pytest.mark.parametrize(
    ("target", "code", "said"),
    [
        ("out.docx", 2, ".parquet"),
        ("nowhere/out.fits", 1, "nowhere is not a folder"),
        ("folder.fits", 1, "is a folder"),
    ],
)
def test_a_useless_output_is_refused_before_any_work(
    run, library, catalogue, tmp_path, monkeypatch, words, target, code, said
):
    calls = [
        library("jpassed.annotation.files", "annotate_file", 1),
        library("jpassed.jspectrum", "jspectra", []),
        library("jpassed.simulation", "simulate", []),
    ]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.fits").mkdir()
    shown = run(*words, *(() if words == ("example",) else ("-o",)), target)
    assert shown.exit_code == code
    assert said in shown.stderr
    assert calls == [[], [], []]
    assert catalogue[1] == []
