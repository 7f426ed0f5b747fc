"""Pages that are followed to the letter: files are written, commands run, patches applied."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from simulator_grids import toy_grid

from jpassed.cli import main
from jpassed.simulator.ssp import AGE_EDGES

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", flags=re.M | re.S)
FILE = re.compile(r"# file: (\S+)\n")
ROOT = Path(__file__).resolve().parents[1]


def write_toy_ssp(path: Path) -> None:
    """The toy grid of the tests, as a file of the kind that users have."""
    grid = toy_grid()
    np.savez(path, flux=grid.flux, Z=10.0**grid.logz, edges=AGE_EDGES, wave=grid.wave)


def copy_package(folder: Path) -> Path:
    """A copy of the package and its tools that may be changed; weights are only linked."""
    target = folder / "clone"
    shutil.copytree(
        ROOT / "jpassed", target / "jpassed",
        ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"),
    )  # fmt: skip
    for weights in (ROOT / "jpassed").rglob("*.safetensors"):
        (target / weights.relative_to(ROOT)).symlink_to(weights)
    (target / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "fit_passbands.py", target / "tools")
    return target


@dataclass
class Page:
    """A page and the folder in which it is followed.

    Attributes
    ----------
    text : str
    folder : Path
        The working directory.
    names : dict
        What the Python blocks have defined.
    clone : Path or None
        The changed copy of the package, from the first change on; from then on commands and
        Python blocks run in processes of their own, which import it.
    said : list of str
        What every command and process printed.
    """

    text: str
    folder: Path
    names: dict[str, object] = field(default_factory=dict)
    clone: Path | None = None
    said: list[str] = field(default_factory=list)

    def follow(self) -> list[str]:
        """Do what the page says, block by block."""
        for language, block in FENCE.findall(self.text):
            named = FILE.match(block)
            if named:
                self._write(named[1], block)
            elif language == "diff":
                self._changed()
                command = ["git", "apply", "--unidiff-zero", "-"]
                subprocess.run(command, input=block.encode(), cwd=self.clone, check=True)
            elif language == "python":
                self._python(block)
            elif language == "sh":
                for line in block.splitlines():
                    self._command(shlex.split(line))
            else:
                raise ValueError(f"a block of {language!r} without a file name: nobody follows it")
        return self.said

    def _changed(self) -> Path:
        if self.clone is None:
            self.clone = copy_package(self.folder)
        return self.clone

    def _write(self, name: str, block: str) -> None:
        base = self._changed() if name.startswith("jpassed/") else self.folder
        (base / name).write_text(block.split("\n", 1)[1], encoding="utf-8")

    def _python(self, block: str) -> None:
        if self.clone is None:
            exec(compile(block, "page", "exec"), self.names)
        else:
            self._process([sys.executable, "-c", block])

    def _command(self, words: list[str]) -> None:
        if words[:2] == ["pip", "install"]:
            self._install()
        elif words[0] == "python":
            self._process([sys.executable, str(self._changed() / words[1]), *words[2:]])
        elif self.clone is not None:
            self._process([sys.executable, "-m", *words])
        else:
            if words[0] != "jpassed":
                raise ValueError(f"nobody follows {words}")
            done = CliRunner().invoke(main, words[1:])
            if done.exit_code:
                raise RuntimeError(f"{words}: {done.output}") from done.exception
            self.said.append(done.output)

    def _process(self, command: list[str]) -> None:
        paths = os.pathsep.join(map(str, (self.clone, self.folder)))
        environment = {**os.environ, "PYTHONPATH": paths}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{command}: {done.stdout}\n{done.stderr}")
        self.said.append(done.stdout + done.stderr)

    def _install(self) -> None:
        """What pip leaves behind for the entry points: the metadata beside the module."""
        project = tomllib.loads((self.folder / "pyproject.toml").read_text())["project"]
        kept = self.folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        kept.mkdir()
        (kept / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        )
        lines = []
        for group, points in project["entry-points"].items():
            lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
        (kept / "entry_points.txt").write_text("\n".join(lines) + "\n")
