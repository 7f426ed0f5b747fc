"""The arithmetic of the comparison: rivals are put to the same scores, and losses are told."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest
from scipy import stats


@pytest.fixture(scope="module")
def modules(project_root):
    """The benchmarks' own modules, which import each other by name."""
    folder = str(project_root / "benchmarks")
    sys.path.insert(0, folder)
    try:
        yield {
            name: importlib.import_module(name)
            for name in ("rival_trees", "comparison_tables", "markdown_blocks", "accuracy_labels",
                         "line_bands")
        }
    finally:
        sys.path.remove(folder)


def test_quantiles_of_a_gaussian_become_that_gaussian(modules):
    trees = modules["rival_trees"]
    own = stats.norm(10.0, 0.2)
    posterior = trees.from_quantiles("logmstar", own.ppf(trees.LEVELS)[None, :])
    at = np.array([[9.4, 9.8, 10.0, 10.3, 10.6]])
    np.testing.assert_allclose(posterior.cdf(at)[0], own.cdf(at[0]), atol=0.01)
    assert posterior.logpdf(np.array([10.1]))[0] == pytest.approx(own.logpdf(10.1), abs=0.1)


def test_the_nearest_library_galaxy_is_found_whatever_its_amplitude(modules):
    trees = modules["rival_trees"]
    rng = np.random.default_rng(4)
    shape = rng.lognormal(0.0, 0.5, (40, len(trees.BANDS)))
    library = {
        "flux": shape, "log_weight": np.zeros(40), "z": np.linspace(0.1, 1.1, 40),
        "logmstar": np.linspace(8, 11, 40), "av": np.linspace(0, 2, 40),
        "ew_halpha": np.where(np.arange(40) < 20, 30.0, np.nan),
    }  # fmt: skip
    wanted = np.array([3, 17, 30])
    error = np.full((3, shape.shape[1]), 1e-3)
    best, tables, _ = trees.nearest(library, shape[wanted], error)
    np.testing.assert_array_equal(best["z"], library["z"][wanted])
    middle = trees.tabulated("z", tables["z"]).median()
    np.testing.assert_allclose(middle, library["z"][wanted], atol=2e-3)
    # A galaxy whose line is out of range takes its strength from one that has it in range.
    assert np.isfinite(best["ew_halpha"]).all()


def test_weights_are_even_at_every_magnitude(modules):
    rng = np.random.default_rng(3)
    magnitude = rng.uniform(18, 22, 4000)
    weight = modules["rival_trees"].at_magnitude(rng.normal(0, 1, 4000), magnitude)
    for low in (18.0, 20.25, 21.5):
        here = (magnitude >= low) & (magnitude < low + 0.25)
        assert weight[here].mean() == pytest.approx(1.0)


def test_what_a_rival_does_better_is_listed(modules):
    row = {"n": 400, "bias": 0.0, "scatter": 0.003, "log score": 3.0, "CRPS": 0.002,
           "coverage 68": 0.68, "coverage 95": 0.95, "outliers": 0.01}  # fmt: skip
    rival = row | {"scatter": 0.002, "coverage 68": 0.5, "log score": 2.0}
    lost = modules["comparison_tables"].best_marks(
        {"simulated": {"z": {"jpassed": {"r < 20": row}, "eazy": {"r < 20": rival}}}}
    )
    assert lost == ["simulated, redshift, r < 20: scatter 0.0030, eazy 0.0020"]


def test_blocks_of_pages_are_replaced_and_nothing_else(modules, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- a -->\nold\n<!-- end a -->\nafter\n")
    modules["markdown_blocks"].replace_block(page, "a", "| new |")
    assert page.read_text() == "before\n<!-- a -->\n\n| new |\n\n<!-- end a -->\nafter\n"
    with pytest.raises(ValueError, match="lacks the marks"):
        modules["markdown_blocks"].replace_block(page, "b", "")


def test_commands_in_pages_name_no_folders(modules):
    words = ["/there/benchmarks/rare.py", "/folder", "--n", "500", "--cache", "/kept", "-o", "x"]
    shown = modules["markdown_blocks"].shown_command(words)
    assert shown == "benchmarks/rare.py FOLDER --n 500"


def test_a_line_adds_its_width_over_that_of_the_band(modules):
    # A band of width about 145 A holds Halpha at z = 0: EW / width on top of the continuum.
    widths = {"ew_halpha": np.array([50.0, 50.0, np.nan])}
    excess = modules["line_bands"].line_excess(np.array([0.0, 0.3, 0.0]), widths)
    band = modules["rival_trees"].BANDS.index("J0660")
    assert excess[0, band] == pytest.approx(50.0 / 138.0, rel=0.1)
    assert excess[1, band] == 0.0
    assert excess[2].sum() == 0.0
    # Narrow bands every 100 A: a line anywhere is EW (1 + z) / 100 A of bands, on average.
    z = np.linspace(0.0, 0.25, 301)
    many = modules["line_bands"].line_excess(z, {"ew_halpha": np.full(z.size, 50.0)})[:, :56]
    assert (many.sum(axis=1) / (1 + z)).mean() == pytest.approx(0.5, rel=0.05)


def test_dex_rows_by_hand(modules):
    row = modules["accuracy_labels"].dex_row(np.array([-0.1, 0.0, 0.1, 0.0]))
    assert row["rms"] == pytest.approx(np.sqrt(0.005))
    assert row["mad"] == pytest.approx(1.4826 * 0.05)
    assert modules["accuracy_labels"].dex_row(np.array([])) == {"n": 0}
