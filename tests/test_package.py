"""The package as installed: public names, version, what an import costs."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from configparser import ConfigParser

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


def test_public_functions_stay_functions_after_their_modules_are_imported():
    functions = [name for name in jpassed._HOMES if name.islower()]
    code = (
        "import jpassed, importlib\n"
        f"for home in {sorted(jpassed._HOMES.values())}: importlib.import_module(home)\n"
        f"print(*[name for name in {functions} if not callable(getattr(jpassed, name))])"
    )
    assert run_python(code) == ""


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


def test_oldest_constraints_are_the_lower_bounds_of_setup_cfg(project_root):
    setup = ConfigParser()
    setup.read(project_root / "setup.cfg")
    bounds = {
        line.replace(">=", "==")
        for line in setup["options"]["install_requires"].split("\n")
        if line and not line.startswith("#")
    }
    pins = {
        line
        for line in (project_root / "constraints-oldest.txt").read_text().splitlines()
        if not line.startswith("#")
    }
    assert pins == bounds


def readme_command(readme: str, name: str) -> str:
    block = re.search(rf"<!-- command: {name} -->\n```sh\n(.+?)\n```", readme)
    assert block, f"README.md has no command {name} on one line"
    return block[1]


def test_readme_commands_are_the_ones_ci_runs(project_root):
    readme = (project_root / "README.md").read_text()
    ci = (project_root / ".ci" / "run").read_text()
    names = ("quickstart", "plot", "tests")
    quickstart, plot, tests = (readme_command(readme, name) for name in names)
    assert "jpassed example example.fits" in quickstart
    assert quickstart.endswith("jpassed annotate example.fits")
    assert "pytest -n 2 && " in tests and "sphinx-build -W " in tests
    assert plot == ".venv/bin/jpassed plot example_jpassed.fits --row 1"
    assert [f"readme_command {name}" in ci for name in names] == [True] * 3
    assert ci.strip().endswith('"$tests"')


def test_every_local_link_of_the_readme_exists(project_root):
    readme = (project_root / "README.md").read_text()
    links = [link for link in re.findall(r"\]\(([^)]+)\)", readme) if "://" not in link]
    assert links
    assert [link for link in links if not (project_root / link).exists()] == []
