"""Colours of the plots, light and dark, and the Axes to draw on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from jpassed.exceptions import UnknownNameError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "Style",
    "figures_apart",
    "legend",
    "load_style",
    "plot_style",
    "start",
    "start_figure",
]

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Of series, so that none is told by its colour alone."""

_LAYOUT = {
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.labelsize": 9.0,
    "legend.fontsize": 7.5,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "axes.linewidth": 0.8,
    "lines.linewidth": 1.2,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "figure.figsize": (3.5, 2.8),
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200.0,
}
"""For one column of a journal; none of these depends on the style."""


@dataclass(frozen=True)
class Style:
    """Colours of one style, by what they stand for.

    Attributes
    ----------
    name : str
    background, ink, muted, grid, shade : str
        Of the paper; of axes, text and measurements; of lesser lines; of grids; of bands in which
        something is expected.
    model, truth : str
        Of what a model says, and of what is known.
    series : tuple of str
        Of several samples, in this order.
    map : str
        Matplotlib's name of the map of numbers to colours.
    part : tuple of float
        The part of the map that is used, within 0 and 1.
    """

    name: str
    background: str
    ink: str
    muted: str
    grid: str
    shade: str
    model: str
    truth: str
    series: tuple[str, ...]
    map: str
    part: tuple[float, float]

    def settings(self) -> Any:
        """Matplotlib's settings of this style, a dictionary for `matplotlib.rc_context`."""
        from cycler import cycler

        ink = dict.fromkeys(
            ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"),
            self.ink,
        )
        paper = dict.fromkeys(
            ("figure.facecolor", "axes.facecolor", "savefig.facecolor"), self.background
        )
        more = {"grid.color": self.grid, "axes.prop_cycle": cycler(color=self.series)}
        return {**_LAYOUT, **ink, **paper, **more}

    def colours(self) -> Any:
        """The map of numbers to colours."""
        import matplotlib
        from matplotlib.colors import ListedColormap

        return ListedColormap(matplotlib.colormaps[self.map](np.linspace(*self.part, 256)))

    def dress(self, ax: Axes) -> None:
        """Paint the paper, the frame and the text that Axes have."""
        ax.figure.set_facecolor(self.background)
        ax.set_facecolor(self.background)
        for spine in ax.spines.values():
            spine.set_color(self.ink)
        ax.tick_params(which="both", colors=self.ink)
        texts = [ax.title, getattr(ax, "_left_title", None), getattr(ax, "_right_title", None)]
        for text in (*texts, ax.xaxis.label, ax.yaxis.label):
            if text is not None:
                text.set_color(self.ink)


@lru_cache(maxsize=1)
def _styles() -> dict[str, Style]:
    text = (files("jpassed.plotting") / "data/styles.yaml").read_text(encoding="utf-8")
    found = {}
    for name, told in yaml.safe_load(text).items():
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in told.items()
        }
        found[name] = Style(name=name, **values)
    return found


def load_style(name: str) -> Style:
    """The colours of a style.

    Parameters
    ----------
    name : {"light", "dark"}

    Raises
    ------
    UnknownNameError
        For another name.
    """
    styles = _styles()
    if name not in styles:
        raise UnknownNameError("style", str(name), list(styles))
    return styles[name]


@contextmanager
def plot_style(name: str = "light") -> Iterator[Style]:
    """Settings of matplotlib within a ``with`` block, for figures that are made there.

    Sizes are those of one column of a journal (3.5 inches); matplotlib's settings outside of the
    block stay as they are. They belong to the process: draw in one thread at a time.

    Parameters
    ----------
    name : {"light", "dark"}

    Yields
    ------
    Style

    Raises
    ------
    UnknownNameError
        For another style.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from jpassed.plotting import plot_coverage, plot_style
    >>> with plot_style("dark"):
    ...     figure, ax = plt.subplots()
    ...     ax = plot_coverage([0.2, 0.4, 0.7], ax=ax)
    >>> plt.close(figure)
    """
    style = load_style(name)
    with _settings(style.settings()):
        yield style


@contextmanager
def _settings(values: Any) -> Iterator[None]:
    """Settings of matplotlib that end with the block.

    The first figure of a session loads the backend, and that of notebooks turns `interactive` on:
    what is not in `values` stays as the block leaves it.
    """
    import matplotlib

    with matplotlib.rc_context(values):
        try:
            yield
        finally:
            interactive = matplotlib.is_interactive()
    matplotlib.interactive(interactive)


def start(ax: Axes | None, style: str | None) -> tuple[Axes, Style]:
    """The Axes that were given, else pyplot's current ones, and the colours to draw with.

    Without a name of a style it is the dark one where the Axes are dark; with one, the Axes and
    their figure are painted in it.
    """
    chosen = None if style is None else load_style(style)
    if ax is None:
        import matplotlib.pyplot as plt

        with _settings(None if chosen is None else chosen.settings()):
            ax = plt.gca()
    if chosen is None:
        return ax, load_style("dark" if _is_dark(ax) else "light")
    chosen.dress(ax)
    return ax, chosen


_apart: ContextVar[bool] = ContextVar("figures apart from pyplot", default=False)


@contextmanager
def figures_apart() -> Iterator[None]:
    """Within, new figures of several panels are none of pyplot's.

    They need no backend, such as that of a notebook whose shell runs a command, and no closing.
    """
    token = _apart.set(True)
    try:
        yield
    finally:
        _apart.reset(token)


@contextmanager
def start_figure(
    figure: Any,
    style: str | None,
    width: float,
    height: float,
    *,
    layout: Any = "constrained",
) -> Iterator[tuple[Any, Style]]:
    """An empty figure, or a new one, and its style, which holds for Axes that are made within.

    A new one is pyplot's, but for `figures_apart`, and is not left behind if the block raises.
    """
    import matplotlib

    name = style
    if name is None:
        # A new figure is dark where matplotlib's own settings make it so.
        face = matplotlib.rcParams["figure.facecolor"] if figure is None else figure.get_facecolor()
        name = "dark" if _is_dark_colour(face) else "light"
    with plot_style(name) as chosen:
        if figure is not None:
            if style is not None:
                figure.set_facecolor(chosen.background)
            yield figure, chosen
        elif _apart.get():
            from matplotlib.figure import Figure

            yield Figure(figsize=(width, height), layout=layout), chosen
        else:
            import matplotlib.pyplot as plt

            figure = plt.figure(figsize=(width, height), layout=layout)
            try:
                yield figure, chosen
            except BaseException:
                plt.close(figure)
                raise


def legend(ax: Axes, style: Style, **settings: Any) -> None:
    """A legend without a frame in the ink of a style, if there is anything to name."""
    if ax.get_legend_handles_labels()[1]:
        ax.legend(**{"frameon": False, "fontsize": "small", "labelcolor": style.ink, **settings})


def _is_dark(ax: Axes) -> bool:
    from matplotlib.colors import to_rgba

    face = to_rgba(ax.get_facecolor())
    return _is_dark_colour(face if face[3] > 0 else ax.figure.get_facecolor())


def _is_dark_colour(colour: Any) -> bool:
    from matplotlib.colors import to_rgba

    red, green, blue, alpha = to_rgba(colour)
    # A figure without a colour lies on a page of unknown colour: most are light.
    return bool(alpha > 0 and 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.4)
