"""The benchmark of super-resolution: what it compares is the same, and its tables say what was measured."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from monai.inferers import SlidingWindowInferer

from recon_monai.inferers import SeamlessInferer
from recon_monai.networks import MDCSRN, MDCSRNCritic

ROOT = Path(__file__).parents[2]


@pytest.fixture
def scripts(monkeypatch) -> SimpleNamespace:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import benchmark_super_resolution
    import benchmark_volumes

    return SimpleNamespace(main=benchmark_super_resolution, volumes=benchmark_volumes)


@pytest.fixture
def tiny(scripts) -> dict:
    return {**scripts.main.SIZES["tiny"], "device": "cpu", "repeats": 1, "threads": 1}


def alike(ours: torch.nn.Module, plain: torch.nn.Module) -> None:
    """Random values for all parameters of ours, and the same for the plain network."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
            one.copy_(0.2 * torch.randn(one.shape, generator=generator) + (one.ndim == 1))
            other.copy_(one.reshape(other.shape))


def pair(scripts, settings: dict) -> tuple:
    """Our trainer and the plain one with the same networks."""
    trainer = scripts.volumes.our_trainer(settings)
    generator = scripts.volumes.PlainGenerator(*settings["network"])
    critic = scripts.volumes.PlainCritic(**settings["critic"])
    alike(trainer.generator, generator)
    alike(trainer.critic, critic)
    return trainer, scripts.volumes.PlainTraining(generator, critic)


def test_plain_networks_are_the_same_functions(scripts):
    full = scripts.main.FULL
    ours, plain = MDCSRN(*full["network"], residual=True), scripts.volumes.PlainGenerator(*full["network"])
    counts = [sum(parameter.numel() for parameter in network.parameters()) for network in (ours, plain)]
    assert counts == [411_648, 411_648]
    critic = scripts.volumes.PlainCritic(**full["critic"])
    assert sum(parameter.numel() for parameter in critic.parameters()) == 14_578_881
    ours, plain = MDCSRN(2, 2, 3, 4, residual=True), scripts.volumes.PlainGenerator(2, 2, 3, 4)
    alike(ours, plain)
    image = torch.rand(2, 1, 9, 8, 7, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(plain(image), ours(image), rtol=1e-4, atol=1e-5)
    ours, plain = MDCSRNCritic(width=2), scripts.volumes.PlainCritic(2)
    alike(ours, plain)
    torch.testing.assert_close(plain(image), ours(image), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["pretraining", "generator"])
def test_steps_of_the_generator_change_the_same(scripts, tiny, kind):
    trainer, training = pair(scripts, tiny)
    image, target = scripts.volumes.patches(tiny)
    scripts.volumes.our_step(trainer, kind, image, target)
    {"pretraining": training.pretraining_step, "generator": training.generator_step}[kind](image, target)
    assert trainer.state.update == kind
    for one, other in zip(trainer.generator.parameters(), training.generator.parameters(), strict=True):
        torch.testing.assert_close(one.grad.reshape(other.shape), other.grad, rtol=2e-3, atol=1e-6)
    assert all(parameter.grad is None for parameter in training.critic.parameters())


def test_steps_of_the_critic_change_the_same(scripts, tiny, monkeypatch):
    trainer, training = pair(scripts, tiny)
    image, target = scripts.volumes.patches(tiny)
    share = torch.tensor([0.3, 0.8])
    monkeypatch.setattr(trainer, "_draw", lambda count, step: share)
    monkeypatch.setattr(torch, "rand", lambda *shape, **kwargs: share.reshape(-1, 1, 1, 1, 1))
    scripts.volumes.our_step(trainer, "critic", image, target)
    training.critic_step(image, target)
    assert trainer.state.update == "critic"
    for one, other in zip(trainer.critic.parameters(), training.critic.parameters(), strict=True):
        torch.testing.assert_close(one.grad.reshape(other.shape), other.grad, rtol=2e-3, atol=1e-5)


def test_inference_is_blended_with_the_same_weights(scripts):
    volume = torch.rand(1, 1, 20, 18, 22, generator=torch.Generator().manual_seed(3))
    network = MDCSRN(1, 1, 2, 2).eval()
    with torch.no_grad():
        ours = SeamlessInferer(12, scripts.volumes.OVERLAP)(volume, network)
        plain = SlidingWindowInferer((12,) * 3, 1, overlap=scripts.volumes.OVERLAP, mode="gaussian")(volume, network)
    torch.testing.assert_close(plain, ours, rtol=1e-3, atol=1e-4)


def test_every_part_of_the_table_can_be_measured_and_nothing_else(scripts):
    assert set(scripts.main.parts()) == set(scripts.volumes.PARTS)


def test_ratios_are_those_of_rounds_and_above_1_where_ours_is_better(scripts, tiny):
    names = scripts.main.parts()
    results = {
        name: [
            {
                "rate": round_ * (3 if name.startswith("our") else 2),
                "megabytes": 10 * (1 if name.startswith("our") else 4),
                "parameters": 5,
                "critic_parameters": 6,
            }
            for round_ in (1, 10, 4)
        ]
        for name in names
    }
    results["our critic step, bf16"][1]["rate"] = 10
    table = {row["what"]: row for row in scripts.main.rows(results)}
    assert len(table) == 14
    row = table["critic step, bf16"]
    assert row["compared_with"] == "plain critic step, bf16"
    assert (row["rate_ratio"], row["rate_lowest"], row["rate_highest"]) == (1.5, 0.5, 1.5)
    assert row["megabytes_ratio"] == 4
    assert table["generator step, checkpointing"]["compared_with"] == "plain generator step"
    arguments = SimpleNamespace(size="tiny", rounds=3, repeats=1, device="cpu")
    page = scripts.main.page(list(table.values()), results, tiny, arguments)
    assert "parameters 5 and 6 (ours), 5 and 6 (plain PyTorch)" in page
    assert "**1.50** (0.50 to 1.50)" in page
    assert "--size tiny --rounds 3 --repeats 1 --device cpu`" in page
    assert "emulates" not in page


def test_without_arithmetic_for_bfloat16_its_parts_are_left_out(scripts, tiny):
    names = scripts.main.parts(with_bf16=False)
    assert len(names) == 11 and not any("bf16" in name for name in names)
    found = {"rate": 1, "megabytes": 1, "parameters": 5, "critic_parameters": 6}
    results = {name: [found] for name in names}
    table = scripts.main.rows(results)
    assert len(table) == 7
    arguments = SimpleNamespace(size="tiny", rounds=1, repeats=1, device="cpu")
    assert "Without bfloat16, which this processor only emulates" in scripts.main.page(table, results, tiny, arguments)


@pytest.mark.slow
@pytest.mark.parametrize("emulated", [False, True])
def test_a_tiny_run_gives_every_row(scripts, tmp_path, monkeypatch, emulated):
    """In one process: what a part does in a process of its own is the next test's."""
    monkeypatch.setattr(scripts.main, "emulates_bfloat16", lambda device: emulated)

    def measured(parts, script, settings, rounds):
        assert script == "benchmark_volumes.py"
        return {part: [scripts.volumes.PARTS[part](settings)] * rounds for part in parts}

    monkeypatch.setattr(scripts.main, "measure_in_turns", measured)
    words = ["benchmark", "--size", "tiny", "--rounds", "1", "--repeats", "1", "--threads", "1"]
    monkeypatch.setattr(sys, "argv", [*words, "--output", str(tmp_path)])
    scripts.main.main()
    with (tmp_path / "super_resolution_tiny_cpu.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert ("inference, bf16" in {row["what"] for row in rows}) != emulated
    assert all(float(row["rate_ours"]) > 0 and float(row["rate_plain"]) > 0 for row in rows)
    last = "checkpointing" if emulated else "bf16 and checkpointing"
    assert f"| generator step, {last}" in (tmp_path / "super_resolution_tiny_cpu.md").read_text()


@pytest.mark.slow
def test_a_part_in_a_process_of_its_own(scripts, tiny):
    command = [sys.executable, str(ROOT / "scripts" / "benchmark_volumes.py"), "our critic step", json.dumps(tiny)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["rate"] == pytest.approx(1 / found["seconds"])
    assert found["parameters"] == sum(p.numel() for p in MDCSRN(*tiny["network"]).parameters())
    assert found["critic_parameters"] == sum(p.numel() for p in MDCSRNCritic(width=2).parameters())
