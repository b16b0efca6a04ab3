"""Where mixed precision acts, and what is said where it is slow."""

from __future__ import annotations

import logging

import pytest
import torch

from recon_monai.networks import precision


@pytest.mark.parametrize(("enabled", "supported", "warned"), [(True, False, 1), (True, True, 0), (False, False, 0)])
def test_emulated_bfloat16_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, enabled: bool, supported: bool, warned: int
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: supported)
    precision._warn_of_emulation.cache_clear()
    with caplog.at_level(logging.WARNING, precision.__name__):
        for _ in range(2):
            with precision.bfloat16_autocast("cpu", enabled=enabled):
                assert torch.is_autocast_enabled("cpu") == enabled
    precision._warn_of_emulation.cache_clear()
    assert [record.message.count("--amp False") for record in caplog.records] == [1] * warned
