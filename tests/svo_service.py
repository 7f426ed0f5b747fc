"""A Filter Profile Service on loopback that answers in the form of the real one (SVO)."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import numpy as np

WAVE = np.array([4000.0, 4100.0, 4200.0, 4300.0, 4400.0])
CURVE = np.array([0.0, 0.2, 0.5, 0.4, 0.0])

# Shaped like an answer of the service: PARAMs before the two FIELDs, TABLEDATA.
VOTABLE = """<?xml version="1.0"?>
<VOTABLE version="1.1" xmlns="http://www.ivoa.net/xml/VOTable/v1.1">
  <INFO name="QUERY_STATUS" value="OK"/>
  <RESOURCE type="results">
    <TABLE utype="photdm:PhotometryFilter.transmissionCurve.spectrum">
      <PARAM name="filterID" value="{name}" datatype="char" arraysize="*"/>
      <PARAM name="WavelengthUnit" value="Angstrom" datatype="char" arraysize="*"/>
      <PARAM name="DetectorType" value="{detector}" datatype="char" arraysize="*">
        <DESCRIPTION>Detector type. 0:Energy counter, 1:Photon counter.</DESCRIPTION>
      </PARAM>
      <FIELD name="Wavelength" ucd="em.wl" unit="{unit}" datatype="double"/>
      <FIELD name="Transmission" ucd="phys.transmission" unit="" datatype="double"/>
      <DATA><TABLEDATA>{rows}</TABLEDATA></DATA>
    </TABLE>
  </RESOURCE>
</VOTABLE>
"""

UNKNOWN = """<?xml version="1.0"?>
<VOTABLE version="1.1" xmlns="http://www.ivoa.net/xml/VOTable/v1.1">
  <INFO name="QUERY_STATUS" value="ERROR">Filter not found: {name}</INFO>
</VOTABLE>
"""


def votable(name: str, unit: str = "Angstrom", scale: float = 1.0, detector: str = "0") -> str:
    rows = "".join(
        f"<TR><TD>{wave * scale!r}</TD><TD>{curve!r}</TD></TR>"
        for wave, curve in zip(WAVE.tolist(), CURVE.tolist(), strict=True)
    )
    return VOTABLE.format(name=name, unit=unit, rows=rows, detector=detector)


# The FIELDs of a list of filters, as the service has them.
TEXT_FIELDS_BEFORE = (
    "FilterProfileService filterID WavelengthUnit WavelengthUCD PhotSystem DetectorType Band "
    "Instrument Facility ProfileReference CalibrationReference Description Comments"
).split()
NUMBER_FIELDS = (
    "WavelengthMean WavelengthEff WavelengthMin WavelengthMax WidthEff WavelengthCen "
    "WavelengthPivot WavelengthPeak WavelengthPhot FWHM"
).split()

INDEX = """<?xml version="1.0"?>
<VOTABLE version="1.1" xsi:schemaLocation="http://www.ivoa.net/xml/VOTable/v1.1" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <INFO name="QUERY_STATUS" value="OK"/>
  <RESOURCE type="results">
    <TABLE>
{fields}
      <FIELD name="TrasmissionCurve" ucd="DATA_LINK" utype="phfdm:PhotometryFilter.filterTransmissionCurve" datatype="char" arraysize="*"/>
      <DATA>
        <TABLEDATA>
{rows}
        </TABLEDATA>
      </DATA>
    </TABLE>
  </RESOURCE>
</VOTABLE>
"""  # noqa: E501


def index_votable(rows: list[dict[str, str]]) -> str:
    """A list of filters; each row has FIELD names as keys, what it lacks is an empty cell."""
    fields = "".join(
        f'    <FIELD name="{name}" ucd="" utype="" unit="" datatype="char" arraysize="*"/>\n'
        for name in TEXT_FIELDS_BEFORE
    ) + "".join(
        f'    <FIELD name="{name}" ucd="em.wl" utype="" unit="Angstrom" datatype="float" />\n'
        for name in NUMBER_FIELDS
    )
    lines = []
    for row in rows:
        cells = [row.get(name, "") for name in (*TEXT_FIELDS_BEFORE, *NUMBER_FIELDS)]
        text = "".join(f"            <TD>{cell}</TD>\n" for cell in cells)
        link = f"http://svo2.example//theory/fps/fps.php?ID={row['filterID']}"
        lines.append(
            f"          <TR>\n{text}            <TD><![CDATA[{link}]]></TD>\n          </TR>\n"
        )
    return INDEX.format(fields=fields, rows="".join(lines))


def index_row(identifier: str, pivot: float | None, width: float | None) -> dict[str, str]:
    facility, rest = identifier.split("/")
    instrument, band = rest.split(".")
    row = {
        "FilterProfileService": "ivo://svo/fps",
        "filterID": identifier,
        "WavelengthUnit": "Angstrom",
        "WavelengthUCD": "em.wl",
        "PhotSystem": instrument,
        "DetectorType": "0",
        "Band": band,
        "Instrument": instrument,
        "Facility": facility,
        "ProfileReference": "http://www.j-pas.org",
        "Description": f"{instrument} {band} filter",
    }
    if pivot is not None:
        row |= {"WavelengthPivot": f"{pivot}", "WidthEff": f"{width}"}
        row |= {"WavelengthMin": f"{pivot - 200}", "WavelengthMax": f"{pivot + 200}"}
    return row


class Service:
    """A Filter Profile Service that counts its questions."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.silent: set[str] = set()
        self._end = threading.Event()
        self.answers = {
            "OAJ/JPAS.J0410": votable("OAJ/JPAS.J0410", detector="1"),
            "OAJ/JPAS.micron": votable("OAJ/JPAS.micron", unit="um", scale=1e-4),
            "../../escape": votable("../../escape"),
            "Some/page": "<html><body>maintenance</body></html>",
            "Some/text": "try again later",
        }
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                query = urlparse(self.path).query
                name = parse_qs(query).get("ID", [query])[0]
                service.asked.append(name)
                if name in service.silent:
                    service._end.wait()
                    return
                if name == "Some/crash":
                    self.send_error(500, "database is down")
                    return
                more = 100 if name == "Some/cut" else 0  # than comes is announced
                text = service.answers.get(name, UNKNOWN.format(name=name)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(text) + more))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/theory/fps/fps.php"
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self.thread.start()

    def stop(self) -> None:
        self._end.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
