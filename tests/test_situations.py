"""The benchmark of five situations: what is hidden and shifted, what is scored, what is written."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jpassed.annotation import FLAGS

PIVOT = np.linspace(3500.0, 9200.0, 60)


@pytest.fixture(scope="module", autouse=True)
def benchmarks(project_root):
    sys.path.insert(0, str(project_root / "benchmarks"))
    yield
    sys.path.remove(str(project_root / "benchmarks"))


def photometry(n=40, bands=60):
    rng = np.random.default_rng(0)
    flux = rng.uniform(1.0, 5.0, (n, bands))
    return flux, 0.1 * flux, np.ones((n, bands), dtype=bool)


@given(share=st.sampled_from((0.5, 0.75, 0.9, 0.95, 0.98, 1.0)), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_shares_of_bands_are_hidden(share, seed):
    from situation_changes import hidden_at_random, hidden_block, left

    flux, error, seen = photometry()
    for change in (hidden_at_random(share, seed), hidden_block(share, seed)):
        same, _, after = change(flux, error, seen, PIVOT[::-1])
        assert (after.sum(axis=1) == left(share, 60)).all()
        np.testing.assert_array_equal(same, flux)
    holes = np.diff((~after).astype(int), axis=1)
    assert ((holes == 1).sum(axis=1) <= 1).all()  # one block, wherever the bands stand
    assert left(0.98, 60) == 1 and left(1.0, 60) == 0


def test_hidden_bands_differ_from_object_to_object():
    from situation_changes import hidden_at_random, hidden_block

    flux, error, seen = photometry()
    for change in (hidden_at_random(0.5, 1), hidden_block(0.5, 1)):
        after = change(flux, error, seen, PIVOT)[2]
        assert len({tuple(row) for row in after}) > 10


def test_offsets_in_magnitudes():
    from situation_changes import TILES, bad_tile, grey, scatter, shifted, slope

    flux, error, seen = photometry()

    def magnitudes(offset):
        new, new_error, after = shifted(offset, 3)(flux, error, seen, PIVOT)
        np.testing.assert_allclose(new_error / new, 0.1)  # errors do not know of it
        assert after.all()
        return -2.5 * np.log10(new / flux)

    np.testing.assert_allclose(magnitudes(grey(0.1)), 0.1)
    tilt = magnitudes(slope(0.1))
    np.testing.assert_allclose(tilt[:, -1] - tilt[:, 0], 0.1)
    np.testing.assert_allclose(tilt.mean(axis=1), tilt[0].mean())
    random = magnitudes(scatter(0.05))
    np.testing.assert_allclose(random[0], random[TILES])  # the same tile
    assert 0.04 < random[:TILES].std() < 0.06
    bad = magnitudes(bad_tile)
    assert ((np.abs(bad) > 0.49).sum(axis=1) == 3).all()


def test_the_five_situations_are_there():
    from situation_changes import SHARES, situations

    names = situations()
    assert {situation for situation, _ in names.values()} == {
        "in distribution", "bands missing", "zero points",
    }  # fmt: skip
    for share in SHARES:
        assert f"{100 * share:.0f} % missing, at random" in names
    assert len(names) == 1 + 11 + 6


def test_missing_bands_are_masked_columns():
    from situation_samples import BANDS, table_of

    flux, error, seen = photometry(3)
    seen[0, 5] = False
    table = table_of(flux, error, seen)
    assert table[BANDS[5]].mask.tolist() == [True, False, False]
    assert table[f"{BANDS[5]}_err"].mask.tolist() == [True, False, False]
    assert table[BANDS[5]].unit == "uJy"


def test_summary_of_known_posteriors():
    from situation_scores import by_magnitude, summary

    rng = np.random.default_rng(2)
    z = np.full(4000, 0.5)
    median = z + 1.5 * (0.01 * rng.standard_normal(4000) + 0.002)
    median[:200] += 0.3
    own = {
        "median": median,
        "sigma": np.full(4000, 0.01),
        "log": np.full(4000, 2.0),
        "crps": np.full(4000, 0.03),
        "pit": rng.random(4000),
    }
    figures = summary(own, z, slice(None))
    assert figures["bias"] == pytest.approx(0.002, abs=0.002)
    assert figures["NMAD"] == pytest.approx(0.0105, abs=0.001)
    assert figures["out05"] == pytest.approx(5.0, abs=0.1) and figures["out15"] > 4
    assert figures["NLL"] == -2.0 and figures["CRPS"] == pytest.approx(0.03)
    assert figures["cov68"] == pytest.approx(68, abs=3)
    bins = by_magnitude(own, z, np.where(np.arange(4000) < 200, 19.0, 22.5))
    assert bins["r < 20"]["n"] == 200 and bins["r < 20"]["out15"] == 100
    assert bins["20-21"]["n"] == 0 and np.isnan(bins["20-21"]["bias"])


def test_flags_and_figures_of_the_default_model():
    from situation_changes import hidden_at_random
    from situation_samples import table_of
    from situation_scores import claimed, flag_shares

    import jpassed

    flux, error, seen = photometry(20)
    model = jpassed.load_model("default")
    shares = flag_shares(table_of(flux, error, seen), model, bound=10)
    assert set(shares) == {bit.name for bit in FLAGS} | {"any"}
    assert shares["NO_BANDS"] == 0
    none = hidden_at_random(1.0, 0)(flux, error, seen, PIVOT)
    assert flag_shares(table_of(*none), model)["NO_BANDS"] == 100
    prior = claimed(table_of(*none), model)
    assert prior["n"] == 20 and prior["sigma"] > 0.05 and prior["confident"] == 0


@pytest.mark.real_data
def test_intruders_as_j_spectra(real_data):
    from situation_samples import BANDS, pickles, qso_templates, spectra

    stars = pickles(real_data)
    assert len(stars) == 3 * 131 and stars.z is None and stars.observed.all()
    assert np.abs(np.sort(stars.magnitude)[[0, -1]] - [19, 21]).max() < 0.3
    quasars = spectra(real_data, "QSO")
    assert quasars.z is not None and len(quasars) > 150 and quasars.z.max() > 2
    assert not quasars.observed.all()  # spectra do not reach every band
    assert np.isfinite(quasars.flux[quasars.observed]).all()
    templates = qso_templates(real_data)
    # broad Halpha enters J0790 near z = 0.2
    z02 = np.isclose(templates.z, 0.2)
    ratio = templates.flux[z02, BANDS.index("J0790")] / templates.flux[z02, BANDS.index("J0750")]
    assert np.median(ratio) > 1.5


def test_report_says_infinite_and_leaves_empty_bins(tmp_path):
    from situation_scores import BINS, FIGURES
    from situations import report, write_table

    row = dict.fromkeys(FIGURES, 0.5) | {"n": 20, "NLL": np.inf}
    rows = [
        {"situation": "beyond training", "name": "far", "sample": "simulated", "r": r, **row}
        for r in ("all", *BINS)
    ]
    rows[1] |= {"n": 0}
    flags = [{"name": "far", "sample": "simulated", "any": 0.0} | {b.name: 0.0 for b in FLAGS}]
    text = report(rows, flags, [], [])
    assert "infinite" in text and "### Beyond training" in text
    assert "| far | simulated | - | 0.5000 / 0.5 / 0 |" in text
    write_table(rows, tmp_path / "all.ecsv", "digest")
    assert "digest" in (tmp_path / "all.ecsv").read_text()
