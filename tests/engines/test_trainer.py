"""The trainer: loss with data range, clipping, autocast, and the stop at a loss that is not finite."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Events

from recon_monai.engines import OutOfMemory, PrepareReconstructionBatch, ReconstructionTrainer


class Scale(torch.nn.Module):
    """Smallest network with a gradient: the mean magnitude over coils, scaled."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(2.0))

    def forward(self, kspace, mask=None):
        return self.weight * kspace.abs().mean(1, keepdim=True)


def batches(count: int = 2):
    generator = torch.Generator().manual_seed(0)
    kspace = torch.randn(1, 2, 8, 8, dtype=torch.complex64, generator=generator)
    one = {
        "kspace": kspace,
        "target": kspace.abs().mean(1, keepdim=True),
        "maximum": torch.tensor([4.0]),
        "output_size": torch.tensor([[8, 8]]),
        "file": ["a.h5"],
        "slice": torch.tensor([7]),
    }
    return [one] * count


def trainer(data, loss, **options):
    network = Scale()
    return ReconstructionTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=data,
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        loss_function=loss,
        prepare_batch=PrepareReconstructionBatch(),
        decollate=False,
        inferer=lambda kspace, network, *args, mask, output_size, where: network(kspace, mask),
        **options,
    )


def scaled_l1(prediction, target, data_range):
    return ((prediction - target).abs().flatten(1).mean(1) / data_range).mean()


def test_one_step_is_gradient_descent_on_the_loss():
    data = batches(1)
    engine = trainer(data, scaled_l1, max_gradient_norm=None)
    engine.run()
    # the prediction is (weight * target), so d loss / d weight = mean(target) / data range
    expected = 2.0 - 0.1 * data[0]["target"].mean() / 4.0
    torch.testing.assert_close(engine.network.weight.detach(), expected)


def test_gradients_are_clipped():
    engine = trainer(batches(1), lambda *parts: 1000 * scaled_l1(*parts), max_gradient_norm=0.5)
    engine.run()
    torch.testing.assert_close(engine.network.weight.detach(), torch.tensor(2.0 - 0.1 * 0.5))


def test_a_loss_that_is_not_finite_names_file_and_slice():
    engine = trainer(batches(), lambda prediction, target, data_range: prediction.sum() * float("nan"))
    with pytest.raises(FloatingPointError, match=r"nan in epoch 1, iteration 1, on a\.h5 slice 7"):
        engine.run()
    assert engine.network.weight.item() == 2.0, "the bad step must not be taken"


def test_a_gradient_that_is_not_finite_stops_before_the_step():
    """The loss is finite, its gradient at zero is not."""
    engine = trainer(batches(), lambda prediction, target, data_range: (0 * prediction).sqrt().sum())
    with pytest.raises(FloatingPointError, match=r"gradient norm is nan in epoch 1, .* a\.h5 slice 7"):
        engine.run()
    assert engine.network.weight.item() == 2.0


def test_files_without_target_cannot_train():
    data = batches(1)
    del data[0]["target"]
    with pytest.raises(ValueError, match=r"training needs targets.*a\.h5"):
        trainer(data, scaled_l1).run()


def test_autocast_is_bfloat16_around_the_network_only():
    seen = {}

    def loss(prediction, target, data_range):
        seen["in loss"] = torch.is_autocast_enabled("cpu")
        return scaled_l1(prediction, target, data_range)

    engine = trainer(batches(1), loss, amp=True)
    engine.network.register_forward_hook(
        lambda *_: seen.update(
            {"in network": torch.is_autocast_enabled("cpu"), "type": torch.get_autocast_dtype("cpu")}
        )
    )
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda e: seen.update(loss=e.state.output["loss"].item()))
    engine.run()
    assert seen.pop("loss") > 0
    assert seen == {"in network": True, "type": torch.bfloat16, "in loss": False}


def uneven_batches():
    """Batches of one and of three slices, with different scales so that the mean of means would differ."""
    generator = torch.Generator().manual_seed(1)
    found = []
    for size in (1, 3, 2):
        kspace = size * torch.randn(size, 2, 8, 8, dtype=torch.complex64, generator=generator)
        found.append(
            {
                "kspace": kspace,
                "target": kspace.abs().mean(1, keepdim=True),
                "maximum": torch.full((size,), 4.0),
                "output_size": torch.tensor([[8, 8]] * size),
                "file": [f"{size}.h5"] * size,
                "slice": torch.arange(size),
            }
        )
    return found


def test_accumulated_batches_equal_one_large_batch():
    """Also of different sizes; and what is left at an epoch's end makes an update of its own."""
    small = uneven_batches()
    engine = trainer(small, scaled_l1, max_gradient_norm=None, accumulation_steps=2)
    engine.run()
    large = {
        key: torch.cat([batch[key] for batch in small[:2]])
        for key in ("kspace", "target", "maximum", "output_size", "slice")
    } | {"file": ["x.h5"] * 4}
    expected = trainer([large, small[2]], scaled_l1, max_gradient_norm=None)
    expected.run()
    torch.testing.assert_close(engine.network.weight, expected.network.weight, rtol=1e-6, atol=0)


def test_a_loss_gets_what_it_asks_for_of_the_batch():
    class Weighed(torch.nn.Module):
        batch_keys = ("zero_filled",)

        def forward(self, prediction, target, data_range, zero_filled):
            return scaled_l1(prediction, target, data_range) * zero_filled.mean()

    data = batches(1)
    with pytest.raises(ValueError, match=r"the loss asks for \['zero_filled'\] of the batch.*ZeroFilledd"):
        trainer(data, Weighed()).run()
    data[0]["zero_filled"] = torch.full((1, 1, 8, 8), 3.0)
    engine = trainer(data, Weighed(), max_gradient_norm=None)
    engine.run()
    expected = 2.0 - 0.1 * 3 * data[0]["target"].mean() / 4.0
    torch.testing.assert_close(engine.network.weight.detach(), expected)


def test_step_boundaries():
    engine = trainer(uneven_batches(), scaled_l1, accumulation_steps=2)
    seen = []
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda e: seen.append(e.at_step_boundary))
    engine.run()
    assert seen == [False, True, True], "the last batch of an epoch always ends an update"
    with pytest.raises(ValueError, match="accumulation_steps is 0"):
        trainer(uneven_batches(), scaled_l1, accumulation_steps=0)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_out_of_memory_names_the_settings(error):
    class Greedy(Scale):
        def forward(self, kspace, mask=None):
            raise error

    engine = trainer(uneven_batches()[1:2], scaled_l1)
    engine.network = Greedy()
    with pytest.raises(
        OutOfMemory, match=r"3\.h5 slice 0.*3 slice\(s\) of 2 coils, 8 x 8.*--batch_size 1.*checkpointing"
    ):
        engine.run()


def test_other_errors_of_the_network_stay_what_they_are():
    class Broken(Scale):
        def forward(self, kspace, mask=None):
            raise RuntimeError("shapes do not fit")

    engine = trainer(batches(1), scaled_l1)
    engine.network = Broken()
    with pytest.raises(RuntimeError, match="shapes do not fit") as caught:
        engine.run()
    assert not isinstance(caught.value, OutOfMemory)
