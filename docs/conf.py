"""
Sphinx configuration.

``JPASSED_DOCS_OFFLINE=1`` builds without a network. ``-D nb_execution_mode=off`` leaves the
tutorials unexecuted, for a quick look at the pages.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

from sphinx_astropy.conf import v2 as astropy_conf

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path.insert(0, str(DOCS))
sys.path.insert(0, str(ROOT))

import generate  # noqa: E402

import jpassed  # noqa: E402

project = "jpassed"
author = "The jpassed developers"
copyright = "2026, the jpassed developers"
version = release = jpassed.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx_automodapi.automodapi",
    "sphinx_copybutton",
    "sphinx_design",
    "mathml",
    "notebooks",
    "shell_help",
]
source_suffix = {".md": "myst-nb", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "generated", "**.ipynb_checkpoints"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "substitution"]
myst_heading_anchors = 3
# No lexer: cells that were not executed do not tell their language.
suppress_warnings = ["toc.empty_glob", "toc.glob", "myst-nb.lexer"]

# Tutorials: each in a temporary folder, kept in docs/_build/.jupyter_cache until its text changes.
nb_execution_mode = "cache"
# Seconds a cell: for machines with much else to do.
nb_execution_timeout = 900
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_merge_streams = True
# The kernels find this very clone, its pages, and the commands of the environment that builds.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
)
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
os.environ["JPASSED_DOCS"] = str(DOCS)
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Not what the builder has set up for IPython, matplotlib, astropy or jpassed.
_OWN = Path(tempfile.mkdtemp(prefix="jpassed-docs-"))
atexit.register(shutil.rmtree, _OWN, ignore_errors=True)
os.environ["XDG_CONFIG_HOME"] = os.environ["IPYTHONDIR"] = str(_OWN)
# A line for each kernel, that others on this machine could listen to it.
_PROFILE = _OWN / "profile_default"
_PROFILE.mkdir()
(_PROFILE / "ipython_kernel_config.py").write_text('get_config().Application.log_level = "ERROR"\n')
if shutil.which("jpassed") is None:  # a clone that is not installed has its command as well
    (_OWN / "jpassed").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m jpassed "$@"\n')
    (_OWN / "jpassed").chmod(0o755)
    os.environ["PATH"] = os.pathsep.join([str(_OWN), os.environ["PATH"]])

numpydoc_show_class_members = False
automodapi_inheritance_diagram = False
automodapi_toctreedirnm = "api/names"
automodsumm_inherited_members = False
autodoc_typehints = "none"
# What stands in single backticks in a docstring is a name: a link where there is a page of it.
default_role = "py:obj"

copybutton_prompt_text = astropy_conf.copybutton_prompt_text
copybutton_prompt_is_regexp = True
# Not on what a cell printed.
copybutton_selector = "div:not(.cell_output) > div.highlight pre"

intersphinx_mapping = {
    name: astropy_conf.intersphinx_mapping[name]
    for name in ("python", "numpy", "scipy", "matplotlib", "astropy")
} | {
    "synphot": ("https://synphot.readthedocs.io/en/latest", None),
    "specutils": ("https://specutils.readthedocs.io/en/stable", None),
}
if os.environ.get("JPASSED_DOCS_OFFLINE"):
    intersphinx_mapping = {}

html_theme = astropy_conf.html_theme
html_math_renderer = "mathml"
html_title = "jpassed"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "header_links_before_dropdown": 7,
    "navbar_persistent": ["search-button"],
    "navbar_align": "left",
    "navigation_depth": 3,
    "show_nav_level": 1,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {"index": []}


def setup(app):
    """Write the pages that come from the package itself before Sphinx reads any."""
    generate.write_pages(DOCS / "generated")
