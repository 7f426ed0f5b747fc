"""A VOTable as VizieR writes them: links, units of its own, sexagesimal text, nulls, two COOSYS."""

from __future__ import annotations

import numpy as np
import pytest
from annotation_tables import small_model
from astropy import units as u
from test_catalogs_stilts import needs_stilts, stilts
from test_readers_again import same

from jpassed import annotate
from jpassed.io import read_catalog, write_catalog
from jpassed.surveys import read_photometry
from jpassed.vo.positions import find_positions

LINK = "http://vizier.example/viz-bin/VizieR-5?-info=XML&amp;-source=II/335&amp;Name=${Name}"
DOCUMENT = f"""<?xml version="1.0" encoding="UTF-8"?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">
<DESCRIPTION>VizieR Astronomical Server</DESCRIPTION>
<INFO ID="VERSION" name="votable-version" value="1.99+"/>
<COOSYS ID="J2000" system="eq_FK5" equinox="J2000"/>
<RESOURCE ID="yCat_2335" name="II/335">
<DESCRIPTION>Revised catalog of GALEX UV sources</DESCRIPTION>
<COOSYS ID="H_2000" system="ICRS" epoch="2000.0"/>
<TABLE ID="II_335_galex_ais" name="II/335/galex_ais">
<DESCRIPTION>The GUVcat_AIS catalog &amp; more</DESCRIPTION>
<GROUP name="pos"><FIELDref ref="RAJ2000"/></GROUP>
<PARAM name="-out.max" datatype="char" arraysize="*" value="50"/>
<FIELD ID="_r" name="_r" ucd="pos.angDistance" datatype="float" width="6" precision="3"
 unit="arcsec"><DESCRIPTION>Distance from center</DESCRIPTION></FIELD>
<FIELD ID="hms" name="_RAJ2000" datatype="char" arraysize="11" unit="&quot;h:m:s&quot;"/>
<FIELD ID="RAJ2000" name="RAJ2000" ucd="pos.eq.ra;meta.main" ref="H_2000" datatype="double"
 width="10" precision="6" unit="deg"><DESCRIPTION>Right ascension (J2000)</DESCRIPTION></FIELD>
<FIELD ID="DEJ2000" name="DEJ2000" ucd="pos.eq.dec;meta.main" ref="H_2000" datatype="double"
 width="10" precision="6" unit="deg"/>
<FIELD ID="Name" name="Name" ucd="meta.id;meta.main" datatype="char" arraysize="23*">
<LINK href="{LINK}" title="details" content-role="doc"/></FIELD>
<FIELD ID="FUVmag" name="FUVmag" ucd="phot.mag;em.UV.100-200nm" datatype="float" width="7"
 precision="4" unit="mag"><DESCRIPTION>? FUV magnitude</DESCRIPTION></FIELD>
<FIELD ID="e_FUVmag" name="e_FUVmag" ucd="stat.error" datatype="float" unit="mag"/>
<FIELD ID="NUVmag" name="NUVmag" ucd="phot.mag;em.UV.200-300nm" datatype="float" unit="mag"/>
<FIELD ID="e_NUVmag" name="e_NUVmag" ucd="stat.error" datatype="float" unit="mag"/>
<FIELD ID="E_B-V_" name="E(B-V)" datatype="float" width="6" precision="4" unit="mag"/>
<FIELD ID="Fafl" name="Fafl" ucd="meta.code" datatype="short"><VALUES null="-32768"/></FIELD>
<FIELD ID="Flux" name="Flux" ucd="phot.flux.density" datatype="float" unit="mW/m2/nm"/>
<FIELD ID="lg" name="lg" datatype="float" unit="[Lsun]"/>
<FIELD ID="odd" name="odd" datatype="float" unit="ct/s/arcsec2"/>
<DATA><TABLEDATA>
<TR><TD>0.1</TD><TD>10 00 00.12</TD><TD>150.000001</TD><TD>+2.1</TD><TD>GALEX J1</TD><TD></TD>
<TD></TD><TD>20.1234</TD><TD>0.1</TD><TD>0.02</TD><TD>3</TD><TD>1</TD><TD>1</TD><TD>1</TD></TR>
<TR><TD>0.2</TD><TD></TD><TD>150.1</TD><TD>2.2</TD><TD>GALEX J2</TD><TD>21.1</TD>
<TD>0.3</TD><TD>20.1</TD><TD>0.2</TD><TD></TD><TD></TD><TD>1</TD><TD>1</TD><TD/></TR>
</TABLEDATA></DATA>
</TABLE></RESOURCE></VOTABLE>
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    target = tmp_path_factory.mktemp("vizier") / "galex.vot"
    target.write_text(DOCUMENT)
    return target


def test_what_is_read(path):
    table = read_catalog(path)
    assert len(table) == 2
    assert table["RAJ2000"].value.tolist() == [150.000001, 150.1]
    assert table["Fafl"].tolist() == [3, None]
    assert table["Flux"].unit == u.mW / u.m**2 / u.nm
    assert table["odd"].unit == u.ct / u.s / u.arcsec**2
    assert str(table["lg"].info.unit) == "[Lsun]"
    assert table["Name"].info.meta["links"][0]["href"] == LINK.replace("&amp;", "&")
    assert table.meta["-out.max"] == "50"
    assert find_positions(table).columns == ("RAJ2000", "DEJ2000")
    photometry = read_photometry(table)
    assert photometry.bands == ("galex_fuv", "galex_nuv")
    np.testing.assert_array_equal(photometry.observed, [[False, True], [True, True]])
    # A_NUV = k E(B-V) is some 8 times 0.02: brighter before the dust.
    plain = 3631e6 * 10 ** (-0.4 * 20.1234)
    assert 1.1 < photometry.flux[0, 1] / plain < 1.25


@pytest.mark.parametrize("ending", ["vot", "fits", "ecsv", "parquet"])
def test_it_comes_out_as_it_was(path, tmp_path, ending):
    given = read_catalog(path)
    annotated = annotate(given, model=small_model(), outputs="z")
    write_catalog(annotated, tmp_path / f"out.{ending}")
    back = read_catalog(tmp_path / f"out.{ending}")
    same(back, annotated, [n for n in annotated.colnames if n not in ("Name", "_RAJ2000")])
    assert back["Name"].tolist() == given["Name"].tolist()
    assert back.meta == annotated.meta


@needs_stilts
def test_votlint_has_nothing_to_say(path, tmp_path):
    annotated = annotate(read_catalog(path), model=small_model(), outputs="z")
    write_catalog(annotated, tmp_path / "out.vot")
    assert stilts("votlint", str(tmp_path / "out.vot"), "ucd=true", "unit=true") == ""
