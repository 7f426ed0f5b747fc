"""What is said of the rows of many bands in few lines."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from jpassed.surveys import read_photometry
from jpassed.surveys.remarks import Remark, in_few_lines

FLAGGED = "flagged in {}; not observed there"


def remark(band, rows, column):
    return Remark(band, np.arange(rows), FLAGGED, column)


def test_one_band_is_told_with_its_rows():
    assert in_few_lines([remark("J0390", 1, "flags"), remark("J0400", 7, "mask")]) == [
        "J0390: 1 row (0) flagged in column 'flags'; not observed there",
        "J0400: 7 rows (0, 1, 2, 3, 4, ...) flagged in column 'mask'; not observed there",
    ]
    assert in_few_lines([]) == []


def test_bands_that_share_a_column_are_one_line():
    remarks = [remark(f"J0{k}", 2, column) for k in range(400, 450, 10) for column in "ab"]
    assert in_few_lines(remarks) == [
        f"5 bands (J0400, J0410, J0420, ...): 10 values flagged in column '{column}'; "
        "not observed there"
        for column in "ab"
    ]


def test_a_catalogue_with_a_column_a_band():
    bands = ("uJAVA", "J0390", "J0400", "J0410")
    table = Table({f"{name}": np.full(3, 20.0) for name in bands})
    for name in bands:
        table[name].unit = "uJy"
        table[f"{name}_err"] = [0.1, 0.0, -1.0]
    said = [text for text in read_photometry(table).messages if "errors" in text]
    assert said == [
        "4 bands (uJAVA, J0390, J0400, ...): 8 values with zero or negative errors in columns "
        "'uJAVA_err', 'J0390_err', 'J0400_err', ...; not observed there"
    ]
    few = read_photometry(table["uJAVA", "uJAVA_err", "J0390", "J0390_err"]).messages
    assert len([text for text in few if "2 rows (1, 2) with zero or negative errors" in text]) == 2
