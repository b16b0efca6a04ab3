"""A run of one process; two processes are in tests/bundles/test_processes.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recon_monai import distributed

TASKS = Path("/proc/self/task")


def gloo_threads() -> list[str]:
    names = [(task / "comm").read_text().strip() for task in TASKS.iterdir()]
    return [name for name in names if "gloo" in name]


def test_one_process_is_the_main_one_and_keeps_what_it_has(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    expected = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    assert distributed.start() == expected
    assert (distributed.rank(), distributed.world_size(), distributed.is_main()) == (0, 1, True)
    rows = [{"a": 1}]
    assert distributed.gather(rows) == rows
    assert distributed.gather(rows) is not rows
    assert distributed.total([1.5, 2.0], torch.device("cpu")) == [1.5, 2.0]
    assert distributed.agree("name") == "name"
    distributed.wait()
    distributed.stop()


@pytest.mark.skipif(not TASKS.is_dir(), reason="lists threads by /proc")
def test_stop_ends_the_threads_of_a_group_that_only_a_cycle_holds(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    network = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 2))
    network.itself = [network]
    assert gloo_threads()
    del network
    distributed.stop()
    assert not torch.distributed.is_initialized()
    assert not gloo_threads()
