"""What a TAP service says of itself: capabilities, limits, tables."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any

from jpassed.exceptions import LoginError, ServiceError
from jpassed.vo.failures import TransientError

if TYPE_CHECKING:
    from jpassed.vo.transport import Transport

__all__ = ["limits_in", "read_capabilities", "read_tables"]

logger = logging.getLogger(__name__)


def read_capabilities(transport: Transport) -> list[Any]:
    """pyvo's capabilities; an empty list where the service has none that can be read."""
    from pyvo.io import vosi

    # They are for everybody: some services refuse them to a login that is one for queries only.
    for anonymous in (True, False):
        try:
            return list(_page(transport, "capabilities", vosi.parse_capabilities, anonymous))
        except LoginError:
            continue
        except ServiceError as exc:
            # No query hangs on them: without, the service's limits are found where they cut.
            logger.info("%s says nothing of its capabilities: %s", transport.named, exc)
            break
    return []


def read_tables(transport: Transport) -> dict[str, list[str]]:
    """Names of tables, each with the names of its columns."""
    from pyvo.io import vosi

    found = _page(transport, "tables", vosi.parse_tables, False)
    return {table.name: [column.name for column in table.columns] for table in found.iter_tables()}


def _page(transport: Transport, name: str, parse: Callable[[Any], Any], anonymous: bool) -> Any:
    url, what = f"{transport.service.url}/{name}", f"the page of {name}"

    def attempt() -> Any:
        with transport.send("GET", url, what, anonymous=anonymous) as response:
            content = response.content
            kind = response.headers.get("Content-Type", "")
        transport.refuse_page(content, kind, url, what)
        if not re.search(rb"</[\w:.-]+\s*>\s*(?:<!--.*?-->\s*)*$", content[-4096:], re.DOTALL):
            raise TransientError(f"{what} broke off")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return parse(BytesIO(content).read)
        except Exception as exc:  # the parser's errors are of many kinds
            reason = type(exc).__name__
        raise TransientError(f"{what} cannot be read ({reason})", tries=2)

    return transport.call(what, attempt, tries=2)


def limits_in(capabilities: Iterable[Any]) -> tuple[int | None, int | None]:
    """Rows by default and at most, of the first capability that names them."""
    for part in capabilities:
        limit = getattr(part, "outputlimit", None)
        if limit is not None:
            return _rows(limit.default), _rows(limit.hard)
    return None, None


def _rows(limit: Any) -> int | None:
    if limit is None or str(getattr(limit, "unit", "row") or "row").lower() not in ("row", "rows"):
        return None
    try:
        return int(limit.content)
    except (TypeError, ValueError):
        return None
