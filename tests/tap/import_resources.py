"""Import into DaCHS every resource whose files changed; run by the Python that has DaCHS.

    import_resources.py SOURCES INPUTS RECORD [FILES]

SOURCES holds rd/NAME.rd and the Python modules that make the rows, INPUTS is the inputsDir of
DaCHS, RECORD a folder that remembers the digest of what was imported. FILES is a folder with the
real spectra; the resources that need it are left out where it is not given. Everything is imported
by one process: starting DaCHS's own command for each resource takes longer than the import.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

# Each resource, and the modules that its rows depend on.
RESOURCES = {
    "minijpas": ("make_minijpas.py", "seds.py", "bands.csv"),
    "galex": ("make_galex.py", "make_minijpas.py", "seds.py", "bands.csv"),
    "bulk": ("make_bulk.py", "seds.py", "bands.csv"),
}
NEED_FILES = {
    "spectra": ("make_spectra.py",),
    "sdss_dr17": ("make_spectra.py",),
    "desi_dr1": ("make_spectra.py",),
    "vac": ("make_spectra.py",),
}


# Tables that also go by a quoted name of another service; DaCHS itself has no such names.
ALIASES = {"galex": ("galex.ais", "II/335/galex_ais")}


def add_alias(connection: object, table: str, alias: str) -> None:
    """Let queries name a table by a quoted name: a view, and its line in DaCHS's own tables."""
    statements = (
        f'CREATE OR REPLACE VIEW public."{alias}" AS SELECT * FROM {table}',
        f'GRANT SELECT ON public."{alias}" TO untrusted, gavo',
        f"DELETE FROM dc.tablemeta WHERE tablename = 'public.{alias}'",
        "INSERT INTO dc.tablemeta (tablename, sourcerd, tabledesc, resdesc, adql)"
        f" SELECT 'public.{alias}', sourcerd, tabledesc, resdesc, adql"
        f" FROM dc.tablemeta WHERE tablename = '{table}'",
    )
    for statement in statements:
        connection.execute(statement)
    connection.commit()


def digest(sources: Path, name: str, modules: tuple[str, ...], extra: list[Path]) -> str:
    """A digest of all that the resource's tables are made of."""
    total = hashlib.sha256()
    for path in [sources / "rd" / f"{name}.rd", sources / "pgcopy.py", Path(__file__),
                 *(sources / m for m in modules), *extra]:
        total.update(path.read_bytes())
    return total.hexdigest()


def main(sources: Path, inputs: Path, record: Path, files: Path | None = None) -> None:
    wanted = dict(RESOURCES)
    extra: list[Path] = []
    if files is not None:
        wanted.update(NEED_FILES)
        extra = sorted(files.glob("*.csv"))
    digests = {
        name: digest(sources, name, modules, extra if name in (*NEED_FILES, "galex") else [])
        for name, modules in wanted.items()
    }
    record.mkdir(exist_ok=True)
    changed = [
        name for name, value in digests.items()
        if not (record / name).exists() or (record / name).read_text() != value
    ]
    if not changed:
        return
    sys.path.insert(0, str(sources))
    from gavo import api
    from gavo.user import importing

    for name in changed:
        folder = inputs / name
        folder.mkdir(exist_ok=True)
        (folder / "q.rd").write_text((sources / "rd" / f"{name}.rd").read_text())
        print(f"importing {name}", flush=True)
        sys.argv = ["dachs imp", f"{name}/q"]
        try:
            importing.main()
        except SystemExit as done:
            if done.code:
                raise SystemExit(f"{name} could not be imported ({done.code})") from None
        if name in ALIASES:
            add_alias(api.getDBConnection("admin"), *ALIASES[name])
        (record / name).write_text(digests[name])
    print("imported " + " ".join(changed), flush=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
