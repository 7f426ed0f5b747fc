"""The commands on real files, end to end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.table import QTable, Table
from click.testing import CliRunner

from jpassed.cli import main
from jpassed.io.catalogs import read_catalog, write_catalog

ENDINGS = (".fits", ".fits.gz", ".vot", ".ecsv", ".ecsv.gz", ".parquet", ".csv", ".csv.gz")
LABELS = (
    *("z", "logmstar", "logsfr", "logzstar", "t0", "tau", "av", "ur_rest", "ur_int"),
    *("logage_m", "logage_l", "ew_oii", "ew_hbeta", "ew_oiii", "ew_halpha", "ew_nii", "ew_sii"),
    *("flux_galex_fuv", "flux_galex_nuv"),
)


def run(*words):
    shown = CliRunner().invoke(main, [str(word) for word in words])
    assert shown.exit_code == 0, shown.output
    return shown


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("files") / "example.fits"
    assert "simulated galaxies" in run("example", path).stdout
    return path


@pytest.fixture(scope="module")
def annotated(example) -> QTable:
    run("annotate", example)
    return read_catalog(example.with_name("example_jpassed.fits"))


def test_example_has_bands_errors_and_truth(example):
    table = read_catalog(example)
    assert len(table) >= 100
    for band in ("uJAVA", "J0660", "rSDSS"):
        assert str(table[band].unit) == str(table[f"{band}_err"].unit) == "uJy"
    assert "true_z" in table.colnames
    assert example.stat().st_size < 2_000_000


def test_annotated_has_every_promised_column(annotated):
    for label in LABELS:
        for end in ("", "_err", "_lo", "_hi"):
            assert f"jp_{label}{end}" in annotated.colnames
            assert annotated[f"jp_{label}{end}"].info.description
    assert "jp_flag" in annotated.colnames
    assert "jp_nbands" in annotated.colnames


def test_annotated_values_are_ordered(annotated):
    for label in LABELS:
        low, middle, high, error = (
            np.ma.filled(np.ma.asarray(Table(annotated)[f"jp_{label}{end}"].data), np.nan)
            for end in ("_lo", "", "_hi", "_err")
        )
        known = np.isfinite(middle)
        assert known.any()
        assert (low[known] <= middle[known]).all()
        assert (middle[known] <= high[known]).all()
        assert error[known] == pytest.approx(0.5 * (high - low)[known], rel=1e-3, abs=1e-5)


def test_redshifts_of_the_example_are_close_to_the_truth(annotated):
    z, truth = (np.asarray(annotated[name], dtype=float) for name in ("jp_z", "true_z"))
    off = (z - truth) / (1 + truth)
    assert 1.4826 * np.median(np.abs(off - np.median(off))) < 0.02


def test_annotated_says_what_made_it(annotated):
    said = " ".join(f"{key} {value}" for key, value in annotated.meta.items())
    assert "default" in said
    assert "date" in said.lower()


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_format_in_and_out(example, annotated, tmp_path, ending):
    path = tmp_path / f"few{ending}"
    write_catalog(read_catalog(example)[:5], path)
    out = tmp_path / f"few_jpassed{ending}"
    assert run("annotate", path, "--outputs", "z").stdout == f"{out}: 5 rows\n"
    written = read_catalog(out)
    assert np.asarray(written["jp_z"]) == pytest.approx(
        np.asarray(annotated["jp_z"][:5]), rel=2e-3, abs=2e-3
    )


def test_empty_outputs_are_refused(example):
    shown = CliRunner().invoke(main, ["annotate", str(example), "--outputs", " , "])
    assert shown.exit_code == 2
    assert "--outputs names no quantity" in shown.output


def test_outputs_chosen_and_nothing_else(example, tmp_path):
    out = tmp_path / "out.ecsv"
    run("annotate", example, "-o", out, "--outputs", "flux:J0660,z", "--samples", 3, "--pdf")
    table = read_catalog(out)
    new = [name for name in table.colnames if name.startswith("jp_")]
    quantities = {n for n in new if not n.endswith(("_err", "_lo", "_hi", "_pdf", "_samples"))}
    assert quantities == {"jp_z", "jp_flux_J0660", "jp_intruder", "jp_chi2", "jp_flag", "jp_nbands"}
    assert table["jp_z_samples"].shape == (len(table), 3)
    assert table["jp_z_pdf"].ndim == 2
    assert str(table["jp_flux_J0660"].unit) == "uJy"


def test_a_known_redshift_sharpens_the_mass(example, annotated, tmp_path):
    out = tmp_path / "out.fits"
    run("annotate", example, "-o", out, "--outputs", "logmstar", "--context", "z=true_z")
    told = read_catalog(out)
    assert np.median(told["jp_logmstar_err"]) < np.median(annotated["jp_logmstar_err"])


def test_labels_alone_give_bandfluxes(example, tmp_path):
    table = read_catalog(example)
    labels = tmp_path / "labels.fits"
    write_catalog(table[["id", "true_z", "true_logmstar"]][:4], labels)
    out = tmp_path / "out.fits"
    run(
        *("annotate", labels, "-o", out, "--outputs", "flux:rSDSS"),
        *("--context", "z=true_z", "--context", "logmstar=true_logmstar"),
    )
    flux = read_catalog(out)["jp_flux_rSDSS"]
    assert np.isfinite(np.asarray(flux, dtype=float)).all()
    assert str(flux.unit) == "uJy"


def test_a_map_names_the_columns(example, tmp_path):
    table = read_catalog(example)[:4]
    plain, column_map = tmp_path / "plain.csv", tmp_path / "map.yaml"
    bands = ("J0450", "J0510", "J0580", "J0660", "J0740", "rSDSS")
    lines = ["bands:"]
    mine = Table()
    for k, band in enumerate(bands):
        mine[f"a{k}"], mine[f"b{k}"] = table[band].value, table[f"{band}_err"].value
        lines.append(f"  {band}: {{flux: a{k}, error: b{k}, unit: uJy}}")
    mine.write(plain)
    column_map.write_text("\n".join(lines))
    run("annotate", plain, "--map", column_map, "--outputs", "z")
    written = read_catalog(tmp_path / "plain_jpassed.csv")
    assert list(written["jp_nbands"]) == [len(bands)] * 4


def test_models_lists_the_default_model():
    assert run("models").stdout.startswith("default ")


def test_the_readme_pipeline_in_a_shell(tmp_path):
    command = f'"{sys.executable}" -m jpassed'
    shown = subprocess.run(
        f"{command} example example.fits && {command} annotate example.fits --outputs z",
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stderr == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == ["example.fits", "example_jpassed.fits"]


# --- real files ---------------------------------------------------------------------------------


@pytest.mark.real_data
def test_real_spectra_to_redshifts(real_data, tmp_path):
    index = Table.read(real_data / "spectra" / "spectra_index.csv")
    firefly = [name.startswith("spectra/sdss_firefly/") for name in index["file"]]
    safe = index[firefly & (index["class"] == "GALAXY") & (index["zwarning"] == 0)][:3]
    galaxies = [real_data / name for name in safe["file"]]
    spectra = tmp_path / "jspectra.fits"
    assert run("jspectra", *galaxies, "-o", spectra).stdout == f"{spectra}: 3 spectra\n"
    run("annotate", spectra, "--outputs", "z")
    written = read_catalog(tmp_path / "jspectra_jpassed.fits")
    assert (np.asarray(written["jp_nbands"]) > 30).all()
    assert np.asarray(written["z_spec"]) == pytest.approx(np.asarray(safe["z"]), abs=1e-4)
    assert np.asarray(written["jp_z"]) == pytest.approx(np.asarray(safe["z"]), abs=0.05)


@pytest.mark.real_data
def test_simulate_is_repeatable_and_feeds_annotate(real_data, tmp_path):
    ssp = real_data / "ssp" / "ssp_bc03_lr_chabrier.npz"
    for name in ("one", "two"):
        run("simulate", "-n", 20, "--ssp", ssp, "--seed", 3, "-o", tmp_path / f"{name}.fits")
    one, two = (read_catalog(tmp_path / f"{name}.fits") for name in ("one", "two"))
    assert len(one) == 20
    for name in one.colnames:
        assert np.array_equal(
            np.ma.filled(Table(one)[name], 0), np.ma.filled(Table(two)[name], 0)
        ), name
    run("annotate", tmp_path / "one.fits", "--outputs", "z")
    written = read_catalog(tmp_path / "one_jpassed.fits")
    assert (np.asarray(written["jp_nbands"]) >= 60).all()


@pytest.mark.real_data
def test_real_sdss_catalogue(real_data, tmp_path):
    few = tmp_path / "sdss.fits"
    Table.read(real_data / "catalogs" / "sdss_galaxies_gst.fits")[:20].write(few)
    run("annotate", few, "--outputs", "z")
    written = read_catalog(tmp_path / "sdss_jpassed.fits")
    assert len(written) == 20
    assert np.isfinite(np.asarray(written["jp_z"], dtype=float)).all()
