"""Answers of a service: whole or refused, and as tables."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable
from canned_service import Reply, failure, serving, votable, with_jobs

from jpassed.exceptions import (
    JpassedError,
    LoginError,
    QueryError,
    ServiceError,
    TruncatedAnswerError,
)
from jpassed.io import read_catalog, write_catalog
from jpassed.vo.answer import check_whole, read_answer
from jpassed.vo.client import TapClient
from jpassed.vo.failures import TransientError
from jpassed.vo.service import Service

OVERFLOW = '<INFO name="QUERY_STATUS" value="OVERFLOW"/>'


def table_of(rows: str, fields: str) -> QTable:
    return read_answer(BytesIO(votable(rows, fields).encode()), "somewhere")


def ask(service, query="SELECT a FROM t", **given):
    return TapClient(service.url, cache=False, retries=2, backoff=0).run(query, **given)


@pytest.mark.parametrize("missing", [1, 5, 12, 60, 200])
def test_an_answer_without_its_end_is_not_whole(missing):
    content = votable().rstrip().encode()
    assert check_whole(BytesIO(content), "somewhere") is False
    with pytest.raises(TransientError, match=f"broke off after {len(content) - missing} bytes"):
        check_whole(BytesIO(content[:-missing]), "somewhere")


@pytest.mark.parametrize("rows", [1, 3])
def test_no_beginning_of_an_answer_is_taken_for_the_whole(rows):
    content = votable("<TR><TD>1</TD></TR>" * rows, after=OVERFLOW).rstrip().encode()
    for end in range(len(content)):
        with pytest.raises(TransientError):
            check_whole(BytesIO(content[:end]), "somewhere")


@pytest.mark.parametrize("end", [0, 30, 250, -1])
def test_a_cut_that_only_the_missing_end_tells(end):
    """No Content-Length, no chunks: to HTTP the answer is complete."""
    whole = votable()
    cut = Reply(whole.rstrip()[:end], told_length=False)
    with serving([cut, cut, Reply(whole, told_length=False)]) as service:
        assert list(ask(service)["a"]) == [1]
    assert len(service.requests) == 3


def test_an_empty_answer():
    with pytest.raises(TransientError, match="the answer is empty"):
        check_whole(BytesIO(b""), "somewhere")


@pytest.mark.parametrize("end", ["", "\n\n", "<!-- made by nobody -->\n", "<!-- a --> <!-- b -->"])
def test_what_may_follow_the_end(end):
    assert check_whole(BytesIO((votable() + end).encode()), "somewhere") is False


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("rows", [1, 20_000], ids=["small", "large"])
def test_overflow_is_seen_before_and_after_the_rows(place, rows):
    text = votable("<TR><TD>1</TD></TR>" * rows, **{place: OVERFLOW})
    assert check_whole(BytesIO(text.encode()), "somewhere") is True


def test_the_words_of_the_service():
    text = failure("Field query:\n <![CDATA[a < b]]> &amp; no table 'x'")
    with pytest.raises(QueryError, match="somewhere refuses .* Field query: a < b & no table 'x'"):
        check_whole(BytesIO(text.encode()), "somewhere")


def test_an_error_after_the_rows_is_no_short_table():
    text = votable(after='<INFO name="QUERY_STATUS" value="ERROR">disk full</INFO>')
    with pytest.raises(TransientError, match="failed while it sent the rows: disk full"):
        check_whole(BytesIO(text.encode()), "somewhere")


def test_a_word_in_the_rows_is_no_status():
    text = votable('<TR><TD>&lt;INFO name="QUERY_STATUS" value="ERROR"/></TD></TR>',
                   '<FIELD name="a" datatype="char" arraysize="*"/>')  # fmt: skip
    assert check_whole(BytesIO(text.encode()), "somewhere") is False
    binary = votable().replace("<TABLEDATA>", "<TABLEDATA><!-- OVERFLOW -->")
    assert check_whole(BytesIO(binary.encode()), "somewhere") is False


def test_numbers_texts_and_arrays():
    fields = (
        '<FIELD name="minijpas.magabdualobj.tile_id" datatype="int" arraysize="1"/>'
        '<FIELD name="mag_auto" datatype="float" arraysize="*" unit="mag" ucd="phot.mag">'
        "<DESCRIPTION>AB magnitude</DESCRIPTION></FIELD>"
        '<FIELD name="class" datatype="char" arraysize="*"/>'
        '<FIELD name="odd" datatype="int" arraysize="*"/>'
    )
    rows = (
        "<TR><TD>7</TD><TD>1.5 2.5</TD><TD>GALAXY</TD><TD>1</TD></TR>"
        "<TR><TD>8</TD><TD></TD><TD></TD><TD>1 2</TD></TR>"
    )
    table = table_of(rows, fields)
    assert table.colnames == ["tile_id", "mag_auto", "class", "odd"]
    assert table["tile_id"].dtype == np.int32 and table["tile_id"].shape == (2,)
    mag = table["mag_auto"]
    assert mag.unit == u.mag and mag.dtype == np.float32 and mag.shape == (2, 2)
    assert mag.mask.tolist() == [[False, False], [True, True]]
    assert mag[0].unmasked.value.tolist() == [1.5, 2.5]
    assert mag.info.description == "AB magnitude" and mag.info.meta == {"ucd": "phot.mag"}
    assert table["class"].dtype.kind == "U" and list(table["class"]) == ["GALAXY", ""]
    assert [list(array) for array in table["odd"]] == [[1], [1, 2]]


@pytest.mark.parametrize("fields", ["short", "int", "long", "float", "double", "unsignedByte"])
@pytest.mark.parametrize("size", ['arraysize="*"', 'arraysize="60"', ""])
def test_no_rows_but_all_columns(fields, size):
    field = f'<FIELD name="a" datatype="{fields}" {size} unit="mag" ucd="phot.mag"/>'
    text = '<FIELD name="b" datatype="char" arraysize="*" ucd="meta.id"/>'
    table = table_of("", field + text)
    kind = {"short": "i2", "int": "i4", "long": "i8", "float": "f4", "double": "f8"}
    assert len(table) == 0 and table.colnames == ["a", "b"]
    assert table["a"].dtype == np.dtype(kind.get(fields, "u1"))
    assert table["a"].unit == u.mag and table["a"].info.meta["ucd"] == "phot.mag"
    assert table["a"].shape == ((0, 60) if "60" in size else (0,))
    assert table["b"].dtype.kind == "U" and table["b"].info.meta["ucd"] == "meta.id"


def test_arrays_that_are_all_null():
    table = table_of("<TR><TD/></TR>" * 3, '<FIELD name="a" datatype="float" arraysize="*"/>')
    assert table["a"].dtype == np.float32 and table["a"].mask.all()


def test_prefixes_stay_where_names_would_be_the_same():
    field = '<FIELD name="{}" datatype="int"/>'
    fields = "".join(map(field.format, ["a.ra", "b.ra", "s.t.z", "mag[jpas::J0660]", "t.1.5"]))
    table = table_of("<TR>" + "<TD>1</TD>" * 5 + "</TR>", fields)
    assert table.colnames == ["a.ra", "b.ra", "z", "mag[jpas::J0660]", "t.1.5"]


def test_a_name_twice():
    with pytest.raises(QueryError, match="more than one column called 'ra'.*AS another_name"):
        table_of("<TR><TD>1</TD><TD>1</TD></TR>", '<FIELD name="ra" datatype="int"/>' * 2)


def test_an_answer_is_like_a_file_that_was_read(tmp_path):
    fields = (
        '<FIELD name="a" datatype="double" unit="mag" ucd="phot.mag"/>'
        '<FIELD name="b" datatype="float" arraysize="2" unit="deg"/>'
        '<FIELD name="c" datatype="char" arraysize="*"/>'
    )
    rows = "<TR><TD>1.5</TD><TD>1 2</TD><TD>x</TD></TR>" * 2
    (tmp_path / "t.vot").write_text(votable(rows, fields))
    answer, read = table_of(rows, fields), read_catalog(tmp_path / "t.vot")
    for name in read.colnames:
        assert type(answer[name]) is type(read[name]) and answer[name].dtype == read[name].dtype
        assert answer[name].info.meta == read[name].info.meta
        assert np.array_equal(answer[name], read[name])


def test_what_it_says_of_itself_goes_into_every_file(tmp_path):
    with serving([Reply(votable())]) as service:
        table = ask(service, "SELECT a -- é\nFROM t")
    assert table.meta["jp_service"] == service.url
    assert table.meta["jp_query"] == "SELECT a FROM t"
    assert table.meta["jp_query_date"].endswith("+00:00")
    assert "jp_overflow" not in table.meta
    for ending in ("fits", "vot", "ecsv", "parquet"):
        write_catalog(table, tmp_path / f"t.{ending}")
        assert read_catalog(tmp_path / f"t.{ending}").meta["jp_query"] == "SELECT a FROM t"


LOGIN_PAGE = "<html><head><title>Members</title></head><form><input type='password'></form></html>"
OTHER_PAGE = "<!DOCTYPE html>\n<html><head><title>Under\nmaintenance</title></head></html>"


@pytest.mark.parametrize("status", [200, 401, 403])
def test_a_login_page(status):
    with serving(lambda _: Reply(LOGIN_PAGE, "text/html", status)) as service:
        with pytest.raises(LoginError, match="wants a login.*JPASSED_VO_USER.*netrc"):
            ask(service)
    assert len(service.requests) == 1


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/x-votable+xml"])
def test_another_page(kind):
    with serving(lambda _: Reply(OTHER_PAGE, kind)) as service:
        with pytest.raises(ServiceError, match="a web page titled 'Under maintenance'") as caught:
            ask(service)
    assert not isinstance(caught.value, LoginError)
    assert "failed 2 times" in str(caught.value)


@pytest.mark.parametrize("body", ["a,b\n1,2\n", "\x00\x01", "SIMPLE  =   T", "{}"])
def test_what_is_no_votable(body):
    with serving(lambda _: Reply(body, "application/octet-stream")) as service:
        with pytest.raises(ServiceError, match="application/octet-stream instead of a VOTable"):
            ask(service)


def test_xml_that_is_no_votable():
    with serving(lambda _: Reply("<ExceptionReport>no</ExceptionReport>", "text/xml")) as service:
        with pytest.raises(ServiceError, match="XML that is no VOTable: '<ExceptionReport>no"):
            ask(service)


@pytest.mark.parametrize("kind", ["text/xml", "application/octet-stream", "text/plain", ""])
def test_a_votable_of_any_content_type_will_do(kind):
    with serving([Reply(votable(), kind)]) as service:
        assert list(ask(service)["a"]) == [1]


def test_a_damaged_votable_is_asked_for_again():
    bad = votable().replace("<TR>", "<TR>&nothing;")
    with serving([Reply(bad), Reply(votable())]) as service:
        assert len(ask(service)) == 1
    with serving(lambda _: Reply(bad)) as service:
        with pytest.raises(ServiceError, match="its VOTable cannot be read"):
            ask(service)


@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_bad_query_is_asked_once(status):
    with serving(lambda _: Reply(failure("no such column: b"), "text/xml", status)) as service:
        with pytest.raises(QueryError, match="refuses the query: no such column: b"):
            ask(service)
    assert len(service.requests) == 1


def test_a_place_without_a_service():
    with serving(lambda _: Reply("<h1>Nothing here</h1>", "text/html", 404)) as service:
        with pytest.raises(ServiceError, match="HTTP 404.*Nothing here.*without /sync"):
            ask(service)
    assert len(service.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_service_that_has_moved(status, mode):
    """requests would go on with a GET, without the query."""
    place = f"https://new.example.org/tap/{mode}"
    with serving(lambda _: Reply("", status=status, headers={"Location": place})) as service:
        with pytest.raises(ServiceError, match="moved: use the URL https://new.example.org/tap$"):
            ask(service, mode=mode)


def test_a_result_elsewhere():
    def answer(request):
        if request.method == "POST":
            return Reply("", status=303, headers={"Location": "/tap/sync/results/7"})
        return Reply(votable())

    with serving(answer) as service:
        assert list(ask(service)["a"]) == [1]
    assert service.asked("/sync/results/7")[0].method == "GET"


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_redirect_to_a_login_page(mode):
    def answer(request):
        if request.method == "POST":
            return Reply("", status=302, headers={"Location": "/sso/login?next=/tap/sync"})
        sso = "login" in request.path
        return Reply("<html><title>SSO</title></html>" if sso else votable(), "text/html")

    with serving(answer) as service:
        with pytest.raises(LoginError, match="a web page titled 'SSO': it wants a login"):
            ask(service, mode=mode)


def silent(limit):
    """A service of 30 rows that gives `limit` of them and does not say so."""

    def answer(request):
        if request.method == "POST" and request.path == "/tap/sync":
            return Reply(votable("<TR><TD>1</TD></TR>" * limit))
        return Reply("none", "text/plain", 404)

    return answer


@pytest.mark.parametrize("mode", ["sync", "auto"])
def test_a_limit_that_is_kept_in_silence(mode):
    with serving(silent(20)) as service:
        client = TapClient(Service("x", service.url, sync_rows=20), cache=False, backoff=0)
        with pytest.raises(ServiceError) as caught:
            client.run("SELECT a FROM t", mode=mode)
        wanted = TruncatedAnswerError if mode == "sync" else ServiceError
        assert type(caught.value) is wanted
        if mode == "auto":
            assert service.asked("/async")  # it asked for all of it as a job
        for given in ({"maxrec": 20}, {}):
            query = "SELECT a FROM t" if given else "SELECT TOP 20 a FROM t"
            table = client.run(query, mode=mode, **given)
            assert len(table) == 20 and "jp_overflow" not in table.meta


def test_a_limit_below_maxrec_is_an_error_too():
    with serving(lambda _: Reply(votable(after=OVERFLOW))) as service:
        with pytest.raises(TruncatedAnswerError, match="only the first 1 rows, its own limit"):
            ask(service, maxrec=5, mode="sync")
        table = ask(service, maxrec=1, mode="sync")
    assert len(table) == 1 and table.meta["jp_overflow"] is True


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(failure("Query timed out (took too long).")), "the service stops it after its time"),
        (Reply(failure("Job exceeded its execution duration"), status=400), "the service stops it"),
        (Reply("slow", "text/plain", 504), "HTTP 504 Gateway Timeout"),
        (Reply("slow", "text/plain", 408), "HTTP 408 Request Timeout"),
        (Reply(votable(after=OVERFLOW)), "cut at 1 rows"),
    ],
)
def test_what_is_too_much_for_one_request_becomes_a_job(reply, why):
    """Of a service that calls itself by another name than we do."""
    said = []
    with serving(with_jobs(reply)) as service:
        table = ask(service, progress=said.append)
        with pytest.raises(JpassedError):
            ask(service, mode="sync")
    assert list(table["a"]) == [1] and len(service.asked("/async/7/results/result")) == 1
    assert said[0].startswith(why) and said[0].endswith("; asking again as a job")
    assert said[1:5] == [f"job {service.url}/async/7", "queued", "executing", "1 rows"]
    assert [request.method for request in service.asked("/async/7")][-1] == "DELETE"


def test_a_result_that_is_gone_is_asked_for_again():
    with serving(with_jobs(Reply(), Reply("expired", "text/plain", 410))) as service:
        with pytest.raises(ServiceError, match="lost the job 3 times: .* is not there any more"):
            ask(service, mode="async")
    assert [r.method for r in service.asked("/async")].count("POST") == 3


def test_a_job_that_is_not_below_the_services_url():
    """The service's word counts where the usual place is empty."""
    job = '<job xmlns="http://www.ivoa.net/xml/UWS/v1.0"><jobId>7</jobId><phase>{}</phase></job>'
    started = []

    def answer(request):
        if request.method == "POST" and request.path == "/tap/async":
            return Reply("", status=303, headers={"Location": "/other/async/7"})
        if not request.path.startswith("/other/async/7"):
            return Reply("no such job", "text/plain", 404)
        if request.path.endswith("/phase"):
            started.append(request.form)
        if request.path.endswith("/results/result"):
            return Reply(votable())
        return Reply(job.format("COMPLETED" if started else "PENDING"), "text/xml")

    with serving(answer) as service:
        assert list(ask(service, mode="async")["a"]) == [1]
    assert started == [{"PHASE": "RUN"}]
    assert (service.requests[-1].method, service.requests[-1].path) == ("DELETE", "/other/async/7")


def test_rare_failures_are_counted_by_themselves():
    """A web page is worth two tries, however many other failures there are."""
    busy, page = Reply("busy", "text/plain", 503), Reply(OTHER_PAGE, "text/html")
    with serving([busy, page, busy, Reply(votable())]) as service:
        client = TapClient(service.url, cache=False, retries=5, backoff=0)
        assert len(client.run("SELECT a FROM t")) == 1
    with serving([busy, page, busy, page, Reply(votable())]) as service:
        client = TapClient(service.url, cache=False, retries=5, backoff=0)
        with pytest.raises(ServiceError, match="failed 4 times: it answers with a web page"):
            client.run("SELECT a FROM t")
