"""One more anatomy for a trained network: what is trained, what is compared, what is said of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from recon_monai.engines import AnatomyAddition, check_only_added, joined_domain
from recon_monai.networks import UniversalVarNet, VarNet

BRAIN_AND_HEART = {
    "anatomies": {"brain": 5, "heart": 4},
    "acquisitions": {"AXT2": 9},
    "sources": {"simulated": 9},
    "coils": [6],
    "image_sizes": [96, 128],
    "accelerations": [4],
    "center_fractions": [0.08],
    "mask": "equispaced_fraction",
    "epoch": 13,
}
MOUSE = {
    "anatomies": {"mouse": 3},
    "acquisitions": {"RARE": 2, "AXT2": 1},
    "sources": {"measured": 3},
    "coils": [1],
    "image_sizes": [64, 100],
    "accelerations": [4, 8],
    "center_fractions": [0.04, 0.08],
    "mask": "equispaced_fraction",
}


def universal(anatomies: tuple[str, ...] = ("brain", "heart"), seed: int = 0) -> UniversalVarNet:
    """A small network whose anatomies differ, and whose classifier has statistics."""
    torch.manual_seed(seed)
    network = UniversalVarNet(list(anatomies), 2, 2, 2, 2)
    for name in anatomies:
        for parameter in network.anatomy_parameters(name):
            parameter.data += 0.2 * torch.randn(parameter.shape)
    labels = torch.arange(len(anatomies)).repeat_interleave(8)
    network.classifier.set_feature_statistics(torch.rand(len(labels), 64), labels)
    return network.eval()


@pytest.fixture
def base(tmp_path: Path) -> str:
    torch.save(universal().state_dict(), tmp_path / "base.pt")
    (tmp_path / "base.json").write_text(json.dumps(BRAIN_AND_HEART))
    return str(tmp_path / "base.pt")


def addition(folder: Path, base: str | None, **options: object) -> AnatomyAddition:
    return AnatomyAddition(str(folder), str(folder / "run"), **{"anatomy": "mouse", "base": base, **options})


def test_only_the_new_anatomy_is_trained_and_starts_as_the_mean(tmp_path: Path, base: str) -> None:
    network = universal(("any",), seed=5)
    added = addition(tmp_path, base)
    added.prepare(network)
    assert network.anatomies == ("brain", "heart", "mouse")
    own = {id(parameter) for parameter in network.anatomy_parameters("mouse")}
    assert {id(parameter) for parameter in network.parameters() if parameter.requires_grad} == own
    old = [universal().anatomy_parameters(name) for name in ("brain", "heart")]
    for new, *others in zip(network.anatomy_parameters("mouse"), *old, strict=True):
        torch.testing.assert_close(new.detach(), torch.stack(others).mean(dim=0).detach())
    added.check_only_added(network.state_dict())
    for parameter in network.anatomy_parameters("mouse"):
        parameter.data += 1
    added.check_only_added(network.state_dict())


def test_it_can_start_from_one_of_the_old_anatomies(tmp_path: Path, base: str) -> None:
    network = universal(seed=5)
    addition(tmp_path, base, start_from="heart").prepare(network)
    pairs = zip(network.anatomy_parameters("mouse"), universal().anatomy_parameters("heart"), strict=True)
    assert all(torch.equal(new, old) and new is not old for new, old in pairs)
    with torch.no_grad():
        network.anatomy_parameters("mouse")[0].add_(1)
    assert torch.equal(network.anatomy_parameters("heart")[0], universal().anatomy_parameters("heart")[0])


def test_the_base_is_found_as_weights_are(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    (tmp_path / "models").mkdir()
    torch.save(universal().state_dict(), tmp_path / "models" / "model.pt")
    added = addition(tmp_path, None)
    added.prepare(universal())
    assert added.weights == str(tmp_path / "models" / "model.pt")
    assert "as shipped" in caplog.text
    folder = tmp_path / "eval" / "other"
    folder.mkdir(parents=True)
    torch.save(universal(("knee",)).state_dict(), folder / "model.pt")
    (folder / "finished.json").write_text('{"epochs": 1}')
    added = addition(tmp_path, None)
    added.prepare(network := universal())
    assert added.weights == str(folder / "model.pt")
    assert network.anatomies == ("knee", "mouse")
    with pytest.raises(FileNotFoundError, match="--base nowhere"):
        addition(tmp_path, "nowhere").prepare(universal())


def test_what_cannot_be_added(tmp_path: Path, base: str) -> None:
    with pytest.raises(ValueError, match=r"knows the anatomy 'heart' already \(brain, heart\)"):
        addition(tmp_path, base, anatomy="heart").prepare(universal())
    with pytest.raises(ValueError, match=r"--start_from knee: .* knows brain, heart"):
        addition(tmp_path, base, start_from="knee").prepare(universal())
    with pytest.raises(ValueError, match="--new_anatomy is None"):
        addition(tmp_path, base, anatomy=None).run()
    with pytest.raises(TypeError, match="VarNet, expected UniversalVarNet"):
        addition(tmp_path, base).prepare(VarNet(1, 2, 2, 2))
    torch.save(UniversalVarNet(["brain"], 2, 2, 2, 2).state_dict(), tmp_path / "bare.pt")
    with pytest.raises(ValueError, match=r"bare\.pt: the classifier has no feature statistics"):
        addition(tmp_path, str(tmp_path / "bare.pt")).prepare(universal())
    torch.save(VarNet(2, 2, 2, 2).state_dict(), tmp_path / "plain.pt")
    with pytest.raises(ValueError, match=r"plain\.pt does not fit"):
        addition(tmp_path, str(tmp_path / "plain.pt")).prepare(universal())
    with pytest.raises(RuntimeError, match="call prepare first"):
        addition(tmp_path, base).check_only_added({})


def test_a_resumed_run_keeps_its_base(tmp_path: Path, base: str) -> None:
    first = addition(tmp_path, base)
    first.prepare(universal())
    first.remember()
    resumed = addition(tmp_path, None, resume=True)
    resumed.prepare(universal())
    assert resumed.weights == base
    torch.save(universal(seed=3).state_dict(), tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"was begun with .*base\.pt, and .*other\.pt holds other weights"):
        addition(tmp_path, str(tmp_path / "other.pt"), resume=True).prepare(universal())
    addition(tmp_path, str(tmp_path / "other.pt")).prepare(universal())


def change(key: str, place: int) -> Callable[[dict[str, torch.Tensor]], None]:
    def apply(weights: dict[str, torch.Tensor]) -> None:
        weights[key] = weights[key].clone()
        weights[key].view(-1)[place] += 1

    return apply


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("cascades.0.data_consistency_weight", 0),
        ("cascades.1.refinement.unet.encoder.0.norm1.gamma.1", 1),
        ("classifier.head.weight", 64 + 3),
        ("classifier.feature_count", 1),
        ("classifier.convolutions.0.bias", 0),
    ],
)
def test_any_change_of_the_old_is_found(key: str, place: int) -> None:
    before = universal().state_dict()
    network = universal()
    network.set_anatomies(["brain", "heart", "mouse"])
    after = dict(network.state_dict())
    check_only_added(before, after)
    change(key, place)(after)
    with pytest.raises(RuntimeError, match=key):
        check_only_added(before, after)


def test_a_sign_of_zero_and_the_order_of_names_count() -> None:
    before, after = ({"a": torch.tensor([0.0, 1.0])}, {"a": torch.tensor([-0.0, 1.0])})
    with pytest.raises(RuntimeError, match="a is not what it was"):
        check_only_added(before, after)
    with pytest.raises(RuntimeError, match="a is not what it was"):
        check_only_added(before, {})
    network = universal()
    network.set_anatomies(["mouse", "brain", "heart"])
    with pytest.raises(RuntimeError):
        check_only_added(universal().state_dict(), network.state_dict())
    nan = {"a": torch.tensor([float("nan")])}
    check_only_added(nan, {"a": nan["a"].clone()})


def test_domains_are_joined(tmp_path: Path, base: str, caplog: pytest.LogCaptureFixture) -> None:
    joined = joined_domain(BRAIN_AND_HEART, MOUSE)
    assert joined == {
        "anatomies": {"brain": 5, "heart": 4, "mouse": 3},
        "acquisitions": {"AXT2": 10, "RARE": 2},
        "sources": {"simulated": 9, "measured": 3},
        "coils": [1, 6],
        "image_sizes": [64, 128],
        "accelerations": [4, 8],
        "center_fractions": [0.04, 0.08],
        "mask": "equispaced_fraction",
    }
    without = {key: value for key, value in BRAIN_AND_HEART.items() if key != "image_sizes"}
    assert "image_sizes" not in joined_domain(without, MOUSE), "unknown sizes of the first data set no range can span"
    assert joined_domain({}, MOUSE) == MOUSE
    added = addition(tmp_path, base)
    added.prepare(universal())
    described = added.describe(MOUSE)
    assert {key: described[key] for key in joined} == joined
    assert described["added_anatomy"] == "mouse"
    assert described["base"]["weights"] == "base.pt"
    with pytest.raises(RuntimeError, match="call prepare first"):
        addition(tmp_path, base).describe(MOUSE)
    Path(base).with_suffix(".json").unlink()
    assert added.describe(MOUSE)["anatomies"] == {"mouse": 3}
    assert "no record beside it" in caplog.text
