"""What `scripts/benchmark.py` measures, each part in a process of its own."""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recon_monai.data import FastMRISliceDataset
from recon_monai.losses import SSIMLoss
from recon_monai.networks import VarNet
from recon_monai.physics import EquispacedFractionMask

MEGABYTE = 2**20


def kspace_and_mask(settings: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Undersampled k-space `(1, coil, H, W)` with a 4x mask; noise is as good as anything for time and memory."""
    coils, height, width = settings["shape"]
    generator = torch.Generator().manual_seed(0)
    mask = EquispacedFractionMask([0.08], [4])(width, seed=0).mask[None]
    kspace = torch.randn(1, coils, height, width, dtype=torch.complex64, generator=generator)
    device = settings["device"]
    return torch.where(mask, kspace, 0).to(device), mask.to(device)


def our_network(settings: dict[str, Any], checkpointing: str = "none") -> _Call:
    """A call of our network on its input."""
    cascades, channels, sensitivity_channels = settings["sizes"]
    network = VarNet(cascades, channels, sensitivity_channels, checkpointing=checkpointing)  # type: ignore[arg-type]
    network = network.to(settings["device"])
    return _Call(network, lambda: kspace_and_mask(settings), lambda: kspace_and_mask(_small(settings)))


def monai_network(settings: dict[str, Any]) -> _Call:
    """A call of MONAI's network of the same widths on its input."""
    from monai.apps.reconstruction.networks.nets.coil_sensitivity_model import CoilSensitivityModel
    from monai.apps.reconstruction.networks.nets.complex_unet import ComplexUnet
    from monai.apps.reconstruction.networks.nets.varnet import VariationalNetworkModel

    cascades, channels, sensitivity_channels = settings["sizes"]

    def features(width: int) -> tuple[int, ...]:
        return (width, 2 * width, 4 * width, 8 * width, 16 * width, width)

    network = VariationalNetworkModel(
        CoilSensitivityModel(spatial_dims=2, features=features(sensitivity_channels)),
        ComplexUnet(spatial_dims=2, features=features(channels)),
        num_cascades=cascades,
    ).to(settings["device"])

    def inputs(shaped: dict[str, Any]) -> tuple[torch.Tensor, ...]:
        kspace, mask = kspace_and_mask(shaped)
        return torch.view_as_real(kspace), mask[..., None]

    return _Call(network, lambda: inputs(settings), lambda: inputs(_small(settings)))


def _small(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "shape": [settings["shape"][0], 64, 64]}


class _Call:
    """A network and its input.

    Args:
        network: the network.
        inputs: makes its input.
        small: makes a small one, to load what takes memory once.
    """

    def __init__(
        self, network: torch.nn.Module, inputs: Callable[[], tuple[torch.Tensor, ...]], small: Callable[[], Any]
    ) -> None:
        self.network = network
        self.inputs = inputs()
        self.small = small()

    def __call__(self) -> torch.Tensor:
        return self.network(*self.inputs)

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.network.parameters())


def forward(call: _Call, settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds of a reconstruction."""
    call.network.eval()
    with torch.no_grad():
        return {"seconds": timed(call, settings), "parameters": call.parameters}


def step(call: _Call, settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds of forward pass, mean absolute error, backward pass and update, and the memory that takes.

    The loss is the same plain one for both networks, so that the ratio is theirs.
    """
    optimizer = torch.optim.Adam(call.network.parameters(), lr=1e-4)

    def update() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss = (call() - 1).abs().mean()
        loss.backward()
        optimizer.step()

    (call.network(*call.small) - 1).abs().mean().backward()
    memory = _memory_of_first(update, settings["device"])
    return {"seconds": timed(update, settings), "megabytes": memory, "parameters": call.parameters}


def _memory_of_first(action: Callable[[], None], device: str) -> float:
    """Peak memory of an action beyond what is in use before it: resident memory of the process, or the GPU's."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        action()
        return (torch.cuda.max_memory_allocated() - before) / MEGABYTE
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    action()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before) / MEGABYTE


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
