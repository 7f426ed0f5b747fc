"""``jpassed zeropoints``: offsets of a catalogue's bands from its own galaxies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from jpassed.cli.arguments import check_target, device_option, input_path, output_option, pairs
from jpassed.cli.reporting import progress_bar, reporting_options

SHOWN = 8


@click.command(
    "zeropoints",
    short_help="Measure a catalogue's zero points.",
    epilog="\b\nExample: jpassed zeropoints catalogue.fits --tile TILE_ID -o zeropoints.ecsv\n"
    "         jpassed annotate catalogue.fits --zeropoints zeropoints.ecsv",
)
@click.argument("source", metavar="TABLE", type=input_path())
@output_option(required=True, said="A small table; .ecsv can be read by eye.")
@click.option("--tile", metavar="COLUMN", help="Column whose values have zero points of their own.")
@click.option(
    "--context",
    metavar="Q=COLUMN[,ERROR]",
    multiple=True,
    help="A known quantity, e.g. z=z_spec; may be repeated.",
)
@click.option("--survey", metavar="NAME", help="Which survey's columns. Default: found out.")
@click.option("--map", "column_map", metavar="FILE", type=input_path(), help="A map of columns.")
@click.option("--model", metavar="NAME|FOLDER", default="default", show_default=True)
@click.option(
    "--baseline",
    metavar="auto|none|FILE",
    default="auto",
    show_default=True,
    help="The model's own residuals: those that come with it, none, or those of a catalogue "
    "without offsets.",
)
@click.option(
    "--most",
    metavar="N",
    type=click.IntRange(min=20),
    default=3000,
    show_default=True,
    help="Galaxies to use at most.",
)
@device_option()
@reporting_options
def command(
    source: Path,
    output: Path,
    overwrite: bool,
    tile: str | None,
    context: tuple[str, ...],
    survey: str | None,
    column_map: Path | None,
    model: str,
    baseline: str,
    most: int,
    device: str,
) -> None:
    """
    Measure the zero points of TABLE's bands on its own galaxies, without spectra.

    OUT has the magnitudes to add to the catalogue's, by band and tile, with errors. They are
    relative to their mean: an offset of all bands alike is a brighter galaxy. jpassed annotate
    --zeropoints OUT applies them.
    """
    if survey is not None and column_map is not None:
        raise click.UsageError("--survey and --map exclude each other: a map describes a survey.")
    known = pairs(context, "--context") or None
    check_target(output, overwrite)

    from jpassed.adaptation import fit_zeropoints
    from jpassed.annotation.streaming import few_messages
    from jpassed.io.catalogs import read_catalog
    from jpassed.io.zeropoint_file import check_zeropoint_file, write_zeropoints

    check_zeropoint_file(output)
    table = read_catalog(source)
    where: Any = column_map if column_map is not None else survey or "auto"
    with few_messages(), progress_bar("steps") as progress:
        found = fit_zeropoints(
            table, model=model, tile=tile, context=known, survey=where, baseline=baseline,
            most=most, device=device, progress=progress,
        )  # fmt: skip
    found = replace(found, meta={**found.meta, "jp_zp_table": source.name})
    write_zeropoints(found, output, overwrite)
    click.echo("\n".join(_summary(found, output)))


def _summary(found: Any, output: Path) -> list[str]:
    import numpy as np

    meta = found.meta
    offset, error = found.offset[found.tiles.index("")], found.error[found.tiles.index("")]
    known = np.flatnonzero(np.isfinite(offset))
    order = known[np.argsort(-np.abs(offset[known]))][:SHOWN]
    more = f", and of {len(found.tiles) - 1} tiles" if len(found.tiles) > 1 else ""
    largest = "largest: " if len(known) > SHOWN else ""
    slope, slope_error = meta["jp_zp_slope"], meta["jp_zp_slope_err"]
    return [
        f"{output}: zero points of {len(known)} bands{more}, from {meta['jp_zp_galaxies']} "
        f"galaxies; rms {np.sqrt(np.nanmean(offset**2)):.4f} mag, "
        f"median error {np.nanmedian(error):.4f}",
        "to add to the magnitudes, "
        + largest
        + ", ".join(f"{found.bands[i]} {offset[i]:+.4f} +- {error[i]:.4f}" for i in order),
        f"relative to their mean; a slope of {slope:+.4f} +- {slope_error:.4f} mag is among them, "
        "which galaxies can imitate",
        *(
            f"{word}{meta[key]}"
            for word, key in (
                ("", "jp_zp_significant"), ("", "jp_zp_verdict"),
                ("doubtful, not applied by annotate: ", "jp_zp_doubtful"),
                ("this is ", "jp_zp_kind"),
            )
            if key in meta
        ),
    ]  # fmt: skip
