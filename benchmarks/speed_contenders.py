"""Who competes in speed.py, and how each is asked.

Each runs in a process of its own, on objects of the same sample, with all its preparation (imports,
templates, training of trees) outside the measured time.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from astropy.table import QTable
from measuring import megaflop, peak_memory, timed
from speed_sample import BANDS, fluxes, numbers

__all__ = ["Contender", "Ready", "contenders", "prepare"]

WARM = 64
"""Objects of a first call that is not timed."""

COUNTED = 1024
"""Objects of the call whose operations are counted: only whole blocks, none filled up.

What is made of the requests alone, once for a call, is spread over them."""

LEVELS = (0.16, 0.5, 0.84)
"""Quantiles that the trees are asked: those behind the columns of `annotate`."""

TREE_ROWS = 10_000
"""Galaxies that trees learn from here; their number of leaves, hence their speed, is that of
compare.py, where they learn from ten times as many."""

WAYS = ((1, 1), (2, 1), (1, 2))
"""Threads of a process, and processes."""

TRANSFORMER_BATCHES = (32, 64, 256, 512)
"""Batches that are tried for the transformer, as far as it has objects; the fastest counts."""


@dataclass(frozen=True)
class Contender:
    """One line of the table.

    Attributes
    ----------
    name : str
        For the command line and the results.
    title : str
        For the page.
    system : {"jpassed", "eazy", "transformer", "trees"}
    n : int
        Objects in the timed call.
    precision : {"float32", "bfloat16", "float64"}
    threads, processes : int
        Threads of each process, and processes that run at the same time.
    chi2 : str
        For jpassed, as in `annotate`.
    together : bool
        For the transformer: all requests in one call.
    """

    name: str
    title: str
    system: str
    n: int
    precision: str = "float32"
    threads: int = 1
    processes: int = 1
    chi2: str = "quick"
    together: bool = False


@dataclass(frozen=True)
class Ready:
    """A contender that waits for its start.

    Attributes
    ----------
    run : callable
        What is timed.
    count : callable or None
        A call over `counted` objects whose matrix products are counted.
    counted : int
    note : str
        What it answered, for the results.
    """

    run: Callable[[], Any]
    count: Callable[[], Any] | None
    counted: int
    note: str

    def measure(self, contender: Contender, repeats: int) -> dict[str, Any]:
        """Times, memory and operations of a contender."""
        timing = timed(self.run, repeats)
        memory = peak_memory()
        flops = None if self.count is None else megaflop(self.count) / self.counted
        return {
            **asdict(contender),
            "rate": contender.n / timing.wall,
            "rate_by_processor": contender.n / timing.processor,
            "peak_mb": memory,
            "mflop": flops,
            "note": self.note,
        }


def contenders(n: int) -> list[Contender]:
    """All of them; n objects for the fast ones, fewer for the slow."""
    # 512 and 102 of 4,096.
    few, fewer = max(8, n // 8), max(4, n // 40)
    found = []
    for precision in ("float32", "bfloat16"):
        for chi2, said in (("quick", "`annotate`, default"), ("none", "`annotate`, no jp_chi2")):
            for threads, processes in WAYS:
                if chi2 == "none" and processes == 2:
                    continue
                more = ", 2 processes" if processes == 2 else ""
                found.append(
                    Contender(
                        f"jpassed-{precision}-{chi2}-{threads}x{processes}",
                        f"jpassed, {said}{more}", "jpassed", n, precision, threads, processes, chi2,
                    )
                )  # fmt: skip
    found.append(Contender("eazy", "eazy-py, redshift alone", "eazy", fewer, "float64"))
    for together in (False, True):
        for precision in ("float32", "bfloat16"):
            way = "together" if together else "published"
            title = "all requests in one call" if together else "as published"
            found.append(
                Contender(
                    f"transformer-{way}-{precision}", f"Leung & Bovy shape, {title}",
                    "transformer", few, precision, together=together,
                )
            )  # fmt: skip
    found.append(Contender("trees", "gradient boosting, 3 quantiles each", "trees", n, "float64"))
    return found


def prepare(contender: Contender, sample: Path, folder: Path | None) -> Ready:
    """Everything up to the start: imports, a first call, templates, trees.

    Parameters
    ----------
    contender : Contender
    sample : Path
        FITS table with at least the contender's objects.
    folder : Path or None
        Of the templates of eazy-py.
    """
    torch.set_num_threads(contender.threads)
    table = QTable.read(sample)
    if contender.system == "jpassed":
        return _jpassed(contender, table)
    if contender.system == "transformer":
        return _transformer(contender, table)
    if contender.system == "eazy":
        if folder is None:
            raise ValueError("eazy: expected the folder of its templates")
        return _eazy(contender, table, folder)
    return _trees(contender, table)


def _jpassed(contender: Contender, table: QTable) -> Ready:
    import jpassed

    own = [name for band in BANDS for name in (band, f"{band}_err")]
    table = table["id", *own]
    settings = {"device": "cpu", "chi2": contender.chi2, "precision": contender.precision}

    def annotated(n: int) -> Any:
        return jpassed.annotate(table[:n], **settings)

    annotated(WARM)
    new = len(annotated(WARM).colnames) - len(table.colnames)
    whole = table[np.arange(COUNTED) % len(table)]
    return Ready(
        lambda: annotated(contender.n), lambda: jpassed.annotate(whole, **settings), COUNTED,
        f"{new} columns",
    )  # fmt: skip


def _transformer(contender: Contender, table: QTable) -> Ready:
    from rival_transformer import PublishedTransformer

    from jpassed.annotation import DEFAULT_OUTPUTS

    torch.manual_seed(1)
    flux, _ = fluxes(table[: contender.n])
    value = torch.from_numpy(flux / flux.mean(axis=1, keepdims=True)).float()
    kind = torch.arange(1, 1 + len(BANDS))
    asked = torch.arange(len(DEFAULT_OUTPUTS)) + 1 + len(BANDS)
    network = PublishedTransformer(len(BANDS) + len(DEFAULT_OUTPUTS)).eval()

    def answered(values: torch.Tensor, batch: int) -> None:
        low = contender.precision == "bfloat16"
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=low):
            for part in values.split(batch):
                network(part, kind, asked, together=contender.together)

    seconds = {}
    for batch in [b for b in TRANSFORMER_BATCHES if b <= len(value)] or [len(value)]:
        tried = value[:batch]
        answered(tried, batch)
        seconds[batch] = timed(lambda t=tried, b=batch: answered(t, b), 1).processor / len(tried)
    best = min(seconds, key=lambda batch: seconds[batch])
    return Ready(
        lambda: answered(value, best), lambda: answered(value[:best], best), best,
        f"mean and sigma of {len(asked)} quantities, batches of {best}",
    )  # fmt: skip


def _eazy(contender: Contender, table: QTable, folder: Path) -> Ready:
    from rival_eazy import fsps_templates, prepared_eazy

    flux, error = fluxes(table[: contender.n])
    work = Path(tempfile.mkdtemp(prefix="eazy-"))
    fitter = prepared_eazy(flux, error, fsps_templates(folder), folder, work, template_error=True)

    def fit() -> None:
        quiet = io.StringIO()
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            fitter.fit_catalog(n_proc=0, get_best_fit=False, prior=False, verbose=False)

    return Ready(fit, None, 1, f"p(z) on {len(fitter.zgrid)} redshifts")


def _trees(contender: Contender, table: QTable) -> Ready:
    import rival_trees
    from sklearn.ensemble import HistGradientBoostingRegressor

    from jpassed.annotation import DEFAULT_OUTPUTS

    flux, error = fluxes(table)
    seen = rival_trees.inputs(flux, error).astype(np.float32)
    flux, error = flux[: contender.n], error[: contender.n]
    forests = []
    for name in DEFAULT_OUTPUTS:
        truth = name.removeprefix("flux:") if ":" in name else f"true_{name}"
        target = numbers(table[truth])
        rows = np.flatnonzero(np.isfinite(target))[:TREE_ROWS]
        for level in LEVELS:
            forests.append(
                HistGradientBoostingRegressor(
                    loss="quantile", quantile=level,
                    max_iter=rival_trees.ITERATIONS.get(name, 60), learning_rate=0.15,
                    max_leaf_nodes=31, min_samples_leaf=40, early_stopping=False, random_state=1,
                ).fit(seen[rows], target[rows])
            )  # fmt: skip

    def answered() -> None:
        inputs = rival_trees.inputs(flux, error).astype(np.float32)
        for forest in forests:
            forest.predict(inputs)

    answered()
    return Ready(answered, None, 1, f"{len(LEVELS)} quantiles of {len(DEFAULT_OUTPUTS)} quantities")
