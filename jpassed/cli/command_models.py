"""``jpassed models``: which models there are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from jpassed.cli.reporting import reporting_options
from jpassed.exceptions import UnknownNameError


@click.command(
    "models",
    short_help="List the models at hand.",
    epilog="Example: jpassed models default",
)
@click.argument("name", metavar="[NAME]", required=False)
@reporting_options
def command(name: str | None) -> None:
    """
    List the embedded models, each with a summary of its card.

    With NAME, show that model's whole card as JSON: configuration, provenance, figures.
    """
    from jpassed.weights import list_models

    cards = list_models()
    if name is not None:
        if name not in cards:
            raise UnknownNameError("model", name, cards)
        click.echo(json.dumps(cards[name], indent=2))
        return
    for known, card in cards.items():
        click.echo("\n".join(_summary(known, card)))
    if not cards:
        click.echo("no embedded models; --model takes a folder that jpassed train wrote", err=True)


def _summary(name: str, card: Mapping[str, Any]) -> list[str]:
    """Some lines about a model: what it is called, its size, what it was trained on."""
    lines = [f"{name} {card['version']}"]
    if "parameters" in card:
        lines.append(f"  {card['parameters'] / 1e6:.1f} M parameters, sha256 {card['sha256'][:16]}")
    if "steps" in card:
        lines.append(
            f"  trained for {card['steps']:,} steps on {card['objects'] / 1e6:.1f} M objects, "
            f"{card['seconds'] / 60:.0f} minutes on {card['device']}"
        )
    simulation = card.get("training", {}).get("simulation", {})
    if "noise" in simulation:
        lines.append(f"  noise preset {simulation['noise']}, r < {simulation.get('r_select')}")
    if "summary" in card:
        lines.append(f"  {card['summary']}")
    return lines
