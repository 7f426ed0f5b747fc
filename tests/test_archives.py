"""Answers of archives, as pyvo hands them over, are tables to annotate (no network is used)."""

from __future__ import annotations

import numpy as np
from annotation_tables import make_table, masked, numbers, small_model
from astropy.io.votable import from_table
from astropy.io.votable.tree import Info
from astropy.table import Table
from pyvo.dal import TAPResults

import jpassed

OUTPUTS = ["z", "logmstar"]


def answer_of_a_service(table: Table) -> TAPResults:
    """What `TAPService.search` returns, made of a table."""
    votable = from_table(Table(table))
    resource = votable.resources[0]
    resource.type = "results"
    resource.infos.append(Info(name="QUERY_STATUS", value="OK"))
    return TAPResults(votable)


def test_the_answer_of_a_tap_query_is_annotated():
    table = masked(make_table(6), "J0540", [1])
    found = answer_of_a_service(table).to_table()
    result = jpassed.annotate(found, model=small_model(), outputs=OUTPUTS)
    expected = jpassed.annotate(table, model=small_model(), outputs=OUTPUTS)
    assert result["jp_nbands"][1] == result["jp_nbands"][0] - 1
    for name in ("jp_z", "jp_z_err", "jp_logmstar"):
        np.testing.assert_allclose(numbers(result[name]), numbers(expected[name]), rtol=1e-5)
