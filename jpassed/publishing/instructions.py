"""The README beside a descriptor: what it is, and how it is imported."""

from __future__ import annotations

from jpassed.publishing.descriptor import Resource

__all__ = ["instructions"]

_TEXT = """# {title}

{rows:,} rows, {columns} columns, for GAVO DaCHS (https://dachs-doc.readthedocs.io).

- `q.rd`: the resource descriptor; put creator, description and licence right before you publish
- `{data}`: the rows, a VOTable (SHA-256 {checksum})

## Import

```sh
cp -r . "$(dachs config inputsDir)/{schema}"
dachs val {schema}/q
dachs imp {schema}/q
dachs pub {schema}/q
dachs serve reload
```

The table is then `{schema}.{table}` of the server's TAP service, for example

```sql
SELECT TOP 10 {shown} FROM {schema}.{table}
```
{cone}{quoted}
Masked values and NaN are NULL. `<publish sets="local">` keeps the services out of the VO registry;
write `ivo_managed,local` when they are to be found by everybody.
{provenance}"""


def instructions(resource: Resource, rows: int, checksum: str) -> str:
    """The text of ``README.md``.

    Parameters
    ----------
    resource : Resource
    rows : int
    checksum : str
        SHA-256 of the data file.
    """
    names = [f'"{c.name}"' if c.quoted else c.name for c in resource.columns]
    wanted = [*resource.key, *resource.positions]
    shown = [n for n, c in zip(names, resource.columns, strict=True) if c.name in wanted]
    shown += [n for n in names if n.startswith("jp_") and n not in shown][:2]
    cone = ""
    if resource.positions:
        ra, dec = resource.example
        cone = (
            f"\nThe cone search is at `/{resource.schema}/q/cone/scs.xml` of the server, for "
            f"example with `?RA={ra!r}&DEC={dec!r}&SR=0.001`.\n"
        )
    quoted = [c.name for c in resource.columns if c.quoted]
    note = ""
    if quoted:
        listed = ", ".join(f'`"{name}"`' for name in quoted)
        note = f"\nQueries write these names in double quotes: {listed}.\n"
    for what, value in (("Paper", resource.source), ("Licence", resource.rights.text)):
        note += f"\n{what}: {value}\n" if value else ""
    if resource.renamed:
        listed = "\n".join(f"- `{old}` is `{new}`" for old, new in resource.renamed.items())
        note += f"\nColumns whose names DaCHS cannot serve were renamed:\n\n{listed}\n"
    lines = [f"- {p.description}: {p.shown}" for p in resource.provenance if p.shown]
    made = "\n## Provenance\n\n" + "\n".join(lines) + "\n" if lines else ""
    return _TEXT.format(
        title=resource.title,
        rows=rows,
        columns=len(resource.columns),
        data=resource.data,
        checksum=checksum,
        schema=resource.schema,
        table=resource.table,
        shown=", ".join(shown) or "*",
        cone=cone,
        quoted=note,
        provenance=made,
    )
