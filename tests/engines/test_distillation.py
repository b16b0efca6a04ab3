"""Training of a student with one teacher per anatomy."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.distributed as dist
from ignite.engine import Events
from torch.nn.parallel import DistributedDataParallel

from recon_monai.engines import DistillationTrainer, PrepareReconstructionBatch, ReconstructionInferer
from recon_monai.losses import AttentionDistillationLoss, DistillationLoss, ReconstructionLoss
from recon_monai.networks import FeatureTap, VarNet

ANATOMIES = ["heart", "brain", "knee", "brain", "heart"]


def network(seed: int, channels: int = 2, **options: Any) -> VarNet:
    torch.manual_seed(seed)
    return VarNet(2, channels, 2, 2, **options).double()


def teachers() -> dict[str, torch.nn.Module]:
    """Wider than the student."""
    return {name: network(seed, channels=3) for seed, name in enumerate(["brain", "heart", "knee"], start=1)}


def make_batch(anatomies: list[str] = ANATOMIES, *, own_masks: bool = True) -> dict[str, Any]:
    """Samples with sampling patterns of their own, or one for all."""
    generator = torch.Generator().manual_seed(len(anatomies))
    size = len(anatomies)
    mask = torch.zeros(size if own_masks else 1, 1, 1, 16, dtype=torch.bool)
    mask[..., 5:11] = True
    for row in range(len(mask)):
        mask[row, ..., row % 4 :: 4] = True
    kspace = torch.randn(size, 2, 16, 16, dtype=torch.complex128, generator=generator)
    return {
        "kspace": kspace,
        "mask": mask,
        "target": kspace.abs().mean(1, keepdim=True)[..., 2:14, 2:14].contiguous(),
        "maximum": 1 + torch.rand(size, dtype=torch.float64, generator=generator),
        "output_size": torch.tensor([[12, 12]] * size),
        "anatomy": list(anatomies),
        "file": [f"{row}.h5" for row in range(size)],
        "slice": torch.arange(size),
    }


def rows_of(batch: dict[str, Any], *rows: int) -> dict[str, Any]:
    return {
        key: value
        if key == "mask" and len(value) == 1
        else value[list(rows)]
        if isinstance(value, torch.Tensor)
        else [value[row] for row in rows]
        for key, value in batch.items()
    }


def make_trainer(data: list[dict[str, Any]], student: torch.nn.Module | None = None, **options: Any) -> Any:
    student = student or network(0)
    settings = {
        "max_epochs": 1,
        "teachers": teachers(),
        "optimizer": torch.optim.SGD(student.parameters(), lr=0.05),
        "loss_function": DistillationLoss(ReconstructionLoss(), AttentionDistillationLoss(), 0.7, 0.3),
        "prepare_batch": PrepareReconstructionBatch(),
        "max_gradient_norm": None,
        **options,
    }
    return DistillationTrainer(
        device=torch.device("cpu"),
        train_data_loader=data,
        network=student,
        decollate=False,
        inferer=ReconstructionInferer(),
        **settings,
    )


def losses(trainer: Any) -> list[dict[str, torch.Tensor]]:
    """Run, and keep the losses of each batch."""
    found = []
    names = ("loss", "reconstruction_loss", "distillation_loss")
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda e: found.append({key: e.state.output[key].detach() for key in names})
    )
    trainer.run()
    return found


@pytest.mark.parametrize("own_masks", [True, False])
@pytest.mark.parametrize("level", [1, -1])
def test_each_sample_is_compared_with_its_own_teacher(own_masks: bool, level: int) -> None:
    """The loss computed by hand, sample by sample."""
    batch = make_batch(own_masks=own_masks)
    [found] = losses(make_trainer([batch], feature_level=level))
    student, known, reconstruction, distance = network(0), teachers(), ReconstructionLoss(), AttentionDistillationLoss()
    parts = []
    for row, anatomy in enumerate(ANATOMIES):
        one = rows_of(batch, row)
        with torch.no_grad(), FeatureTap(student, level) as ours, FeatureTap(known[anatomy], level) as theirs:
            image = student(one["kspace"], one["mask"])[..., 2:14, 2:14]
            known[anatomy](one["kspace"], one["mask"])
        parts.append((reconstruction(image, one["target"], one["maximum"]), distance(ours.features, theirs.features)))
    expected = [torch.stack(terms).mean() for terms in zip(*parts, strict=True)]
    torch.testing.assert_close(found["reconstruction_loss"], expected[0], rtol=1e-10, atol=0)
    torch.testing.assert_close(found["distillation_loss"], expected[1], rtol=1e-10, atol=0)
    torch.testing.assert_close(found["loss"], 0.7 * expected[0] + 0.3 * expected[1], rtol=1e-10, atol=0)


def test_a_teacher_is_called_once_per_batch_on_its_samples_alone() -> None:
    calls: dict[str, list[Any]] = {}
    known = teachers()
    for anatomy, teacher in known.items():
        teacher.register_forward_hook(
            lambda module, args, kwargs, output, anatomy=anatomy: calls.setdefault(anatomy, []).append(
                (len(args[0]), kwargs, module.training, torch.is_grad_enabled(), output.requires_grad)
            ),
            with_kwargs=True,
        )
    make_trainer([make_batch(["heart", "brain", "heart"])], teachers=known).run()
    assert calls == {"heart": [(2, {}, False, False, False)], "brain": [(1, {}, False, False, False)]}


def test_a_student_identical_to_its_teachers_is_at_no_distance() -> None:
    """Also with shared masks, and where one anatomy fills the batch."""
    same = network(0)
    for batch in (make_batch(), make_batch(own_masks=False), make_batch(["brain", "brain"])):
        known = {anatomy: copy.deepcopy(same) for anatomy in ("brain", "heart", "knee")}
        [found] = losses(make_trainer([batch], copy.deepcopy(same), teachers=known))
        assert abs(found["distillation_loss"].item()) < 1e-12
        [other] = losses(make_trainer([batch], copy.deepcopy(same)))
        assert other["distillation_loss"].item() > 1e-3


def test_no_gradient_reaches_a_teacher() -> None:
    """Bit by bit as before after training, though the student changed."""
    known = teachers()
    before = {anatomy: copy.deepcopy(teacher.state_dict()) for anatomy, teacher in known.items()}
    trainer = make_trainer([make_batch()] * 2, teachers=known)
    start = copy.deepcopy(trainer.network.state_dict())
    trainer.run()
    for anatomy, teacher in known.items():
        assert not teacher.training
        assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
        assert all(torch.equal(value, before[anatomy][key]) for key, value in teacher.state_dict().items())
    assert any(not torch.equal(value, start[key]) for key, value in trainer.network.state_dict().items())


def test_distillation_alone_brings_the_student_closer_to_the_teachers() -> None:
    student = network(0)
    loss = DistillationLoss(ReconstructionLoss(), AttentionDistillationLoss(), 0.0, 1.0)
    optimizer = torch.optim.Adam(student.parameters(), lr=3e-3)
    found = losses(make_trainer([make_batch()] * 15, student, loss_function=loss, optimizer=optimizer))
    assert found[-1]["distillation_loss"] < 0.8 * found[0]["distillation_loss"]


@pytest.mark.parametrize("checkpointing", ["none", "all"])
def test_accumulated_batches_equal_one_large_batch(checkpointing: str) -> None:
    """Of different sizes and anatomies."""
    batch = make_batch()
    small = make_trainer(
        [rows_of(batch, 0), rows_of(batch, 1, 2, 3, 4)],
        network(0, checkpointing=checkpointing),
        accumulation_steps=2,
    )
    small.run()
    large = make_trainer([batch])
    large.run()
    for found, expected in zip(small.network.parameters(), large.network.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


# a performance hint about 1x1 convolutions, whose weights are of both memory formats at once
@pytest.mark.filterwarnings("ignore:Grad strides do not match bucket view strides:UserWarning")
def test_distributed_student() -> None:
    """In ``DistributedDataParallel``, in a run of one process, with accumulation: the weights of a plain run."""
    batch = make_batch()
    data = [rows_of(batch, 0, 1), rows_of(batch, 2, 3, 4)]
    plain = make_trainer(data, accumulation_steps=2)
    plain.run()
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        trainer = make_trainer(data, DistributedDataParallel(network(0)), accumulation_steps=2)
        trainer.run()
    finally:
        dist.destroy_process_group()
    for found, expected in zip(trainer.network.parameters(), plain.network.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_teachers_run_under_the_autocast_of_the_student_and_the_loss_does_not() -> None:
    seen = {}
    known = {"brain": network(1).float()}
    known["brain"].register_forward_hook(lambda *_: seen.update(teacher=torch.is_autocast_enabled("cpu")))
    distance = AttentionDistillationLoss()
    distance.register_forward_hook(lambda *_: seen.update(loss=torch.is_autocast_enabled("cpu")))
    batch = make_batch(["brain", "brain"])
    batch["kspace"] = batch["kspace"].to(torch.complex64)
    loss = DistillationLoss(ReconstructionLoss(), distance)
    [found] = losses(make_trainer([batch], network(0).float(), teachers=known, loss_function=loss, amp=True))
    assert seen == {"teacher": True, "loss": False}
    assert found["distillation_loss"].dtype == torch.float32
    assert bool(found["loss"].isfinite())


def test_the_student_hears_of_the_anatomy_and_the_teachers_do_not() -> None:
    heard = []

    class Student(VarNet):
        def forward(self, kspace, mask=None, anatomy=None):
            heard.append(anatomy.tolist())
            return super().forward(kspace, mask)

    prepare = PrepareReconstructionBatch(anatomies=["knee", "heart", "brain"])
    make_trainer([make_batch()], Student(2, 2, 2, 2).double(), prepare_batch=prepare).run()
    assert heard == [[1, 2, 0, 2, 1]]


def test_an_anatomy_without_teacher_names_the_file() -> None:
    trainer = make_trainer([make_batch(["brain", "foot"])])
    with pytest.raises(ValueError, match=r"1\.h5 shows the anatomy 'foot'.* one of \['brain', 'heart', 'knee'\]"):
        trainer.run()


def test_what_a_teacher_refuses_names_file_and_teacher() -> None:
    known = teachers()
    for parameter in known["knee"].parameters():
        parameter.data.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match=r"^2\.h5 slice 2 \(teacher of knee\): the reconstruction is not"):
        make_trainer([make_batch()], teachers=known).run()


def test_teachers_that_do_not_fit_are_refused() -> None:
    batch = make_batch()
    with pytest.raises(ValueError, match="needs a DistillationLoss, got ReconstructionLoss"):
        make_trainer([batch], loss_function=ReconstructionLoss())
    with pytest.raises(ValueError, match="got none; train the teachers first"):
        make_trainer([batch], teachers={})
    with pytest.raises(ValueError, match="teacher of 'brain': Linear has no U-Net encoders"):
        make_trainer([batch], teachers={"brain": torch.nn.Linear(1, 1)})
    with pytest.raises(ValueError, match="teacher of 'brain' has 3 cascades and the student 2"):
        make_trainer([batch], teachers={"brain": VarNet(3, 2, 2, 2)})
    student = network(0)
    with pytest.raises(ValueError, match="teacher of 'brain' shares parameters"):
        make_trainer([batch], student, teachers={"brain": student})
    known = teachers()
    everything = [*student.parameters(), *known["knee"].parameters()]
    with pytest.raises(ValueError, match="teacher of 'knee' shares parameters"):
        make_trainer([batch], student, teachers=known, optimizer=torch.optim.SGD(everything, lr=0.1))
    uneven = teachers() | {"knee": network(5, channels=4)}
    with pytest.raises(ValueError, match=r"of one batch have features of different shapes .*'knee': \(8, 8, 8\)"):
        make_trainer([batch], teachers=uneven).run()
