"""Bits of jp_flag by their names and limits, and jp_chi2 in tables."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from annotation_tables import BANDS, assert_same_columns, make_table, masked, numbers, small_model
from astropy import units as u
from astropy.table import MaskedColumn, QTable, vstack
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from jpassed.annotation import FLAGS, Flag, annotate
from jpassed.annotation.flag_limits import FILE, load_flag_limits
from jpassed.annotation.flags import prior_dominated, uncertain_redshift
from jpassed.annotation.streaming import PageAnnotator
from jpassed.cli import main
from jpassed.exceptions import FileError, InputError, UnknownNameError
from jpassed.filters import load_filters
from jpassed.io.catalogs import read_catalog

EXAMPLE = Path(__file__).parents[1] / "jpassed" / "cli" / "data" / "example.fits"
AB_20 = np.log(36.307805)


def annotated(table, **options):
    return annotate(table, model=small_model(), outputs=["z"], **options)


@pytest.fixture(scope="module")
def galaxies() -> QTable:
    """Simulated galaxies with the noise of the survey, in the J-PAS bands."""
    table = read_catalog(EXAMPLE)
    return table[[f"{band}{end}" for band in load_filters("jpas").names for end in ("", "_err")]]


@pytest.fixture(scope="module")
def plain(galaxies) -> QTable:
    return annotate(galaxies, outputs=["z"])


# --- names --------------------------------------------------------------------------------------


@given(bits=st.sets(st.sampled_from(list(Flag))))
def test_names_of_a_value(bits):
    value = sum(int(bit) for bit in bits)
    assert Flag.names(value) == tuple(bit.name for bit in Flag if bit in bits)
    assert Flag.names(np.int32(value)) == Flag.names(value)


def test_values_that_are_no_flags():
    assert Flag.names(np.ma.masked) == ()
    with pytest.raises(InputError, match="2097152 is not made of the bits 1, 2, 4"):
        Flag.names(2**21)
    for value in (-1, 1.0, True, "3", None):
        with pytest.raises(InputError, match="flag: "):
            Flag.names(value)


def test_numbers_in_the_meanings_are_the_limits():
    limits = load_flag_limits()
    assert f"fewer than {limits.few_bands} bands" in FLAGS[Flag.FEW_BANDS]
    assert f"below {limits.detected:g} times" in FLAGS[Flag.NOT_DETECTED]
    assert f"below {100 * limits.efficiency:g} %" in FLAGS[Flag.LOW_EFFICIENCY]
    assert limits.prior_ratio == 0.5
    assert "more than half as wide" in FLAGS[Flag.PRIOR_DOMINATED]
    assert f"{100 * limits.measured['false_alarms']:g} %" in FLAGS[Flag.POOR_RECONSTRUCTION]


def test_the_page_has_every_bit_and_its_code_runs(galaxies):
    text = (Path(__file__).parents[1] / "docs" / "flags.md").read_text("utf-8")
    for flag in Flag:
        assert f"| {int(flag)} | `{flag.name}` |" in text
    (code,) = re.findall(r"^```python\n(.+?)^```", text, flags=re.M | re.S)
    said = {"table": galaxies[:3]}
    exec(compile(code, "flags.md", "exec"), said)
    assert len(said["spoilt"]) <= 3


# --- limits -------------------------------------------------------------------------------------


def test_limits_of_chi2_fall_with_the_number_of_bands():
    limits = load_flag_limits()
    assert set(limits.chi2) == {"quick", "full"}
    for form, (tested, limit) in limits.chi2.items():
        assert (np.diff(tested) > 0).all()
        assert (limit > 1.3).all()
        assert limit[-1] < limit[0]
        assert limits.chi2_limit(form, [0, 1, 1000]) == pytest.approx(
            [limit[0], limit[0], limit[-1]]
        )
    assert (np.diff(limits.prior[0]) > 0).all()
    assert ((limits.prior[1] > 0.02) & (limits.prior[1] < 0.4)).all()


def test_damaged_limits(tmp_path):
    own = tmp_path / "limits.yaml"
    own.write_text(FILE.read_text("utf-8").replace("detected", "seen"), "utf-8")
    with pytest.raises(FileError, match="no file of thresholds"):
        load_flag_limits(own)
    with pytest.raises(FileError, match="no file of thresholds"):
        load_flag_limits(tmp_path / "none.yaml")


def test_prior_dominated():
    width = load_flag_limits().prior_width([20.0])[0]
    widths = width * np.array([0.05, 0.49, 0.51, 2.0, 2.0])
    known = np.array([False, False, False, False, True])
    found = prior_dominated(widths, np.full(5, AB_20), known)
    assert list(found) == [0, 0, 256, 256, 0]
    assert found.dtype == np.int32


def test_uncertain_redshift():
    widths = np.array([0.04, 0.051, 0.09, 0.101, 0.3])
    median = np.array([0.0, 0.0, 1.0, 1.0, 0.5])
    known = np.array([False, False, False, False, True])
    found = uncertain_redshift(widths, median, known)
    assert list(found) == [0, 2048, 0, 2048, 0]
    assert "above 0.05 (1 + z)" in FLAGS[Flag.UNCERTAIN_REDSHIFT]
    assert load_flag_limits().redshift_error == 0.05


def test_the_flag_of_uncertain_redshifts_is_that_of_the_columns(plain):
    wide = plain["jp_z_err"] > 0.05 * (1.0 + plain["jp_z"])
    flagged = plain["jp_flag"] & Flag.UNCERTAIN_REDSHIFT > 0
    assert 0.01 < flagged.mean() < 0.3
    assert (flagged == wide).mean() > 0.98  # the quantiles of columns are rounded


# --- galaxies and their faults ------------------------------------------------------------------


def test_few_galaxies_of_the_prior_are_flagged(plain):
    poor = plain["jp_flag"] & Flag.POOR_RECONSTRUCTION > 0
    assert poor.mean() < 0.04  # 1 % of many
    assert 0.8 < np.median(plain["jp_chi2"]) < 1.25
    assert not (plain["jp_flag"] & Flag.NEGATIVE_FLUX).any()
    assert (plain["jp_flag"] & Flag.PRIOR_DOMINATED > 0).mean() < 0.3


@pytest.mark.parametrize("form", ["quick", "full"])
def test_a_spoilt_band_raises_chi2(galaxies, form):
    bright = np.argsort(-galaxies["rSDSS"].value)[:40]
    few = galaxies[bright]
    before = annotate(few, outputs=["z"], chi2=form)
    spoilt = few.copy()
    spoilt["J0510"] *= 10**0.4  # compared in both forms
    spoilt["J0510_err"] *= 10**0.4
    after = annotate(spoilt, outputs=["z"], chi2=form)
    risen = np.asarray(after["jp_chi2"]) > np.asarray(before["jp_chi2"])
    assert risen.mean() > 0.9
    assert np.median(after["jp_chi2"]) > 1.5 * np.median(before["jp_chi2"])


def test_errors_too_small_are_flagged(galaxies):
    spoilt = galaxies.copy()
    for band in load_filters("jpas").names:
        spoilt[f"{band}_err"] /= 3.0
    result = annotate(spoilt, outputs=["z"])
    assert (result["jp_flag"] & Flag.POOR_RECONSTRUCTION > 0).mean() > 0.5


def test_empty_sky_is_negative_half_of_the_time(galaxies):
    rng = np.random.default_rng(6)
    sky = galaxies.copy()
    for band in load_filters("jpas").names:
        sky[band] = sky[f"{band}_err"] * rng.standard_normal(len(sky))
    flag = annotate(sky, outputs=["z"])["jp_flag"]
    negative = flag & Flag.NEGATIVE_FLUX > 0
    assert 0.35 < negative.mean() < 0.65
    assert (flag[negative] & Flag.NOT_DETECTED > 0).all()
    assert (flag & Flag.NOT_DETECTED > 0).mean() > 0.98


# --- the column ---------------------------------------------------------------------------------


def test_forms_and_the_column(galaxies):
    few = galaxies[:5]
    without = annotate(few, outputs=["z"], chi2="none")
    assert "jp_chi2" not in without.colnames
    assert not (without["jp_flag"] & Flag.POOR_RECONSTRUCTION).any()
    quick, full = (annotate(few, outputs=["z"], chi2=form) for form in ("quick", "full"))
    assert "some bands" in quick["jp_chi2"].info.description
    assert "every band" in full["jp_chi2"].info.description
    assert quick["jp_chi2"].info.meta["ucd"] == "stat.fit.chi2"
    assert (quick["jp_chi2"] != full["jp_chi2"]).all()
    assert_same_columns(quick, full, ["jp_z", "jp_z_err"])
    with pytest.raises(UnknownNameError, match=r"fast.*quick"):
        annotate(few, chi2="fast")


def test_few_bands_have_no_chi2():
    table = make_table(3)
    for band in BANDS[4:]:
        table = masked(table, band, [1])
    result = annotated(table, chi2="full")
    assert list(np.isnan(numbers(result["jp_chi2"]))) == [False, True, False]
    assert not result["jp_flag"][1] & Flag.POOR_RECONSTRUCTION
    alone = annotated(make_table(3)["z_spec", "mass"], context={"z": "z_spec"})
    assert np.isnan(numbers(alone["jp_chi2"])).all()


def test_order_and_rows_do_not_matter(galaxies):
    # In bfloat16 the order of single bands shows in the third digit.
    few = galaxies[:12]
    whole = annotate(few, outputs=["z"], precision="float32")
    names = [n for band in reversed(load_filters("jpas").names) for n in (band, f"{band}_err")]
    back = annotate(few[names][::-1], outputs=["z"], precision="float32")
    for name in ("jp_chi2", "jp_flag"):
        np.testing.assert_allclose(back[name][::-1], whole[name], rtol=1e-4)


def test_a_known_redshift_enters(galaxies):
    few = galaxies[:30].copy()
    few["zz"] = np.linspace(0.05, 1.1, 30)  # wrong ones
    free = annotate(few, outputs=["z"], chi2="full")
    given_z = annotate(few, outputs=["z"], context={"z": "zz"}, chi2="full")
    assert np.median(given_z["jp_chi2"]) > np.median(free["jp_chi2"])
    assert not (given_z["jp_flag"] & Flag.PRIOR_DOMINATED).any()


def test_pages_have_the_flags_of_the_whole(galaxies):
    table = galaxies[:30].copy()
    for band in ("J0520", "J0660"):
        table[band][:9] *= 4.0
    whole = annotate(table, outputs=["z"])
    annotator = PageAnnotator(outputs=["z"])
    pages = vstack([annotator(table[:11], 0), annotator(table[11:], 11)])
    assert (whole["jp_flag"] & Flag.POOR_RECONSTRUCTION).any()
    assert list(pages["jp_flag"]) == list(whole["jp_flag"])
    np.testing.assert_allclose(pages["jp_chi2"], whole["jp_chi2"], rtol=1e-4)


def test_columns_of_an_earlier_annotation_do_not_stay():
    table = annotated(make_table(4), chi2="full")
    with pytest.raises(InputError, match="jp_chi2"):
        annotated(table["J0400", "J0400_err", "jp_chi2"])
    again = annotated(table, chi2="none", replace_columns=True)
    assert "jp_chi2" not in again.colnames


def test_the_command(tmp_path, galaxies):
    path, out = tmp_path / "in.fits", tmp_path / "out.fits"
    galaxies[:3].write(path)
    runner = CliRunner()
    found = runner.invoke(
        main, ["annotate", str(path), "-o", str(out), "--outputs", "z", "--chi2", "none"]
    )
    assert found.exit_code == 0, found.output
    assert "jp_chi2" not in QTable.read(out).colnames
    found = runner.invoke(main, ["annotate", str(path), "--chi2", "fast"])
    assert found.exit_code == 2
    assert "'quick', 'full', 'none'" in found.output


def test_a_flux_far_too_bright_is_still_a_number(galaxies):
    table = galaxies[:3].copy()
    table["J0520"][0] = 1e9 * u.uJy
    result = annotate(table, outputs=["z"])
    assert np.isfinite(numbers(result["jp_chi2"])).all()
    assert result["jp_flag"][0] & Flag.POOR_RECONSTRUCTION


def test_rows_of_mostly_new_bands_are_outside_the_domain(tmp_path):
    known, new = [f"sdss_{b}" for b in "griz"], [f"own_{i}" for i in range(5)]
    table = QTable({"galaxy": ["only known", "mostly new", "half new"]})
    shown = {0: known, 1: [*known[:2], *new], 2: [*known, *new[:4]]}
    for band in (*known, *new):
        missing = [band not in shown[row] for row in range(3)]
        for end, value in (("", 50.0), ("_err", 1.0)):
            table[f"{band}{end}"] = MaskedColumn([value] * 3, mask=missing, unit=u.uJy)
    described = "\n".join(
        f"  {band}: {{flux: {band}, error: {band}_err"
        + (f", pivot: {4000 + 900 * i}, width: 800" if band in new else "") + "}"
        for i, band in enumerate((*new, *known))
    )  # fmt: skip
    path = tmp_path / "own.yaml"
    path.write_text(f"name: own\nbands:\n{described}\n")
    flag = annotate(table, survey=path, outputs=["z"])["jp_flag"]
    assert [bool(value & Flag.OUTSIDE_DOMAIN) for value in flag] == [False, True, False]
