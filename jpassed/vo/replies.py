"""What a reply says that is no table: errors, web pages, times to wait."""

from __future__ import annotations

import email.utils
import html
import re
import time

__all__ = ["PAGE_HEAD", "error_words", "is_login", "page_title", "plain_words", "retry_after"]

PAGE_HEAD = 1 << 16
"""Bytes of a page that are looked at."""


def retry_after(text: str | None) -> float | None:
    """Seconds of a Retry-After header: a number of seconds or a date."""
    if not text:
        return None
    if text.strip().isdigit():
        return float(text)
    try:
        when = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, when.timestamp() - time.time())


def error_words(content: bytes) -> str:
    """What a service says in an error document (VOTable with QUERY_STATUS ERROR)."""
    text = content.decode("utf-8", "replace")
    quoted = r"""(?:[^>"']|"[^"]*"|'[^']*')*?"""
    for found in re.finditer(
        rf"<(?:\w+:)?INFO\b({quoted})(/>|>(.*?)</(?:\w+:)?INFO\s*>)", text, re.S
    ):
        if re.search(r"""name\s*=\s*["']QUERY_STATUS["']""", found[1]) and re.search(
            r"""value\s*=\s*["']ERROR["']""", found[1], re.IGNORECASE
        ):
            return plain_words(found[3] or "") or "no reason given"
    return ""


def plain_words(markup: str) -> str:
    """Text of XML content in one line."""
    text = re.sub(r"<!\[CDATA\[(.*?)\]\]>", lambda found: html.escape(found[1]), markup, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def page_title(content: bytes) -> str:
    """Title of a web page, else its first heading."""
    text = content[:PAGE_HEAD].decode("utf-8", "replace")
    for tag in ("title", "h1", "h2"):
        found = re.search(rf"<{tag}\b[^>]*>(.*?)</{tag}", text, re.S | re.IGNORECASE)
        if found and plain_words(found[1]):
            return plain_words(found[1])[:200]
    return ""


def is_login(content: bytes, title: str, url: str) -> bool:
    """Whether a web page asks for a login."""
    asks = re.search(
        rb"""<input\b[^>]*type\s*=\s*["']?password""", content[:PAGE_HEAD], re.IGNORECASE
    )
    words = r"\b(log[ -]?in|sign[ -]?in|authentication|single sign[ -]on)\b"
    return bool(asks or re.search(words, f"{title} {url}", re.IGNORECASE))
