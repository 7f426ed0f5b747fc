"""The benchmark on real galaxies: twins, selections and scores are what they say."""

from __future__ import annotations

import importlib
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from astropy.cosmology import FlatLambdaCDM
from astropy.table import Table

import jpassed
from jpassed.io.spectrum_record import SpectrumRecord
from jpassed.posteriors import Gaussian
from jpassed.units import ab_magnitude

NAMES = (
    "real_catalogues", "real_lines", "real_residuals", "real_rivals", "real_scores", "real_sets",
    "real_spectra", "real_tables", "real_twins", "rival_eazy", "real",
)  # fmt: skip


@pytest.fixture(scope="module")
def modules(project_root):
    """The benchmarks' own modules, which import each other by name."""
    folder = str(project_root / "benchmarks")
    sys.path.insert(0, folder)
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in NAMES})
    finally:
        sys.path.remove(folder)


@pytest.fixture(scope="module")
def model():
    return jpassed.load_model("default")


@pytest.fixture(scope="module")
def brown(modules, real_data):
    return modules.real_sets.brown_sets(real_data, (19.0,), 2)


@pytest.fixture(scope="module")
def sdss(modules, real_data):
    return modules.real_sets, modules.real_catalogues.sdss_sets(real_data)


@pytest.mark.real_data
def test_twins_have_the_redshift_and_magnitude_that_was_asked(modules, real_data):
    from jpassed.filters import load_filters

    twins = modules.real_twins.Twins(real_data, load_filters("jpas"))
    z = np.linspace(0.05, 0.8, 40)
    flux, labels = twins.at(z, np.linspace(18.0, 22.0, 40), seed=4)
    r = ab_magnitude(flux[:, twins.bands.index("rSDSS")])
    np.testing.assert_allclose(r, np.linspace(18.0, 22.0, 40), atol=2e-3)
    np.testing.assert_allclose(labels["z"], z, rtol=1e-6)
    # Halpha leaves 9600 Å at z = 0.46: it is no target beyond.
    assert np.isnan(labels["ew_halpha"][z > 0.47]).all()
    # At z = 0.1 most galaxies of r = 16.5 are red, those of r = 21 blue; z = 1.1 has no r = 13.
    share = twins.red_share(np.array([0.1, 0.1, 1.1]), np.array([16.5, 21.0, 13.0]))
    assert share[0] > 0.6 and share[1] < 0.3 and 0 <= share[2] <= 1


@pytest.mark.real_data
def test_brown_galaxies_have_the_luminosities_of_galaxies(modules, brown, real_data):
    real, twin = brown
    assert 60 < len(real) < 180 and len(np.unique(real.group)) > 60
    absolute = real.known["mabs_r"]
    assert absolute.min() > -24 and absolute.max() < -16
    # The distance modulus is 19 - M_r up to the K correction, which is small and redward.
    modulus = FlatLambdaCDM(70, 0.3).distmod(real.z).value
    k = 19.0 - absolute - modulus
    assert np.abs(k[real.z < 0.1]).max() < 0.25
    assert 0.3 < np.median(k[(real.z > 0.35) & (real.z < 0.5)]) < 1.3
    assert ((real.known["measured"] > 0.3) & (real.known["measured"] < 0.8)).all()
    np.testing.assert_array_equal(twin.z, real.z)
    ratio = twin.error[:, :60] / real.error[:, :60]
    assert 0.8 < np.median(ratio) < 1.25


@pytest.mark.real_data
def test_brown_redshifts_are_right_and_shuffled_ones_are_not(modules, brown, model):
    scores = modules.real_scores
    for objects in brown:
        posterior = modules.real.answers(objects, model, ("z",))["z"]
        row = scores.redshift_row(scores.redshift_scores(posterior, objects.z), objects.group)
        assert row["sigma_nmad"][0] < 0.004
        assert row["outliers"][0] < 0.03
        assert row["sigma_nmad"][1] <= row["sigma_nmad"][0] <= row["sigma_nmad"][2]
        assert row["nll"][0] < -4
        other = scores.redshift_scores(posterior, np.roll(objects.z, 1))
        wrong = scores.redshift_row(other, objects.group)
        assert wrong["sigma_nmad"][0] > 0.05 and wrong["coverage"][0] < 0.2
        assert wrong["nll"][0] > 3  # the floor: ln(1000 ln 2.25) at most
        assert wrong["nll"][0] < np.log(1000 * np.log(2.25)) + 1e-6


@pytest.mark.real_data
def test_a_zero_point_shows_in_its_band_alone(modules, brown, model):
    twin = brown[1]
    i = twin.bands.index("J0660")
    flux = twin.flux.copy()
    flux[:, i] *= 10**-0.04  # 0.1 mag fainter
    shifted = modules.real_sets.replace(twin, flux=flux)
    before, after = (modules.real_residuals.residuals(s, model) for s in (twin, shifted))
    change = {band: after[band]["mag"][0] - before[band]["mag"][0]
              for band in before if "mag" in before[band]}  # fmt: skip
    assert change.pop("J0660") == pytest.approx(0.1, abs=0.005)
    assert max(map(abs, change.values())) < 0.04
    line = modules.real_residuals.summary(after, before)
    assert line["out"] and line["out"][0].startswith("J0660 +0.")


@pytest.mark.real_data
def test_spectra_and_their_twins_miss_the_same_bands(modules, real_data, model):
    real, twin = modules.real_sets.spectra_sets(real_data, (19.0,), 3)
    assert len(real) == 51 and len(np.unique(real.group)) == 16
    assert len(np.unique(twin.group)) == 51
    np.testing.assert_array_equal(real.observed, twin.observed)
    bands = real.observed.sum(axis=1)
    assert bands.min() == 42 and np.median(bands) == 56 and bands.max() == 57
    posterior = modules.real.answers(real, model, ("z", "ew_halpha", "ew_oiii", "ew_oii"))
    scores = modules.real_scores.redshift_scores(posterior["z"], real.z)
    row = modules.real_scores.redshift_row(scores, real.group)
    assert row["objects"] == 16 and row["within"][0] > 0.9 and row["median"][0] < 0.003
    strong = modules.real_scores.line_row(
        posterior["ew_halpha"], real.known["ew_halpha"], real.known["ew_halpha_err"], real.group,
        10.0,
    )  # fmt: skip
    assert strong["n"] == 27 and strong["objects"] == 9
    assert strong["mad"][0] < 0.25 and abs(strong["bias"][0]) < 0.15
    found = modules.real_lines.line_objects(
        real_data, real, posterior, np.ones(len(real), bool), 10.0
    )
    halpha = [r for r in found if r["line"] == "ew_halpha"]
    assert len(halpha) == 9
    # Two ways to measure Halpha + [NII] on the same spectra agree to about a tenth.
    ratio = np.array([r["integral"] / r["with [NII]"] for r in halpha])
    assert np.median(np.abs(ratio - 1)) < 0.2
    assert "0295-51585-0596" in modules.real_tables.object_table(found)


def test_the_integral_of_a_gaussian_line_is_its_width(modules):
    wave = np.arange(4000.0, 6500.0, 1.0)
    z, width, sigma = 0.1, 40.0, 4.0
    rest = wave / (1 + z)
    line = width * np.exp(-0.5 * ((rest - 5008.2) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    record = SpectrumRecord(wave, 3.0 * (1 + 1e-4 * (rest - 5008.2)) * (1 + line))
    assert modules.real_lines.direct_width(record, z, "ew_oiii") == pytest.approx(width, rel=1e-3)
    assert np.isnan(modules.real_lines.direct_width(record, z, "ew_halpha"))


@pytest.mark.real_data
def test_sdss_galaxies_and_their_galex(modules, sdss):
    _, (real, twin) = sdss
    uv = [real.bands.index(name) for name in modules.real_catalogues.UV]
    assert len(real) == 7000 and real.observed[:, uv].sum(axis=0).tolist() == [670, 454]
    # As many twins as galaxies are detected, within counting errors.
    counts = twin.observed[:, uv].sum(axis=0)
    assert abs(counts[0] - 670) < 80 and abs(counts[1] - 454) < 70
    narrow = [i for i in range(len(real.bands)) if i not in uv]
    np.testing.assert_array_equal(real.observed[:, narrow], twin.observed[:, narrow])
    found = modules.real_catalogues.colours(real, twin)
    assert [r["n"] for r in found[::4]] == [2552, 2028, 961, 471]
    r_i = next(r for r in found if r["z"] == "0.1-0.15" and r["colour"] == "r - i")
    assert r_i["real"] == pytest.approx([0.43, 0.07], abs=0.015)  # SDSS galaxies are tight in r - i
    colour = [ab_magnitude(s.flux[:, 1]) - ab_magnitude(s.flux[:, 2]) for s in (real, twin)]
    assert abs(np.median(colour[0]) - np.median(colour[1])) < 0.15
    law = modules.real_catalogues.exposures(real, "galex_nuv")
    known = np.isfinite(law.exposure)
    assert 80 < np.median(law.exposure[known]) < 130  # s: the all-sky survey
    limit = law.limit("galex_nuv")[known]
    np.testing.assert_allclose(
        limit / law.error(law.limit("galex_nuv"), "galex_nuv")[known],
        modules.real_catalogues.DETECTED,
    )


@pytest.mark.real_data
def test_the_map_of_the_vvds_has_the_passbands_of_its_curves(modules, real_data, project_root):
    text = (project_root / "benchmarks" / "vvds.yaml").read_text("utf-8")
    entries = yaml.safe_load(text)["bands"]
    for band in modules.real_catalogues.vvds_passbands(real_data):
        tolerance = 60.0 if band.name == "vvds_u" else 0.1  # of U there is no curve
        assert entries[band.name]["pivot"] == pytest.approx(band.pivot_wavelength, abs=tolerance)
        assert entries[band.name]["width"] == pytest.approx(band.equivalent_width, abs=tolerance)
    real, twin = modules.real_catalogues.vvds_sets(real_data)
    assert len(real) == 1505 and set(real.places) == {"r < 21", "r 21-22", "r 22-22.7"}
    assert 0 < real.z.min() and real.z.max() < 1.2
    assert real.observed.sum(axis=0).tolist()[:2] == [737, 1481]
    magnitudes = ab_magnitude(real.flux[real.observed])
    assert magnitudes.min() > 10 and magnitudes.max() < 30  # no sentinel became a flux
    np.testing.assert_array_equal(twin.observed, real.observed)
    raw = Table.read(real_data / "catalogs" / "vvds_deep_veryreliable.csv", format="ascii.csv")
    assert len(raw) == 6140


def test_coverage_of_detections_needs_the_detection(modules):
    rng = np.random.default_rng(8)
    n, limit, error = 4000, 1.5, 0.3
    mean = rng.normal(0.5, 1.0, n)
    posterior = Gaussian(mean, np.ones(n))
    flux = mean + rng.normal(0, 1.0, n) + rng.normal(0, error, n)
    seen = flux > limit
    rows = [
        modules.real_catalogues.flux_row(
            posterior, flux, np.full(n, error), seen, None if cut is None else np.full(n, cut)
        )
        for cut in (None, limit)
    ]
    assert rows[0]["n"] == rows[1]["n"] == seen.sum()
    assert abs(rows[0]["coverage"][0] - 0.68) > 0.05  # the bright ones are not typical
    assert rows[1]["coverage"][0] == pytest.approx(0.68, abs=0.03)
    whole = modules.real_catalogues.flux_row(posterior, flux, np.full(n, error), flux == flux)
    assert whole["coverage"][0] == pytest.approx(0.68, abs=0.03)


def test_where_eazy_is_better_is_told_with_its_error(modules):
    rng = np.random.default_rng(2)
    true = rng.uniform(0.1, 0.5, 400)
    n = len(true)

    def scores(sigma):
        return {"z": true + sigma * rng.standard_normal(n), "true": true,
                "pit": rng.uniform(0, 1, n), "nll": np.full(n, np.log(sigma))}  # fmt: skip

    group, use = np.arange(n), np.ones(n, bool)
    losses = modules.real_rivals.losses
    better = losses({"jpassed": scores(0.01), "eazy, A": scores(0.002)}, group, use)
    assert any(line.startswith("sigma_nmad 0.0") and "eazy, A" in line for line in better)
    assert any(line.startswith("nll") for line in better)
    worse = losses({"jpassed": scores(0.002), "eazy, A": scores(0.01)}, group, use)
    assert not any(line.startswith(("sigma_nmad", "nll")) for line in worse)


@pytest.mark.real_data
def test_rows_for_eazy_are_spread_over_every_place(modules, sdss):
    sets, (real, _) = sdss
    few = modules.real_rivals.thinned(real, 50)
    assert len(few) == 50 and few.group[0] == 0 and few.group[-1] == 6999
    from jpassed.filters import load_filters

    # A flat F_nu is the same in every band, and stays so at every redshift.
    wave = np.geomspace(500, 40000, 4000)
    grid = modules.rival_eazy.template_grid(
        [(wave, wave**-2.0)], np.array([0.1, 0.6]), load_filters("sdss")
    )
    np.testing.assert_allclose(grid, 1.0, rtol=1e-3)


def test_bars_say_met_and_missed(modules):
    def row(**values):
        return {"n": 9, "objects": 3} | {k: [v, v - 1e-4, v + 1e-4] for k, v in values.items()}

    figures = {
        "brown": {"redshift": {"r = 21": {
            "real": row(sigma_nmad=0.0049, outliers=0.05, bias=-0.0011),
            "simulated": row(sigma_nmad=0.002, outliers=0.0, bias=0.0),
        }}},
        "sdss": {"redshift": {}, "ultraviolet": {
            f"galex_nuv, z {z}": {f"{kind}, {which}": row(coverage=value)
                                  for kind in ("real", "simulated")
                                  for which in ("detected", "selection known")}
            for z, value in (("unknown", 0.64), ("known", 0.74))
        }},
    }  # fmt: skip
    found = {bar["what"]: bar for bar in modules.real_tables.bars(figures)}
    assert found["Brown SEDs, r = 21: sigma_NMAD"]["met"]
    assert not found["Brown SEDs, r = 21: beyond 0.05(1+z), %"]["met"]
    assert not found["Brown SEDs, r = 21: abs(bias)"]["met"]
    assert found["Brown SEDs, r = 21: abs(bias)"]["real"].startswith("-0.0011 (-0.0012 to")
    assert found["NUV from ugriz, z unknown, detected: 68 % holds, %"]["met"]
    assert not found["NUV from ugriz, z known, detected: 68 % holds, %"]["met"]


def test_the_page_has_the_blocks_and_the_command(modules, project_root):
    page = (project_root / "docs" / "real.md").read_text("utf-8")
    for name in (
        "run bars spectra lines widths objects brown share lrg coverage sdss trees colours "
        "ultraviolet vvds residuals residual+bands eazy eazy+better"
    ).split():
        name = name.replace("+", " ")
        assert page.count(f"<!-- {name} -->") == page.count(f"<!-- end {name} -->") == 1
    assert "benchmarks/real.py FOLDER" in page


@pytest.mark.real_data
def test_desi_spectra_are_read_whole(modules, real_data):
    found = modules.real_sets.desi_coverage(real_data)
    assert found["spectra"] == 12
    # 3600-9824 Å: all of the J-PAS bands but uJAVA, uJPAS and J1007.
    assert found["bands observed, least and most"] == [57, 57]
    assert found["first and last good pixel"] == pytest.approx([3600.0, 9824.0], abs=1.0)
    ratio = found["flux of one arm over the next where they overlap, median"]
    assert ratio == pytest.approx(1.0, abs=0.03)


@pytest.mark.real_data
def test_the_command_measures_a_part_and_keeps_the_others(
    modules, real_data, project_root, tmp_path, monkeypatch, capsys
):
    page, kept = tmp_path / "real.md", tmp_path / "real.json"
    page.write_text((project_root / "docs" / "real.md").read_text("utf-8"), "utf-8")
    for part in ("desi", "vvds"):
        words = ["benchmarks/real.py", str(real_data), "--quick", "--only", part]
        monkeypatch.setattr(sys, "argv", [*words, "-o", str(kept), "--markdown", str(page)])
        modules.real.main()
    figures = json.loads(kept.read_text("utf-8"))
    assert set(figures["seconds"]) == {"desi", "vvds"}
    assert figures["weights"] == jpassed.load_model("default").digest
    assert figures["command"].startswith("benchmarks/real.py FOLDER")
    rows = figures["vvds"]["redshift"]
    assert rows["all"]["real"]["n"] == rows["all"]["simulated"]["n"] == 61
    lrg = figures["desi"]["redshift"]["z = 0.5, r = 20"]["real"]
    assert lrg["objects"] == 1 and np.isnan(lrg["bias"][1])
    assert abs(lrg["bias"][0]) < 0.01 and lrg["outliers"][0] == 0.0
    text = page.read_text("utf-8")
    assert "| z = 0.5, r = 20 | real | 10 | 1 |" in text
    assert figures["weights"] in text and str(real_data) not in text
    assert "eazy-py better" in capsys.readouterr().out
