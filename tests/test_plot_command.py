"""``jpassed plot``, through real files and the embedded model."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from jpassed.annotation import Flag, annotate
from jpassed.cli import main
from jpassed.cli.command_plot import OF_A_CATALOGUE, OF_A_ROW
from jpassed.io.catalogs import read_catalog, write_catalog
from jpassed.plotting.asking import draw_object
from jpassed.plotting.overview import CATALOGUE_KINDS, OBJECT_KINDS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The first rows of the example: plain, annotated with all that plots take, labels alone."""
    path = tmp_path_factory.mktemp("plots")
    found = CliRunner().invoke(main, ["example", str(path / "whole.fits")])
    assert found.exit_code == 0, found.output
    table = read_catalog(path / "whole.fits")[:12]
    write_catalog(table, path / "plain.fits")
    bands = [name for name in table.colnames if f"{name}_err" in table.colnames]
    outputs = ["z", "logmstar", *(f"flux:{band}" for band in bands)]
    write_catalog(annotate(table, outputs=outputs, pdf=True), path / "annotated.fits")
    table["true_z"][1] = np.nan
    write_catalog(table["id", "true_z", "true_logmstar", "true_av"], path / "labels.csv")
    write_catalog(table, path / "unknown.fits")
    return path


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(main, ["plot", *map(str, words)])


def size_of(path) -> tuple[int, int]:
    with Image.open(path) as image:
        image.load()
        return image.size


def test_a_row_of_a_plain_catalogue(run, folder, tmp_path):
    found = run(folder / "plain.fits", "--row", 3, "--truth", "z=true_z")
    assert found.exit_code == 0, found.output
    assert found.stdout == "plain_row3.png\n"
    assert found.stderr == ""
    width, height = size_of(tmp_path / "plain_row3.png")
    assert (width, height) == (1065, 480)
    assert list(tmp_path.iterdir()) == [tmp_path / "plain_row3.png"]


def test_columns_that_are_there_are_drawn_without_asking_a_model(run, folder, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a model was asked")

    monkeypatch.setattr("jpassed.annotation.infer", refuse)
    found = run(folder / "annotated.fits", "--row", 3, "--quantities", "z,logmstar", "--dpi", 50)
    assert found.exit_code == 0, found.output
    again = run(folder / "annotated.fits", "--row", 3, "--kind", "corner", "-o", "c.png")
    assert again.exit_code == 1
    assert "a model was asked" in again.output


def test_a_corner_in_dark_as_pdf(run, folder, tmp_path):
    words = ("--kind", "pdf,corner", "--quantities", "z,av", "--truth", "av=true_av")
    more = ("--style", "dark", "--draws", 50, "-o", tmp_path / "x.PDF")
    found = run(folder / "annotated.fits", "--row", 12, *words, *more)
    assert found.exit_code == 0, found.output
    assert (tmp_path / "x.PDF").read_bytes().startswith(b"%PDF")
    again = run(folder / "annotated.fits", "--row", 12, "-o", tmp_path / "x.PDF")
    assert again.exit_code == 1
    assert "x.PDF exists; choose another name or overwrite it (--overwrite)" in again.stderr


def test_a_catalogue_annotated_or_not(run, folder, tmp_path):
    for name in ("plain.fits", "annotated.fits"):
        found = run(folder / name, "--truth", "z=true_z", "--dpi", 40, "-o", f"{name}.png")
        assert found.exit_code == 0, found.output
    # Known redshifts, their distribution, magnitudes, colours; no positions.
    assert size_of(tmp_path / "plain.fits.png") == (280, 240)
    one, two = (np.asarray(Image.open(f"{n}.fits.png")) for n in ("plain", "annotated"))
    assert np.mean(one != two) < 0.05  # titles differ


def test_bandfluxes_of_labels_alone(run, folder):
    words = ("--context", "z=true_z", "--context", "logmstar=true_logmstar")
    found = run(folder / "labels.csv", "--row", 1, *words, "--kind", "sed", "-o", "l.svg")
    assert found.exit_code == 0, found.output


def test_a_value_that_is_not_known_is_said(run, folder):
    found = run(folder / "unknown.fits", "--row", 2, "--truth", "z=true_z", "--kind", "pdf")
    assert found.exit_code == 0, found.output
    assert "row 2 has no known value of z in column true_z" in found.stderr


def test_a_row_without_bands_is_the_prior(run, folder):
    table = read_catalog(folder / "plain.fits")["J0660", "J0660_err", "rSDSS", "rSDSS_err"]
    for name in ("J0660_err", "rSDSS_err"):
        table[name][1] = -1.0 * table[name].unit
    write_catalog(table, "blank.fits")
    found = run("blank.fits", "--row", 2, "--dpi", 40)
    assert found.exit_code == 0, found.output
    assert "row 2 has no band with a flux: what is drawn is the prior" in found.stderr


def test_flags_of_a_row_are_in_the_title(folder):
    table = read_catalog(folder / "annotated.fits")
    table["jp_flag"][:2] = [0, int(Flag.FEW_BANDS | Flag.POOR_RECONSTRUCTION)]
    draw = {"kinds": ("pdf",), "title": "a row"}
    plain, flagged = (draw_object(table, row, **draw) for row in (0, 1))
    said = [figure.get_suptitle() for figure in (plain, flagged)]
    plt.close("all")
    assert said == ["a row", "a row (FEW_BANDS, POOR_RECONSTRUCTION)"]


def test_another_model_or_context_before_is_said(run, folder):
    table = read_catalog(folder / "annotated.fits")
    table.meta["jp_weights"] = "0123456789abcdef"
    table.meta["jp_context"] = "z=true_z"
    write_catalog(table["jp_z", *(n for n in table.colnames if n[0] in "Jgriu")], "other.fits")
    found = run("other.fits", "--row", 2, "--dpi", 40)
    assert found.exit_code == 0, found.output
    said = " ".join(found.stderr.split())
    assert "annotated by the model" in said
    assert "0123456789abcdef" in said
    assert "context z=true_z, the plot without" in said


def test_figures_are_none_of_pyplots(run, folder, monkeypatch):
    """A shell in a notebook names a backend that jpassed may not have; figures are not shown."""

    def refuse(*args, **keywords):
        raise ImportError("no such backend")

    monkeypatch.setattr(plt, "figure", refuse)
    for words in (("--row", 1, "--kind", "sed,pdf,corner"), ("--truth", "z=true_z")):
        found = run(folder / "annotated.fits", *words, "--dpi", 40)
        assert found.exit_code == 0, found.output


def test_of_a_long_file_the_row_alone_is_read(run, folder, monkeypatch):
    def refuse(*args, **keywords):
        raise MemoryError("the whole catalogue")

    monkeypatch.setattr("jpassed.io.catalogs.read_catalog", refuse)
    found = run(folder / "annotated.fits", "--row", 12, "--truth", "z=true_z", "--dpi", 40)
    assert found.exit_code == 0, found.output
    again = run(folder / "annotated.fits", "--row", 13, "-o", "x.png")
    assert "--row: expected a row from 1 to 12, got 13" in again.stderr


@pytest.mark.parametrize("kind", ["pdf", "sed"])
def test_a_row_whose_predictions_are_blank_is_asked_again(run, folder, kind):
    table = read_catalog(folder / "annotated.fits")
    for name in table.colnames:
        if name.startswith(("jp_z", "jp_flux")):
            table[name][4] = np.nan
    write_catalog(table, "blank.fits")
    found = run("blank.fits", "--row", 5, "--kind", kind, "--dpi", 40)
    assert found.exit_code == 0, found.output


def test_columns_that_a_program_left_out_are_asked_again(run, folder):
    table = read_catalog(folder / "annotated.fits")
    table.remove_column("jp_z_lo")
    write_catalog(table, "less.fits")
    found = run("less.fits", "--row", 2, "--kind", "pdf", "--dpi", 40)
    assert found.exit_code == 0, found.output


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--row", "13"), 1, "--row: expected a row from 1 to 12, got 13"),
        (("--row", "0"), 2, "0 is not in the range x>=1"),
        (("--row", "1", "--kind", "sky"), 2, "--kind sky: only without --row."),
        (("--kind", "corner"), 2, "--kind corner: only with --row."),
        (("--kind", "moon"), 2, "Valid choices: colours, histogram, magnitude, sky, truth"),
        (("--kind", "sky"), 1, "sky wants right ascension and declination"),
        (("--kind", "truth"), 1, "--truth z=COLUMN"),
        (("--quantities", "av"), 2, "--quantities: of a row, with --row N."),
        (("--row", "1", "--dpi", "100000"), 2, "100000 is not in the range 30<=x<=2400"),
        (("--row", "1", "-o", "x.gif"), 2, "ending of a plot '.gif'"),
        (("--row", "1", "-o", "no/x.png"), 1, "no is not a folder"),
        (("--row", "1", "--quantities", "mass"), 2, "unknown output 'mass'"),
        (("--row", "1", "--truth", "z=zspec"), 2, "unknown column 'zspec'"),
    ],
)
def test_what_cannot_be_plotted_is_said(run, folder, tmp_path, words, code, said):
    found = run(folder / "plain.fits", *words)
    assert said in " ".join(found.stderr.split())
    assert found.exit_code == code
    assert not list(tmp_path.iterdir())


def test_kinds_are_those_of_the_package():
    # The command names them without an import of matplotlib.
    assert OF_A_ROW == OBJECT_KINDS
    assert OF_A_CATALOGUE == CATALOGUE_KINDS
