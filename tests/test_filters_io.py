"""Filter sets from files and from an SVO Filter Profile Service on loopback."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import pytest
from astropy import units as u
from astropy.config import set_temp_cache
from astropy.table import QTable
from numpy.testing import assert_allclose
from svo_service import CURVE, WAVE, Service, votable

from jpassed.exceptions import FileError, InputError, UnknownNameError
from jpassed.filters import FilterSet, find_band
from jpassed.filters.curves import curve_name, read_curve
from jpassed.filters.svo import SVO_URL
from jpassed.units import air_to_vacuum


@pytest.fixture
def service():
    running = Service()
    yield running
    running.stop()


class TestSvo:
    def test_curve_arrives_in_vacuum(self, service, tmp_path):
        filters = FilterSet.from_svo(
            ["OAJ/JPAS.J0410"], names=["J0410"], base_url=service.url, cache=tmp_path, name="svo"
        )
        assert filters.names == ("J0410",)
        assert filters.name == "svo"
        assert_allclose(filters["J0410"].wave, air_to_vacuum(WAVE))
        assert_allclose(filters["J0410"].throughput, CURVE)
        assert filters["J0410"].meta["svo_id"] == "OAJ/JPAS.J0410"
        assert filters["J0410"].meta["origin"].startswith(service.url)

    def test_units_medium_and_single_id(self, service, tmp_path):
        filters = FilterSet.from_svo(
            "OAJ/JPAS.micron", base_url=service.url, cache=tmp_path, medium="vacuum"
        )
        assert filters.names == ("OAJ/JPAS.micron",)
        assert_allclose(filters[0].wave, WAVE)

    def test_cached_curves_need_no_network(self, service, tmp_path):
        first = FilterSet.from_svo(["OAJ/JPAS.J0410"], base_url=service.url, cache=tmp_path)
        service.stop()
        again = FilterSet.from_svo(["OAJ/JPAS.J0410"], base_url=service.url, cache=tmp_path)
        assert service.asked == ["OAJ/JPAS.J0410"]
        assert_allclose(again[0].throughput, first[0].throughput)
        with pytest.raises(FileError, match="cannot fetch"):
            FilterSet.from_svo(["OAJ/JPAS.micron"], base_url=service.url, cache=tmp_path)

    def test_default_cache_is_astropys(self, service, tmp_path):
        with set_temp_cache(tmp_path):
            FilterSet.from_svo(["OAJ/JPAS.J0410"], base_url=service.url)
            FilterSet.from_svo(["OAJ/JPAS.J0410"], base_url=service.url)
        assert len(service.asked) == 1
        kept = list(tmp_path.rglob("*.xml"))
        assert len(kept) == 1
        assert kept[0].parent.parts[-2:] == ("jpassed", "svo")

    def test_no_cache_asks_every_time(self, service, tmp_path):
        for _ in range(2):
            with set_temp_cache(tmp_path):
                FilterSet.from_svo(["OAJ/JPAS.J0410"], base_url=service.url, cache=False)
        assert len(service.asked) == 2
        assert not list(tmp_path.rglob("*.xml"))

    def test_another_service_has_its_own_cache_entry(self, service, tmp_path):
        for url in (service.url, service.url.replace("127.0.0.1", "localhost")):
            FilterSet.from_svo(["OAJ/JPAS.J0410"], base_url=url, cache=tmp_path)
        assert len(service.asked) == 2

    def test_ids_cannot_leave_the_cache(self, service, tmp_path):
        folder = tmp_path / "a" / "b" / "cache"
        FilterSet.from_svo(["../../escape"], base_url=service.url, cache=folder)
        assert [p.parent for p in tmp_path.rglob("*") if p.is_file()] == [folder]

    def test_damaged_cache_is_fetched_again(self, service, tmp_path, caplog):
        FilterSet.from_svo(["OAJ/JPAS.J0410"], base_url=service.url, cache=tmp_path)
        kept = next(tmp_path.glob("*.xml"))
        kept.write_bytes(kept.read_bytes()[:300])
        with caplog.at_level(logging.WARNING):
            again = FilterSet.from_svo(["OAJ/JPAS.J0410"], base_url=service.url, cache=tmp_path)
        assert len(service.asked) == 2
        assert_allclose(again[0].throughput, CURVE)
        assert "damaged cached answer" in caplog.text

    def test_unwritable_cache_is_only_a_warning(self, service, tmp_path, caplog):
        blocked = tmp_path / "file"
        blocked.write_text("not a folder")
        with caplog.at_level(logging.WARNING):
            filters = FilterSet.from_svo(
                ["OAJ/JPAS.J0410"], base_url=service.url, cache=blocked / "cache"
            )
        assert_allclose(filters[0].throughput, CURVE)
        assert "cannot keep the answer" in caplog.text

    def test_unknown_id_says_what_the_service_said(self, service, tmp_path):
        with pytest.raises(UnknownNameError, match="Filter not found: OAJ/JPAS.J9999") as caught:
            FilterSet.from_svo(["OAJ/JPAS.J9999"], base_url=service.url, cache=tmp_path)
        assert "case-sensitive" in str(caught.value)
        assert not list(tmp_path.glob("*"))

    @pytest.mark.parametrize("name", ["Some/page", "Some/text"])
    def test_answers_that_are_no_votable(self, service, tmp_path, name):
        with pytest.raises((FileError, UnknownNameError), match=service.url):
            FilterSet.from_svo([name], base_url=service.url, cache=tmp_path)
        assert not list(tmp_path.glob("*"))

    def test_server_error_says_what_to_do(self, service, tmp_path):
        with pytest.raises(FileError, match="database is down.*base_url.*from_files"):
            FilterSet.from_svo(["Some/crash"], base_url=service.url, cache=tmp_path)

    def test_an_answer_that_is_cut_is_not_kept(self, service, tmp_path):
        service.answers["Some/cut"] = votable("Some/cut")
        with pytest.raises(FileError, match="cannot fetch the curve 'Some/cut'.*Incomplete"):
            FilterSet.from_svo(["Some/cut"], base_url=service.url, cache=tmp_path)
        assert not list(tmp_path.glob("*"))

    def test_address_that_is_none(self, tmp_path):
        with pytest.raises(FileError, match="unknown url type"):
            FilterSet.from_svo(["a/b.c"], base_url="svo.example", cache=tmp_path)

    @pytest.mark.parametrize("name", ["", "  ", "a\nb"])
    def test_impossible_ids(self, service, tmp_path, name):
        with pytest.raises(InputError, match="an SVO id looks like"):
            FilterSet.from_svo([name], base_url=service.url, cache=tmp_path)
        assert service.asked == []

    def test_names_must_match_ids(self, tmp_path):
        with pytest.raises(InputError, match="2 SVO ids need as many names; got 1"):
            FilterSet.from_svo(["a", "b"], names=["c"], cache=tmp_path)

    def test_counting(self, service, tmp_path):
        service.answers["Old/camera"] = votable("Old/camera", detector="0")
        pivots = {
            (name, counting): FilterSet.from_svo(
                name, base_url=service.url, cache=tmp_path, counting=counting
            ).pivot[0]
            for name in ("Old/camera", "OAJ/JPAS.J0410")
            for counting in ("photon", "energy", "service")
        }
        assert pivots["Old/camera", "service"] == pivots["Old/camera", "energy"]
        assert pivots["OAJ/JPAS.J0410", "service"] == pivots["OAJ/JPAS.J0410", "photon"]
        assert pivots["Old/camera", "energy"] < pivots["Old/camera", "photon"] - 1.0

    def test_default_address(self):
        assert SVO_URL.startswith("https://")


class TestFiles:
    @pytest.fixture
    def text(self, tmp_path) -> Path:
        path = tmp_path / "J0410.tab"
        rows = "\n".join(f"{w} {c / 2} {c}" for w, c in zip(WAVE, CURVE, strict=True))
        path.write_text(f"# wavelength  filter  filter+atmosphere\n{rows}\n")
        return path

    def test_text(self, text):
        filters = FilterSet.from_files([text], name="mine")
        assert filters.names == ("J0410",)
        assert_allclose(filters["J0410"].wave, air_to_vacuum(WAVE))
        assert_allclose(filters["J0410"].throughput, CURVE / 2)
        assert filters["J0410"].meta["origin"] == str(text)

    def test_column_name_and_medium(self, text):
        filters = FilterSet.from_files(text, names=["blue"], column=2, medium="vacuum")
        assert_allclose(filters["blue"].throughput, CURVE)
        assert_allclose(filters["blue"].wave, WAVE)

    def test_unit_argument_and_csv(self, tmp_path):
        path = tmp_path / "j.csv"
        path.write_text("\n".join(f"{w / 10},{c}" for w, c in zip(WAVE, CURVE, strict=True)))
        filters = FilterSet.from_files(path, unit="nm", medium="vacuum")
        assert_allclose(filters["j"].wave, WAVE)

    @pytest.mark.parametrize(
        ("suffix", "form"), [("ecsv", "ascii.ecsv"), ("fits", "fits"), ("xml", "votable")]
    )
    @pytest.mark.parametrize("zipped", [False, True])
    def test_tables_carry_their_unit(self, tmp_path, suffix, form, zipped):
        path = tmp_path / f"mine.{suffix}"
        QTable({"wavelength": WAVE / 1e4 * u.um, "response": CURVE}).write(path, format=form)
        if zipped:
            packed = tmp_path / f"mine.{suffix}.gz"
            packed.write_bytes(gzip.compress(path.read_bytes()))
            path = packed
        filters = FilterSet.from_files(path, medium="vacuum")
        assert filters.names == ("mine",)
        assert_allclose(filters[0].wave, WAVE)
        assert_allclose(filters[0].throughput, CURVE)

    def test_name_of_a_file(self):
        assert curve_name("/some/where/J0410.tab.gz") == "J0410"
        assert curve_name("OAJ_JPAS.J0410.dat") == "OAJ_JPAS.J0410"

    def test_missing_file(self, tmp_path):
        with pytest.raises(FileError, match="cannot read the curve .*nothing.tab.*No such file"):
            FilterSet.from_files(tmp_path / "nothing.tab")

    @pytest.mark.parametrize(
        "content",
        [b"hello world\n", b"", b"SIMPLE  = broken", b"<html></html>", b"1 2\n3\n", b"\x1f\x8bxx"],
    )
    def test_files_without_a_curve(self, tmp_path, content):
        path = tmp_path / "bad.tab"
        path.write_bytes(content)
        with pytest.raises((FileError, InputError), match=r"bad\.tab"):
            FilterSet.from_files(path)

    def test_wrong_column_and_unit(self, text):
        with pytest.raises(InputError, match="has 3 columns; there is no throughput column 7"):
            FilterSet.from_files(text, column=7)
        with pytest.raises(InputError, match="'furlong'|'Jy'"):
            read_curve(text, unit="Jy")

    def test_names_must_match_files(self, text):
        with pytest.raises(InputError, match="1 files need as many names; got 2"):
            FilterSet.from_files([text], names=["a", "b"])
        with pytest.raises(InputError, match="two passbands .* 'J0410'"):
            FilterSet.from_files([text, text])

    @pytest.mark.real_data
    def test_measured_jplus_curve(self, real_data):
        """The third column includes the atmosphere, and is what the embedded set stands for."""
        path = real_data / "filters" / "jplus" / "J0378.tab"
        measured = FilterSet.from_files(path, column=2)[0]
        embedded = find_band("jplus_J0378")
        assert measured.throughput.max() == pytest.approx(0.448)
        assert embedded.pivot_wavelength == pytest.approx(measured.pivot_wavelength, abs=0.5)
        assert embedded.equivalent_width == pytest.approx(measured.equivalent_width, rel=0.03)
