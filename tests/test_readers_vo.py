"""STILTS and the files of what services answered: queries, streamed predictions, cross-matches."""

from __future__ import annotations

import pytest
from annotation_tables import write_small
from click.testing import CliRunner
from test_catalogs_stilts import needs_stilts, stilts
from test_readers import check_values, check_words, values_by_stilts, words_by_stilts

from jpassed.cli import main
from jpassed.io import read_catalog
from jpassed.io.native_columns import plain_table

pytestmark = needs_stilts

SHAPED = (
    "SELECT TOP 20 tile_id, number, alpha_j2000, delta_j2000, flux_auto, flux_relerr_auto, flags, "
    "mask_flags, class_star FROM minijpas.flambdadualobj ORDER BY tile_id, number"
)
NULLS = "SELECT TOP 20 m.number, x.zsp, x.spcl FROM minijpas.magabdualobj AS m LEFT OUTER JOIN {}"
XMATCH = "minijpas.xmatch_sdss_dr12 AS x ON m.tile_id = x.tile_id AND m.number = x.number"
NAMES = ("shaped", "nulls", "matched", "predicted")


@pytest.fixture(scope="module")
def files(tap, tmp_path_factory):
    """What the commands wrote: (name, ending) to path."""
    folder = tmp_path_factory.mktemp("vo")
    model = write_small(folder / "model")
    patch = pytest.MonkeyPatch()
    patch.setenv("JPASSED_SERVICES", str(tap.services(folder / "services.yaml")))
    patch.setenv("XDG_CONFIG_HOME", str(folder))
    patch.setenv("XDG_CACHE_HOME", str(folder))
    found = {}
    for ending in (".fits", ".vot"):
        paths = {name: folder / f"{name}{ending}" for name in NAMES}
        predict = ["--tap", "loopback", "--adql", SHAPED, "--model", str(model), "--outputs", "z"]
        for words in (
            ["query", "loopback", SHAPED, "-o", paths["shaped"]],
            ["query", "loopback", NULLS.format(XMATCH), "-o", paths["nulls"]],
            ["crossmatch", paths["shaped"], "galex", "--coverage", "tap:galex.fields"]
            + ["-o", paths["matched"]],
            ["annotate", *predict, "-o", paths["predicted"]],
        ):
            done = CliRunner().invoke(main, [str(word) for word in words])
            assert done.exit_code == 0, f"{words}\n{done.output}"
        found.update({(name, ending): path for name, path in paths.items()})
    yield found
    patch.undo()


@pytest.fixture(scope="module")
def words(files, tmp_path_factory):
    return words_by_stilts(files, tmp_path_factory.mktemp("words"))


@pytest.fixture(scope="module")
def values(files, tmp_path_factory):
    return values_by_stilts(files, tmp_path_factory.mktemp("values"))


@pytest.mark.parametrize("ending", [".fits", ".vot"])
@pytest.mark.parametrize("name", NAMES)
def test_stilts_sees_what_was_written(files, words, values, name, ending):
    table = plain_table(read_catalog(files[name, ending]))
    check_words(table, words[name, ending])
    check_values(table, *values[name, ending])


@pytest.mark.parametrize("name", NAMES)
def test_votlint_has_nothing_to_say(files, name):
    assert stilts("votlint", str(files[name, ".vot"]), "ucd=true", "unit=true") == ""


def test_the_query_and_the_match_are_told(files):
    shown = stilts("tpipe", f"in={files['matched', '.vot']}", "omode=meta")
    assert "minijpas.flambdadualobj" in shown
    assert "CIRCLE('ICRS', t.jp_ra, t.jp_dec" in shown
