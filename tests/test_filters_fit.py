"""The two-edge parametrisation, its fit, and how well it stands for the measured curves."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from jpassed.exceptions import InputError
from jpassed.filters.edges import EDGE_COLUMNS, EdgeModel
from jpassed.filters.fit import fit_edges
from jpassed.filters.known import read_embedded


def load_script(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


class TestEdges:
    def test_half_way_at_the_edges(self):
        model = EdgeModel(0.6, 0.0, 0.0, 6000.0, 5.0, 6150.0, 8.0)
        assert_allclose(model([6000.0, 6075.0, 6150.0]), [0.3, 0.6, 0.3], atol=1e-12)

    def test_slope_and_curvature(self):
        model = EdgeModel(1.0, 0.2, -0.1, 4000.0, 1.0, 5000.0, 1.0)
        # x = -0.5, 0, 0.5
        assert_allclose(model([4250.0, 4500.0, 4750.0]), [0.875, 1.0, 1.075])

    def test_sample_ends_at_zero_and_resolves_the_edges(self):
        wave, curve = EdgeModel(0.6, 0.0, 0.0, 6000.0, 5.0, 6150.0, 8.0).sample()
        assert curve[0] == curve[-1] == 0.0
        assert curve[1] < 1e-6
        assert np.all(np.diff(wave) == 1.0)
        assert_allclose(np.trapezoid(curve, wave), 0.6 * 150.0, rtol=1e-6)

    def test_never_negative(self):
        model = EdgeModel(1.0, -2.0, 0.0, 4000.0, 10.0, 5000.0, 10.0)
        assert model(np.linspace(3900, 5100, 500)).min() == 0.0


class TestFit:
    @settings(max_examples=15, deadline=None)
    @given(
        blue=st.floats(3800, 9000),
        width=st.floats(100, 300),
        blue_soft=st.floats(4, 12),
        red_soft=st.floats(4, 12),
        slope=st.floats(-0.2, 0.2),
    )
    def test_finds_the_numbers_of_its_own_curves(self, blue, width, blue_soft, red_soft, slope):
        true = EdgeModel(0.5, slope, 0.0, blue, blue_soft, blue + width, red_soft)
        wave = np.arange(3000.0, 11000.0, 1.0)
        found = fit_edges(wave, true(wave))
        for name in EDGE_COLUMNS:
            assert_allclose(getattr(found, name), getattr(true, name), rtol=1e-3, atol=1e-3)

    def test_leaks_far_from_the_band_are_left_out(self):
        true = EdgeModel(0.5, 0.0, 0.0, 6000.0, 5.0, 6150.0, 5.0)
        wave = np.arange(3000.0, 11000.0, 1.0)
        leaky = true(wave) + np.where(wave > 8000, 0.01, 0.0) - np.where(wave < 4000, 0.02, 0.0)
        found = fit_edges(wave, leaky)
        assert_allclose([found.blue, found.red], [6000.0, 6150.0], atol=0.01)

    def test_bad_curves_are_refused(self):
        wave = np.arange(100.0) + 5000
        with pytest.raises(InputError, match="same length"):
            fit_edges(wave, np.ones(99))
        with pytest.raises(InputError, match="some positive throughput"):
            fit_edges(wave, np.zeros(100))
        with pytest.raises(InputError, match="increasing"):
            fit_edges(wave[::-1], np.ones(100))


@pytest.mark.real_data
class TestMeasuredCurves:
    def test_bars_on_real_galaxies(self, real_data, project_root):
        """Narrow bands 0.001 mag median and 0.005 at 95 %, broad and edge bands 0.01, 0.04."""
        benchmark = load_script(project_root / "benchmarks" / "passbands.py")
        result = benchmark.compare(real_data)
        assert result.difference.shape == (90 * 29, 60)
        assert len(result.narrow) == 54
        assert len(result.broad) == 5
        assert result.percentile(result.narrow, 50) < 0.001
        assert result.percentile(result.narrow, 95) < 0.005
        for band in result.broad:
            assert result.percentile((band,), 50) < 0.01, band
            assert result.percentile((band,), 95) < 0.04, band
        assert "0.005" in benchmark.report(result)

    def test_tables_are_what_the_script_makes(self, real_data, project_root):
        script = load_script(project_root / "tools" / "fit_passbands.py")
        curves = real_data / "filters"
        for name, models in (
            ("jpas", script.jpas_models(curves / "jpas")),
            ("jplus", script.jplus_models(curves / "jplus")),
        ):
            table = read_embedded(f"{name}.ecsv")
            assert list(table["name"]) == list(models)
            for column in EDGE_COLUMNS:
                made = [getattr(model, column) for model in models.values()]
                # The last digits depend on the linear algebra library.
                assert_allclose(np.asarray(table[column]), made, rtol=2e-3, atol=2e-2)
