"""Sphinx configuration. ``JPASSED_DOCS_OFFLINE=1`` builds without a network."""

from __future__ import annotations

import os
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))
sys.path.insert(0, str(DOCS.parent))

import generate  # noqa: E402

import jpassed  # noqa: E402

project = "jpassed"
author = "The jpassed developers"
copyright = "2026, the jpassed developers"
version = release = jpassed.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "generated"]
myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3
numpydoc_show_class_members = False
autosummary_generate = False
autodoc_typehints = "none"
autodoc_default_options = {"members": True}

intersphinx_mapping = {
    "python": ("https://docs.python.org/3", None),
    "numpy": ("https://numpy.org/doc/stable", None),
    "astropy": ("https://docs.astropy.org/en/stable", None),
    "synphot": ("https://synphot.readthedocs.io/en/latest", None),
    "specutils": ("https://specutils.readthedocs.io/en/stable", None),
}
if os.environ.get("JPASSED_DOCS_OFFLINE"):
    intersphinx_mapping = {}

html_theme = "pydata_sphinx_theme"
html_title = f"jpassed {release}"
html_theme_options = {"show_prev_next": False}
html_sidebars = {"index": []}


def setup(app):
    """Write the pages that come from the package itself before Sphinx reads any."""
    generate.write_pages(DOCS / "generated")
