"""Training of the bundle mdcsrn_wgan_gp: its two stages, together and alone, cut off and gone on with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from bundle_tools import TORCHRUN, run_bundle, start_bundle
from mdcsrn_tools import CONFIGS, TINY_TRAINING, files, state_of, tiny_mdcsrn
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

pytestmark = pytest.mark.slow


def weights_of(file: Path) -> dict[str, torch.Tensor]:
    content = torch.load(file, weights_only=True)
    return content.get("network", content)


def linear_maps(critic: dict[str, torch.Tensor]) -> list[float]:
    """Largest weights of each part that clipping concerns."""
    concerned = (value for name, value in critic.items() if value.is_floating_point() and ".norm." not in name)
    return [float(value.abs().max()) for value in concerned]


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


def test_both_stages_run_with_the_updates_that_were_asked_for(trained_mdcsrn, checkout):
    pretrain, adversarial = (state_of(trained_mdcsrn / name) for name in ("pretrain", "adversarial"))
    assert pretrain["states"]["adversarial"]["updates"] == {"pretraining": 4, "critic": 0, "generator": 0}
    # three of the critic, ccg ccg of a cycle, two more of the critic, c
    assert adversarial["states"]["adversarial"]["updates"] == {"pretraining": 0, "critic": 10, "generator": 2}
    rates = [state["optimizer"]["param_groups"][0]["lr"] for state in (pretrain, adversarial)]
    assert rates == pytest.approx([1e-4, 5e-6])
    betas = [tuple(state["optimizer"]["param_groups"][0]["betas"]) for state in (pretrain, adversarial)]
    assert betas == [(0.9, 0.999), (0.0, 0.9)]
    # Adam begins anew, as the data sheet says: its steps are the updates of this stage
    steps = [{int(one["step"]) for one in state["optimizer"]["state"].values()} for state in (pretrain, adversarial)]
    assert steps == [{4}, {2}]
    sheet = (checkout / "bundles" / "mdcsrn_wgan_gp" / "docs" / "README.md").read_text()
    assert "Adam begins anew in the second stage" in sheet
    started = json.loads((trained_mdcsrn / "adversarial" / "run.json").read_text())
    assert "bundles/mdcsrn_wgan_gp/eval/tiny/pretrain/model.pt" in started["command"]
    assert not (checkout / "eval").exists(), "results belong into the bundle's folder"


def test_the_run_ends_with_the_last_weights_of_the_second_stage(trained_mdcsrn):
    ended = weights_of(trained_mdcsrn / "model.pt")
    assert same(ended, weights_of(trained_mdcsrn / "adversarial" / "last.pt"))
    assert not same(ended, weights_of(trained_mdcsrn / "pretrain" / "model.pt"))
    described = json.loads((trained_mdcsrn / "model.json").read_text())
    assert (described["spacings"], described["contrasts"], described["epoch"]) == ([1.0, 1.0], {"T1": 2}, 2)
    assert [2.0, 2.0, 2.0] in described["factors"] and [4.0, 1.0, 1.0] in described["factors"]
    assert {"val_psnr", "val_ssim/isotropic2", "val_nrmse"} <= set(described["metrics"])
    tiny_mdcsrn(trained_mdcsrn / "model.pt")


def test_curves_and_pictures_of_both_stages(trained_mdcsrn):
    tags = {}
    for name in ("pretrain", "adversarial"):
        events = EventAccumulator(str(trained_mdcsrn / name), size_guidance={"images": 0})
        events.Reload()
        tags[name] = events.Tags()
    assert {"val_psnr", "val_ssim", "val_nrmse"} <= set(tags["pretrain"]["scalars"])
    found = set(tags["adversarial"]["scalars"])
    terms = {
        f"train_{name}"
        for name in ("reconstruction", "wasserstein", "penalty", "real_score", "fake_score", "critic_loss")
    }
    assert terms | {"updates_critic", "updates_generator", "learning_rate"} <= found
    assert any(tag.startswith("panels/isotropic2/") for tag in tags["adversarial"]["images"])


def test_the_shipped_weights_are_trained_in_two_stages(checkout, tiny_volumes, tmp_path):
    """Muon and the squared error for the first one, whose rates keep their ratio, Adam and L1 for the last one."""
    output = tmp_path / "shipped"
    options = {**TINY_TRAINING, "dataset_dir": str(tiny_volumes), "output_dir": str(output)}
    options |= {"patches_per_volume": 1, "pretrain_steps": 4}
    options |= {"steps_per_epoch": 2, "val_interval": 1, "extra_critic_every": 0, "extra_critic_steps": 0}
    run_bundle("training", files("train", "shipped"), checkout, options)
    stages = {name: state_of(output / name) for name in ("pretrain", "adversarial")}
    assert [len(state["optimizer"]["param_groups"]) for state in stages.values()] == [3, 1]
    rates = [group["lr"] for group in stages["pretrain"]["optimizer"]["param_groups"]]
    assert rates == pytest.approx([0.005 * 0.01 * share for share in (1, 0.2, 0.006)])
    factors = {name: json.loads((output / name / "model.json").read_text())["factors"] for name in stages}
    assert [2.0, 1.0, 1.0] in factors["pretrain"] and factors["adversarial"] == factors["pretrain"]
    adversarial = json.loads((output / "adversarial" / "run.json").read_text())
    assert any(word.endswith("pretrain/model.pt") for word in adversarial["command"])
    assert adversarial["configuration"]["recipes"]["isotropic2"]["magnitude"] == "coarse"


@pytest.mark.parametrize("iteration", [1, 7])
def test_a_run_cut_off_in_the_second_stage_goes_on_bit_for_bit(
    trained_mdcsrn, checkout, tiny_volumes, tmp_path, iteration
):
    """Among the critic's first steps, and in the middle of a cycle of the second epoch."""
    sent = tmp_path / "sent"
    handler = {"_target_": "bundle_tools.SignalAt", "name": "SIGTERM", "iteration": iteration, "once": str(sent)}
    overlay, sequence = tmp_path / "signal.json", tmp_path / "sequence.json"
    overlay.write_text(json.dumps({"+train::handlers": [handler]}))
    content = json.loads((checkout / CONFIGS / "train.json").read_text())["sequence"]
    content[1]["files"].append(str(overlay))  # an overlay of the stage alone
    sequence.write_text(json.dumps({"sequence": content}))
    config = files("train").replace("]", f", '{sequence}']")
    name = f"cut-{iteration}"
    options = {**TINY_TRAINING, "dataset_dir": tiny_volumes, "run_name": name}
    cut = start_bundle("training", config, checkout, options)
    assert cut.returncode == 143, cut.stdout[-3000:]
    run = trained_mdcsrn.parent / name
    assert state_of(run / "adversarial")["iteration"] == iteration + 1
    options.pop("run_name")
    printed = run_bundle("training", config, checkout, {**options, "resume": True})
    assert f"continuing from bundles/mdcsrn_wgan_gp/eval/{name}/adversarial/last.pt" in printed
    whole, resumed = (state_of(folder / "adversarial") for folder in (trained_mdcsrn, run))
    assert same(whole["network"], resumed["network"])
    critics = [state["states"]["adversarial"]["critic"] for state in (whole, resumed)]
    assert same(*critics)
    assert whole["states"]["adversarial"]["updates"] == resumed["states"]["adversarial"]["updates"]
    assert same(weights_of(trained_mdcsrn / "model.pt"), weights_of(run / "model.pt"))


def test_each_stage_alone(trained_mdcsrn, checkout, tiny_volumes):
    """From inside the bundle, the same trainings as in the run of both."""
    bundle = checkout / "bundles" / "mdcsrn_wgan_gp"
    options = {**TINY_TRAINING, "dataset_dir": tiny_volumes}
    first = {"run_name": "first-alone"}
    run_bundle("training", "['configs/train.json', 'configs/pretrain.json']", bundle, {**options, **first})
    run_bundle(
        "run",
        "['configs/train.json', 'configs/adversarial.json']",
        bundle,
        {**options, "run_name": "second-alone", "pretrained": trained_mdcsrn / "pretrain" / "model.pt"},
    )
    runs = trained_mdcsrn.parent
    assert same(weights_of(runs / "first-alone" / "model.pt"), weights_of(trained_mdcsrn / "pretrain" / "model.pt"))
    assert same(weights_of(runs / "second-alone" / "model.pt"), weights_of(trained_mdcsrn / "model.pt"))


def test_a_later_run_uses_the_pretrained_generator(trained_mdcsrn, checkout, tiny_volumes):
    """As comparisons of critics do: their options are none of its settings."""
    options = {**TINY_TRAINING, "dataset_dir": tiny_volumes, "run_name": "clipped", "clip": 0.02, "critic_width": 3}
    printed = run_bundle("training", files("train", "weight_clipping"), checkout, options)
    assert "pretrain: using" in printed
    run = trained_mdcsrn.parent / "clipped"
    assert not (run / "pretrain").exists()
    critic = state_of(run / "adversarial")["states"]["adversarial"]["critic"]
    assert max(linear_maps(critic)) <= 0.02
    unclipped = state_of(trained_mdcsrn / "adversarial")["states"]["adversarial"]["critic"]
    assert max(linear_maps(unclipped)) > 0.02


def test_a_dry_run_plans_both_stages_and_leaves_nothing(trained_mdcsrn, checkout, tiny_volumes):
    runs = trained_mdcsrn.parent
    before = sorted(runs.glob("*"))
    options = {**TINY_TRAINING, "dataset_dir": tiny_volumes, "seed": 3, "dry_run": True, "run_name": "planned"}
    printed = run_bundle("training", f"{CONFIGS}/train.json", checkout, options)
    assert "1 epochs of 4 steps" in printed and "2 epochs of 6 steps" in printed
    assert printed.count("peak memory") == 2
    assert sorted(runs.glob("*")) == before


@pytest.mark.parametrize(
    ("overlays", "options", "message"),
    [
        (["adversarial"], {}, "adversarial training starts from a pretrained generator; give --pretrained FILE"),
        ([], {"adversarial_steps": 13}, "13 steps are no whole number of epochs of 6; give --steps_per_epoch 1"),
        ([], {"adversarial_step": 12}, "did you mean --adversarial_steps?"),
        ([], {"dataset_dir": "nowhere"}, "nowhere does not exist"),
        ([], {"recipes": {"thick9mm": 1.0}}, "the recipe 'thick9mm' is unknown"),
        (
            [],
            {"recipes": {"inplane2": 1.0}},
            "validation is on the recipes isotropic2, which are none of the training's",
        ),
        ([], {"recipes::thick3mm::thickness": 0.9}, "do not fit its voxels of 1 x 1 x 1 mm"),
        (["pretrain"], {"val_recipes": ["thick9mm"]}, "validation is on the recipes thick9mm"),
        ([], {"critic_steps": 0}, "critic_steps is 0"),  # of the second stage, said before the first one
        ([], {"constraint": "clipping"}, "unknown constraint 'clipping'"),
        ([], {"clip": 0.1}, "clip is 0.1 with gradient_penalty, which clips nothing"),
        (["weight_clipping"], {"penalty_weight": 1.0}, "the weight of the penalty is 1.0 with weight_clipping"),
        ([], {"patch_size": 0}, "patch_size is 0"),
        ([], {"pretrained": "nowhere.pt"}, "nowhere.pt"),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_line(checkout, tiny_volumes, overlays, options, message):
    given = {**TINY_TRAINING, "dataset_dir": tiny_volumes, "seed": 5, "run_name": "refused", **options}
    done = start_bundle("training", files("train", *overlays), checkout, given)
    assert done.returncode == 1
    assert message in done.stdout, done.stdout[-1500:]
    assert "Traceback" not in done.stdout
    assert not (checkout / "bundles" / "mdcsrn_wgan_gp" / "eval" / "refused").exists()


def test_a_run_that_was_refused_in_its_first_step_can_be_begun_again(checkout, tiny_volumes):
    """On an intensity scale of a million all voxels are as dark as air."""
    options = {**TINY_TRAINING, "dataset_dir": tiny_volumes, "seed": 6, "stages": ["pretrain"], "run_name": "again"}
    done = start_bundle("training", files("train"), checkout, {**options, "scale": 1e6})
    assert done.returncode == 1 and "expected voxels; if it was cropped" in done.stdout, done.stdout[-1500:]
    run_bundle("training", files("train"), checkout, options)
    assert (checkout / "bundles" / "mdcsrn_wgan_gp" / "eval" / "again" / "pretrain" / "finished.json").is_file()


def test_two_processes_train_as_one(trained_mdcsrn, checkout, tiny_volumes):
    """Two volumes in a batch, or one in each of two processes; batch normalization would see other batches."""
    options = {**TINY_TRAINING, "dataset_dir": tiny_volumes, "network_def::norm": "group", "adversarial_steps": 6}
    options |= {"critic_only_steps": 0, "pretrain_learning_rate": 1e-3, "generator_learning_rate": 1e-3}
    run_bundle("training", files("train"), checkout, {**options, "batch_size": 2, "run_name": "one"})
    done = start_bundle(
        "training",
        files("train", "multi_gpu_train"),
        checkout,
        {**options, "batch_size": 1, "run_name": "two"},
        launcher=TORCHRUN,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    runs = trained_mdcsrn.parent
    for stage in ("pretrain", "adversarial"):
        one, two = (state_of(runs / name / stage) for name in ("one", "two"))
        assert one["states"]["adversarial"]["updates"] == two["states"]["adversarial"]["updates"]
        for name, value in one["network"].items():
            if value.is_floating_point():
                torch.testing.assert_close(two["network"][name], value, rtol=1e-2, atol=1e-4)
    metrics = [json.loads((runs / name / "pretrain" / "model.json").read_text())["metrics"] for name in ("one", "two")]
    assert metrics[0]["val_psnr"] == pytest.approx(metrics[1]["val_psnr"], rel=1e-3)
