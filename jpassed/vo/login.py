"""Who asks: user and password, or a token, and the session that shows them to one service only."""

from __future__ import annotations

import hashlib
import logging
import netrc
import os
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from jpassed.exceptions import FileError, InputError

if TYPE_CHECKING:
    from pyvo.auth import AuthSession

__all__ = [
    "Credentials",
    "LoginForm",
    "find_credentials",
    "login_form",
    "open_session",
    "split_url",
]

logger = logging.getLogger(__name__)

USER, PASSWORD, TOKEN = "JPASSED_VO_USER", "JPASSED_VO_PASSWORD", "JPASSED_VO_TOKEN"
"""Environment variables that hold a login."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")
BEARER = "ivo://ivoa.net/sso#BearerToken"


class Secret:
    """A text that shows itself to nobody who does not ask for it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __reduce__(self) -> Any:
        raise TypeError("a secret is not written to files")


@dataclass(frozen=True, repr=False)
class Credentials:
    """A login: user and password, or a token.

    Parameters
    ----------
    user : str, optional
    password : str, optional
    token : str, optional
        Sent as ``Authorization: Bearer``.

    Raises
    ------
    InputError
        If neither user and password nor a token is given, or both are.

    Notes
    -----
    Neither password nor token is ever shown: not by ``repr``, in a log, an error, a table or a
    file. They are sent to the service's own host only.
    """

    user: str = ""
    password: Any = field(default="")
    token: Any = field(default="")

    def __post_init__(self) -> None:
        for name in ("password", "token"):
            value = getattr(self, name)
            if not isinstance(value, Secret):
                object.__setattr__(self, name, Secret(str(value or "")))
        named = bool(self.user and self.password.reveal())
        if named == bool(self.token.reveal()):
            raise InputError("a login is a user and a password, or a token: give one of the two")

    def __repr__(self) -> str:
        return f"Credentials(user={self.user!r})" if self.user else "Credentials(token=***)"

    @property
    def identity(self) -> str | None:
        """The user's name; None for a token, whose owner is not known."""
        return self.user or None


@dataclass(frozen=True)
class LoginForm:
    """A page that takes a login and gives a cookie."""

    url: str
    user: str
    password: str
    further: dict[str, str]


def split_url(url: str) -> tuple[str, Credentials | None]:
    """A URL without the ``user:password@`` that it may have, and these as credentials."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        shown = url if "@" not in url else "(hidden: it has an '@')"
        raise InputError(f"the URL of a TAP service begins with http:// or https://; got {shown}")
    host = parts.netloc.rpartition("@")[2]
    clean = urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
    for ending in ("/sync", "/async"):
        clean = clean.removesuffix(ending)
    if parts.username and parts.password:
        return clean, Credentials(unquote(parts.username), unquote(parts.password))
    return clean, None


def find_credentials(url: str, *, environment: bool = True) -> Credentials | None:
    """The login for a service from the environment or from ``~/.netrc``.

    Parameters
    ----------
    url : str
        The service's URL.
    environment : bool
        Whether JPASSED_VO_USER and JPASSED_VO_PASSWORD (or JPASSED_VO_TOKEN) are meant for this
        service. ``~/.netrc`` (or the file that NETRC names) says by itself for which host it is;
        its ``default`` entry is not used.

    Returns
    -------
    Credentials or None
        None too if the URL is plain http and not this machine: what was not given for it
        explicitly is not sent in the clear.
    """
    parts = urlsplit(url)
    found: Credentials | None = None
    token, user = os.environ.get(TOKEN), os.environ.get(USER)
    if environment and token:
        found = Credentials(token=token)
    elif environment and user:
        found = Credentials(user, os.environ.get(PASSWORD, ""))
    else:
        found = _from_netrc(parts.hostname or "")
    if found and in_the_clear(url):
        logger.warning("%s is not https: the login found is not sent to it", url)
        return None
    return found


def in_the_clear(url: str) -> bool:
    """Whether a login would go over a network that others can listen to."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in LOOPBACK


def _from_netrc(host: str) -> Credentials | None:
    path = Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
    if not path.is_file():
        return None
    try:
        entry = netrc.netrc(str(path)).hosts.get(host)
    except (netrc.NetrcParseError, OSError) as exc:
        reason = getattr(exc, "msg", None) or type(exc).__name__
        raise FileError(f"cannot read the logins in {path}: {reason}") from None
    if entry and entry[0] and entry[2]:
        return Credentials(entry[0], entry[2])
    return None


@cache
def _forms() -> dict[str, dict[str, Any]]:
    import yaml

    text = files("jpassed.vo").joinpath("data/logins.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text)["hosts"])


def login_form(url: str) -> LoginForm | None:
    """The login page of a service that wants a cookie instead of a password with each request."""
    entry = _forms().get(urlsplit(url).hostname or "")
    if entry is None:
        return None
    return LoginForm(
        entry["url"], entry["user"], entry["password"], dict(entry.get("further") or {})
    )


class _Basic:
    """User and password with each request (requests' own keeps them as plain attributes)."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def __call__(self, request: Any) -> Any:
        from requests.auth import _basic_auth_str

        user, password = self._credentials.user, self._credentials.password.reveal()
        request.headers["Authorization"] = _basic_auth_str(
            user.encode("utf-8"), password.encode("utf-8")
        )
        return request


class _Bearer:
    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {self._credentials.token.reveal()}"
        return request


def _nobody(request: Any) -> Any:
    """Without it requests looks into ``~/.netrc`` by itself."""
    return request


def identity_of(credentials: Credentials | None) -> str:
    """Who asks, for the names of cached files; a token is only hashed into it."""
    if credentials is None:
        return ""
    if credentials.user:
        return f"user {credentials.user}"
    return "token " + hashlib.sha256(credentials.token.reveal().encode()).hexdigest()


def open_session(url: str, credentials: Credentials | None) -> tuple[AuthSession, Any]:
    """A session of pyvo that shows the login to the service at `url` and to nobody else.

    Parameters
    ----------
    url : str
        Base URL of the service.
    credentials : Credentials or None

    Returns
    -------
    session : pyvo.auth.AuthSession
    cookies : requests.Session or None
        The session that must first be sent through `login_form`, where the service has one.
    """
    from pyvo.auth import AuthSession, securitymethods
    from pyvo.utils.http import create_session

    session = AuthSession()
    anonymous = create_session()
    anonymous.auth = _nobody
    session.credentials.set(securitymethods.ANONYMOUS, anonymous)
    if credentials is None:
        return session, None
    known = create_session()
    if login_form(url) is not None and credentials.user:
        known.auth = _nobody
        method, cookies = securitymethods.COOKIE, known
    elif credentials.user:
        known.auth = _Basic(credentials)
        method, cookies = securitymethods.BASIC, None
    else:
        known.auth = _Bearer(credentials)
        method, cookies = BEARER, None
    session.credentials.set(method, known)
    # The whole of the service, and no page beside it.
    for ending in ("/", "?"):
        session.add_security_method_for_url(url + ending, method)
    session.add_security_method_for_url(url, method, exact=True)
    return session, cookies
