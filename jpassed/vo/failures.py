"""Failures that may pass, in words."""

from __future__ import annotations

__all__ = ["TransientError", "passing_failure"]


class TransientError(Exception):
    """Something that may go better next time.

    Parameters
    ----------
    reason : str
    wait : float, optional
        Seconds that the service asks to wait.
    tries : int, optional
        How often at most such a thing is worth trying.
    timeout : bool
        Whether the service did not answer in time.
    """

    def __init__(
        self,
        reason: str,
        *,
        wait: float | None = None,
        tries: int | None = None,
        timeout: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason, self.wait, self.tries, self.timeout = reason, wait, tries, timeout


def passing_failure(exc: Exception, timeout: float) -> TransientError | None:
    """An error of requests or urllib3 in words; None if it does not pass, or is not theirs."""
    import requests
    import urllib3

    inner = exc.args[0] if exc.args else None
    late = f"no answer within {timeout:g} s"
    if isinstance(exc, requests.Timeout) or isinstance(inner, urllib3.exceptions.ReadTimeoutError):
        return TransientError(late, timeout=True)
    if isinstance(exc, requests.exceptions.SSLError):
        return TransientError("the secure connection cannot be made (certificate?)", tries=1)
    if isinstance(exc, requests.exceptions.ProxyError):
        return TransientError("the proxy of the network refuses the connection")
    if isinstance(exc, requests.exceptions.TooManyRedirects):
        return TransientError("it redirects without end", tries=1)
    if isinstance(
        exc,
        requests.ConnectionError
        | requests.exceptions.ChunkedEncodingError
        | requests.exceptions.ContentDecodingError
        | urllib3.exceptions.HTTPError,
    ):
        return _broken(str(inner if inner is not None else exc))
    if isinstance(exc, requests.RequestException):
        return TransientError(f"the request cannot be sent ({type(exc).__name__})", tries=1)
    return None


def _broken(told: str) -> TransientError:
    if "NameResolution" in told or "Name or service not known" in told:
        return TransientError("the name of the host is not known to the network", tries=2)
    if "refused" in told:
        return TransientError("nothing listens there (connection refused)")
    if "IncompleteRead" in told or "InvalidChunkLength" in told:
        return TransientError("the answer broke off in the middle")
    if "reset" in told or "aborted" in told or "RemoteDisconnected" in told:
        return TransientError("the connection was dropped")
    return TransientError("the connection failed")
