"""Windows over volumes: arithmetic, seams, sizes, memory. Networks are stand-ins whose answer is known."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import SlidingWindowInferer
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from recon_monai.inferers import MarginTrimInferer, SeamlessInferer

SHAPES = [(24, 24, 24), (16, 16, 16), (17, 23, 31), (5, 40, 9), (1, 1, 1), (33, 16, 16)]


def ramp(shape: tuple[int, int, int]) -> torch.Tensor:
    """From 0 to 1, with another slope along each axis."""
    axes = [torch.linspace(0, 1, size) for size in shape]
    return (0.5 * axes[0][:, None, None] + 0.3 * axes[1][:, None] + 0.2 * axes[2])[None, None]


def inferers() -> list[Any]:
    return [
        SeamlessInferer(16),
        SeamlessInferer((8, 16, 12), 0.5, 3),
        MarginTrimInferer(16, 3),
        MarginTrimInferer(9, 1),
    ]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("inferer", inferers(), ids=["gaussian", "gaussian-uneven", "trimmed", "trimmed-odd"])
def test_constant_and_ramp_come_back(inferer: Any, shape: tuple[int, int, int]) -> None:
    for volume in (torch.ones(1, 1, *shape), 2 * torch.ones(2, 1, *shape), ramp(shape)):
        before = volume.clone()
        for network in (torch.nn.Identity(), lambda windows: windows[:, :, :, :, :]):  # the latter answers with a view
            output = inferer(volume, network)
            assert output.shape == volume.shape
            torch.testing.assert_close(output, before, rtol=0, atol=1e-6)
            assert torch.equal(volume, before)


@pytest.mark.parametrize("kind", [SeamlessInferer, MarginTrimInferer])
def test_in_bfloat16_the_network_alone_is_rounded(kind: Any) -> None:
    volume = ramp((20, 18, 20))
    conv = torch.nn.Conv3d(1, 1, 1, bias=False)
    torch.nn.init.constant_(conv.weight, 1.0)
    seen = []
    conv.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    with torch.inference_mode():
        rounded = kind(16, amp=True)(volume, conv)
        exact = kind(16)(volume, conv)
    assert set(seen) == {torch.bfloat16, torch.float32}
    assert rounded.dtype == volume.dtype
    torch.testing.assert_close(exact, volume, rtol=0, atol=1e-6)
    torch.testing.assert_close(rounded, volume, rtol=2**-8, atol=0)
    assert not torch.equal(rounded, exact)
    constant = kind(16, amp=True)(torch.full_like(volume, 0.5), conv).detach()
    torch.testing.assert_close(constant, torch.full_like(volume, 0.5), rtol=0, atol=1e-6)  # blended in float32


def test_monais_window_spoils_a_view_and_ours_does_not() -> None:
    volume = torch.ones(1, 1, 24, 24, 24)
    assert SeamlessInferer(16)(volume, torch.nn.Identity()).min() > 1 - 1e-6
    # the reason for the class; when this fails, MONAI has been repaired
    assert SlidingWindowInferer(16, mode="gaussian")(volume, torch.nn.Identity()).min() < 0.5


def test_activations_in_place_leave_the_volume_alone() -> None:
    volume = ramp((20, 20, 20)) - 0.5
    before = volume.clone()
    for inferer in inferers():
        torch.testing.assert_close(inferer(volume, lambda x: x.relu_()), before.relu(), rtol=0, atol=1e-6)
        assert torch.equal(volume, before)


def test_answers_in_half_precision_are_blended_in_full() -> None:
    volume = torch.full((1, 1, 24, 20, 16), 0.75)  # exact in bfloat16, its product with a weight is not
    for inferer in inferers():
        output = inferer(volume, lambda x: x.bfloat16())
        assert output.dtype == torch.float32
        torch.testing.assert_close(output, volume, rtol=0, atol=1e-6)
    output = SeamlessInferer(16)(volume.half(), torch.nn.Identity())
    torch.testing.assert_close(output, volume, rtol=0, atol=1e-6)


@pytest.mark.parametrize("inferer", inferers()[:1] + inferers()[2:3], ids=["gaussian", "trimmed"])
def test_channels_batches_and_metadata(inferer: Any) -> None:
    affine = torch.diag(torch.tensor([-0.7, 0.8, 2.0, 1.0], dtype=torch.float64))
    volume = MetaTensor(torch.rand(2, 1, 18, 20, 9, generator=torch.Generator().manual_seed(0)), affine=affine)
    output = inferer(volume, lambda x, add: torch.cat([x, x + add], dim=1), add=1.0)
    assert isinstance(output, MetaTensor)
    assert torch.equal(output.affine, affine)
    plain = volume.as_tensor()
    torch.testing.assert_close(output.as_tensor(), torch.cat([plain, plain + 1], dim=1), rtol=0, atol=1e-6)


def test_reference_scheme_has_180_windows() -> None:
    inferer = MarginTrimInferer()
    shape = (256, 320, 320)
    assert inferer.stride == (58, 58, 58)
    assert inferer.counts(shape) == (5, 6, 6)
    assert inferer.padding(shape) == ((20, 20), (17, 17), (17, 17))
    corners = inferer.corners(shape)
    assert len(corners) == len(set(corners)) == 180
    assert corners[0] == (-20, -17, -17)
    assert tuple(corner + 64 for corner in corners[-1]) == (256 + 20, 320 + 17, 320 + 17)


def test_trimmed_windows_are_those_of_the_padded_volume() -> None:
    """Against the scheme written out: pad everything, unfold, trim, fold, crop."""
    generator = torch.Generator().manual_seed(1)
    volume = torch.rand(1, 1, 17, 23, 12, generator=generator)
    network = torch.nn.Conv3d(1, 1, 5, padding=2)
    inferer = MarginTrimInferer(12, 2, batch_size=5)
    step, (before, after) = 8, zip(*inferer.padding(volume.shape[2:]), strict=True)
    pairs = [width for pair in zip(reversed(before), reversed(after), strict=True) for width in pair]
    padded = functional.pad(volume, pairs)
    expected = torch.zeros_like(padded)
    with torch.no_grad():
        for i in range(0, padded.shape[2] - 11, step):
            for j in range(0, padded.shape[3] - 11, step):
                for k in range(0, padded.shape[4] - 11, step):
                    answer = network(padded[:, :, i : i + 12, j : j + 12, k : k + 12])[:, :, 2:-2, 2:-2, 2:-2]
                    expected[:, :, i + 2 : i + 10, j + 2 : j + 10, k + 2 : k + 10] = answer
        a, b, c = before
        wanted = expected[:, :, a : a + 17, b : b + 23, c : c + 12]
        torch.testing.assert_close(inferer(volume, network), wanted, rtol=0, atol=1e-6)


def test_a_margin_as_wide_as_the_networks_view_leaves_no_edge() -> None:
    """Inside, tiles of a 7-voxel view with a margin of 3 are the network over the whole volume."""
    torch.manual_seed(0)
    network = torch.nn.Conv3d(1, 1, 7, padding=3)
    volume = ramp((30, 26, 28))
    with torch.no_grad():
        whole = network(volume)
        torch.testing.assert_close(MarginTrimInferer(16, 3)(volume, network), whole, rtol=0, atol=1e-5)


def test_the_count_of_windows_is_what_the_network_sees() -> None:
    for inferer, counted in ((inferers()[0], "count"), (inferers()[1], "count"), (inferers()[2], None)):
        for shape in SHAPES:
            seen = []
            inferer(torch.zeros(2, 1, *shape), lambda x, seen=seen: seen.append(len(x)) or x)
            expected = inferer.count(shape) if counted else len(inferer.corners(shape))
            assert sum(seen) == 2 * expected


def test_small_volumes_are_continued_by_their_border() -> None:
    """A mean over the window is that of the border's values, not of zeros."""
    volume = torch.full((1, 1, 4, 5, 6), 3.0)
    output = SeamlessInferer(16)(volume, lambda x: x.mean(dim=(2, 3, 4), keepdim=True).expand_as(x))
    torch.testing.assert_close(output, volume, rtol=0, atol=1e-6)


class PeakMemory(TorchDispatchMode):
    """The largest number of bytes that tensors made inside the block held at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        known = {t.untyped_storage()._cdata for t in tree_flatten((args, kwargs))[0] if isinstance(t, torch.Tensor)}
        for tensor in tree_flatten(result)[0]:
            storage = tensor.untyped_storage() if isinstance(tensor, torch.Tensor) else None
            if storage is None or storage._cdata in known | self._seen:
                continue
            self._seen.add(storage._cdata)
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(tensor, self._forget, storage._cdata, storage.nbytes())
        return result

    def _forget(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size


@pytest.mark.parametrize("name", ["gaussian", "trimmed"])
def test_memory_is_bounded(name: str) -> None:
    window, volumes = 10**3 * 4, 2 if name == "gaussian" else 1
    inferer = SeamlessInferer(10) if name == "gaussian" else MarginTrimInferer(10, 1)
    volume = torch.rand(1, 1, 40, 36, 44)
    gc.collect()
    with PeakMemory() as memory:
        inferer(volume, torch.nn.Identity())
    assert volumes * volume.nbytes <= memory.peak <= volumes * volume.nbytes + 8 * window


def test_progress_bar_counts_windows(capsys: pytest.CaptureFixture[str]) -> None:
    for inferer in (SeamlessInferer(8, progress=True), MarginTrimInferer(8, 1, batch_size=4, progress=True)):
        inferer(torch.zeros(1, 1, 9, 8, 6), torch.nn.Identity())
        shown = capsys.readouterr().err
        number = inferer.count((9, 8, 6)) if isinstance(inferer, SeamlessInferer) else len(inferer.corners((9, 8, 6)))
        assert f"{number}/{number}" in shown
    SeamlessInferer(8)(torch.zeros(1, 1, 9, 8, 6), torch.nn.Identity())
    assert capsys.readouterr().err == ""


def test_wrong_settings_and_inputs_are_refused() -> None:
    for make, words in (
        (lambda: MarginTrimInferer(6, 3), "leaves nothing"),
        (lambda: MarginTrimInferer(batch_size=0), "at least 1 window"),
        (lambda: MarginTrimInferer((4, 4)), "three of them"),
        (lambda: SeamlessInferer(0), "at least 1"),
        (lambda: SeamlessInferer(overlap=0.1), "meet in edges"),
        (lambda: SeamlessInferer(overlap=(0.5, 0.5)), "expected 0.25"),
        (lambda: SeamlessInferer(batch_size=0), "at least 1 window"),
    ):
        with pytest.raises(ValueError, match=words):
            make()
    for inferer in inferers():
        with pytest.raises(ValueError, match="floating type"):
            inferer(torch.zeros(1, 1, 4, 4, 4, dtype=torch.int16), torch.nn.Identity())
        with pytest.raises(ValueError, match=r"\(B, C, D, H, W\)"):
            inferer(torch.zeros(1, 4, 4, 4), torch.nn.Identity())
        with pytest.raises(ValueError, match="expected images of that size"):
            inferer(torch.zeros(1, 1, 4, 4, 4), lambda x: x[..., ::2])
