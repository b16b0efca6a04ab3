"""What `scripts/benchmark.py` measures, each part in a process of its own."""

from __future__ import annotations

import json
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmark_networks import (
    ANATOMIES,
    Call,
    DistillingCall,
    fastmri_network,
    monai_network,
    our_network,
    our_universal_network,
)

from recon_monai.data import FastMRISliceDataset
from recon_monai.losses import SSIMLoss

MEGABYTE = 2**20


def forward(call: Call, settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds of a reconstruction."""
    call.network.eval()
    with torch.no_grad():
        return {"seconds": timed(call, settings), "parameters": call.parameters}


def step(call: Call, settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds of forward pass, loss, backward pass and update, and the memory that takes."""
    optimizer = torch.optim.Adam(call.network.parameters(), lr=1e-4)

    def update() -> None:
        optimizer.zero_grad(set_to_none=True)
        call.loss(call.inputs).backward()
        optimizer.step()

    call.loss(call.small).backward()
    memory = memory_of_first(update, settings["device"])
    return {"seconds": timed(update, settings), "megabytes": memory, "parameters": call.parameters}


def memory_of_first(action: Callable[[], None], device: str) -> float:
    """Peak memory of an action beyond what is in use before it: resident memory of the process, or the GPU's."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        action()
        return (torch.cuda.max_memory_allocated() - before) / MEGABYTE
    # Forgets earlier peaks. getrusage cannot: its peak also holds that of the process that started this one.
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    action()
    return (_resident("VmHWM") - before) / MEGABYTE


def _resident(value: str) -> int:
    """Resident memory of this process in bytes, now (VmRSS) or at its peak (VmHWM)."""
    [kilobytes] = re.findall(rf"^{value}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(kilobytes) * 1024


def timed(action: Callable[[], Any], settings: dict[str, Any]) -> float:
    """Median seconds of an action, after one that does not count."""
    action()
    seconds = []
    for _ in range(settings["repeats"]):
        start = time.perf_counter()
        action()
        if settings["device"] != "cpu":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def our_slice(settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds to read one slice with its target, as a training does."""
    data = FastMRISliceDataset([settings["file"]], use_index=False)
    middle = len(data) // 2
    return {"seconds": timed(lambda: data[middle], {**settings, "repeats": 20})}


def monai_slice(settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds until MONAI's reader has given the same slice: it reads whole volumes."""
    from monai.apps.reconstruction.fastmri_reader import FastMRIReader

    def read() -> np.ndarray:
        reader = FastMRIReader()
        kspace, _ = reader.get_data(reader.read(settings["file"]))
        return kspace[len(kspace) // 2]

    return {"seconds": timed(read, settings)}


def _images(settings: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    height, width = min(settings["shape"][1], 320), min(settings["shape"][2], 320)
    target = torch.rand(1, 1, height, width, generator=generator)
    prediction = target + 0.1 * torch.randn(target.shape, generator=generator)
    return prediction.to(settings["device"]).requires_grad_(), target.to(settings["device"])


def our_ssim(settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds of our SSIM loss and its gradient."""
    prediction, target = _images(settings)
    loss, data_range = SSIMLoss(), torch.ones(1, device=settings["device"])
    return {"seconds": timed(lambda: loss(prediction, target, data_range).backward(), {**settings, "repeats": 30})}


def monai_ssim(settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds of MONAI's SSIM loss with the same window, and its gradient."""
    from monai.losses import SSIMLoss as MonaiSSIMLoss

    prediction, target = _images(settings)
    loss = MonaiSSIMLoss(spatial_dims=2, data_range=1.0, kernel_type="uniform", win_size=7)
    return {"seconds": timed(lambda: loss(prediction, target).backward(), {**settings, "repeats": 30})}


PARTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "our forward": lambda s: forward(our_network(s), s),
    "monai forward": lambda s: forward(monai_network(s), s),
    "our step": lambda s: step(our_network(s), s),
    "our step, checkpointing sensitivity": lambda s: step(our_network(s, "sensitivity"), s),
    "our step, checkpointing all": lambda s: step(our_network(s, "all"), s),
    "monai step": lambda s: step(monai_network(s), s),
    "our forward with ASPIN": lambda s: forward(our_universal_network(s, ANATOMIES[0]), s),
    "our forward, anatomy found": lambda s: forward(our_universal_network(s, None), s),
    "our step with ASPIN": lambda s: step(our_universal_network(s, ANATOMIES[0]), s),
    "our step with ASPIN and distillation": lambda s: step(our_universal_network(s, ANATOMIES[0], DistillingCall), s),
    "fastmri forward": lambda s: forward(fastmri_network(s), s),
    "fastmri step": lambda s: step(fastmri_network(s), s),
    "our slice": our_slice,
    "monai slice": monai_slice,
    "our ssim": our_ssim,
    "monai ssim": monai_ssim,
}


def main() -> None:
    """Measure the part named first with the settings named second, and print the result as JSON."""
    name, settings = sys.argv[1], json.loads(sys.argv[2])
    torch.set_num_threads(settings["threads"])
    print(json.dumps(PARTS[name](settings)))


if __name__ == "__main__":
    main()
