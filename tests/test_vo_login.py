"""Logins: to whom they are sent, and that nobody else sees them."""

from __future__ import annotations

import base64
import copy
import logging
import pickle
import traceback
from pathlib import Path

import pytest
from canned_service import Reply, failure, serving, votable

from jpassed.exceptions import InputError, JpassedError, LoginError, ServiceError
from jpassed.io import write_catalog
from jpassed.vo import Credentials, TapClient
from jpassed.vo.login import LoginForm, find_credentials, login_form, split_url
from jpassed.vo.service import Service

PASSWORD = "p4$$:w@rd/é"
TOKEN = "tok-0123456789abcdef"
SECRETS = (PASSWORD, TOKEN, "p4%24%24", base64.b64encode(f"ann:{PASSWORD}".encode()).decode())
BASIC = f"Basic {base64.b64encode(f'ann:{PASSWORD}'.encode()).decode()}"


@pytest.fixture(autouse=True)
def _no_login_around(monkeypatch, tmp_path):
    for name in ("JPASSED_VO_USER", "JPASSED_VO_PASSWORD", "JPASSED_VO_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))


def sent(service):
    return [request.headers.get("Authorization") for request in service.requests]


def ask(url, **given):
    given = {"cache": False, "retries": 0, **given}
    return TapClient(url, **given).run("SELECT a FROM t")


@pytest.mark.parametrize(
    ("credentials", "header"),
    [
        (None, None),
        (Credentials("ann", PASSWORD), BASIC),
        (Credentials(token=TOKEN), f"Bearer {TOKEN}"),
    ],
)
def test_what_is_sent(credentials, header):
    with serving([Reply(votable())]) as service:
        ask(service.url, credentials=credentials)
    assert sent(service) == [header]


def test_user_and_password_in_the_url():
    with serving([Reply(votable())]) as service:
        url = service.url.replace("//", "//ann:p4%24%24%3Aw%40rd%2F%C3%A9@")
        client = TapClient(url, cache=False)
        table = client.run("SELECT a FROM t")
    assert sent(service) == [BASIC]
    assert client.service.url == client.service.name == table.meta["jp_service"] == service.url
    assert repr(client) == f"TapClient('{service.url}')"


def test_the_environment_and_netrc(monkeypatch, tmp_path):
    def found(service):
        service.requests.clear()
        ask(service.url)
        return sent(service)[0]

    with serving(lambda _: Reply(votable())) as service:
        assert found(service) is None
        (tmp_path / "netrc").write_text(
            f"machine elsewhere.org login bob password b\nmachine 127.0.0.1\n"
            f"login ann\npassword {PASSWORD}\ndefault login eve password e\n"
        )
        assert found(service) == BASIC
        monkeypatch.setenv("JPASSED_VO_USER", "carl")
        monkeypatch.setenv("JPASSED_VO_PASSWORD", "c")
        assert found(service) == f"Basic {base64.b64encode(b'carl:c').decode()}"
        monkeypatch.setenv("JPASSED_VO_TOKEN", TOKEN)
        assert found(service) == f"Bearer {TOKEN}"


def test_the_environment_is_for_services_that_ask_for_a_login(monkeypatch):
    """A password for one archive is not for all the others."""
    monkeypatch.setenv("JPASSED_VO_USER", "ann")
    monkeypatch.setenv("JPASSED_VO_PASSWORD", PASSWORD)
    with serving(lambda _: Reply(votable())) as service:
        for login in (False, True):
            ask(Service("archive", service.url, login=login))
    assert sent(service) == [None, BASIC]


def test_nothing_is_found_for_a_host_that_would_read_it_in_the_clear(monkeypatch, caplog):
    monkeypatch.setenv("JPASSED_VO_USER", "ann")
    monkeypatch.setenv("JPASSED_VO_PASSWORD", PASSWORD)
    assert find_credentials("http://archive.example.org/tap") is None
    assert "is not https: the login found is not sent" in caplog.text
    assert find_credentials("https://archive.example.org/tap").user == "ann"
    assert find_credentials("http://localhost:8080/tap").user == "ann"


def test_netrc_default_is_for_nobody(tmp_path):
    (tmp_path / "netrc").write_text("default login eve password e\n")
    assert find_credentials("https://archive.example.org/tap") is None


def test_a_damaged_netrc(tmp_path):
    (tmp_path / "netrc").write_text(f"machine x login ann passwort {PASSWORD}\n")
    with pytest.raises(JpassedError, match="cannot read the logins in .*netrc: bad follower token"):
        find_credentials("https://archive.example.org/tap")


def test_a_redirect_to_another_host_takes_no_login_along():
    with serving(lambda _: Reply(votable())) as other:
        place = other.url.replace("127.0.0.1", "localhost")
        with serving(lambda _: Reply(status=307, headers={"Location": place})) as service:
            ask(service.url, credentials=Credentials("ann", PASSWORD))
    assert sent(service) == [BASIC] and sent(other) == [None]


@pytest.mark.parametrize(
    "given", [{}, {"user": "ann"}, {"password": "x"}, {"user": "a", "password": "b", "token": "c"}]
)
def test_half_a_login(given):
    with pytest.raises(InputError, match="a user and a password, or a token"):
        Credentials(**given)


def test_a_refused_login_says_who_it_was():
    with serving(lambda _: Reply("no", "text/plain", 401)) as service:
        with pytest.raises(LoginError, match="although a login was sent, as ann: check user"):
            ask(service.url, credentials=Credentials("ann", PASSWORD))
        with pytest.raises(LoginError, match="as the token's owner"):
            ask(service.url, credentials=Credentials(token=TOKEN))


def test_a_login_page_is_gone_through_once(monkeypatch):
    """As the archive of CEFCA wants it: a form, then its cookie with every request."""

    def answer(request):
        if request.path == "/tap/login":
            good = request.form == {"login": "ann", "password": PASSWORD, "submit": "Sign+In"}
            cookie = {"Set-Cookie": "session=42; Path=/"} if good else {}
            page = "welcome" if good else "<html><input type=password></html>"
            return Reply(page, "text/html", headers=cookie)
        known = request.headers.get("Cookie") == "session=42"
        return Reply(votable()) if known else Reply("no", "text/plain", 403)

    with serving(answer) as service:
        form = LoginForm(f"{service.url}/login", "login", "password", {"submit": "Sign+In"})
        monkeypatch.setattr("jpassed.vo.login.login_form", lambda url: form)
        monkeypatch.setattr("jpassed.vo.transport.login_form", lambda url: form)
        client = TapClient(service.url, cache=False, credentials=Credentials("ann", PASSWORD))
        assert len(client.run("SELECT a FROM t")) == len(client.run("SELECT b FROM t")) == 1
        assert len(service.asked("/login")) == 1
        assert sent(service) == [None] * 3
        eve = TapClient(service.url, cache=False, credentials=Credentials("eve", "wr0ng"))
        told = shown(lambda: eve.run("SELECT a FROM t"))
    assert "refuses the login although a login was sent, as eve" in told and "wr0ng" not in told


def test_a_cookie_that_runs_out_is_asked_for_again(monkeypatch):
    alive = {"uses": 0}

    def answer(request):
        if request.path == "/tap/login":
            alive["uses"] = 2
            return Reply("welcome", "text/html", headers={"Set-Cookie": "session=42; Path=/"})
        alive["uses"] -= 1
        return Reply(votable()) if alive["uses"] >= 0 else Reply("no", "text/plain", 403)

    with serving(answer) as service:
        form = LoginForm(f"{service.url}/login", "user", "password", {})
        monkeypatch.setattr("jpassed.vo.login.login_form", lambda url: form)
        monkeypatch.setattr("jpassed.vo.transport.login_form", lambda url: form)
        client = TapClient(service.url, cache=False, credentials=Credentials("ann", "x"), backoff=0)
        for number in range(5):
            assert len(client.run(f"SELECT {number} FROM t")) == 1
    assert len(service.asked("/login")) == 3 and len(service.asked("/sync")) == 7


def test_a_login_that_a_page_takes_and_the_service_does_not(monkeypatch):
    def answer(request):
        page = Reply("welcome", "text/html", headers={"Set-Cookie": "session=42; Path=/"})
        return page if request.path == "/tap/login" else Reply("no", "text/plain", 403)

    with serving(answer) as service:
        form = LoginForm(f"{service.url}/login", "user", "password", {})
        monkeypatch.setattr("jpassed.vo.login.login_form", lambda url: form)
        monkeypatch.setattr("jpassed.vo.transport.login_form", lambda url: form)
        with pytest.raises(LoginError, match="although a login was sent, as ann"):
            ask(service.url, credentials=Credentials("ann", "x"))
    assert len(service.requests) == 2


def test_what_is_given_for_a_host_is_sent_with_a_warning(caplog):
    TapClient("http://archive.example.org/tap", credentials=Credentials("ann", "x"))
    assert "is not https: whoever listens reads the login" in caplog.text


def test_the_login_page_of_cefca():
    form = login_form("https://archive.cefca.es/catalogues/vo/tap/jpas-idr202406")
    assert form == LoginForm(
        "https://archive.cefca.es/catalogues/login", "login", "password", {"submit": "Sign+In"}
    )
    assert login_form("https://gea.esac.esa.int/tap-server/tap") is None


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://a.org/tap/", "https://a.org/tap"),
        (" https://a.org:8443/tap/sync ", "https://a.org:8443/tap"),
        ("https://a.org/tap/async/", "https://a.org/tap"),
        ("https://ann@a.org/tap?x=1#y", "https://a.org/tap"),
    ],
)
def test_urls_are_cleaned(url, clean):
    assert split_url(url) == (clean, None)


@pytest.mark.parametrize("url", ["ftp://a.org/tap", "https://", f"htps://ann:{PASSWORD}@a.org"])
def test_what_is_no_url(url):
    with pytest.raises(InputError, match="begins with http") as caught:
        TapClient(url)
    assert PASSWORD not in str(caught.value)


def failing(request):
    """Each kind of failure, by the query."""
    said = request.form.get("QUERY", "").strip()
    if said == "job":
        return Reply("", status=303, headers={"Location": "/tap/async/7"})
    if "/async" in request.path:
        return Reply("busy", "text/plain", 503)
    return {
        "page": Reply("<html><title>x</title></html>", "text/html"),
        "login": Reply("no", "text/plain", 403),
        "query": Reply(failure("no such table"), "text/xml"),
        "busy": Reply("busy", "text/plain", 503),
    }.get(said, Reply(votable()))


@pytest.mark.parametrize("login", ["password", "token", "url"])
def test_secrets_are_nowhere(login, tmp_path, caplog, capsys):
    """Not in logs, tables, files, errors, or tracebacks that show the variables of our frames."""
    caplog.set_level(logging.DEBUG)
    seen = []
    with serving(failing) as service:
        url, known = service.url, None
        if login == "url":
            url = url.replace("//", "//ann:p4%24%24%3Aw%40rd%2F%C3%A9@")
        else:
            given = {"user": "ann", "password": PASSWORD} if login == "password" else {}
            known = Credentials(**given or {"token": TOKEN})
        client = TapClient(url, credentials=known, cache=tmp_path / "cache", retries=1, backoff=0)
        seen += [repr(known), str(known), repr(client), repr(client.service), repr(vars(client))]
        table = client.run("SELECT a FROM t", progress=seen.append)
        write_catalog(table, tmp_path / "table.vot")
        seen += [repr(table.meta), repr(table.info.meta)]
        for query in ("page", "login", "query", "busy"):
            seen.append(shown(lambda query=query: client.run(query, progress=seen.append)))
        seen.append(shown(lambda: client.run("job", mode="async")))
        for use in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError, match="a secret is not written to files"):
                use(client)
        said = {header[:6] for header in sent(service) if header}
        assert said == {"Bearer" if login == "token" else "Basic "}
        assert sent(service).count(None) == len(service.asked("/capabilities"))
    gone = TapClient(url, credentials=known, retries=1, backoff=0)  # nobody listens any more
    seen.append(shown(lambda: gone.run("SELECT 2")))
    seen += [caplog.text, *capsys.readouterr()]
    seen += [path.read_text() + path.name for path in files_of(tmp_path)]
    assert {path.suffix for path in files_of(tmp_path / "cache")} == {".vot", ".json"}
    everything = "\n".join(seen)
    assert "connection refused" in everything and "no such table" in everything
    assert [secret for secret in SECRETS if secret in everything] == []


def shown(fails) -> str:
    """The whole traceback of what fails, with the variables of the package's frames."""
    try:
        fails()
    except Exception as exc:
        told = traceback.TracebackException.from_exception(exc, capture_locals=True)
        chained = [exc]
        while chained[-1].__cause__ or chained[-1].__context__:
            chained.append(chained[-1].__cause__ or chained[-1].__context__)
        if isinstance(exc, JpassedError):
            assert len(chained) == 1, "an error that hangs on one of requests"
        for step in told.stack:
            if "/tests/" in step.filename:
                step.locals = None  # this file knows them, of course
        return "".join(told.format()) + repr(chained)
    raise AssertionError("it did not fail")


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_one_users_answers_are_not_anothers(tmp_path):
    with serving(lambda _: Reply(votable())) as service:
        ann, bob = Credentials("ann", "a"), Credentials("bob", "b")
        for who in (ann, bob, None, Credentials(token="t"), Credentials(token="u")):
            for _ in range(2):
                ask(service.url, credentials=who, cache=tmp_path)
    assert len(service.requests) == len(files_of(tmp_path)) == 5
    assert {path.stat().st_mode & 0o777 for path in files_of(tmp_path)} == {0o600}


def test_a_password_that_changed_still_finds_the_answer(tmp_path):
    with serving([Reply(votable())]) as service:
        for password in ("old", "new"):
            ask(service.url, credentials=Credentials("ann", password), cache=tmp_path)
    with pytest.raises(ServiceError):
        ask(service.url, credentials=Credentials("bob", "b"), cache=tmp_path)
