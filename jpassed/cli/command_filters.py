"""``jpassed filters``: the passbands that are known, and those of the SVO service."""

from __future__ import annotations

from collections.abc import Iterable

import click

from jpassed.cli.reporting import progress_bar, reporting_options


@click.command(
    "filters",
    short_help="List passbands, and fetch those of a facility.",
    epilog="\b\nExample: jpassed filters jpas\n         jpassed filters --svo OAJ/JPLUS --fetch",
)
@click.argument("name", metavar="[NAME]", required=False)
@click.option(
    "--svo",
    metavar="FACILITY[/INSTRUMENT]",
    help="List the filters of the SVO Filter Profile Service instead; names are case-sensitive.",
)
@click.option("--fetch", is_flag=True, help="Fetch their curves as well, for use without network.")
@click.option(
    "--vacuum", is_flag=True, help="The curves of --svo are in vacuum (space missions), not air."
)
@click.option("--refresh", is_flag=True, help="Ask the service again for what the cache has.")
@reporting_options
def command(name: str | None, svo: str | None, fetch: bool, vacuum: bool, refresh: bool) -> None:
    """
    List the filter sets, or the bands of the set NAME, with pivot and width in Å (vacuum).

    With --svo they are those of a facility; the list and the curves are kept in the cache, and a
    map of columns may name them (svo: SLOAN/SDSS.u).
    """
    if svo is None:
        if fetch or refresh or vacuum:
            raise click.UsageError("--fetch, --vacuum and --refresh go with --svo.")
        _list_known(name)
        return
    if name is not None:
        raise click.UsageError("give either NAME or --svo.")
    if vacuum and not fetch:
        raise click.UsageError("--vacuum goes with --fetch.")
    facility, slash, instrument = (part.strip() for part in svo.partition("/"))
    if not facility or (slash and not instrument):
        raise click.UsageError("--svo takes FACILITY or FACILITY/INSTRUMENT, e.g. OAJ/JPAS.")
    _list_svo(facility, instrument or None, refresh)
    if fetch:
        _fetch_svo(facility, instrument or None, "vacuum" if vacuum else "air")


def _list_known(name: str | None) -> None:
    from jpassed.exceptions import UnknownNameError
    from jpassed.filters import filter_set_names, known_bands
    from jpassed.filters.known import set_of_band

    bands = known_bands()
    members = {group: [b for b in bands if set_of_band(b) == group] for group in filter_set_names()}
    if name is None:
        rows = []
        for group, names in members.items():
            pivots = [bands[band][0] for band in names]
            rows.append((group, str(len(names)), f"{min(pivots):.0f}", f"{max(pivots):.0f}"))
        _show(("set", "bands", "from/Å", "to/Å"), rows)
        return
    if name not in members:
        raise UnknownNameError("filter set", name, members)
    sizes = [(band, *bands[band]) for band in members[name]]
    _show(
        ("band", "pivot/Å", "width/Å"),
        [(band, f"{pivot:.1f}", f"{width:.1f}") for band, pivot, width in sizes],
    )


def _list_svo(facility: str, instrument: str | None, refresh: bool) -> None:
    from jpassed.filters import list_svo

    table = list_svo(facility, instrument, refresh=refresh)
    rows = [
        (str(row["id"]), _number(row["pivot"]), _number(row["width"]), str(row["description"]))
        for row in table
    ]
    _show(("id", "pivot/Å", "width/Å", "description"), rows)


def _number(value: object) -> str:
    """A wavelength of the service, in its own medium; ``-`` where it has none."""
    if getattr(value, "mask", False):
        return "-"
    return f"{value.to_value('Angstrom'):.1f}"  # type: ignore[attr-defined]


def _fetch_svo(facility: str, instrument: str | None, medium: str) -> None:
    from jpassed.filters import FilterSet

    with progress_bar("curves") as progress:
        filters = FilterSet.from_svo(
            facility=facility, instrument=instrument, medium=medium, progress=progress
        )
    click.echo(
        f"{len(filters)} curves in the cache; pivots {filters.pivot.min():.1f} to "
        f"{filters.pivot.max():.1f} Å in vacuum"
    )


def _show(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """Columns, text to the left and numbers to the right."""
    lines = [head, *rows]
    widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
    left = {0, *(k for k, title in enumerate(head) if title == "description")}
    for line in lines:
        cells = [
            cell.ljust(width) if k in left else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        click.echo("  ".join(cells).rstrip())
