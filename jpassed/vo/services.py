"""TAP services by name: those that jpassed knows, and those that the user adds."""

from __future__ import annotations

import os
import re
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from jpassed.exceptions import FileError, InputError, UnknownNameError
from jpassed.surveys.survey_file import check_keys, read_yaml
from jpassed.vo.dialects import load_dialect
from jpassed.vo.service import Service

__all__ = ["SERVICES_VARIABLE", "list_services", "load_service", "user_services_file"]

SERVICES_VARIABLE = "JPASSED_SERVICES"
"""Environment variable with the path of a services file, or several as in PATH."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_KEYS = tuple(field.name for field in fields(Service) if field.name != "name")


def user_services_file() -> Path:
    """Where users add services of their own; the file need not exist."""
    from astropy.config.paths import get_config_dir

    return Path(get_config_dir()) / "jpassed" / "services.yaml"


def list_services() -> dict[str, Service]:
    """All services by name; the user's own replace shipped ones of the same name.

    Returns
    -------
    dict of str to Service
        The shipped ones, then those of `user_services_file`, then those of the files that
        ``JPASSED_SERVICES`` names.

    Raises
    ------
    FileError
        If a file named by ``JPASSED_SERVICES`` is missing, or one cannot be read.
    InputError
        If an entry of a file makes no sense.
    """
    shipped = files("jpassed.vo") / "data" / "services.yaml"
    found = _parse(shipped.read_text(encoding="utf-8"), "services.yaml")
    own = user_services_file()
    if own.exists():
        found.update(_read(own))
    for name in os.environ.get(SERVICES_VARIABLE, "").split(os.pathsep):
        if name:
            found.update(_read(Path(name)))
    return found


def load_service(name_or_url: str | Service) -> Service:
    """A service by its name or by the URL of its TAP.

    Parameters
    ----------
    name_or_url : str or Service
        A name of `list_services`, or a URL such as ``https://example.org/tap``; ``/sync`` and the
        like at its end are dropped. A `Service` is returned as it is.

    Returns
    -------
    Service

    Raises
    ------
    UnknownNameError
        If it is neither; the message lists the names.
    InputError
        If the URL is none, or holds a user name and password.

    Examples
    --------
    >>> load_service("vizier").url
    'https://tapvizier.cds.unistra.fr/TAPVizieR/tap'
    """
    if isinstance(name_or_url, Service):
        return name_or_url
    if not isinstance(name_or_url, str) or not name_or_url.strip():
        raise InputError(f"service: expected a name or a URL, got {name_or_url!r}")
    text = name_or_url.strip()
    known = list_services()
    if text in known:
        return known[text]
    if "://" not in text:
        if "@" in text:  # what is before it may be a password
            raise InputError("service: expected a name or a URL such as https://example.org/tap")
        raise UnknownNameError("service", text, [*known, "or the URL of a TAP service"])
    url = _checked_url(text, "service")
    same = [service for service in known.values() if service.url == url]
    return same[0] if same else Service(name=url, url=url)


def _checked_url(text: str, where: str) -> str:
    """The base URL of TAP, or an error that never shows a password."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port  # the port is parsed, and refused, on access
    except ValueError:
        raise InputError(f"{where}: expected a URL such as https://example.org/tap") from None
    if parts.username is not None or parts.password is not None:
        raise InputError(
            f"{where}: the URL of {host} holds a user name or password; leave them out of the URL "
            "and log in with --login (credentials=)"
        )
    blank = any(character.isspace() for character in text)
    if parts.scheme not in ("http", "https") or not host or blank:
        raise InputError(f"{where}: expected a URL such as https://example.org/tap, got {text!r}")
    if parts.query or parts.fragment:
        raise InputError(
            f"{where}: expected the base URL of a TAP service; leave out '?' or '#' and what "
            f"follows behind {re.split('[?#]', text)[0]}"
        )
    path = re.sub(r"/(sync|async|tables|capabilities|availability|examples)/?$", "", parts.path)
    return urlunsplit((parts.scheme, parts.netloc, path.rstrip("/"), "", ""))


def _read(path: Path) -> dict[str, Service]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise FileError(f"cannot read the services file {path}: {exc}") from None
    return _parse(text, str(path))


def _parse(text: str, where: str) -> dict[str, Service]:
    content = read_yaml(text, where)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"{where}: expected 'name: URL' lines or blocks, got {content!r}")
    return {str(name): _entry(str(name), block, where) for name, block in content.items()}


def _entry(name: str, block: Any, where: str) -> Service:
    where = f"{where}, {name}"
    if not _NAME.fullmatch(name):
        raise InputError(f"{where}: a service's name has letters, digits, '.', '-' and '_' only")
    found = check_keys({"url": block} if isinstance(block, str) else block, _KEYS, where)
    if not isinstance(found.get("url"), str):
        raise InputError(f"{where}: 'url' is missing, e.g. https://example.org/tap")
    found["url"] = _checked_url(found["url"], where)
    rows = found.get("sync_rows")
    if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int) or rows < 1):
        raise InputError(f"{where}, sync_rows: expected a positive whole number, got {rows!r}")
    if not isinstance(found.get("login", False), bool):
        raise InputError(f"{where}, login: expected true or false, got {found['login']!r}")
    try:
        load_dialect(found.get("dialect", "adql"))
    except UnknownNameError as exc:
        raise InputError(f"{where}: {exc}") from None
    for key in set(found) - {"url", "sync_rows", "login"}:
        if not isinstance(found[key], str):
            raise InputError(f"{where}, {key}: expected text, got {found[key]!r}")
    return Service(name=name, **found)
