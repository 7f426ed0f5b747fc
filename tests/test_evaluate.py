"""`evaluate`: figures of columns and of a model, what is left out, and the report."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from annotation_tables import make_table, small_model
from astropy import units as u
from astropy.table import MaskedColumn, QTable
from click.testing import CliRunner

from jpassed import annotate
from jpassed.annotation import infer
from jpassed.cli import main
from jpassed.evaluation import pit, sigma_nmad
from jpassed.exceptions import FileError, InputError, UnknownNameError
from jpassed.io.catalogs import read_catalog, write_catalog
from jpassed.posteriors import Gaussian, Posterior
from jpassed.posteriors.columns import posterior_columns
from jpassed.validation import evaluate

N = 400


def calibrated(n: int = N, seed: int = 4, shift: float = 0.0, **columns: object) -> QTable:
    """Columns of Gaussian posteriors about a true redshift, 0.02 wide, off by `shift` sigma."""
    rng = np.random.default_rng(seed)
    z = rng.uniform(0.2, 0.9, n)
    mean = z + 0.02 * (rng.standard_normal(n) + shift)
    posterior = Posterior({"z": Gaussian(mean, np.full(n, 0.02), lower=0.0, upper=1.2)})
    table = QTable(posterior_columns(posterior, rng=1, **columns))
    table["z_spec"], table["r"] = z, rng.uniform(17, 22, n)
    return table


def test_calibrated_columns_have_calibrated_figures():
    found = evaluate(calibrated(pdf=True), {"z": "z_spec"}, n_bootstrap=50)
    assert found.value("sigma_nmad") == pytest.approx(
        sigma_nmad(calibrated()["jp_z"], calibrated()["z_spec"])
    )
    for level in (50, 68, 90, 95):
        assert found.value(f"coverage_{level}") == pytest.approx(level / 100, abs=0.07)
    assert found.value("pit_distance") < 0.08
    # Of a Gaussian: sigma / sqrt(pi), and -ln(sigma sqrt(2 pi e)).
    assert found.value("crps") == pytest.approx(0.02 / np.sqrt(np.pi), rel=0.1)
    assert found.value("log_score") == pytest.approx(-np.log(0.02 * 4.1327), abs=0.1)
    row = found.figures[found.figures["statistic"] == "sigma_nmad"][0]
    assert row["lo"] < row["value"] < row["hi"]
    assert row["n"] == N


def test_draws_give_the_same_calibration_as_densities():
    by_pdf = evaluate(calibrated(pdf=True), {"z": "z_spec"}, n_bootstrap=0)
    by_draws = evaluate(calibrated(samples=200), {"z": "z_spec"}, n_bootstrap=0)
    for name in ("coverage_68", "coverage_95", "pit_distance"):
        assert by_draws.value(name) == pytest.approx(by_pdf.value(name), abs=0.04)
    assert by_draws.value("crps") == pytest.approx(by_pdf.value("crps"), rel=0.05)
    with pytest.raises(UnknownNameError, match="log_score"):
        by_draws.value("log_score")


def test_columns_without_posteriors_have_point_figures_and_say_so():
    table = calibrated()
    found = evaluate(
        table, {"z": "z_spec"}, predictions={"z": "jp_z,jp_z_lo,jp_z_hi"}, n_bootstrap=0
    )
    inside = (table["jp_z_lo"] <= table["z_spec"]) & (table["z_spec"] <= table["jp_z_hi"])
    assert found.value("coverage_quoted") == pytest.approx(np.mean(inside))
    assert "crps" not in set(found.figures["statistic"])
    assert any("no posteriors" in note for note in found.notes)
    with_error = evaluate(table, {"z": "z_spec"}, predictions={"z": "jp_z,jp_z_err"}, n_bootstrap=0)
    assert with_error.value("coverage_quoted") == pytest.approx(np.mean(inside), abs=0.02)
    alone = evaluate(table, {"z": "z_spec"}, predictions={"z": "jp_z"}, n_bootstrap=0)
    assert alone.value("bias") == found.value("bias")


def test_what_is_left_out_is_counted():
    table = calibrated(pdf=True)
    table["z_spec"][:10], table["z_spec"][10:15] = -99.0, 2.0
    table["jp_z"] = MaskedColumn(table["jp_z"], mask=np.arange(N) >= N - 7)
    found = evaluate(table, {"z": "z_spec"}, n_bootstrap=0)
    (row,) = found.counts
    assert (row["no_truth"], row["truth_outside_range"], row["not_predicted"]) == (10, 5, 7)
    assert row["used"] == N - 22
    assert any(f"{N - 22} of {N}" in note for note in found.notes)
    whole = found.figures[found.figures["selection"] == "all"]
    assert set(whole["n"]) == {N - 22}


def test_missing_values_of_other_codes_are_not_predictions():
    table = calibrated()
    table["zp"] = np.where(np.arange(N) < 20, -99.0, table["jp_z"])
    found = evaluate(table, {"z": "z_spec"}, predictions={"z": "zp"}, n_bootstrap=0)
    assert found.counts["not_predicted"][0] == 20
    assert found.value("outliers_0.15") == 0


def test_predictions_are_read_in_their_own_units():
    rng = np.random.default_rng(6)
    table = QTable({"age": rng.uniform(2, 8, 50), "mass": rng.uniform(9, 11, 50)})
    table["t0_fit"] = (1000 * table["age"] + 50) * u.Myr
    table["t0_fit_err"] = np.full(50, 100.0) * u.Myr
    table["mass_fit"] = 10 ** (table["mass"] + 0.1) * u.solMass
    found = evaluate(
        table, {"t0": "age", "logmstar": "mass"}, n_bootstrap=0,
        predictions={"t0": "t0_fit,t0_fit_err", "logmstar": "mass_fit"},
    )  # fmt: skip
    assert found.value("bias", "t0") == pytest.approx(0.05)
    assert found.value("quoted_error", "t0") == pytest.approx(0.1)
    assert found.value("bias", "logmstar") == pytest.approx(0.1)
    table["wrong"] = np.ones(50) * u.m
    for named, said in (({"t0": "wrong"}, "needs Gyr"), ({"t0": "age"}, "logmstar")):
        with pytest.raises(InputError, match=said):
            evaluate(table, {"t0": "age", "logmstar": "mass"}, predictions=named)
    with pytest.raises(InputError, match="value,low,high"):
        evaluate(table, {"logmstar": "mass"}, predictions={"logmstar": "mass_fit,mass_fit"})


def test_flags_are_counted_and_separate():
    table = calibrated(pdf=True)
    table["jp_z"][:40] += 0.5
    table["jp_flag"] = np.where(np.arange(N) < 40, 2, 0).astype(np.int32)
    found = evaluate(table, {"z": "z_spec"}, n_bootstrap=0)
    assert found.value("outliers_0.05", selection="flagged") == 1.0
    assert found.value("outliers_0.05", selection="no flag") < 0.01
    assert found.value("outliers_0.05") == pytest.approx(0.1, abs=0.01)
    (flag,) = found.flags
    assert (flag["name"], flag["n"], flag["outliers_0.05"]) == ("FEW_BANDS", 40, 1.0)


def test_bins_of_columns_and_of_redshift_hold_their_objects():
    table = calibrated(pdf=True)
    found = evaluate(table, {"z": "z_spec"}, by={"r": [17, 19, 22]}, n_bootstrap=0)
    rows = found.figures[(found.figures["by"] == "r") & (found.figures["statistic"] == "bias")]
    assert list(rows["low"]) == [17, 19]
    assert list(rows["n"]) == [np.sum(table["r"] < 19), np.sum(table["r"] >= 19)]
    redshift = found.figures[found.figures["by"] == "z_true"]
    assert redshift[redshift["statistic"] == "bias"]["n"].sum() >= 0.98 * N
    best = found.figures[found.figures["by"] == "odds"]
    assert list(best[best["statistic"] == "odds"]["n"]) == [40, 100, 200, 300, 360]
    values = best[best["statistic"] == "odds"]["value"]
    assert np.all(np.diff(values) <= 0)


def test_rows_of_one_object_are_resampled_together():
    one = calibrated(40, pdf=True)
    table = one[np.repeat(np.arange(40), 10)]
    table["name"] = np.repeat(np.arange(40), 10)
    alone = evaluate(table, {"z": "z_spec"}, n_bootstrap=40, by={}).figures
    together = evaluate(table, {"z": "z_spec"}, n_bootstrap=40, by={}, groups="name").figures
    width = [
        f["hi"][0] - f["lo"][0]
        for f in (x[x["statistic"] == "sigma_68"] for x in (alone, together))
    ]
    assert width[1] > 1.7 * width[0]


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"truth": {"z": "nothing"}}, UnknownNameError, "nothing"),
        ({"predictions": {"logmstar": "r"}}, InputError, "nothing is named for 'z'"),
        ({"predictions": {"z": "a,b,c,d"}}, InputError, "value,low,high"),
        ({"predictions": {"z": "zz"}}, UnknownNameError, "jp_z_lo"),
        ({"predictions": {"z": "jp_z"}, "model": "default"}, InputError, "not both"),
        ({"by": {"r": [20, 19]}}, InputError, "increasing"),
        ({"by": {"mag": None}}, UnknownNameError, "jp_z"),
        ({"groups": "mag"}, UnknownNameError, "jp_z"),
        ({"n_bootstrap": -1}, InputError, "-1"),
        ({"table": [1, 2]}, InputError, "list"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, error, said):
    given = {"table": calibrated(20), "truth": {"z": "z_spec"}, **changes}
    with pytest.raises(error, match=said):
        evaluate(given.pop("table"), given.pop("truth"), **given)


@pytest.fixture(scope="module")
def photometric() -> QTable:
    return make_table(60)


def test_a_model_is_asked_where_nothing_is_annotated(photometric):
    found = evaluate(
        photometric, {"z": "z_spec", "logmstar": "mass"}, model=small_model(), n_bootstrap=0,
        densities=True,
    )  # fmt: skip
    posterior = infer(photometric, model=small_model(), outputs=["z", "logmstar"])
    for name, truth in (("z", "z_spec"), ("logmstar", "mass")):
        expected = pit(posterior[name], np.asarray(photometric[truth]))
        np.testing.assert_allclose(found.compared[name].scores.pit, expected, atol=1e-6)
    assert found.provenance["predictions"].startswith("model small 0.3")
    assert "mag rSDSS" in set(found.figures["by"])
    kept = found.compared["z"].densities
    np.testing.assert_allclose((kept.values * np.diff(kept.edges)).sum(axis=1), 1, atol=1e-6)


def test_an_annotated_table_is_evaluated_as_it_is(photometric):
    annotated = annotate(photometric, model=small_model(), outputs=["z"], pdf=True)
    mine = evaluate(annotated, {"z": "z_spec"}, n_bootstrap=0)
    direct = evaluate(photometric, {"z": "z_spec"}, model=small_model(), n_bootstrap=0)
    assert mine.provenance["predictions"].startswith("columns jp_z")
    assert "small" in mine.provenance["model"]
    for name in ("bias", "sigma_nmad", "coverage_68", "crps", "odds"):
        assert mine.value(name) == pytest.approx(direct.value(name), rel=0.02, abs=1e-3)


def test_flags_are_those_of_annotate(photometric):
    table = photometric.copy()
    for band in ("J0400", "J0470", "J0540"):
        table[band][:5] *= -3.0
    table["J0680"][5:10] *= 30.0
    flag = annotate(table, model=small_model(), outputs=["z"])["jp_flag"]
    assert len(set(flag)) > 1
    found = evaluate(table, {"z": "z_spec"}, model=small_model(), n_bootstrap=0)
    for row in found.flags:
        assert row["n"] == np.sum((flag & row["bit"]) != 0)
    counts = [int(x["n"][0]) if len(x) else 0 for x in (
        found.figures[found.figures["selection"] == which] for which in ("flagged", "no flag")
    )]  # fmt: skip
    assert counts == [np.sum(flag != 0), np.sum(flag == 0)]


def test_the_magnitude_of_a_band_bins_objects(photometric):
    found = evaluate(
        photometric, {"z": "z_spec"}, model=small_model(), by={"J0680": [10, 21, 30]},
        n_bootstrap=0,
    )  # fmt: skip
    rows = found.figures[(found.figures["by"] == "mag J0680") & (found.figures["n"] > 0)]
    bright = photometric["J0680"].value > 10 ** ((23.9 - 21) / 2.5)
    assert rows["n"][0] == bright.sum()


class Page(HTMLParser):
    """What a reader without eyes, and one without a network, need to know of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[dict] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.language = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "html":
            self.language = given.get("lang")
        if tag == "img":
            self.images.append(given)
        self.links += [given[k] for k in ("href", "src") if k in given]
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_is_one_whole_page(tmp_path):
    table = calibrated(pdf=True)
    table["name<b>"] = table["r"]
    found = evaluate(
        table, {"z": "z_spec"}, n_bootstrap=20, by={"name<b>": None}, table_name="a & b.fits"
    )
    folder = found.write(tmp_path / "report")
    page = Page((folder / "report.html").read_text("utf-8"))
    assert page.open == []
    assert page.language == "en"
    assert len(page.images) == len(list(folder.glob("*.png"))) >= 4
    assert all(len(image["alt"]) > 30 for image in page.images)
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    text = (folder / "report.html").read_text("utf-8")
    assert "a &amp; b.fits" in text
    assert "name<b>" not in text
    assert "Brammer et al. 2008" in text
    figures = read_catalog(folder / "figures.ecsv")
    assert len(figures) == len(found.figures)
    assert figures.meta["table"] == "a & b.fits"
    objects = read_catalog(folder / "objects.ecsv")
    np.testing.assert_allclose(objects["z_truth"], table["z_spec"], rtol=1e-5)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report"]


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    found = evaluate(calibrated(50), {"z": "z_spec"}, n_bootstrap=0)
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(FileError, match="left alone"):
        found.write(folder, overwrite=True)
    assert (folder / "thesis.tex").read_text() == "years of work"
    found.write(tmp_path / "report")
    with pytest.raises(FileError, match="--overwrite"):
        found.write(tmp_path / "report")
    found.write(tmp_path / "report", overwrite=True)
    with pytest.raises(FileError, match="not a folder"):
        found.write(tmp_path / "none" / "report")


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def test_the_command_writes_beside_the_table(tmp_path):
    write_catalog(calibrated(60, pdf=True), tmp_path / "cat.fits")
    shown = run("evaluate", tmp_path / "cat.fits", "--truth", "z=z_spec", "--by", "r=17,20,22",
                "--bootstrap", 10)  # fmt: skip
    assert shown.exit_code == 0, shown.output
    assert re.search(r"Redshift, 60 objects: bias .*σ_NMAD 0\.0", shown.stdout)
    assert (tmp_path / "cat_evaluation" / "report.html").is_file()
    again = run("evaluate", tmp_path / "cat.fits", "--truth", "z=z_spec")
    assert again.exit_code == 1
    assert "--overwrite" in again.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--truth", "z"), "QUANTITY=COLUMN"),
        (("--truth", "z=z_spec", "--by", "r=17,x"), "with numbers"),
        (("--truth", "z=z_spec", "--predictions", "z=jp_z", "--model", "default"), "exclude"),
        ((), "--truth"),
    ],
)
def test_the_command_refuses_what_it_cannot_do(tmp_path, words, said):
    write_catalog(calibrated(20), tmp_path / "cat.fits")
    shown = run("evaluate", tmp_path / "cat.fits", *words)
    assert shown.exit_code == 2
    assert said in shown.stderr
