"""Addresses of spectra: patterns, columns, datalink and SSAP, and how each of them can fail."""

from __future__ import annotations

import numpy as np
import pytest
from fault_proxy import FaultProxy
from spectrum_files import SpectrumFiles, spectrum_files  # noqa: F401
from tap_server import TapServer

from jpassed.archives import load_archive
from jpassed.archives.description import SpectrumSource
from jpassed.archives.spectrum_sources import (
    NoSpectrumError,
    fill_pattern,
    find_address,
    transport_to,
)
from jpassed.archives.spectrum_store import SpectrumStore, Wanted
from jpassed.exceptions import InputError, ServiceError, UnknownNameError
from jpassed.vo.transport import Transport

SHOC = (263.7552, 57.052374)  # one spectrum, of plate 358


def impatient(url: str) -> Transport:
    return transport_to(url, retries=2, timeout=1.0)


def test_patterns_of_addresses():
    row = {"plate": 266, "mjd": 51602, "fiberid": 7, "run2d": "26  "}
    assert (
        fill_pattern("x/{run2d}/{plate:04d}/spec-{plate:04d}-{mjd:05d}-{fiberid:04d}.fits", row)
        == "x/26/0266/spec-0266-51602-0007.fits"
    )
    with pytest.raises(UnknownNameError, match="'fibre'.*fiberid"):
        fill_pattern("{fibre}", row)
    with pytest.raises(InputError, match="cannot be filled in"):
        fill_pattern("{run2d:04d}", row)


def test_reductions_of_sdss_lie_in_two_folders():
    source = load_archive("sdss-dr17").spectra
    assert source is not None
    row = {"plate": 266, "mjd": 51602, "fiberid": 7, "run2d": "26"}
    assert "/dr17/sdss/spectro/redux/26/" in find_address(source, "1", row, (0, 0))
    row["run2d"] = "v5_13_2 "
    found = find_address(source, "1", row, (0, 0))
    assert "/dr17/eboss/spectro/redux/v5_13_2/spectra/lite/0266/spec-0266-51602-0007" in found


def test_addresses_in_columns():
    source = SpectrumSource("column", column="url")
    assert find_address(source, "1", {"url": " http://x/y "}, (0, 0)) == "http://x/y"
    with pytest.raises(NoSpectrumError, match="no address in column url"):
        find_address(source, "1", {}, (0, 0))


@pytest.mark.real_data
def test_spectra_from_another_source_are_not_taken_for_those_asked_for(tmp_path, spectrum_files):  # noqa: F811
    first, second = sorted(spectrum_files.files)[:2]
    wanted = [Wanted("1", {"name": first}, (0, 0)), Wanted("2", {"name": second}, (0, 0))]
    wrong = SpectrumSource("url", url=spectrum_files.base + first)  # one address for all
    right = SpectrumSource("url", url=spectrum_files.base + "{name}")
    store = SpectrumStore(tmp_path)
    assert store.fetch(wrong, wanted) == {}
    assert store.path("1") == store.path("2")
    store = SpectrumStore(tmp_path)
    assert store.fetch(right, wanted) == {}
    assert store.path("2").read_bytes() == spectrum_files.files[second].read_bytes()
    assert store.fetched == 1  # what has the same address is here already
    assert spectrum_files.requests.total() == 2
    # What is not at the new source is not taken from the old one.
    lost = SpectrumSource("url", url=spectrum_files.base + "/none")
    assert set(store.fetch(lost, wanted)) == {"1", "2"}
    assert store.path("1") is None
    assert SpectrumStore(tmp_path, source=lost).lines == []
    assert len(SpectrumStore(tmp_path, source=right).lines) == 2


def test_ssap_by_position(spectra_server: TapServer):
    source = SpectrumSource("ssap", url=spectra_server.ssa)
    url = find_address(source, "1", {}, SHOC)
    assert url.endswith("SHOC579_SDSS_dr18.fits")
    with pytest.raises(NoSpectrumError, match="none at this position"):
        find_address(source, "1", {}, (1.0, -80.0))
    with pytest.raises(NoSpectrumError, match="no position"):
        find_address(source, "1", {}, (np.nan, np.nan))
    wrong = SpectrumSource("ssap", url=spectra_server.ssa, match="nonesuch")
    with pytest.raises(UnknownNameError, match="object_id"):
        find_address(wrong, "1", {}, SHOC)
    other = SpectrumSource("ssap", url=spectra_server.ssa, match="object_id")
    with pytest.raises(NoSpectrumError, match="none at this position"):
        find_address(other, "1", {}, SHOC)


def test_datalink_documents(spectra_server: TapServer):
    source = SpectrumSource("datalink", column="links")
    name = "spectra/fits/sdss_misc/SHOC579_SDSS_dr18.fits"
    good = f"{spectra_server.datalink}?ID=ivo://x-jpassed.test/~?{name}"
    assert find_address(source, "1", {"links": good}, SHOC).endswith(name)
    with pytest.raises(NoSpectrumError, match="datalink: NotFoundFault"):
        find_address(source, "1", {"links": good + "x"}, SHOC)
    with pytest.raises(NoSpectrumError, match=r"not at the archive \(HTTP 404\)"):
        find_address(source, "1", {"links": f"{spectra_server.base}/nonesuch"}, SHOC)


def test_services_of_spectra_that_fail(fault_proxy: FaultProxy, real_data):
    source = SpectrumSource("ssap", url=f"{fault_proxy.base}/spectra/q/s/ssap.xml")
    fault_proxy.unavailable(0, match="ssap")
    fault_proxy.reset(match="ssap")
    assert find_address(source, "1", {}, SHOC, transport=impatient).endswith("dr18.fits")
    assert fault_proxy.count("ssap") == 3
    # A service that does not answer is waited for no longer than said.
    fault_proxy.stall(30, match="ssap", times=9)
    with pytest.raises(ServiceError, match="failed 3 times"):
        find_address(source, "1", {}, SHOC, transport=impatient)


def test_a_page_in_place_of_an_answer(fault_proxy: FaultProxy, real_data):
    source = SpectrumSource("ssap", url=f"{fault_proxy.base}/spectra/q/s/ssap.xml")
    fault_proxy.login_page(match="ssap", times=9)
    with pytest.raises(ServiceError, match=r"(?i)login|gives no VOTable"):
        find_address(source, "1", {}, SHOC, transport=impatient)
