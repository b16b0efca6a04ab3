"""A run of one process; two processes are in tests/bundles/test_processes.py."""

from __future__ import annotations

import torch

from recon_monai import distributed


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
