"""In which order quantities are drawn together, and which of them stay in the context."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.vocabulary import Vocabulary, load_vocabulary, split_quantity
from jpassed.vocabulary.vocabulary import BANDFLUX

__all__ = ["chain", "leans_on", "most_labels"]

USUAL_LABELS = 5
"""Labels beside the bands that a model knows if its card is silent."""


@lru_cache(maxsize=1)
def _relations() -> dict[str, Any]:
    import yaml

    text = (files("jpassed.annotation") / "data" / "joint.yaml").read_text("utf-8")
    relations: dict[str, Any] = yaml.safe_load(text)
    return relations


def most_labels(card: Mapping[str, Any]) -> int:
    """Largest number of labels that a model saw beside bands in training, from its card."""
    try:
        return max(1, int(card["training"]["mix"]["most_labels"]))
    except (KeyError, TypeError, ValueError):
        return USUAL_LABELS


def chain(
    names: Iterable[str],
    order: Sequence[str] | None = None,
    vocabulary: Vocabulary | None = None,
) -> tuple[str, ...]:
    """The order in which quantities are drawn.

    Parameters
    ----------
    names : iterable of str
        Kinds of the vocabulary and ``flux:<band>``.
    order : sequence of str, optional
        Some or all of them; the others follow in the default order. Redshift is first unless
        `order` names it, and bandfluxes are last.
    vocabulary : Vocabulary, optional
        The kinds that there are; the common ones by default.

    Raises
    ------
    UnknownNameError
        For a name in `order` that is not drawn.
    InputError
        For an order that names something twice, or a bandflux before a label.
    """
    wanted = list(dict.fromkeys(names))
    first = list(order or ())
    if isinstance(order, str) or len(set(first)) != len(first):
        raise InputError(f"order: expected names, each once, e.g. ['z', 'av'], got {order!r}")
    for name in first:
        if name not in wanted:
            raise UnknownNameError("quantity in the order", name, wanted)
    words = load_vocabulary() if vocabulary is None else vocabulary
    default = [*_relations()["order"], *words.scalars]
    for name in wanted:
        if split_quantity(name)[0] != BANDFLUX and name not in default:
            raise UnknownNameError("quantity", name, words.scalars)

    def rank(name: str) -> tuple[int, int]:
        if split_quantity(name)[0] == BANDFLUX:
            return 1, wanted.index(name)
        return 0, default.index(name)

    rest = sorted((name for name in wanted if name not in first), key=rank)
    if "z" in rest:
        rest.remove("z")
        first.insert(0, "z")
    found = [*first, *rest]
    fluxes = [split_quantity(name)[0] == BANDFLUX for name in found]
    if fluxes != sorted(fluxes):
        raise InputError("order: bandfluxes are drawn last, given all labels")
    return tuple(found)


def leans_on(name: str, drawn: Sequence[str], most: int) -> tuple[str, ...]:
    """The quantities among those drawn that stay in the context when `name` is asked.

    Parameters
    ----------
    name : str
    drawn : sequence of str
        Labels drawn before, in their order.
    most : int
        How many may stay: redshift, then what `name` leans on most, then the latest.
    """
    nearest = _relations()["after"].get(name, [])
    wishes = ["z", *nearest, *reversed(drawn)]
    kept = [q for q in dict.fromkeys(wishes) if q in drawn][: max(most, 0)]
    return tuple(q for q in drawn if q in kept)
