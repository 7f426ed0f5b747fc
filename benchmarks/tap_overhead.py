"""What `jpassed.vo.TapClient` costs beside plain pyvo: seconds and memory of the same queries.

    python benchmarks/tap_overhead.py http://127.0.0.1:8089/tap

The service is the loopback server of the tests (tests/tap/server.sh start). Each figure is from a
process of its own: the best of some runs, and how far the memory rose above that of a first small
query.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
import warnings
from typing import Any

from measuring import peak_memory

QUERIES = {
    "10 rows": ("SELECT TOP 10 object_id, ra, dec FROM bulk.galaxies", 15),
    "20,000 rows of 124 numbers": ("SELECT * FROM bulk.galaxies WHERE object_id < 1019999", 3),
}


def measure(who: str, url: str, query: str, runs: int, answer: Any) -> None:
    """Best seconds and MB above the start."""
    warnings.simplefilter("ignore")
    if who == "pyvo":
        import pyvo

        service = pyvo.dal.TAPService(url)

        def ask(adql: str) -> Any:
            return service.run_sync(adql).to_qtable()
    else:
        from jpassed.vo import TapClient

        client = TapClient(url, cache=False)

        def ask(adql: str) -> Any:
            return client.run(adql, mode="sync")

    ask("SELECT TOP 1 * FROM bulk.galaxies")
    start = peak_memory()
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        ask(query)
        seconds.append(time.perf_counter() - began)
    answer.put((min(seconds), peak_memory() - start))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("url")
    url = parser.parse_args().url
    spawn = multiprocessing.get_context("spawn")
    for name, (query, runs) in QUERIES.items():
        for who in ("pyvo", "jpassed"):
            answer = spawn.Queue()
            process = spawn.Process(target=measure, args=(who, url, query, runs, answer))
            process.start()
            seconds, rise = answer.get()
            process.join()
            print(f"{name:28s} {who:8s} {seconds:7.3f} s  {rise:6.0f} MB")


if __name__ == "__main__":
    main()
