"""Text tables whose columns are separated by something else than commas."""

from __future__ import annotations

import numpy as np
import pytest

from jpassed.exceptions import UnknownNameError
from jpassed.io.catalogs import read_catalog
from jpassed.io.chunked_text import open_text
from jpassed.io.formats import table_file

ROWS = (("id", "J0660", "J0660_err", "field"), ("1", "2.5", "0.1", "a"), ("2", "-1", "", "b,c"))


def _write(path, delimiter, head=""):
    path.write_text(head + "\n".join(delimiter.join(row) for row in ROWS) + "\n")
    return path


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
@pytest.mark.parametrize("head", ["", "# ", "# a catalogue\n# of mine\n"])
def test_the_delimiter_is_found(delimiter, head, tmp_path):
    path = _write(tmp_path / "mine.csv", delimiter, head)
    table = read_catalog(path)
    assert table.colnames == list(ROWS[0])
    np.testing.assert_array_equal(table["J0660"], [2.5, -1.0])
    assert table["J0660_err"].mask.tolist() == [False, True]
    assert table["field"].tolist() == ["a", "b,c"]
    chunks = open_text(table_file(path), path)
    assert chunks.n_rows == 2
    chunks.close()


def test_columns_in_line_with_spaces_between(tmp_path):
    path = tmp_path / "aligned.csv"
    path.write_text('#  id  J0660   name\n    1    2.5  "a b"\n   22   -1.0  c  \n')
    table = read_catalog(path)
    assert table.colnames == ["id", "J0660", "name"]
    assert table["id"].tolist() == [1, 22]
    assert table["name"].tolist() == ["a b", "c"]


def test_quoted_texts_keep_their_line_breaks(tmp_path):
    path = tmp_path / "notes.csv"
    path.write_text('id;note\n1;"two; or\nthree"\n2;one\n')
    assert read_catalog(path)["note"].tolist() == ["two; or\nthree", "one"]
    chunks = open_text(table_file(path), path)
    assert chunks.n_rows == 2
    chunks.close()


@pytest.mark.parametrize("text", ["my id\n1\n2\n", "first name\nAda Lovelace\n", "a;b\nc;d\n"])
def test_one_column_stays_one(text, tmp_path):
    path = tmp_path / "one.csv"
    path.write_text(text)
    assert len(read_catalog(path).colnames) == 1


@pytest.mark.parametrize("ending", [".txt", ".dat", ".tsv"])
def test_other_endings_say_what_to_do(ending):
    with pytest.raises(UnknownNameError, match="rename it"):
        table_file(f"mine{ending}")
    with pytest.raises(UnknownNameError) as caught:
        table_file("mine.pdf")
    assert "rename" not in str(caught.value)


def test_the_blanks_of_vizier_are_masked(tmp_path):
    path = tmp_path / "vizier.csv"
    path.write_text("umag,e_umag\n20.5,0.1\n---,---\n")
    assert read_catalog(path)["umag"].mask.tolist() == [False, True]
