"""Training on held-out samples: nothing but measured samples counts, and predicting them gets better."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator
from monai.handlers import ValidationHandler
from monai.transforms import Compose

from recon_monai.data import FastMRISliceDataset, SliceBatchSampler, write_fastmri_h5
from recon_monai.engines import (
    KspaceInferer,
    PrepareReconstructionBatch,
    SelfSupervisedTrainer,
    prepare_fine_tuning,
)
from recon_monai.handlers import EpochNotifier, HeldOutMetrics, InitialValidation, TrainingCheckpoint
from recon_monai.losses import HeldOutLoss
from recon_monai.networks import UniversalVarNet, VarNet, load_weights
from recon_monai.physics import EquispacedFractionMask, fft2c, keyed_generator, simulate_coil_maps, simulate_kspace
from recon_monai.transforms import SplitMeasuredd, Undersampled

HEIGHT, WIDTH = 40, 48
SIZES = {"num_cascades": 2, "channels": 3, "sensitivity_channels": 2, "pools": 2}


def complete_kspace() -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, HEIGHT), torch.linspace(-1, 1, WIDTH), indexing="ij")
    image = ((rows / 0.8) ** 2 + (columns / 0.7) ** 2 < 1).float() + ((rows - 0.2) ** 2 + columns**2 < 0.1)
    maps = simulate_coil_maps(3, (HEIGHT, WIDTH), keyed_generator("coils"))
    return simulate_kspace(image * 1e-4, maps, noise_std=1e-7, generator=keyed_generator("noise"))


MASK = EquispacedFractionMask([0.1], [3])((HEIGHT, WIDTH), seed=1).mask


def write_scan(folder: Path, *, gaps: float = 0.0, target: float | None = None) -> Path:
    """An undersampled scan with its mask; `gaps` fills what was not sampled, `target` is a reference to ignore."""
    folder.mkdir()
    kspace = torch.where(MASK, complete_kspace(), torch.full((), gaps, dtype=torch.complex64))
    reference = None if target is None else [torch.full((HEIGHT, WIDTH), target)]
    return write_fastmri_h5(folder / "scan.h5", kspace=[kspace], target=reference, mask=MASK.flatten())


def train(scan: Path, output: Path, *, epochs: int = 12, rate: float = 3e-3, maximize=False, universal=False):
    """Fine-tune a small network on one scan, validating every third epoch; returns it and the validations."""
    torch.manual_seed(0)
    network: VarNet = UniversalVarNet(["brain", "knee"], **SIZES) if universal else VarNet(**SIZES)

    def loader(part):
        chain = Compose([Undersampled(None), SplitMeasuredd(part=part)])
        dataset = FastMRISliceDataset([scan], chain, use_index=False)
        sampler = SliceBatchSampler(dataset)
        return dataset, sampler, DataLoader(dataset, batch_sampler=sampler, num_workers=0)

    dataset, sampler, batches = loader("train")
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=rate, maximize=maximize)
    inferer = KspaceInferer("brain" if universal else None)
    common = {"device": torch.device("cpu"), "network": network, "decollate": False, "inferer": inferer}
    evaluator = SupervisedEvaluator(
        **common,
        val_data_loader=loader("validation")[2],
        prepare_batch=PrepareReconstructionBatch(),
        key_val_metric={"val_held_out": HeldOutMetrics()},
    )
    history: dict[int, float] = {}
    evaluator.add_event_handler(
        "EPOCH_COMPLETED", lambda e: history.__setitem__(e.state.epoch, e.state.metrics["val_held_out"])
    )
    trainer = SelfSupervisedTrainer(
        **common,
        max_epochs=epochs,
        train_data_loader=batches,
        optimizer=optimizer,
        loss_function=HeldOutLoss(),
        prepare_batch=PrepareReconstructionBatch(),
        train_handlers=[
            EpochNotifier(dataset, sampler),
            TrainingCheckpoint(
                output, network, optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer), sampler, evaluator, 3
            ),
            InitialValidation(evaluator),
            ValidationHandler(validator=evaluator, interval=3, epoch_level=True),
        ],
    )
    for engine in (trainer, evaluator):
        engine.logger.disabled = True
    trainer.run()
    return network, history


def same_weights(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    return all(torch.equal(first, second) for first, second in pairs)


@pytest.mark.parametrize("universal", [False, True])
def test_the_validation_gets_better_and_the_best_weights_are_kept(tmp_path, universal):
    output = tmp_path / "run"
    network, history = train(write_scan(tmp_path / "data"), output, universal=universal)
    assert list(history) == [0, 3, 6, 9, 12]
    assert history[12] > history[0] + 0.05
    record = json.loads((output / "model.json").read_text())
    best = max(history, key=lambda epoch: history[epoch])
    assert (record["epoch"], record["metrics"]["val_held_out"]) == (best, history[best])
    if best == 12:
        assert same_weights(load_weights(type(network)(*_names(network), **SIZES), output / "model.pt"), network)


def _names(network):
    return [network.anatomies] if isinstance(network, UniversalVarNet) else []


def test_weights_that_get_no_better_stay_as_they_were(tmp_path):
    output = tmp_path / "run"
    network, history = train(write_scan(tmp_path / "data"), output, epochs=3, maximize=True)
    assert history[3] < history[0]
    assert json.loads((output / "model.json").read_text())["epoch"] == 0
    torch.manual_seed(0)
    before = VarNet(**SIZES)
    assert not same_weights(network, before)
    assert same_weights(load_weights(VarNet(**SIZES), output / "model.pt"), before)


def test_neither_gaps_nor_a_reference_change_a_single_bit(tmp_path):
    runs = [
        train(write_scan(tmp_path / f"data{index}", **options), tmp_path / f"run{index}", epochs=3)
        for index, options in enumerate(({}, {"gaps": 0.5}, {"target": 1.0}, {"gaps": 0.5, "target": 2.0}))
    ]
    for network, history in runs[1:]:
        assert same_weights(network, runs[0][0])
        assert history == runs[0][1]


def test_without_consistency_only_held_out_samples_have_a_gradient(tmp_path):
    scan = write_scan(tmp_path / "data")
    batch = next(iter(DataLoader(FastMRISliceDataset([scan], SplitMeasuredd(), use_index=False), num_workers=0)))
    prediction = torch.randn(batch["kspace"].shape, dtype=torch.complex64, generator=keyed_generator("prediction"))
    gradients = {}
    for consistency in (0.0, 1.0):
        trainer = SelfSupervisedTrainer(
            consistency=consistency,
            device=torch.device("cpu"),
            max_epochs=1,
            train_data_loader=[batch],
            network=torch.nn.Linear(1, 1),
            optimizer=torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0),
            loss_function=HeldOutLoss(),
        )
        leaf = prediction.clone().requires_grad_()
        trainer.compute_loss({"pred": leaf, "image": batch["kspace"]}, batch).backward()
        gradients[consistency] = leaf.grad
    held_out, inputs = (batch[key].expand(prediction.shape) for key in ("loss_mask", "mask"))
    assert torch.equal(gradients[0.0] != 0, held_out)
    assert torch.equal(gradients[1.0] != 0, held_out | inputs)
    with pytest.raises(ValueError, match="SplitMeasuredd"):
        trainer.compute_loss({"pred": prediction, "image": prediction}, {"file": ["scan.h5"]})


def test_the_inferer_predicts_kspace_with_the_anatomy_it_is_given():
    torch.manual_seed(0)
    network = UniversalVarNet(["brain", "knee"], **SIZES)
    for parameter in network.anatomy_parameters("knee"):
        torch.nn.init.normal_(parameter)
    kspace = torch.where(MASK, complete_kspace(), 0)[None]
    with torch.no_grad():
        for anatomy in ("brain", "knee"):
            expected = fft2c(network.reconstruct(kspace, MASK, anatomy).coil_images)
            assert torch.equal(KspaceInferer(anatomy)(kspace, network, mask=MASK, output_size=(4, 4)), expected)
        assert torch.equal(KspaceInferer()(kspace, network, mask=MASK, anatomy=torch.tensor([1])), expected)
        plain = VarNet(**SIZES)
        found = KspaceInferer("brain")(kspace, plain, mask=MASK)
        assert torch.equal(found, fft2c(plain.reconstruct(kspace, MASK).coil_images))
    with pytest.raises(TypeError, match="Identity, expected a VarNet in one process"):
        KspaceInferer()(kspace, torch.nn.Identity(), mask=MASK)


def test_fine_tuning_starts_from_weights_with_their_anatomies_and_a_frozen_classifier(tmp_path):
    torch.manual_seed(0)
    trained = UniversalVarNet(["heart", "knee", "brain"], **SIZES)
    torch.save(trained.state_dict(), tmp_path / "model.pt")
    network = prepare_fine_tuning(UniversalVarNet(["brain"], **SIZES), str(tmp_path / "model.pt"))
    assert network.anatomies == ("heart", "knee", "brain")
    assert same_weights(network, trained)
    assert not any(parameter.requires_grad for parameter in network.classifier.parameters())
    assert all(parameter.requires_grad for parameter in network.cascades.parameters())
    plain = VarNet(**SIZES)
    torch.save(plain.state_dict(), tmp_path / "plain.pt")
    assert same_weights(prepare_fine_tuning(VarNet(**SIZES), str(tmp_path / "plain.pt")), plain)


def test_a_negative_consistency_is_refused():
    with pytest.raises(ValueError, match="consistency is -1"):
        SelfSupervisedTrainer(consistency=-1)
