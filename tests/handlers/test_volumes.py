from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from recon_monai.handlers import VolumeCollector, VolumeHandler, VolumeKey
from recon_monai.handlers.volumes import group_name


class Recorder(VolumeHandler):
    """Notes what it is called with."""

    def __init__(self, incomplete="raise") -> None:
        super().__init__(("pred",), ("target",), incomplete)
        self.events: list[str] = []

    def start(self, engine) -> None:
        self.events.append("start")

    def take(self, engine, volume) -> None:
        self.events.append(str(volume.key))

    def finish(self, engine) -> None:
        self.events.append("finish")


def test_interleaved_slices_in_any_order_give_each_volume_once(make_volume, stack) -> None:
    a, b, c = (
        make_volume("a.h5"),
        make_volume("a.h5", acceleration=8),
        make_volume("b.h5", acceleration=None, target=False),
    )
    collector = VolumeCollector(("zero_filled",), ("target",))
    order = [a[2], b[0], a[0], c[1], c[0], b[1], a[1], c[2], b[2]]
    volumes = [volume for item in order if (volume := collector.add(item, item)) is not None]
    assert [volume.key for volume in volumes] == [VolumeKey("a.h5", 4), VolumeKey("b.h5", None), VolumeKey("a.h5", 8)]
    assert [str(volume.key) for volume in volumes] == ["a.h5 (4x)", "b.h5", "a.h5 (8x)"]
    for volume, items in zip(volumes, (a, c, b), strict=True):
        assert torch.equal(volume.images["zero_filled"], torch.from_numpy(stack(items, "zero_filled")))
        assert volume.metadata["acquisition"] == "AXT2"
    assert torch.equal(volumes[0].images["target"], torch.from_numpy(stack(a, "label")))
    assert "target" not in volumes[1].images
    assert collector.incomplete() is None


def test_label_comes_before_target_and_output_before_item(make_volume) -> None:
    (item,) = make_volume("a.h5", slices=1)
    ones = torch.ones(1, 20, 24)
    item["target"] = 2 * ones
    volume = VolumeCollector(("zero_filled", "target")).add(item, {"zero_filled": 3 * ones, "label": MetaTensor(ones)})
    assert volume is not None
    assert volume.images["target"].unique().tolist() == [1]
    assert type(volume.images["target"]) is torch.Tensor
    assert volume.images["zero_filled"].unique().tolist() == [3]
    volume = VolumeCollector(("target",)).add(item, {"label": None})
    assert volume is not None
    assert volume.images["target"].unique().tolist() == [2]


def test_incomplete_volumes_are_named(make_volume) -> None:
    collector = VolumeCollector(("image",))
    for item in make_volume("a.h5", slices=12)[:1]:
        collector.add(item, {})
    message = collector.incomplete()
    assert message is not None
    assert "a.h5 (4x) has slices 0 only, of 12" in message
    collector.clear()
    assert collector.incomplete() is None


def test_wrong_slices_are_refused(make_volume) -> None:
    items = make_volume("a.h5", slices=2)
    collector = VolumeCollector(("image",))
    collector.add(items[0], {})
    with pytest.raises(ValueError, match=r"slice 0 of a\.h5 \(4x\) came twice"):
        collector.add(items[0], {})
    with pytest.raises(KeyError, match="has no image 'image'"):
        collector.add({**items[1], "image": None}, {})
    with pytest.raises(ValueError, match=r"image must be \(1, h, w\), got \(20, 24\)"):
        collector.add({**items[1], "image": items[1]["image"][0]}, {})
    with pytest.raises(KeyError, match="items need 'num_slices'"):
        collector.add({"file": "a.h5", "slice": 0}, {})
    with pytest.raises(ValueError, match="they must be alike"):
        collector.add({**items[1], "image": torch.ones(1, 20, 25)}, {})


def test_a_slice_of_a_complete_volume_is_refused(make_volume) -> None:
    (item,) = make_volume("a.h5", slices=1)
    collector = VolumeCollector(("image",))
    assert collector.add(item, {}) is not None
    with pytest.raises(ValueError, match="came twice"):
        collector.add(item, {})
    collector.clear()
    assert collector.add(item, {}) is not None


@pytest.mark.parametrize("batch_size", [1, 2])
def test_handler_sees_each_volume_between_start_and_finish(evaluate, make_volume, batch_size: int) -> None:
    recorder = Recorder()
    items = make_volume("a.h5") + make_volume("b.h5")
    evaluate(items, [recorder], batch_size=batch_size)
    evaluate(items, [recorder])
    assert recorder.events == 2 * ["start", "a.h5 (4x)", "b.h5 (4x)", "finish"]


def test_handler_reports_incomplete_volumes_after_finishing(evaluate, make_volume, caplog) -> None:
    items = make_volume("a.h5") + make_volume("b.h5")[:2]
    recorder = Recorder()
    with pytest.raises(
        RuntimeError, match=r"Recorder: 1 volumes are incomplete .* b\.h5 \(4x\) has slices 0, 1 only, of 3"
    ):
        evaluate(items, [recorder])
    assert recorder.events[-1] == "finish"
    caplog.clear()
    evaluate(items, [Recorder("warn")])
    assert "b.h5 (4x) has slices 0, 1 only, of 3" in caplog.text
    with pytest.raises(ValueError, match="'raise' or 'warn'"):
        Recorder("ignore")


def test_handler_needs_decollated_data(evaluate, make_volume) -> None:
    with pytest.raises(TypeError, match="decollate=True"):
        evaluate(make_volume("a.h5"), [Recorder()], decollate=False)


def test_group_names() -> None:
    metadata = {"anatomy": "knee", "acceleration": torch.tensor(8), "effective_acceleration": 7.2}
    assert group_name(metadata, ("anatomy", "acceleration")) == "knee/8x"
    assert group_name({}, ("anatomy", "acceleration")) == "unknown/unknown"


def test_some_slices_of_a_file_make_a_volume_in_their_order(make_volume) -> None:
    """A data set may hold the central slices only; they keep their numbers in the file."""
    items = make_volume("a.h5", slices=2)
    collector = VolumeCollector(("image",))
    assert collector.add({**items[1], "slice": 8}, {}) is None
    volume = collector.add({**items[0], "slice": 7}, {})
    assert volume is not None
    assert torch.equal(volume.images["image"], torch.cat([items[0]["image"], items[1]["image"]]))
