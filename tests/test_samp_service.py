"""The SAMP service with a real hub and a second client: tables and selections."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from annotation_tables import make_table, numbers, small_model
from samp_fixtures import OPTIONS, assert_same, catalogue, expected, given_rows, hub, serve, viewer
from samp_hub import LONG, Viewer, path_of

from jpassed.exceptions import InputError
from jpassed.io.catalogs import read_catalog, write_catalog
from jpassed.samp import AnnotationService
from jpassed.samp.known_tables import KnownTable, KnownTables, row_numbers

__all__ = ["catalogue", "hub", "serve", "viewer"]  # fixtures


# --- what it says of itself -----------------------------------------------------------------------


def test_the_hub_knows_name_description_and_messages(viewer, serve):
    serve()
    about = viewer.client.get_metadata(viewer.jpassed())
    assert about["samp.name"] == "jpassed"
    assert "bandfluxes" in about["samp.description.text"]
    taken = viewer.client.get_subscriptions(viewer.jpassed())
    wanted = {"table.load.votable", "table.load.fits", "table.select.rowList", "jpassed.annotate"}
    assert wanted <= set(taken)
    assert viewer.ask("samp.app.ping")["samp.status"] == "samp.ok"


# --- tables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["vot", "fits"])
def test_a_table_comes_back_under_its_id(viewer, serve, tmp_path, ending):
    service = serve()
    path = tmp_path / f"my galaxies.{ending}"
    write_catalog(make_table(8), path)
    reply = viewer.send(path, table_id="t1", name="NGP field")
    assert reply["samp.status"] == "samp.ok"
    assert reply["samp.result"]["rows"] == "8"
    about, table = viewer.next()
    assert about["table-id"] == "t1"
    assert about["name"] == "NGP field (jpassed)"
    assert about["samp.mtype"] == "table.load.votable"
    assert about["url"] == reply["samp.result"]["url"]
    assert_same(table, expected(path))
    assert table.meta["jp_model"] == "small"
    assert service.said[-1] == "NGP field: 8 rows annotated; sent to viewer"


def test_a_table_without_id_and_name_is_named_after_its_file(viewer, serve, catalogue):
    serve()
    assert viewer.send(catalogue)["samp.status"] == "samp.ok"
    about, _ = viewer.next()
    assert about["name"] == "galaxies.vot (jpassed)"
    assert about["table-id"] == about["url"]


def test_a_viewer_of_fits_gets_fits(hub, serve, catalogue):
    serve()
    viewer = Viewer(formats=("fits",))
    assert viewer.send(catalogue)["samp.status"] == "samp.ok"
    about, table = viewer.next()
    assert about["samp.mtype"] == "table.load.fits"
    assert_same(table, expected(catalogue))
    viewer.close()


class Recorder(AnnotationService):
    """Notes the order in which messages arrive: the hub passes them on in threads of its own."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.heard = []
        self._one_at_a_time = threading.Lock()

    def _hear(self, private_key, sender, message_id, mtype, params, extra):
        with self._one_at_a_time:
            self.heard.append(f"{params['name']} (jpassed)")
            super()._hear(private_key, sender, message_id, mtype, params, extra)


def test_several_tables_are_done_in_order(viewer, catalogue):
    done = []
    with Recorder({"model": small_model(), **OPTIONS}, tell=done.append) as service:
        service.start()
        to = viewer.jpassed()
        for k in range(5):
            viewer.client.ecall(
                to, f"tag{k}", "table.load.votable", url=catalogue.as_uri(), name=f"n{k}"
            )
        names = [viewer.next()[0]["name"] for _ in range(5)]
        assert sorted(names) == sorted(service.heard) == [f"n{k} (jpassed)" for k in range(5)]
    told = [line.partition(":")[0] + " (jpassed)" for line in done if "rows annotated" in line]
    assert told == service.heard


def test_a_notification_is_annotated_as_well(viewer, serve, catalogue):
    serve()
    viewer.client.enotify(viewer.jpassed(), "table.load.votable", url=catalogue.as_uri())
    about, table = viewer.next()
    assert_same(table, expected(catalogue))


def test_only_the_sender_gets_the_result(viewer, serve, catalogue):
    other = Viewer("other")
    serve()
    viewer.send(catalogue)
    viewer.next()
    assert other.loaded.empty()
    other.close()


def test_everybody_gets_the_result_when_asked(viewer, serve, catalogue):
    other = Viewer("other")
    service = serve(to_all=True)
    viewer.send(catalogue)
    assert viewer.next()[0]["url"] == other.next()[0]["url"]
    assert sorted(service.said[-1].split("sent to ")[1].split(", ")) == ["other", "viewer"]
    other.close()


def test_of_a_sender_that_takes_none_all_others_get_the_table(viewer, serve, catalogue):
    serve()
    sender = Viewer("sender", formats=())
    assert sender.send(catalogue, table_id="x")["samp.status"] == "samp.ok"
    assert viewer.next()[0]["table-id"] == "x"
    sender.close()


def test_nobody_takes_tables(hub, serve, catalogue):
    serve()
    sender = Viewer("sender", formats=())
    reply = sender.send(catalogue)
    assert reply["samp.status"] == "samp.warning"
    assert "no client takes tables" in reply["samp.error"]["samp.errortxt"]
    assert_same(read_catalog(path_of(reply["samp.result"]["url"])), expected(catalogue))
    sender.close()


def test_a_viewer_that_refuses_a_known_id_gets_another(hub, serve, catalogue):
    """TOPCAT 4.8.7: "Duplicate table-id: table '...' has already been received"."""
    serve(on_selection=True)
    viewer = Viewer(strict=True)
    viewer.send(catalogue, table_id="t1")
    viewer.ask("table.select.rowList", table_id="t1", row_list=["2"])
    about, table = viewer.next()
    assert about["table-id"] != "t1"
    assert about["table-id"].startswith("t1#jpassed-")
    # A selection in the new table means the same rows.
    viewer.ask("table.select.rowList", table_id=about["table-id"], row_list=["5"])
    again, table = viewer.next()
    assert again["table-id"] not in ("t1", about["table-id"])
    assert given_rows(table["jp_z"]) == [2, 5]
    viewer.close()


def test_a_viewer_that_cannot_load_is_reported(viewer, serve, catalogue):
    service = serve()
    viewer.refuses = "out of memory"
    told = threading.Event()
    tell = service._tell

    def hear(line):
        tell(line)
        if "could not load" in line:
            told.set()

    service._tell = hear
    assert viewer.send(catalogue, table_id="t")["samp.status"] == "samp.ok"
    assert told.wait(LONG)
    assert service.said[-1] == "viewer could not load the result: out of memory"


def test_the_services_own_message_answers_with_an_address(viewer, serve, catalogue):
    serve(on_selection=True)
    reply = viewer.ask("jpassed.annotate", url=catalogue.as_uri(), format="votable")
    assert reply["samp.status"] == "samp.ok"
    assert_same(read_catalog(path_of(reply["samp.result"]["url"])), expected(catalogue))
    assert viewer.loaded.empty()
    wrong = viewer.ask("jpassed.annotate", url=catalogue.as_uri(), format="parquet")
    assert "one of votable, fits, not parquet" in wrong["samp.error"]["samp.errortxt"]


def test_files_are_there_until_the_service_ends(viewer, serve, catalogue):
    service = serve()
    viewer.send(catalogue)
    place = path_of(viewer.next()[0]["url"])
    assert place.is_file()
    folder = place.parent.parent
    assert [p.name for p in folder.rglob("*") if p.is_file()] == ["galaxies_jpassed.vot"]
    service.stop()
    assert not folder.exists()
    with pytest.raises(LookupError):
        viewer.jpassed()


# --- selections -----------------------------------------------------------------------------------


def test_selected_rows_are_annotated_one_selection_after_the_other(viewer, serve, catalogue):
    service = serve(on_selection=True)
    reply = viewer.send(catalogue, table_id="t1", name="mine")
    assert reply["samp.status"] == "samp.ok"
    assert service.said[-1] == "mine: 8 rows received, waiting for a selection"
    assert (
        viewer.ask("table.select.rowList", table_id="t1", row_list=["6", "2"])["samp.status"]
        == "samp.ok"
    )
    about, table = viewer.next()
    wanted = expected(catalogue)
    assert about["table-id"] == "t1"
    assert len(table) == 8
    assert_same(table, wanted, rows=[2, 6], rtol=1e-4)
    for name in ("jp_z", "jp_flux_galex_nuv_err", "jp_flag", "jp_nbands"):
        assert given_rows(table[name]) == [2, 6]
    for name in read_catalog(catalogue).colnames:
        np.testing.assert_array_equal(numbers(table[name]), numbers(wanted[name]))
    # The next selection adds to it.
    viewer.ask("table.select.rowList", table_id="t1", row_list=["2", "0"])
    _, table = viewer.next()
    assert service.said[-1] == "mine: 1 row annotated; sent to viewer"
    assert_same(table, wanted, rows=[0, 2, 6], rtol=1e-4)
    assert given_rows(table["jp_z"]) == [0, 2, 6]
    # Nothing new: nothing is sent.
    reply = viewer.ask("table.select.rowList", table_id="t1", row_list=["0", "6"])
    assert reply["samp.status"] == "samp.ok"
    assert viewer.loaded.empty()


def test_a_selection_in_an_annotated_table_sends_nothing(viewer, serve, catalogue):
    serve()
    viewer.send(catalogue, table_id="t1")
    viewer.next()
    reply = viewer.ask("table.select.rowList", table_id="t1", row_list=["1"])
    assert reply["samp.status"] == "samp.ok"
    assert viewer.loaded.empty()


def test_a_table_is_known_by_its_url_too(viewer, serve, catalogue):
    """TOPCAT gives the file of a table as its id in one message, as url in another."""
    serve(on_selection=True)
    viewer.send(catalogue, table_id="file:/somewhere.vot")
    for where in ({"url": catalogue.as_uri()}, {"url": "file:/somewhere.vot"}):
        reply = viewer.ask("table.select.rowList", row_list=["3"], **where)
        assert reply["samp.status"] == "samp.ok", reply


# --- parts ----------------------------------------------------------------------------------------


def test_the_latest_tables_are_remembered():
    tables = KnownTables(kept=2)
    for k in range(3):
        tables.add(KnownTable(make_table(2), f"n{k}", f"t{k}", "c1"), (f"t{k}", f"file:/{k}"))
    assert len(tables) == 2
    with pytest.raises(InputError, match="table-id 't0' or url 'file:/0'.*last 2"):
        tables.find("t0", "file:/0")
    assert tables.find("", "file:/1").name == "n1"
    # What was just asked for stays longer.
    tables.add(KnownTable(make_table(2), "n3", "t3", "c1"), ("t3",))
    assert tables.find("t1", "").name == "n1"
    with pytest.raises(InputError, match="t2"):
        tables.find("t2", "")


def test_an_id_means_the_latest_table():
    tables = KnownTables()
    for k in range(2):
        tables.add(KnownTable(make_table(2), f"n{k}", "t", "c1"), ("t", ""))
    assert tables.find("t", "").name == "n1"


def test_row_numbers_are_text_in_samp():
    assert row_numbers(["0", " 2 ", 1], 3) == [0, 2, 1]
