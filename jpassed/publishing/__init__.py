"""What a data centre needs to serve an annotated catalogue."""

from __future__ import annotations

from jpassed.publishing.publication import Publication, publish

__all__ = ["Publication", "publish"]
