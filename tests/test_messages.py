"""Messages as a user meets them: what happened, where, what to do."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table
from click.testing import CliRunner

from jpassed.cli import main
from jpassed.exceptions import InputError, UnknownNameError, UnrecognisedTableError
from jpassed.io.catalogs import read_catalog
from jpassed.surveys import read_labels, read_photometry


def said(*words: str) -> str:
    found = CliRunner().invoke(main, list(words))
    assert found.exit_code != 0
    return found.stderr


def test_of_many_choices_the_most_similar_are_listed():
    names = [f"column_{k:03d}" for k in range(200)] + ["z_spec"]
    text = str(UnknownNameError("column", "zspec", names))
    assert text.startswith("unknown column 'zspec'. Did you mean 'z_spec'? Valid choices: z_spec, ")
    assert text.endswith(", ... (201 in all)")
    assert len(text) < 500


def test_few_choices_are_all_listed():
    names = [f"band{k:02d}" for k in range(64)]
    text = str(UnknownNameError("band", "x", names))
    assert text.endswith("Valid choices: " + ", ".join(names))


def test_a_slip_in_a_command_is_told_the_nearest():
    assert "No such command 'anotate'. Did you mean 'annotate'" in said("anotate", "x.fits")
    assert "Did you mean" not in said("qqqqqq")


def test_columns_without_errors_are_told_what_to_add():
    table = Table({"name": ["a"], "J0450": [1.0], "J0660": [2.0]})
    with pytest.raises(UnrecognisedTableError) as caught:
        read_photometry(table)
    text = str(caught.value)
    assert "no error column: add one to each, such as 'J0450_err'" in text
    assert 'J0660: {flux: J0660, error: J0660_err, unit: "???"}' in text
    assert "flux: name" not in text


@pytest.fixture
def whole(tmp_path):
    path = tmp_path / "whole.fits"
    Table({"J0450": np.arange(3000.0)}).write(path)
    return path


@pytest.mark.parametrize("size", [5000, 9000])
def test_a_file_that_was_not_wholly_copied_is_truncated(tmp_path, whole, size):
    path = tmp_path / "part.fits"
    path.write_bytes(whole.read_bytes()[:size])
    with pytest.raises(OSError, match="truncated.*copy it again"):
        read_catalog(path)


def test_no_advice_that_only_programmers_can_follow(tmp_path):
    path = tmp_path / "page.fits"
    path.write_text("<html>404</html>\n")
    text = said("annotate", str(path))
    assert "page.fits is not a FITS table, or it is damaged: No SIMPLE card found" in text
    assert "ignore_missing_simple" not in text


@pytest.mark.parametrize("values", [0.1, [0.1, 0.2], np.array([0.1, 0.2])])
def test_values_in_place_of_a_column_are_told_to_become_one(values):
    table = Table({"z_spec": [0.1, 0.2]})
    with pytest.raises(InputError, match=r"'z': expected the name of a column.*table\['my_z'\] ="):
        read_labels(table, {"z": values})
