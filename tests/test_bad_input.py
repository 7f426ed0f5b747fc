"""Bad input: a clear message or a flagged row, the input untouched, nothing half-written."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable, Table
from click.testing import CliRunner

from jpassed.cli import main
from jpassed.io.catalogs import read_catalog, write_catalog
from jpassed.weights import find_model

BAND = "J0660"


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Path:
    """The first rows of the embedded example, as FITS; tests work on copies."""
    whole = tmp_path_factory.mktemp("example") / "whole.fits"
    made = CliRunner().invoke(main, ["example", str(whole)])
    assert made.exit_code == 0, made.output
    path = whole.with_name("few.fits")
    write_catalog(read_catalog(whole)[:6], path)
    return path


@pytest.fixture
def annotate(tmp_path):
    """Run ``jpassed annotate PATH ...``; the folder holds the input and nothing else before."""
    runner = CliRunner()

    def run(path: Path, *options: str):
        return runner.invoke(main, ["annotate", str(path), *(str(o) for o in options)])

    return run


@pytest.fixture
def refused(annotate, tmp_path):
    """Annotate a file that must be refused; returns the message."""

    def run(path: Path, *options: str, code: int = 1) -> str:
        before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
        shown = annotate(path, *options)
        assert shown.exit_code == code, shown.output
        assert shown.stdout == ""
        assert shown.stderr.startswith("Error: ")
        assert "Traceback" not in shown.stderr
        assert "unexpected" not in shown.stderr
        after = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
        assert after == before
        return shown.stderr

    return run


def altered(example: Path, folder: Path, change) -> Path:
    """A copy of the example after ``change(table)``."""
    table = read_catalog(example)
    path = folder / "altered.fits"
    changed = change(table)
    write_catalog(table if changed is None else changed, path)
    return path


def output_of(path: Path) -> QTable:
    return read_catalog(path.with_name(f"{path.stem}_jpassed{path.suffix}"))


# --- files --------------------------------------------------------------------------------------


def test_missing_file(refused, tmp_path):
    assert "nowhere.fits" in refused(tmp_path / "nowhere.fits")


@pytest.mark.parametrize("ending", [".fits", ".vot", ".ecsv", ".parquet", ".fits.gz"])
def test_not_a_table(refused, tmp_path, ending):
    path = tmp_path / f"picture{ending}"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    message = refused(path)
    assert path.name in message


def test_csv_that_is_binary(refused, tmp_path):
    path = tmp_path / "picture.csv"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\x00" + bytes(range(256)))
    assert path.name in refused(path)


def test_empty_file(refused, tmp_path):
    path = tmp_path / "empty.fits"
    path.touch()
    assert path.name in refused(path)


def test_fits_image_without_a_table(refused, tmp_path):
    path = tmp_path / "image.fits"
    fits.writeto(path, np.zeros((4, 4)))
    message = refused(path)
    assert path.name in message
    assert "table" in message


def test_folder_as_input(annotate, refused, tmp_path):
    folder = tmp_path / "folder.fits"
    folder.mkdir()
    shown = annotate(folder)  # it might have Parquet files
    assert shown.exit_code == 2 and "folders want -o OUT" in shown.stderr
    assert folder.name in refused(folder, "-o", str(tmp_path / "out"))


def test_unknown_format_lists_the_known_ones(refused, tmp_path):
    path = tmp_path / "table.docx"
    path.write_text("J0660,J0660_err\n1,1\n")
    message = refused(path, code=2)
    for ending in (".fits", ".vot", ".ecsv", ".parquet", ".csv"):
        assert ending in message


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.97])
def test_truncated_fits(refused, example, tmp_path, kept):
    whole = example.read_bytes()
    path = tmp_path / "cut.fits"
    path.write_bytes(whole[: int(kept * len(whole))])
    message = refused(path)
    assert path.name in message


def test_truncated_gzip(refused, example, tmp_path):
    whole = gzip.compress(example.read_bytes())
    path = tmp_path / "cut.fits.gz"
    path.write_bytes(whole[: len(whole) // 2])
    assert path.name in refused(path)


def test_existing_output(refused, example, tmp_path):
    path = tmp_path / "few.fits"
    shutil.copy(example, path)
    (tmp_path / "few_jpassed.fits").write_text("precious")
    message = refused(path)
    assert "few_jpassed.fits exists" in message
    assert "--overwrite" in message


def test_unwritable_folder(refused, example, tmp_path):
    # A file in the place of the folder: permissions do not stop the superuser.
    (tmp_path / "folder").write_text("a file")
    message = refused(example, "-o", tmp_path / "folder" / "out.fits")
    assert "not a folder" in message


def test_output_is_the_input(refused, example, tmp_path):
    path = tmp_path / "few.fits"
    shutil.copy(example, path)
    assert "exists" in refused(path, "-o", path)


def test_a_write_that_fails_leaves_nothing(refused, example, tmp_path, monkeypatch):
    def full(self, target, *args, **kwargs):
        if isinstance(target, str | Path):
            Path(target).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Table, "write", full)
    monkeypatch.setattr(QTable, "write", full)
    monkeypatch.setattr(fits.HDUList, "writeto", full)
    message = refused(example, "-o", tmp_path / "out.fits")
    assert "No space left on device" in message


# --- tables -------------------------------------------------------------------------------------


def test_no_rows(refused, example, tmp_path):
    path = altered(example, tmp_path, lambda table: table[:0])
    assert "no rows" in refused(path)


def test_no_band_shows_the_columns_and_a_map(refused, tmp_path):
    path = tmp_path / "names.csv"
    path.write_text("name,brightness\nNGC 1,12\n")
    message = refused(path)
    assert "brightness" in message
    assert "--map" in message or "survey=" in message


@pytest.mark.parametrize("unit", ["K", "s", "Angstrom"])
def test_wrong_unit(refused, example, tmp_path, unit):
    def change(table):
        table[BAND] = table[BAND].value * u.Unit(unit)

    message = refused(altered(example, tmp_path, change))
    assert BAND in message
    assert unit in message


def test_text_where_a_flux_belongs(refused, tmp_path):
    path = tmp_path / "text.csv"
    path.write_text(f"{BAND},{BAND}_err\nbright,1\nfaint,1\n")
    message = refused(path)
    assert BAND in message


def test_duplicate_columns_in_csv(refused, tmp_path):
    path = tmp_path / "twice.csv"
    path.write_text(f"{BAND},{BAND}_err,{BAND}\n10,1,20\n12,1,20\n")
    assert BAND in refused(path)


def test_duplicate_columns_in_fits(refused, tmp_path):
    path = tmp_path / "twice.fits"
    columns = [
        fits.Column(name, "D", unit="uJy", array=np.ones(3))
        for name in (BAND, f"{BAND}_err", "other")
    ]
    fits.BinTableHDU.from_columns(columns).writeto(path)
    path.write_bytes(path.read_bytes().replace(b"'other   '", f"'{BAND:<8}'".encode()))
    assert BAND in refused(path)


def test_a_band_in_two_forms(refused, example, tmp_path):
    def change(table):
        table[f"mag_{BAND}"] = np.full(len(table), 20.0) * u.ABmag
        table[f"magerr_{BAND}"] = np.full(len(table), 0.1) * u.mag

    assert BAND in refused(altered(example, tmp_path, change))


def test_annotated_table_is_not_annotated_again(annotate, refused, example, tmp_path):
    path = tmp_path / "few.fits"
    shutil.copy(example, path)
    assert annotate(path, "--outputs", "z").exit_code == 0
    again = tmp_path / "few_jpassed.fits"
    message = refused(again, "--outputs", "z")
    assert "jp_z" in message
    assert "replace" in message
    assert annotate(again, "--outputs", "z", "--replace-columns").exit_code == 0


# --- choices: exit code 2 -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "wrong", "listed"),
    [
        (["--survey", "jpaz"], "jpaz", "minijpas"),
        (["--outputs", "logmas"], "logmas", "logmstar"),
        (["--outputs", "flux:J0666"], "J0666", "J0660"),
        (["--context", "redshift=true_z"], "redshift", "logmstar"),
        (["--context", "z=z_sepc"], "z_sepc", "true_z"),
        (["--model", "defualt"], "defualt", "default"),
    ],
)
def test_unknown_choice_lists_the_valid_ones(refused, example, tmp_path, options, wrong, listed):
    path = tmp_path / "few.fits"
    shutil.copy(example, path)
    message = refused(path, *options, code=2)
    assert wrong in message
    assert listed in message


def test_missing_map(refused, example, tmp_path):
    path = tmp_path / "few.fits"
    shutil.copy(example, path)
    assert "nowhere.yaml" in refused(path, "--map", tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("text", ["- a\n- list\n", "{", "colums: {}\n"])
def test_damaged_map(refused, example, tmp_path, text):
    path = tmp_path / "few.fits"
    shutil.copy(example, path)
    column_map = tmp_path / "map.yaml"
    column_map.write_text(text)
    assert "map.yaml" in refused(path, "--map", column_map)


# --- rows: flagged, the others as they are ------------------------------------------------------


def band_columns(table: QTable) -> list[str]:
    return [n.removesuffix("_err") for n in table.colnames if n.endswith("_err")]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_row_without_any_number_is_masked_and_flagged(annotate, example, tmp_path, value):
    def change(table):
        for name in band_columns(table):
            table[name][2] = value * table[name].unit
            table[f"{name}_err"][2] = value * table[name].unit

    path = altered(example, tmp_path, change)
    assert annotate(path, "--outputs", "z,logmstar").exit_code == 0
    written = output_of(path)
    for name in ("jp_z", "jp_z_err", "jp_z_lo", "jp_z_hi", "jp_logmstar"):
        assert list(np.ma.getmaskarray(Table(written)[name].data)) == [i == 2 for i in range(6)]
    assert written["jp_flag"][2] != 0
    assert written["jp_nbands"][2] == 0
    assert (np.asarray(written["jp_nbands"])[[0, 1, 3, 4, 5]] > 0).all()


def test_negative_errors_are_flagged_and_other_rows_unchanged(annotate, example, tmp_path):
    def change(table):
        table[f"{BAND}_err"][1] *= -1

    good, path = tmp_path / "good.fits", altered(example, tmp_path, change)
    shutil.copy(example, good)
    for each in (good, path):
        assert annotate(each, "--outputs", "z").exit_code == 0
    expected, written = output_of(good), output_of(path)
    assert written["jp_flag"][1] != expected["jp_flag"][1]
    assert written["jp_nbands"][1] == expected["jp_nbands"][1] - 1
    others = [0, 2, 3, 4, 5]
    assert np.asarray(written["jp_z"])[others] == pytest.approx(
        np.asarray(expected["jp_z"])[others], rel=1e-4
    )
    assert (np.asarray(written["jp_flag"])[others] == expected["jp_flag"][others]).all()


def test_input_columns_come_back_as_they_were(annotate, example, tmp_path):
    path = tmp_path / "few.fits"
    shutil.copy(example, path)
    before = path.read_bytes()
    assert annotate(path).exit_code == 0
    assert path.read_bytes() == before
    given, written = Table.read(path), Table.read(path.with_name("few_jpassed.fits"))
    assert written.colnames[: len(given.colnames)] == given.colnames
    for name in given.colnames:
        assert written[name].unit == given[name].unit
        assert np.array_equal(np.ma.getmaskarray(written[name]), np.ma.getmaskarray(given[name]))
        assert list(np.ma.filled(written[name], 0)) == list(np.ma.filled(given[name], 0))


# --- weights ------------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path) -> Path:
    """A copy of the embedded model."""
    return Path(shutil.copytree(find_model("default"), tmp_path / "model"))


@pytest.mark.parametrize("damage", ["text", "cut", "flipped", "empty"])
def test_corrupted_weights(refused, example, tmp_path, model, damage):
    path, weights = tmp_path / "few.fits", model / "model.safetensors"
    shutil.copy(example, path)
    content = bytearray(weights.read_bytes())
    if damage == "text":
        content = bytearray(b"these are no weights\n" * 100)
    elif damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "flipped":
        content[-1000] ^= 1
    else:
        content = bytearray()
    weights.write_bytes(content)
    message = refused(path, "--model", model)
    assert "model.safetensors" in message
    assert "damaged" in message


@pytest.mark.parametrize("card", ["", "{", "[]", '{"format": 99}'])
def test_corrupted_card(refused, example, tmp_path, model, card):
    path = tmp_path / "few.fits"
    shutil.copy(example, path)
    (model / "model.json").write_text(card)
    assert str(model) in refused(path, "--model", model)


@pytest.mark.parametrize("name", ["model.safetensors", "model.json"])
def test_incomplete_model(refused, example, tmp_path, model, name):
    path = tmp_path / "few.fits"
    shutil.copy(example, path)
    (model / name).unlink()
    assert f"{name} is missing" in refused(path, "--model", model)


def test_missing_model(refused, example, tmp_path):
    path = tmp_path / "few.fits"
    shutil.copy(example, path)
    assert "nowhere" in refused(path, "--model", tmp_path / "nowhere")
