"""``jpassed train``: train a model from a configuration file or a preset."""

from __future__ import annotations

import logging
import os
from contextlib import nullcontext
from pathlib import Path

import click

from jpassed.cli.arguments import device_option, input_path
from jpassed.cli.reporting import progress_bar, reporting_options
from jpassed.exceptions import FileError


@click.command(
    "train",
    short_help="Train a model.",
    epilog="Example: jpassed train cpu -o runs/first --ssp bc03_chabrier.npz --resume",
)
@click.argument("config", metavar="CONFIG", type=input_path())
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder for checkpoints, the log and the trained model.",
)
@click.option(
    "--ssp",
    metavar="FILE",
    type=input_path(),
    multiple=True,
    help="Grid of stellar populations; may be repeated. Default: as CONFIG says.",
)
@click.option(
    "--lines",
    metavar="FILE",
    type=input_path(),
    help="CloudyFSPS line table. Default: as CONFIG says.",
)
@click.option(
    "--start-from",
    metavar="DIR",
    type=input_path(),
    help="Model or training whose weights the first step starts from, as far as they fit.",
)
@device_option()
@click.option("--resume", is_flag=True, help="Go on from the newest checkpoint in DIR.")
@reporting_options
def command(
    config: Path,
    output: Path,
    ssp: tuple[Path, ...],
    lines: Path | None,
    start_from: Path | None,
    device: str,
    resume: bool,
) -> None:
    """
    Train a model as CONFIG says, with checkpoints and a log in DIR.

    CONFIG is a YAML file or one of the presets: cpu, gpu, default.

    A training that was interrupted goes on with --resume, with the same losses as without the
    interruption.

    Several processes or GPUs share a training under torchrun, with the losses of one; a resume may
    have another number of them: torchrun --standalone --nproc-per-node 2 -m jpassed train ...
    """
    if output.exists() and not output.is_dir():
        raise FileError(f"{output} is not a folder: name a folder for the training with -o")

    from jpassed.training.loop import train

    # Under torchrun the first of the processes speaks for all; errors each tells itself.
    first = os.environ.get("RANK", "0") == "0"
    if not first:
        logging.getLogger("jpassed").setLevel(logging.ERROR)
    with progress_bar("steps") if first else nullcontext() as progress:
        train(
            config,
            output,
            ssp=tuple(str(path) for path in ssp) or None,
            lines=None if lines is None else str(lines),
            start_from=start_from,
            resume=resume,
            device=device,
            progress=progress,
        )
    if first:
        click.echo(f"{output}: trained, a model for jpassed annotate --model {output}")
