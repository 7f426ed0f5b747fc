"""The benchmark of clusters runs, and workers keep their memory."""

from __future__ import annotations

import json
import sys

import pytest

from jpassed.cluster.allocator import keep_memory

pytest.importorskip("lsdb")

pytestmark = pytest.mark.xdist_group("cluster_benchmark")


@pytest.fixture
def cluster(project_root, monkeypatch):
    """The script, and a copy of the page that it writes into."""
    monkeypatch.syspath_prepend(str(project_root / "benchmarks"))
    import cluster as script

    return script


def test_the_benchmark_runs_and_finds_the_same_bits(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "RESULTS", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- cluster -->\n<!-- end cluster -->\n<!-- survey plans -->\n<!-- end survey plans -->\n"
    )
    monkeypatch.setattr(cluster, "PAGE", page)
    result = cluster.main(["--n", "120", "--partitions", "2", "--in-process", "--write"])
    assert result["differ"] == {"hats": [], "parquet": []}
    assert [run["rows"] for run in result["runs"]["hats"]] == [120, 120]
    assert result["ratio"]["hats"] > 0
    assert result["cost"]["seconds"] > 0
    kept = json.loads((tmp_path / "cluster.json").read_text())
    assert kept["settings"]["n"] == 120
    assert "| HATS catalogue, LSDB |" in page.read_text()
    assert "| 10^10 | 1024 |" in page.read_text()


def test_a_worker_tells_its_own_memory(cluster):
    seconds, memory = cluster.spent()
    assert seconds > 0
    assert memory == pytest.approx(1e6 * cluster.peak_memory(), rel=0.05)


def test_the_page_has_the_blocks_that_the_benchmark_fills(cluster):
    text = cluster.PAGE.read_text("utf-8")
    for name in ("cluster", "survey plans"):
        assert text.count(f"<!-- {name} -->") == text.count(f"<!-- end {name} -->") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the GNU C library alone has mallopt")
def test_memory_is_kept_where_a_nanny_has_it_given_back(monkeypatch):
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    assert not keep_memory()
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "65536")
    assert keep_memory()
