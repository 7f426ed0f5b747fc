"""Facilities from an SVO Filter Profile Service on loopback: lists, curves, maps, commands."""

from __future__ import annotations

import re

import numpy as np
import pytest
from annotation_tables import assert_same_columns, make_table, numbers, small_model
from astropy import units as u
from astropy.nddata import InverseVariance
from click.testing import CliRunner
from numpy.testing import assert_allclose
from svo_service import CURVE, WAVE, Service, index_row, index_votable, votable

import jpassed
from jpassed.cli import main
from jpassed.exceptions import FileError, InputError, UnknownNameError
from jpassed.filters import FilterSet, list_svo
from jpassed.surveys import load_survey, read_photometry
from jpassed.units import air_to_vacuum

JPAS = ("OAJ/JPAS.J0430", "OAJ/JPAS.J0410", "OAJ/JPAS.J0420")
JPLUS = ("OAJ/JPLUS.J0378",)
PIVOT = {"OAJ/JPAS.J0430": 4300.0, "OAJ/JPAS.J0410": 4100.0, "OAJ/JPAS.J0420": 4200.0}


@pytest.fixture
def service(monkeypatch):
    """A service with four filters of OAJ, which is the one that is asked by default."""
    running = Service()
    rows = [index_row(name, PIVOT.get(name, 3785.0), 100.0) for name in JPAS + JPLUS]
    # The real one has a row for each calibration of a filter.
    running.answers["Facility=OAJ"] = index_votable([*rows, rows[0]])
    running.answers["Facility=OAJ&Instrument=JPAS"] = index_votable(rows[:3])
    running.answers |= {name: votable(name) for name in JPAS + JPLUS}
    monkeypatch.setenv("JPASSED_SVO_URL", running.url)
    yield running
    running.stop()


class TestList:
    def test_a_facility_by_pivot(self, service, tmp_path):
        table = list_svo("OAJ", cache=tmp_path)
        assert list(table["id"]) == [JPLUS[0], JPAS[1], JPAS[2], JPAS[0]]
        assert list(table["instrument"]) == ["JPLUS", "JPAS", "JPAS", "JPAS"]
        assert list(table["band"]) == ["J0378", "J0410", "J0420", "J0430"]
        assert set(table["facility"]) == {"OAJ"}
        assert table["pivot"].unit == u.AA
        assert_allclose(table["pivot"].unmasked.value, [3785.0, 4100.0, 4200.0, 4300.0])
        assert_allclose(table["width"].unmasked.value, 100.0)
        assert table["description"][1] == "JPAS J0410 filter"
        assert table["reference"][0] == "http://www.j-pas.org"

    def test_an_instrument(self, service, tmp_path):
        assert list(list_svo("OAJ", "JPAS", cache=tmp_path)["band"]) == ["J0410", "J0420", "J0430"]
        assert service.asked == ["Facility=OAJ&Instrument=JPAS"]

    def test_afterwards_no_network_is_needed(self, service, tmp_path):
        first = list_svo("OAJ", cache=tmp_path)
        service.stop()
        again = list_svo("OAJ", cache=tmp_path)
        assert list(again["id"]) == list(first["id"])
        # The list of the facility serves its instruments.
        assert list(list_svo("OAJ", "JPLUS", cache=tmp_path)["id"]) == list(JPLUS)
        with pytest.raises(FileError, match="cannot fetch the list of filters of 'SLOAN' from"):
            list_svo("SLOAN", cache=tmp_path)
        with pytest.raises(FileError, match="the cache has an older answer"):
            list_svo("OAJ", cache=tmp_path, refresh=True)

    def test_refresh_asks_again(self, service, tmp_path):
        list_svo("OAJ", cache=tmp_path)
        service.answers["Facility=OAJ"] = index_votable([index_row("OAJ/NEW.x", 5000.0, 10.0)])
        assert len(list_svo("OAJ", cache=tmp_path)) == 4
        assert list(list_svo("OAJ", cache=tmp_path, refresh=True)["id"]) == ["OAJ/NEW.x"]
        assert list(list_svo("OAJ", cache=tmp_path)["id"]) == ["OAJ/NEW.x"]

    def test_what_the_service_does_not_say_is_masked(self, service, tmp_path):
        rows = [index_row("OAJ/NEW.x", None, None), index_row("OAJ/NEW.y", 5000.0, 10.0)]
        service.answers["Facility=OAJ"] = index_votable(rows)
        table = list_svo("OAJ", cache=tmp_path)
        assert list(table["id"]) == ["OAJ/NEW.y", "OAJ/NEW.x"]
        assert list(table["pivot"].mask) == [False, True]

    def test_an_unknown_facility(self, service, tmp_path):
        with pytest.raises(UnknownNameError, match="unknown SVO facility 'oaj'.*case-sensitive"):
            list_svo("oaj", cache=tmp_path)
        service.answers["Facility=oaj"] = index_votable([])
        with pytest.raises(UnknownNameError, match="a table without rows|OK"):
            list_svo("oaj", cache=tmp_path)
        assert not list(tmp_path.iterdir())

    def test_an_unknown_instrument_lists_the_known_ones(self, service, tmp_path):
        list_svo("OAJ", cache=tmp_path)
        with pytest.raises(UnknownNameError, match="'JPASS'. Did you mean 'JPAS'.* JPAS, JPLUS"):
            list_svo("OAJ", "JPASS", cache=tmp_path)

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            ("<html><body>maintenance</body></html>", "no VOTable|unknown SVO facility"),
            ("try again later", "is no VOTable"),
            (votable("OAJ/JPAS.J0410"), "is no list of filters: .*Wavelength"),
            (index_votable([index_row("OAJ/JPAS.x", 1.0, 1.0)])[:900], "is no VOTable"),
        ],
    )
    def test_answers_of_another_kind(self, service, tmp_path, answer, said):
        service.answers["Facility=OAJ"] = answer
        with pytest.raises((FileError, UnknownNameError), match=said):
            list_svo("OAJ", cache=tmp_path)
        assert not list(tmp_path.iterdir())

    def test_a_service_that_says_nothing(self, service, tmp_path):
        service.silent.add("Facility=OAJ")
        with pytest.raises(FileError, match="timed out"):
            list_svo("OAJ", cache=tmp_path, timeout=0.2)

    @pytest.mark.parametrize("names", [("",), ("  ",), ("a\nb",), ("OAJ", "")])
    def test_names_that_are_none(self, service, names):
        with pytest.raises(InputError, match="a facility looks like 'OAJ'"):
            list_svo(*names)
        assert service.asked == []


class TestFacility:
    def test_all_curves_of_an_instrument(self, service, tmp_path):
        seen = []
        filters = FilterSet.from_svo(
            facility="OAJ",
            instrument="JPAS",
            cache=tmp_path,
            progress=lambda done, total: seen.append((done, total)),
        )
        assert filters.name == "OAJ/JPAS"
        assert filters.names == (JPAS[1], JPAS[2], JPAS[0])
        assert seen == [(1, 3), (2, 3), (3, 3)]
        assert_allclose(filters[0].wave, air_to_vacuum(WAVE))
        assert_allclose(filters[0].throughput, CURVE)
        service.stop()
        again = FilterSet.from_svo(facility="OAJ", instrument="JPAS", cache=tmp_path)
        assert_allclose(again.pivot, filters.pivot)

    def test_names_medium_and_a_whole_facility(self, service, tmp_path):
        names = ["a", "b", "c", "d"]
        filters = FilterSet.from_svo(facility="OAJ", names=names, medium="vacuum", cache=tmp_path)
        assert filters.names == tuple(names)
        assert filters.name == "OAJ"
        assert_allclose(filters["d"].wave, WAVE)
        assert filters["d"].meta["svo_id"] == "OAJ/JPAS.J0430"

    def test_an_error_names_what_is_missing_and_keeps_what_came(self, service, tmp_path):
        service.silent.add("OAJ/JPAS.J0420")
        with pytest.raises(FileError, match=r"2 of 4 curves of OAJ are missing \(") as caught:
            FilterSet.from_svo(facility="OAJ", cache=tmp_path, timeout=0.2)
        assert "(OAJ/JPAS.J0420, OAJ/JPAS.J0430)" in str(caught.value)
        assert "timed out" in str(caught.value)
        # The next call goes on from there.
        service.silent.clear()
        service.asked.clear()
        assert len(FilterSet.from_svo(facility="OAJ", cache=tmp_path)) == 4
        assert service.asked == ["OAJ/JPAS.J0420", "OAJ/JPAS.J0430"]

    @pytest.mark.parametrize(
        "arguments",
        [{}, {"ids": "a/b.c", "facility": "OAJ"}, {"instrument": "JPAS"},
         {"ids": "a/b.c", "instrument": "JPAS"}],
    )  # fmt: skip
    def test_either_ids_or_a_facility(self, arguments):
        with pytest.raises(InputError, match="either ids, .* or facility="):
            FilterSet.from_svo(**arguments)

    def test_by_name(self, service):
        filters = jpassed.load_filters("svo:OAJ/JPAS")
        assert filters.names == (JPAS[1], JPAS[2], JPAS[0])
        assert len(jpassed.load_filters("svo:OAJ")) == 4
        with pytest.raises(InputError, match="a facility looks like 'OAJ'"):
            jpassed.load_filters("svo:")

    def test_spectra_in_these_bands(self, service):
        from specutils import Spectrum  # slow to import

        wave = np.arange(3000.0, 6000.0, 2.0)
        flux = np.full(wave.size, 5.0)
        unit = u.Unit("1e-17 erg / (s cm2 Angstrom)")
        spectrum = Spectrum(
            spectral_axis=wave * u.AA,
            flux=flux * unit,
            uncertainty=InverseVariance(np.ones(wave.size) / unit**2),
        )
        table = jpassed.jspectra([spectrum], filters="svo:OAJ/JPAS")
        assert [name for name in table.colnames if name in JPAS] == [JPAS[1], JPAS[2], JPAS[0]]
        flux_nu = (5.0 * unit).to(
            u.uJy, u.spectral_density(FilterSet.from_svo(JPAS[0]).pivot[0] * u.AA)
        )
        assert_allclose(numbers(table[JPAS[0]]), [flux_nu.value], rtol=1e-4)


class TestMaps:
    def write(self, folder, line: str):
        path = folder / "mine.yaml"
        path.write_text(f"bands:\n  mine: {line}\n")
        return path

    def test_a_map_names_a_curve(self, service, tmp_path):
        line = "{flux: J0400, error: J0400_err, svo: OAJ/JPAS.J0410}"
        survey = load_survey(self.write(tmp_path, line))
        curve = FilterSet.from_svo("OAJ/JPAS.J0410")
        photometry = read_photometry(make_table(3), survey)
        assert photometry.bands == ("mine",)
        assert photometry.pivot[0] == pytest.approx(curve.pivot[0])
        assert photometry.width[0] == pytest.approx(curve.width[0])
        service.stop()  # from now on the cache serves
        again = load_survey(tmp_path / "mine.yaml")
        assert again.rules[0].passband == survey.rules[0].passband

    def test_medium_and_counting(self, service, tmp_path):
        sizes = {}
        for more in ("", ", medium: vacuum", ", counting: energy"):
            line = f"{{flux: J0400, error: J0400_err, svo: OAJ/JPAS.J0410{more}}}"
            sizes[more] = load_survey(self.write(tmp_path, line)).rules[0].passband[0]
        shift = air_to_vacuum(np.array([4200.0]))[0] - 4200.0
        assert sizes[""] - sizes[", medium: vacuum"] == pytest.approx(shift, rel=0.01)
        assert sizes[", counting: energy"] < sizes[""] - 1.0

    def test_predictions_are_those_of_the_same_pivot_and_width(self, service, tmp_path):
        table = make_table(4)
        curve = FilterSet.from_svo("OAJ/JPAS.J0410")
        lines = {
            "svo": "svo: OAJ/JPAS.J0410",
            "own": f"pivot: {curve.pivot[0]!r}, width: {curve.width[0]!r}".replace(
                "np.float64(", ""
            ).replace(")", ""),
        }
        results = {}
        for name, end in lines.items():
            path = self.write(tmp_path, f"{{flux: J0400, error: J0400_err, {end}}}")
            with path.open("a") as file:
                file.write("  rSDSS: {flux: rSDSS, error: rSDSS_err}\n")
            results[name] = jpassed.annotate(
                table, model=small_model(), survey=path, outputs=["z"], samples=0
            )
        assert_same_columns(results["svo"], results["own"], rtol=1e-6)
        assert set(results["svo"]["jp_nbands"]) == {2}

    @pytest.mark.parametrize(
        ("end", "error", "said"),
        [
            ("svo: OAJ/JPAS.J9999", InputError, "mine, svo: unknown SVO filter id"),
            ("svo: [a, b]", InputError, "expected an id such as SLOAN/SDSS.u"),
            ("svo: ''", InputError, "an SVO id looks like"),
            ("svo: OAJ/JPAS.J0410, pivot: 4100", InputError, "either 'svo' or 'pivot'"),
            ("svo: OAJ/JPAS.J0410, medium: water", InputError, "medium must be one of"),
            ("svo: OAJ/JPAS.J0410, counting: sheep", InputError, "counting must be one of"),
            ("medium: air", InputError, "'medium' says how to read the curve that 'svo' names"),
            ("unit: uJy", InputError, "A band of your own needs its 'pivot'.* or 'svo'"),
            ("svo: Some/crash", FileError, "mine, svo: cannot fetch the curve 'Some/crash'"),
        ],
    )
    def test_lines_that_make_no_sense(self, service, tmp_path, end, error, said):
        path = self.write(tmp_path, f"{{flux: J0400, error: J0400_err, {end}}}")
        with pytest.raises(error, match=said):
            load_survey(path)


class TestCommand:
    @pytest.fixture
    def run(self):
        return lambda *words: CliRunner().invoke(main, ["filters", *words])

    def test_sets(self, run):
        shown = run()
        assert shown.exit_code == 0
        lines = [line.split() for line in shown.stdout.splitlines()]
        assert lines[0] == ["set", "bands", "from/Å", "to/Å"]
        assert ["jpas", "60", "3546", "9579"] in lines
        assert ["galex", "2", "1536", "2299"] in lines

    def test_bands_of_a_set(self, run):
        shown = run("galex")
        assert [line.split() for line in shown.stdout.splitlines()] == [
            ["band", "pivot/Å", "width/Å"],
            ["galex_fuv", "1536.4", "252.1"],
            ["galex_nuv", "2299.2", "729.6"],
        ]

    def test_a_facility_is_listed_and_fetched(self, run, service):
        shown = run("--svo", "OAJ/JPAS")
        assert shown.exit_code == 0, shown.output
        lines = shown.stdout.splitlines()
        assert lines[0].split() == ["id", "pivot/Å", "width/Å", "description"]
        assert lines[1].split() == ["OAJ/JPAS.J0410", "4100.0", "100.0", "JPAS", "J0410", "filter"]
        assert len(lines) == 4
        shown = run("--svo", "OAJ/JPAS", "--fetch", "--vacuum")
        assert shown.stdout.splitlines()[-1].startswith("3 curves in the cache; pivots 42")
        service.stop()
        assert run("--svo", "OAJ/JPAS", "--fetch", "--vacuum").exit_code == 0
        gone = run("--svo", "SLOAN")
        assert gone.exit_code == 1
        assert "cannot fetch the list of filters of 'SLOAN'" in gone.stderr
        assert run("--svo", "OAJ/JPAS", "--refresh").exit_code == 1

    def test_missing_numbers_are_a_dash(self, run, service):
        service.answers["Facility=NEW"] = index_votable([index_row("NEW/X.y", None, None)])
        assert run("--svo", "NEW").stdout.splitlines()[1].split()[:3] == ["NEW/X.y", "-", "-"]

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["nothing"], "unknown filter set 'nothing'"),
            (["jpas", "--svo", "OAJ"], "give either NAME or --svo"),
            (["--fetch"], "go with --svo"),
            (["jpas", "--refresh"], "go with --svo"),
            (["--svo", "OAJ", "--vacuum"], "--vacuum goes with --fetch"),
            (["--svo", "/JPAS"], "FACILITY or FACILITY/INSTRUMENT"),
            (["--svo", "OAJ/"], "FACILITY or FACILITY/INSTRUMENT"),
            (["--svo", "oaj"], "unknown SVO facility 'oaj'"),
        ],
    )
    def test_wrong_usage(self, run, service, words, said):
        shown = run(*words)
        assert shown.exit_code == 2
        assert said in shown.stderr


def test_commands_and_python_of_the_page(service, project_root):
    """docs/passbands.md, from "Facilities of the SVO" on."""
    page = (project_root / "docs" / "passbands.md").read_text("utf-8")
    section = page[page.index("## Facilities of the SVO") :]
    (shell,) = re.findall(r"^```sh\n(.+?)^```", section, flags=re.M | re.S)
    shown = [line.split("#")[0].split() for line in shell.splitlines()]
    assert [words[:2] for words in shown] == [["jpassed", "filters"]] * 4
    for words in shown:
        said = CliRunner().invoke(main, words[1:])
        assert said.exit_code == 0, said.output
    assert "3 curves in the cache" in said.stdout
    (code,) = re.findall(r"^```python\n(.+?)^```", section, flags=re.M | re.S)
    names = {}
    exec(compile(code, "passbands.md", "exec"), names)
    assert len(names["jpas"]) == 3
