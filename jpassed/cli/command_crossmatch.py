"""``jpassed crossmatch``: a catalogue in, the same catalogue with entries of another one out."""

from __future__ import annotations

from pathlib import Path

import click

from jpassed.cli.arguments import check_target, comma_list, input_path, output_option, pairs
from jpassed.cli.querying import credentials, login_option
from jpassed.cli.reporting import progress_bar, reporting_options


@click.command(
    "crossmatch",
    short_help="Match a catalogue with GALEX, or any table of a TAP service.",
    epilog="\b\nExample: jpassed crossmatch catalogue.fits galex -o matched.fits\n"
    "         jpassed annotate matched.fits",
)
@click.argument("source", metavar="IN", type=input_path())
@click.argument("target", metavar="[TABLE]", required=False)
@output_option(required=True, said="The ending chooses the format.")
@click.option("--radius", metavar="ARCSEC", type=float, help="Of the match. Default: TABLE's own.")
@click.option(
    "--position", metavar="RA,DEC", help="IN's columns of positions. Default: found by UCD or name."
)
@click.option("--frame", metavar="NAME", help="Of these columns. Default: icrs.")
@click.option(
    "--coverage",
    metavar="FILE",
    multiple=True,
    help="What the survey observed: a table of circles (ra, dec, radius, BAND_limit), a MOC, "
    "BAND=MOC for each band, or tap:TABLE of the service.",
)
@click.option(
    "--limit",
    metavar="BAND=MAG",
    multiple=True,
    help="Depth of the survey in a band, AB; may be repeated.",
)
@click.option("--service", metavar="NAME|URL", help="A TAP service that takes uploads.")
@click.option("--table", "catalog", metavar="NAME", help="Its table, as ADQL wants it.")
@click.option("--ra", metavar="COLUMN", help="The table's right ascension in degrees.")
@click.option("--dec", metavar="COLUMN", help="The table's declination in degrees.")
@click.option(
    "--columns", metavar="NAMES", multiple=True, help="The table's columns to keep, with commas."
)
@click.option("--prefix", metavar="TEXT", help="Before the names of the new columns.")
@click.option(
    "--chunk",
    metavar="N",
    type=click.IntRange(min=1),
    default=5000,
    show_default=True,
    help="Positions to upload at a time.",
)
@login_option
@click.option("--no-cache", is_flag=True, help="Ask anew, and keep no answers.")
@click.option("--replace-columns", is_flag=True, help="Replace columns that IN already has.")
@reporting_options
def command(
    source: Path,
    target: str | None,
    output: Path,
    overwrite: bool,
    radius: float | None,
    position: str | None,
    frame: str | None,
    coverage: tuple[str, ...],
    limit: tuple[str, ...],
    service: str | None,
    catalog: str | None,
    ra: str | None,
    dec: str | None,
    columns: tuple[str, ...],
    prefix: str | None,
    chunk: int,
    login: str | None,
    no_cache: bool,
    replace_columns: bool,
) -> None:
    """
    Add to each row of IN the nearest entry of TABLE.

    TABLE is one known by name (galex, sdss, desi), a YAML file that describes one, or left out
    where --service, --table, --ra, --dec and --columns say which it is. Only the positions and the
    numbers of their rows are sent. Where no coverage is known, no row is called a non-detection.
    """
    if target is None and service is None:
        raise click.UsageError("Say what to match with: TABLE (such as galex), or --service.")
    stated = pairs(limit, "--limit", "BAND=MAG, e.g. nuv=20.8")
    limits = {band: _magnitude(text) for band, text in stated.items()}
    check_target(output, overwrite)

    from jpassed.io.catalogs import read_catalog, write_catalog
    from jpassed.vo.matching import crossmatch, meta_key

    table = read_catalog(source)
    who = credentials(login)
    with progress_bar("positions") as progress:
        matched = crossmatch(
            table,
            target,
            radius=radius,
            position=position,
            frame=frame,
            coverage=_coverage(coverage),
            limits=limits,
            service=service,
            catalog=catalog,
            ra=ra,
            dec=dec,
            columns=comma_list(columns),
            prefix=prefix,
            chunk=chunk,
            credentials=who,
            cache=not no_cache,
            replace_columns=replace_columns,
            progress=progress,
        )
    write_catalog(matched, output, overwrite=overwrite)
    name = Path(target).stem if target is not None else str(catalog).strip('"')
    found = matched.meta[meta_key(name)]["matched"]
    click.echo(f"{output}: {len(matched)} rows, {found} matched")


def _magnitude(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(
            f"expected BAND=MAG, e.g. nuv=20.8, got {text!r}", param_hint="--limit"
        ) from None


def _coverage(texts: tuple[str, ...]) -> str | dict[str, str] | None:
    if not texts:
        return None
    if len(texts) == 1 and "=" not in texts[0]:
        return texts[0]
    return pairs(texts, "--coverage", "BAND=FILE, e.g. fuv=FUV.fits")
