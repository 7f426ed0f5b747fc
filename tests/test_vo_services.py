"""TAP services by name or URL, the user's own, and the dialects of their queries."""

from __future__ import annotations

import os

import pytest

from jpassed.exceptions import FileError, InputError, UnknownNameError
from jpassed.vo.dialects import list_dialects, load_dialect, number, text
from jpassed.vo.ready_made import list_queries
from jpassed.vo.service import Service
from jpassed.vo.services import list_services, load_service, user_services_file


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Write a services file that JPASSED_SERVICES names; returns its path."""

    def write(content: str, name: str = "mine.yaml"):
        path = tmp_path / name
        path.write_text(content)
        monkeypatch.setenv("JPASSED_SERVICES", str(path))
        return path

    return write


@pytest.fixture(autouse=True)
def nobodys_services(_isolated_caches, monkeypatch, tmp_path):
    """No services of the user who runs the tests."""
    monkeypatch.delenv("JPASSED_SERVICES", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "astropy").mkdir()


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("cefca-minijpas", "https://archive.cefca.es/catalogues/vo/tap/minijpas-pdr201912"),
        ("cefca-jplus", "https://archive.cefca.es/catalogues/vo/tap/jplus-dr3"),
        ("datalab", "https://datalab.noirlab.edu/tap"),
        ("vizier", "https://tapvizier.cds.unistra.fr/TAPVizieR/tap"),
        ("gaia", "https://gea.esac.esa.int/tap-server/tap"),
    ],
)
def test_a_service_by_its_name(name, url):
    service = load_service(name)
    assert (service.name, service.url) == (name, url)
    assert service.reference and service.description
    assert service.dialect in list_dialects()


def test_the_releases_for_members_ask_for_a_login():
    assert [name for name, service in list_services().items() if service.login] == ["cefca-jpas"]
    assert load_service("cefca-minijpas").sync_rows == 10_000


def test_every_ready_made_query_has_its_service():
    assert {query.service for query in list_queries().values()} <= set(list_services())


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://127.0.0.1:8080/tap", "http://127.0.0.1:8080/tap"),
        ("https://example.org/tap/", "https://example.org/tap"),
        ("https://example.org/tap/sync", "https://example.org/tap"),
        (" https://example.org/a/tap/async/ ", "https://example.org/a/tap"),
    ],
)
def test_a_service_by_its_url(given, url):
    assert load_service(given) == Service(name=url, url=url)


def test_the_url_of_a_known_service_is_that_service():
    assert load_service("https://gea.esac.esa.int/tap-server/tap/sync").name == "gaia"


def test_a_service_stays_what_it_is():
    service = Service("x", "http://x/tap", sync_rows=7)
    assert load_service(service) is service


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"unknown service 'vizer'.*'vizier'.*datalab") as e:
        load_service("vizer")
    assert "or the URL of a TAP service" in str(e.value)


@pytest.mark.parametrize(
    "bad",
    [
        "ftp://example.org/tap",
        "http://",
        "http://example.org:99999/tap",
        "http://exam ple.org/tap",
        "https://example.org/tap?REQUEST=doQuery",
        "https://example.org/tap#top",
        "http://[::1/tap",
    ],
)
def test_a_url_that_is_none_is_refused(bad):
    with pytest.raises(InputError, match="service: expected"):
        load_service(bad)


@pytest.mark.parametrize("bad", ["", "   ", None, 3])
def test_what_is_no_name_is_refused(bad):
    with pytest.raises(InputError, match="service: expected a name or a URL"):
        load_service(bad)


def test_a_password_in_a_url_is_refused_and_not_shown():
    with pytest.raises(InputError, match="--login") as e:
        load_service("https://me:hunter2@example.org/tap")
    assert "hunter2" not in str(e.value)


@pytest.mark.parametrize(
    "given", ["https://example.org/tap?token=hunter2", "me:hunter2@example.org/tap"]
)
def test_what_may_be_a_secret_is_not_shown(given):
    with pytest.raises(InputError, match="service: expected") as e:
        load_service(given)
    assert "hunter2" not in str(e.value)


def test_users_add_services_and_replace_them(own):
    own(
        "here: http://127.0.0.1:8080/tap/\n"
        "vizier:\n  url: http://127.0.0.1:8080/tap\n  dialect: datalab\n  sync_rows: 500\n"
        "  login: true\n  description: mine\n"
    )
    assert load_service("here") == Service("here", "http://127.0.0.1:8080/tap")
    assert load_service("vizier") == Service(
        "vizier", "http://127.0.0.1:8080/tap", "datalab", 500, True, "mine"
    )
    assert load_service("gaia").url.startswith("https://gea")


def test_the_configuration_folder_and_several_files(own, tmp_path, monkeypatch):
    path = user_services_file()
    assert path == tmp_path / "astropy" / "jpassed" / "services.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("one: http://1/tap\ntwo: http://2/tap\n")
    (tmp_path / "b.yaml").write_text("two: http://22/tap\nthree: http://3/tap\n")
    (tmp_path / "c.yaml").write_text("three: http://33/tap\n")
    monkeypatch.setenv(
        "JPASSED_SERVICES", f"{tmp_path / 'b.yaml'}{os.pathsep}{tmp_path / 'c.yaml'}"
    )
    found = {name: load_service(name).url for name in ("one", "two", "three")}
    assert found == {"one": "http://1/tap", "two": "http://22/tap", "three": "http://33/tap"}


def test_an_empty_file_adds_nothing(own):
    own("# nothing yet\n")
    assert "gaia" in list_services()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("x: {urk: http://x/tap}", "unknown key 'urk'; valid keys: description, dialect"),
        ("x: {dialect: adql}", "x: 'url' is missing"),
        ("x: {url: 3}", "x: 'url' is missing"),
        ("x: nowhere", "x: expected a URL such as"),
        ("x: http://me:pw@x/tap", "holds a user name or password"),
        ("'a b': http://x/tap", "a service's name has letters"),
        ("x: {url: http://x/tap, sync_rows: many}", "sync_rows: expected a positive whole number"),
        ("x: {url: http://x/tap, sync_rows: 0}", "sync_rows: expected a positive whole number"),
        ("x: {url: http://x/tap, login: maybe}", "login: expected true or false"),
        ("x: {url: http://x/tap, description: [1]}", "description: expected text"),
        ("x: {url: http://x/tap, dialect: klingon}", "unknown dialect 'klingon'"),
        ("- x\n- y", "expected 'name: URL' lines"),
        ("x: http://x/tap\nx: http://y/tap", "'x' is there twice"),
        ("x: [", "is not valid YAML"),
    ],
)
def test_a_services_file_that_makes_no_sense(own, content, said):
    path = own(content)
    with pytest.raises(InputError) as e:
        list_services()
    assert said in str(e.value)
    assert path.name in str(e.value)


def test_a_services_file_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("JPASSED_SERVICES", str(tmp_path / "none.yaml"))
    with pytest.raises(FileError, match=r"cannot read the services file .*none\.yaml"):
        list_services()


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        ("adql", "1 = CONTAINS(POINT('ICRS', o.ra, o.de), CIRCLE('ICRS', 214.5, -5.0, 0.25))"),
        ("cefca", "1 = CONTAINS(POINT('ICRS', o.ra, o.de), CIRCLE('ICRS', 214.5, -5.0, 0.25))"),
        ("datalab", "'t' = q3c_radial_query(o.ra, o.de, 214.5, -5.0, 0.25)"),
    ],
)
def test_each_dialect_writes_cones(dialect, expected):
    assert load_dialect(dialect).circle("o.ra", "o.de", (214.5, -5.0), 0.25) == expected


def test_elements_of_arrays():
    assert load_dialect("cefca").band("mag_auto", "jpas", "J0660") == "mag_auto[jpas::J0660]"
    with pytest.raises(InputError, match=r"'adql' has no way to pick J0660 out of .* mag_auto"):
        load_dialect("adql").band("mag_auto", "jpas", "J0660")


def test_numbers_and_texts_are_written_as_adql_reads_them():
    assert number(3) == "3"
    assert float(number(0.1 + 0.2)) == 0.1 + 0.2
    assert text("O'Neill") == "'O''Neill'"
    for bad in (float("nan"), float("inf"), True):
        with pytest.raises(InputError, match="expected a finite number"):
            number(bad)
