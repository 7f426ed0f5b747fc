"""Look for links within the built pages that lead nowhere, and for what they load from outside.

    python tools/check_built_pages.py docs/_build/html

Sphinx warns of references it cannot resolve; this sees what a browser sees, so that links written
as HTML, those of the theme, and anchors made elsewhere count too.
"""

from __future__ import annotations

import argparse
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script", "img", "link", "iframe", "source"}


class Page(HTMLParser):
    """The anchors of a page, its links, and the addresses of what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        address = given.get("href") or given.get("src")
        if address is None:
            return
        outside = bool(urlsplit(address).scheme or address.startswith("//"))
        if not outside:
            self.links.append(address)
        elif tag in LOADED and not address.startswith("data:"):
            self.loaded.append(address)


def dead_links(folder: Path) -> tuple[int, list[str]]:
    """How many links there are, and a line for each that is dead or loads from outside."""
    paths = [path for path in folder.rglob("*.html") if "_static" not in path.parts]
    pages = {path.resolve(): Page(path.read_text("utf-8")) for path in paths}
    count, found = 0, set()
    for path, page in pages.items():
        name = path.relative_to(folder.resolve())
        found |= {f"{name}: loads {address}" for address in page.loaded}
        for link in page.links:
            count += 1
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                found.add(f"{name}: no file {link}")
            elif parts.fragment and target in pages:
                if unquote(parts.fragment) not in pages[target].anchors:
                    found.add(f"{name}: no anchor {link}")
    return count, sorted(found)


def main() -> None:
    """Print what is wrong; exit with 1 where something is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where sphinx-build wrote the pages")
    count, found = dead_links(parser.parse_args().folder)
    print(*found, f"{count} links, {len(found)} wrong", sep="\n")
    if found or not count:
        sys.exit(1)


if __name__ == "__main__":
    main()
