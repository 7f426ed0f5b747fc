"""What a survey costs: processors, hours, memory, disk and money, from the cost of an object."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jpassed.cluster.parts import ROWS_A_GROUP
from jpassed.exceptions import InputError

__all__ = ["ObjectCost", "SurveyPlan", "measure_cost", "plan_survey"]

ROWS_A_PARTITION = 200_000
"""Objects of a partition unless another number is given."""

COPIES = 4.0
"""Memory that a worker takes for the rows of a row group of the output over those rows' bytes,
as they are gathered and as they are encoded: 3 were measured, see docs/survey_scale.md."""

SPARE = 0.1
"""Share of the hours in which workers wait for the disk, for each other, or redo what was lost."""


@dataclass(frozen=True)
class ObjectCost:
    """What an object costs, as measured on some machine.

    Attributes
    ----------
    seconds : float
        Of one processor.
    bytes_in, bytes_out : float
        On disk, as Parquet.
    bytes_memory : float
        Of its row in memory.
    base_memory : float
        Bytes of a worker without the rows it works on.
    start : float
        Seconds until a worker is ready.
    """

    seconds: float
    bytes_in: float
    bytes_out: float
    bytes_memory: float
    base_memory: float = 1.5e9
    start: float = 20.0


@dataclass(frozen=True)
class SurveyPlan:
    """What a survey costs.

    Attributes
    ----------
    rows, partitions, workers : int
    hours : float
        From the first partition to the last.
    core_hours : float
        Paid for: all workers until the last one ends.
    memory_worker, memory : float
        Bytes that a worker needs at most, and all of them.
    disk_in, disk_out : float
        Bytes on disk.
    transfer : float
        Bytes a second that all workers together read and write.
    price : float
        Money, in the unit of the price of a core-hour.
    """

    rows: int
    partitions: int
    workers: int
    hours: float
    core_hours: float
    memory_worker: float
    memory: float
    disk_in: float
    disk_out: float
    transfer: float
    price: float

    def __str__(self) -> str:
        return (
            f"{self.rows:.3g} objects in {self.partitions} partitions on {self.workers} workers of "
            f"one processor: {self.hours:.3g} h ({self.core_hours:.3g} core-hours, "
            f"{self.price:.3g} at the price given); memory {self.memory_worker / 1e9:.1f} GB a "
            f"worker, {self.memory / 1e9:.3g} GB in all; disk {self.disk_in / 1e9:.3g} GB in, "
            f"{self.disk_out / 1e9:.3g} GB out, {self.transfer / 1e6:.3g} MB/s"
        )


def plan_survey(
    rows: float,
    cost: ObjectCost | Mapping[str, float],
    *,
    workers: int,
    price: float = 0.0,
    rows_a_partition: int = ROWS_A_PARTITION,
) -> SurveyPlan:
    """Plan the annotation of a survey.

    Parameters
    ----------
    rows : float
        Number of objects, e.g. ``1e8``.
    cost : ObjectCost or mapping
        Of `measure_cost`, or measured otherwise.
    workers : int
        Processes of one thread each.
    price : float
        Of a core-hour, with its share of memory.
    rows_a_partition : int
        Objects of a partition of the catalogue.

    Returns
    -------
    SurveyPlan

    Raises
    ------
    InputError
        For numbers that make no sense.

    Examples
    --------
    >>> cost = ObjectCost(1e-3, bytes_in=900, bytes_out=400, bytes_memory=1000)
    >>> plan = plan_survey(1e8, cost, workers=128, price=0.05)
    >>> round(plan.hours, 2), round(plan.core_hours, 1), round(plan.price, 2)
    (0.25, 32.3, 1.62)
    """
    if rows < 1 or workers < 1 or rows_a_partition < 1 or price < 0:
        raise InputError(
            "expected at least one row, worker and row of a partition, and no negative price; got "
            f"rows={rows}, workers={workers}, rows_a_partition={rows_a_partition}, price={price}"
        )
    try:
        one = cost if isinstance(cost, ObjectCost) else ObjectCost(**cost)
    except TypeError as exc:
        raise InputError(f"cost: {exc}") from None
    if min(asdict(one).values()) < 0 or one.seconds <= 0:
        raise InputError(f"cost: expected positive numbers, got {one}")
    partitions = math.ceil(rows / rows_a_partition)
    busy = min(workers, partitions)
    rounds = math.ceil(partitions / busy)
    # The last round may be shorter, never the number of rounds: a partition has one worker.
    seconds = min(rounds * rows_a_partition, rows) * one.seconds / (1 - SPARE) + one.start
    held = min(rows, rows_a_partition, ROWS_A_GROUP)
    worker = one.base_memory + COPIES * one.bytes_memory * held
    hours = seconds / 3600
    return SurveyPlan(
        rows=int(rows),
        partitions=partitions,
        workers=workers,
        hours=hours,
        core_hours=hours * workers,
        memory_worker=worker,
        memory=worker * workers,
        disk_in=rows * one.bytes_in,
        disk_out=rows * (one.bytes_in + one.bytes_out),
        transfer=busy * (2 * one.bytes_in + one.bytes_out) / one.seconds,
        price=hours * workers * price,
    )


def measure_cost(
    catalog: str | Path | Any, *, rows: int = 4096, repeats: int = 1, **options: Any
) -> ObjectCost:
    """Measure on this machine, with one thread, what an object of a catalogue costs.

    Parameters
    ----------
    catalog : str, Path or Table
        A table, or a file with one; of a survey a part will do, such as one partition.
    rows : int
        Objects that are annotated, the first ones.
    repeats : int
        The fastest of so many times counts.
    **options
        Of `jpassed.annotate`.

    Returns
    -------
    ObjectCost
        Its `seconds` are of processor time, which other work on the machine hardly changes.

    Raises
    ------
    FileError, InputError
        See `jpassed.annotate`.
    """
    import torch
    from astropy.table import Table

    from jpassed.annotation.table import annotate
    from jpassed.io.catalogs import read_catalog
    from jpassed.weights import load_model

    began = time.process_time()
    options["model"] = load_model(options.get("model", "default"))
    table = (catalog if isinstance(catalog, Table) else read_catalog(catalog))[:rows]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        result = annotate(table[:64], **options)  # what is done once
        start = time.process_time() - began
        spent = []
        for _ in range(max(1, repeats)):
            before = time.process_time()
            result = annotate(table, **options)
            spent.append(time.process_time() - before)
    finally:
        torch.set_num_threads(threads)
    new = [name for name in result.colnames if name not in table.colnames]
    inside, bytes_in = _sizes(table)
    added, bytes_out = _sizes(result[new])
    n = len(table)
    return ObjectCost(
        seconds=min(spent) / n,
        bytes_in=bytes_in / n,
        bytes_out=bytes_out / n,
        bytes_memory=(inside + added) / n,
        start=max(start, ObjectCost.start),
    )


def _sizes(table: Any) -> tuple[int, int]:
    """Bytes of a table in memory and, beside a schema, as Parquet."""
    import pyarrow.parquet

    from jpassed.io.native_columns import plain_table
    from jpassed.io.parquet_tables import arrow_table

    arrow = arrow_table(plain_table(table)).replace_schema_metadata(None)
    sizes = []
    for part in (arrow, arrow.slice(0, 0)):
        target = io.BytesIO()
        pyarrow.parquet.write_table(part, target, compression="zstd")
        sizes.append(target.tell())
    return int(arrow.nbytes), sizes[0] - sizes[1]
