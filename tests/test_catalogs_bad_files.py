"""Files that are no catalogue, or cannot be written: one clear line, nothing half-written."""

from __future__ import annotations

import gzip
import os
import stat

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from jpassed.exceptions import FileError, InputError, JpassedError
from jpassed.io import atomic_output, read_catalog, write_catalog
from jpassed.io.atomic import check_output

ENDINGS = (".fits", ".vot", ".ecsv", ".parquet", ".csv")


@pytest.fixture
def table():
    rng = np.random.default_rng(3)
    return Table({"id": np.arange(2000), "x": rng.normal(size=2000), "y": rng.normal(size=2000)})


def refused(path, kind=FileError):
    """The message of the error, which is one line and names the file."""
    with pytest.raises(kind) as caught:
        read_catalog(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path).split("#")[0] in message
    return message


@pytest.mark.parametrize("ending", ENDINGS)
def test_missing(tmp_path, ending):
    assert "does not exist" in refused(tmp_path / f"none{ending}")


@pytest.mark.parametrize("ending", ENDINGS)
def test_folder(tmp_path, ending):
    path = tmp_path / f"folder{ending}"
    path.mkdir()
    assert "is a folder" in refused(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_bytes(tmp_path, ending):
    path = tmp_path / f"empty{ending}"
    path.touch()
    assert "is empty (0 bytes)" in refused(path)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "content",
    [b"\x89PNG\r\n\x1a\n\x00\x00" + bytes(range(256)) * 40, b"\x00" * 5000, b"\x1f\x8bnot gzip"],
)
def test_binary_that_is_no_table(tmp_path, ending, content):
    path = tmp_path / f"picture{ending}"
    path.write_bytes(content)
    assert path.name in refused(path)


@pytest.mark.parametrize("ending", [".fits", ".vot", ".ecsv", ".parquet"])
def test_text_that_is_no_table(tmp_path, ending):
    path = tmp_path / f"letter{ending}"
    path.write_text("Dear colleague,\n\nplease find the table elsewhere.\n" * 100)
    assert path.name in refused(path)


def test_text_that_is_no_csv(tmp_path):
    path = tmp_path / "letter.csv"
    path.write_text("Dear colleague,\nplease, find, the table\nelsewhere\n")
    assert "not a CSV table" in refused(path)
    path.write_text("# only\n# comments\n")
    assert "no header line" in refused(path)


@pytest.mark.parametrize("fraction", [0.02, 0.3, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("ending", [".fits", ".vot", ".parquet", ".fits.gz", ".csv.gz"])
def test_truncated(table, tmp_path, ending, fraction):
    whole, path = tmp_path / f"whole{ending}", tmp_path / f"cut{ending}"
    write_catalog(table, whole)
    content = whole.read_bytes()
    path.write_bytes(content[: int(fraction * len(content))])
    assert path.name in refused(path)


def test_truncated_fits_is_called_so(table, tmp_path):
    path = tmp_path / "cut.fits"
    write_catalog(table, path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 5760])
    assert "truncated" in refused(path)


def test_damaged_gzip(table, tmp_path):
    path = tmp_path / "damaged.csv.gz"
    write_catalog(table, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    assert "truncated or damaged" in refused(path)


def test_fits_image(tmp_path):
    path = tmp_path / "image.fits"
    fits.writeto(path, np.zeros((3, 3)))
    assert "has no table; it holds PrimaryHDU" in refused(path)


def test_several_hdus(tmp_path):
    path = tmp_path / "many.fits"
    tables = [
        fits.BinTableHDU.from_columns([fits.Column("a", "D", array=[1.0])], name=name)
        for name in ("ONE", "TWO")
    ]
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(path)
    message = refused(path)
    assert "2 tables: HDU 1 'ONE' (1 columns), 2 'TWO' (1 columns)" in message
    assert "many.fits#1" in message
    assert "no table '7'; its tables are HDU 1 'ONE'" in refused(f"{path}#7")


def test_part_of_a_format_that_has_no_parts(tmp_path):
    path = tmp_path / "one.csv"
    path.write_text("a\n1\n")
    assert "holds one table only" in refused(f"{path}#2")


def test_error_of_a_service(tmp_path):
    path = tmp_path / "reply.vot"
    path.write_text(
        '<?xml version="1.0"?><VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
        '<RESOURCE type="results"><INFO name="QUERY_STATUS" value="ERROR">no such\n table'
        "</INFO></RESOURCE></VOTABLE>"
    )
    assert "error of a service, not a table: no such table" in refused(path)


def test_votable_without_a_table(tmp_path):
    path = tmp_path / "void.vot"
    path.write_text(
        '<?xml version="1.0"?><VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
        "<RESOURCE/></VOTABLE>"
    )
    assert "no table with columns" in refused(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_rows(tmp_path, ending):
    path = tmp_path / f"empty{ending}"
    write_catalog(Table({"a": np.zeros(0), "b": np.zeros(0)}), path)
    assert "no rows" in refused(path, InputError)


def test_doubled_columns_in_every_format(tmp_path):
    csv = tmp_path / "two.csv"
    csv.write_text("a,b,a\n1,2,3\n")
    ecsv = tmp_path / "two.ecsv"
    header = "".join(f"# - {{name: {n}, datatype: int64}}\n" for n in "aba")
    ecsv.write_text(f"# %ECSV 1.0\n# ---\n# datatype:\n{header}a b a\n1 2 3\n")
    fit = tmp_path / "two.fits"
    hdu = fits.BinTableHDU.from_columns([fits.Column(n, "D", array=[1.0]) for n in ("a", "b", "c")])
    hdu.writeto(fit)  # astropy itself would not write the name twice
    fit.write_bytes(fit.read_bytes().replace(b"TTYPE3  = 'c", b"TTYPE3  = 'a"))
    vot = tmp_path / "two.vot"
    fields = "".join(f'<FIELD name="{n}" datatype="int"/>' for n in "aba")
    vot.write_text(
        '<?xml version="1.0"?><VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
        f"<RESOURCE><TABLE>{fields}<DATA><TABLEDATA><TR><TD>1</TD><TD>2</TD><TD>3</TD></TR>"
        "</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
    )
    parquet = tmp_path / "two.parquet"
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    one = arrow.array([1])
    pyarrow.parquet.write_table(arrow.Table.from_arrays([one, one, one], list("aba")), parquet)
    for path in (csv, ecsv, fit, vot, parquet):
        assert "more than one column called 'a'" in refused(path, InputError)


# --- writing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_existing_file_is_kept_unless_asked(table, tmp_path, ending):
    path = tmp_path / f"out{ending}"
    path.write_text("precious")
    with pytest.raises(FileError, match=r"out.* exists.*--overwrite"):
        write_catalog(table, path)
    assert path.read_text() == "precious"
    write_catalog(table, path, overwrite=True)
    assert len(read_catalog(path)) == len(table)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", [".fits", ".vot", ".ecsv", ".parquet", ".fits.gz"])
def test_a_write_that_fails_leaves_nothing_and_keeps_the_old_file(tmp_path, ending):
    class Wrong:
        """Something no format can hold."""

    path = tmp_path / f"out{ending}"
    bad = Table({"a": [1, 2], "b": np.array([Wrong(), Wrong()], dtype=object)})
    with pytest.raises(JpassedError, match="cannot"):
        write_catalog(bad, path)
    assert not list(tmp_path.iterdir())
    path.write_text("precious")
    with pytest.raises(JpassedError, match="cannot"):
        write_catalog(bad, path, overwrite=True)
    assert path.read_text() == "precious"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_disk_full(table, tmp_path, monkeypatch):
    def full(self, target, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fits.HDUList, "writeto", full)
    with pytest.raises(FileError, match=r"cannot write .*out.fits: .*No space left on device"):
        write_catalog(table, tmp_path / "out.fits")
    assert not list(tmp_path.iterdir())


def test_folder_that_is_not_there(table, tmp_path):
    with pytest.raises(FileError, match="cannot write .*none is not a folder"):
        write_catalog(table, tmp_path / "none" / "out.fits")
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileError, match="file is not a folder"):
        write_catalog(table, tmp_path / "file" / "out.fits")
    (tmp_path / "sub.fits").mkdir()
    with pytest.raises(FileError, match="is a folder; name a file"):
        write_catalog(table, tmp_path / "sub.fits", overwrite=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_folder_without_permission(table, tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    with pytest.raises(FileError, match="no permission to write"):
        write_catalog(table, folder / "out.fits")


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a /proc")
def test_folder_in_which_nobody_may_write(table):
    with pytest.raises(FileError, match="cannot write /proc/self/out.fits"):
        write_catalog(table, "/proc/self/out.fits")


def test_writing_to_a_part_is_refused(table, tmp_path):
    with pytest.raises(FileError, match="picks a table to read"):
        write_catalog(table, f"{tmp_path}/out.fits#2")


def test_input_may_be_its_own_output(table, tmp_path):
    path = tmp_path / "same.fits"
    write_catalog(table, path)
    back = read_catalog(path)
    back["new"] = np.arange(len(back))
    write_catalog(back, path, overwrite=True)
    assert read_catalog(path).colnames == ["id", "x", "y", "new"]


def test_permissions_of_a_new_and_of_a_replaced_file(table, tmp_path):
    path = tmp_path / "out.csv"
    plain = tmp_path / "plain"
    plain.write_text("x")
    write_catalog(table, path)
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    path.chmod(0o640)
    write_catalog(table, path, overwrite=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_into_a_folder_that_is_not_there_is_told_at_once(tmp_path):
    link = tmp_path / "out.fits"
    link.symlink_to(tmp_path / "nowhere" / "real.fits")
    with pytest.raises(FileError, match="nowhere is not a folder"):
        check_output(link)


def test_a_link_keeps_pointing_to_the_file(table, tmp_path):
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "out.csv", tmp_path / "out.csv"
    target.write_text("old")
    link.symlink_to(target)
    write_catalog(table, link, overwrite=True)
    assert link.is_symlink()
    assert len(read_catalog(target)) == len(table)


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path):
    path = tmp_path / "out.txt"
    with pytest.raises(FileError, match="exists by now"), atomic_output(path) as temporary:
        temporary.write_text("mine")
        path.write_text("theirs")
    assert path.read_text() == "theirs"
    assert [p.name for p in tmp_path.iterdir()] == ["out.txt"]


def test_an_exception_in_the_block_passes_through(tmp_path):
    with pytest.raises(ZeroDivisionError), atomic_output(tmp_path / "out.txt") as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_same_table_same_bytes_when_packed(table, tmp_path):
    one, two = tmp_path / "one.csv.gz", tmp_path / "two.csv.gz"
    write_catalog(table, one)
    write_catalog(table, two)
    assert one.read_bytes() == two.read_bytes()
    assert gzip.decompress(one.read_bytes()).startswith(b"id,x,y")
