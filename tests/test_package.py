"""The package as installed: public names, version, what an import costs."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

import jpassed

HEAVY = ("torch", "astropy", "numpy", "matplotlib", "specutils", "synphot", "pyvo", "scipy")


def run_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_there_are_at_most_twelve_public_names():
    assert len(jpassed.__all__) <= 12
    assert sorted(jpassed.__all__) == sorted(set(jpassed.__all__))


@pytest.mark.parametrize("name", jpassed.__all__)
def test_public_name_resolves_and_is_documented(name):
    found = getattr(jpassed, name)
    if name == "__version__":
        assert found.count(".") >= 2
        return
    assert callable(found)
    assert inspect.getdoc(found)


@pytest.mark.parametrize("name", [n for n in jpassed.__all__ if n.islower() and n[0] != "_"])
def test_public_function_stays_a_function_after_its_module_is_imported(name):
    code = (
        f"import jpassed, importlib; importlib.import_module({jpassed._HOMES[name]!r}); "
        f"print(callable(jpassed.{name}))"
    )
    assert run_python(code) == "True"


@pytest.mark.parametrize("name", jpassed._HOMES)
def test_home_of_a_public_name_defines_it(name):
    assert hasattr(importlib.import_module(jpassed._HOMES[name]), name)


def test_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'anotate'"):
        jpassed.anotate  # noqa: B018


def test_dir_lists_public_names_before_they_are_imported():
    listed = run_python("import jpassed; print(*dir(jpassed))").split()
    assert set(jpassed.__all__) <= set(listed)


@pytest.mark.parametrize("module", ["jpassed", "jpassed.cli"])
def test_import_loads_nothing_heavy(module):
    loaded = run_python(f"import sys, {module}; print(*sys.modules)").split()
    assert not set(loaded) & set(HEAVY)


def test_help_loads_nothing_heavy():
    code = (
        "import sys, contextlib, io\n"
        "from jpassed.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    main(['annotate', '--help'], standalone_mode=False)\n"
        "print(*sys.modules)"
    )
    assert not set(run_python(code).split()) & set(HEAVY)


def test_version_is_the_one_of_the_citation_and_the_changelog(project_root):
    assert f"version: {jpassed.__version__}\n" in (project_root / "CITATION.cff").read_text()
    assert f"\n## {jpassed.__version__}" in (project_root / "CHANGELOG.md").read_text()


def test_metadata_lives_in_setup_cfg_alone(project_root):
    assert "\n[project]" not in (project_root / "pyproject.toml").read_text()
