"""The comparison of critics for super-resolution: its plan, its data, what it measures, its page."""

from __future__ import annotations

import csv
import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import torch

from recon_monai.evaluation import paired_gain
from recon_monai.metrics import missing_band, quality_3d
from recon_monai.networks import MDCSRN, MDCSRNCritic

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"
VARIANTS = ["pretrained", "l1", "weight-clipping", "gradient-penalty", "paper31m", "slide17m"]
AFFINE = np.array([[0, -1.2, 0, 30], [0.8, 0, 0, -20], [0, 0, 1.1, 5], [0, 0, 0, 1.0]])


@pytest.fixture
def parts(monkeypatch) -> SimpleNamespace:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import evaluate_mdcsrn
    import measure_mdcsrn
    from ablation_parts import intervals, mdcsrn_plan, mdcsrn_report, mosaic, results, runner, volume_data

    return SimpleNamespace(
        evaluate=evaluate_mdcsrn,
        measure=measure_mdcsrn,
        intervals=intervals,
        plan=mdcsrn_plan,
        report=mdcsrn_report,
        mosaic=mosaic,
        results=results,
        runner=runner,
        data=volume_data,
    )


def head(seed: int, shape: tuple[int, int, int]) -> np.ndarray:
    """A ball with smooth contents in air."""
    rng = np.random.default_rng(seed)
    place = np.stack(np.meshgrid(*[np.linspace(-1, 1, size) for size in shape], indexing="ij"))
    inner = place - rng.uniform(-0.2, 0.2, 3)[:, None, None, None]
    return 900.0 * ((place**2).sum(0) < 0.8) + 600 * ((inner**2).sum(0) < 0.2) + rng.uniform(0, 20, shape)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("volumes")
    names = [f"sub-{number:02d}" for number in range(5)]
    for number, name in enumerate(names):
        image = nibabel.Nifti1Image(head(number, (26, 30, 22)).astype(np.float32), AFFINE)
        nibabel.save(image, folder / f"{name}_T1w.nii.gz")
    split = {"train": names[:2], "val": names[2:3], "test": names[3:]}
    (folder / "split.json").write_text(json.dumps(split))
    return folder


def test_the_queue_begins_with_the_generator_of_all_arms(parts):
    runs = parts.plan.queue([])
    assert [run.name for run in runs] == [
        "pretrained",
        *(f"{arm}-seed0" for arm in parts.plan.ARMS),
        "measurement",
        "slide17m-seed0",
        "paper31m-seed0",
        *(f"{arm}-seed{seed}" for seed in (1, 2) for arm in parts.plan.ARMS),
    ]
    assert all(run.stages(runs) == {"pretrained": runs[0]} for run in runs if run.kind in ("alone", "adversarial"))
    assert set(parts.report.LABELS) == {*VARIANTS, "trilinear", "cubic", "sinc"}
    for claim in parts.report.CLAIMS:
        assert {claim.variant, claim.base} <= set(parts.report.LABELS)
        assert claim.metric in parts.results.VOLUME_METRICS
    assert set(parts.report.LEAST) == set(parts.results.VOLUME_METRICS)


@pytest.mark.parametrize("name", ["tiny", "small", "full"])
def test_all_arms_have_equally_many_updates_of_the_generator(parts, name):
    scale = parts.plan.SCALES[name]
    for run in parts.plan.queue([]):
        steps = run.steps(scale, {})
        if run.kind in ("alone", "adversarial"):
            assert steps % scale.arm_epochs == 0
            counts = scale.schedule.counts(steps)
            assert (steps if run.kind == "alone" else counts["generator"]) == scale.generator_updates
            assert parts.report._updates(run, scale, scale.arm_epochs) == scale.generator_updates
    assert scale.pretrain_steps % scale.pretrain_epochs == 0
    assert dataclasses.replace(scale, patch_size=64).adversarial_weight == 0.001
    assert dataclasses.replace(scale, patch_size=16).adversarial_weight == 0.008


def options_of(command: list[str]) -> dict[str, str]:
    return {name.removeprefix("--"): value for name, value in zip(command[5::2], command[6::2], strict=True)}


def training_options(parts, name: str, scale: str = "small") -> dict[str, str]:
    run = next(run for run in parts.plan.queue([]) if run.name == name)
    weights = {stage: Path("w.pt") for stage in run.stages(parts.plan.queue([]))}
    return options_of(run.command("training", parts.plan.SCALES[scale], Path("data"), Path("out"), weights))


def test_commands_differ_in_what_the_variant_says(parts):
    penalty = training_options(parts, "gradient-penalty-seed0")

    def changed(name: str) -> set[str]:
        options = training_options(parts, name)
        return {key for key in options.keys() | penalty.keys() if options.get(key) != penalty.get(key)}

    assert changed("gradient-penalty-seed2") == {"seed"}
    assert changed("weight-clipping-seed0") == {"config_file"}
    assert "weight_clipping.json" in training_options(parts, "weight-clipping-seed0")["config_file"]
    assert changed("paper31m-seed0") == {"critic_def::preset", "critic_def::norm", "critic_width"}
    assert penalty["pretrained"] == training_options(parts, "l1-seed0")["pretrained"] == "w.pt"
    scale, alone = parts.plan.SCALES["small"], training_options(parts, "l1-seed0")
    assert "pretrain.json" in alone["config_file"] and "adversarial.json" not in alone["config_file"]
    rates = (alone["pretrain_learning_rate"], penalty["generator_learning_rate"])
    assert rates == (str(scale.generator_rate),) * 2
    adversarial = json.loads((ROOT / "bundles/mdcsrn_wgan_gp/configs/adversarial.json").read_text())
    assert json.loads(alone["betas"]) == adversarial["betas"]
    for one in (alone, penalty):
        assert "best: True" in one["is_better"]
    first = training_options(parts, "pretrained")
    assert "pretrained" not in first and "is_better" not in first
    assert float(first["final_rate"]) * scale.pretrain_rate == pytest.approx(scale.generator_rate)


def test_what_commands_set_is_in_the_configurations(parts):
    """An id that a configuration does not have would be set without any effect."""
    for name in ("pretrained", "l1-seed0", "weight-clipping-seed0", "paper31m-seed0"):
        options = training_options(parts, name)
        files = json.loads(options.pop("config_file").replace("'", '"'))
        config: dict = {}
        for file in files:
            config |= json.loads(Path(file).read_text())
        for key in options:
            found = config
            for part in key.split("::"):
                assert part in found, key
                found = found[part]


def table_of(values: dict[str, dict[int | None, list[float]]]) -> list[dict]:
    """Rows of two recipes, whose mean is the value."""
    return [
        {"variant": variant, "seed": seed, "subject": f"s{place}", "file": f"{place}{shift}", "ssim": value + shift}
        for variant, by_seed in values.items()
        for seed, found in by_seed.items()
        for place, value in enumerate(found)
        for shift in (-0.1, 0.1)
    ]


def test_differences_are_paired_and_their_interval_is_a_bootstrap_of_seeds_and_subjects(parts):
    rng = np.random.default_rng(0)
    base, table = rng.normal(size=(3, 8)), rng.normal(0.3, 0.2, size=(3, 8))
    rows = table_of(
        {"a": dict(enumerate((base + table).tolist())), "b": dict(enumerate(base.tolist())), "c": {None: [0.0] * 8}}
    )
    found = parts.intervals.paired_difference(rows, "a", "b", "ssim")
    assert found.mean == pytest.approx(table.mean())
    assert (found.seeds, found.subjects, found.higher) == (3, 8, int((table > 0).sum()))
    other = np.random.default_rng(1)
    means = [table[other.integers(0, 3, 3)][:, other.integers(0, 8, 8)].mean() for _ in range(20_000)]
    assert (found.low, found.high) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.01)
    assert found.sign == 1
    assert parts.intervals.paired_difference(rows, "b", "a", "ssim").sign == -1
    # one result for all seeds is compared with each of them
    everything = parts.intervals.paired_difference(rows, "b", "c", "ssim")
    assert (everything.mean, everything.seeds) == (pytest.approx(base.mean()), 3)
    one = [row for row in rows if row["seed"] == 0]
    found = parts.intervals.paired_difference(one, "a", "b", "ssim")
    subjects = paired_gain((base + table)[0].tolist(), base[0].tolist())
    assert (found.mean, found.low, found.high) == pytest.approx(subjects[:3], abs=0.01)
    assert parts.intervals.paired_difference(rows, "a", "d", "ssim") is None
    alone = [row for row in rows if row["subject"] == "s0"]
    assert parts.intervals.paired_difference(alone, "a", "b", "ssim").sign is None


def test_small_differences_do_not_count_however_certain(parts):
    rows = table_of({name: {0: [value] * 3} for name, value in (("a", 0.5009), ("b", 0.5), ("c", 0.502))})
    claims = [parts.report.MetricClaim("more", variant, "b", "ssim", 1) for variant in ("a", "c", "d")]
    lines = parts.report.claims_table(rows, claims, "Intro.").splitlines()
    assert lines[0] == "Intro."
    assert [line.split("|")[-2].strip() for line in lines[-3:]] == ["no difference", "holds", "not run yet"]
    assert "| 1 *" in lines[-2] and "+0.0020 to +0.0020" in lines[-2]


@pytest.fixture(scope="module")
def copy(dataset, tmp_path_factory) -> Path:
    """The copy of the tiny scale."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        from ablation_parts import mdcsrn_plan, volume_data
    finally:
        sys.path.remove(str(SCRIPTS))
    folder = tmp_path_factory.mktemp("results")
    return volume_data.prepare_volumes(dataset, folder, mdcsrn_plan.SCALES["tiny"]).folder


def test_pairs_are_simulated_on_the_whole_head_and_then_cut(parts, dataset, copy):
    description = json.loads((copy / "data.json").read_text())
    assert description["parts"] == {
        "train": {"subjects": 2, "volumes": 2, "pairs": 4},
        "val": {"subjects": 1, "volumes": 1, "pairs": 2},
        "test": {"subjects": 2, "volumes": 2, "pairs": 4},
    }
    name = "sub-03_T1w_isotropic2.nii"
    assert description["factors"][name] == [2, 2, 2]
    low, high = (nibabel.load(copy / kind / name) for kind in ("low", "high"))
    source = nibabel.load(dataset / "sub-03_T1w.nii.gz")
    volume = source.get_fdata() / np.percentile(source.get_fdata(), 99.9)
    # the head and 8 voxels around it are the whole volume here
    place = tuple(slice((size - 14) // 2, (size - 14) // 2 + 14) for size in volume.shape)
    np.testing.assert_allclose(high.get_fdata(), volume[place], rtol=1e-4)
    spectrum = np.fft.fftshift(np.fft.fftn(volume))
    for axis, size in enumerate(volume.shape):
        away = np.abs(np.arange(size) - size // 2).reshape([-1 if one == axis else 1 for one in range(3)])
        spectrum = np.where(away <= size / 4, spectrum, 0)
    expected = np.abs(np.fft.ifftn(np.fft.ifftshift(spectrum)))
    np.testing.assert_allclose(low.get_fdata(), expected[place], atol=1e-4)
    corner = np.array([one.start for one in place])
    np.testing.assert_allclose(high.affine[:3, 3], AFFINE[:3, :3] @ corner + AFFINE[:3, 3], rtol=1e-5)
    np.testing.assert_allclose(low.affine, high.affine)


def test_interpolation_is_measured_on_the_same_block(parts, copy):
    with (copy / "interpolation.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == "sinc"]
    assert len(rows) == 4
    factors = json.loads((copy / "data.json").read_text())["factors"]
    for row in rows:
        low, high = (nibabel.load(copy / kind / row["file"]).get_fdata() for kind in ("low", "high"))
        expected = quality_3d(prediction=low, target=high)
        assert {name: float(row[name]) for name in expected} == pytest.approx(expected, rel=1e-3)
        band = missing_band(prediction=low, target=high, factor=factors[row["file"]])
        assert float(row["detail_energy"]) == pytest.approx(band.energy, rel=0.01, abs=1e-5)


def test_a_copy_is_made_once_and_never_mixed_with_another(parts, dataset, copy):
    scale = parts.plan.SCALES["tiny"]
    before = (copy / "split.json").stat().st_mtime_ns
    parts.data.prepare_volumes(dataset, copy.parent, scale)
    assert (copy / "split.json").stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="a copy made by"):
        parts.data.prepare_volumes(dataset, copy.parent, dataclasses.replace(scale, block=12))


def test_a_network_that_changes_nothing_is_as_good_as_its_input(parts, copy, tmp_path):
    network = MDCSRN(1, 1, 2, 2, residual=True)  # whose last convolution starts at zero
    torch.save(network.state_dict(), tmp_path / "model.pt")
    settings = {"dataset_dir": str(copy), "weights": str(tmp_path / "model.pt"), "network": [1, 1, 2, 2], "window": 12}
    parts.evaluate.evaluate(tmp_path / "evaluation", settings)
    found = parts.results.read_volumes(tmp_path / "evaluation" / "volumes.csv", "a", 0)
    expected = parts.results.read_volumes(copy / "interpolation.csv", "a", 0, "sinc")
    assert [row["recipe"] for row in found] == ["inplane2", "isotropic2"] * 2
    for one, other in zip(found, sorted(expected, key=lambda row: row["file"]), strict=True):
        assert one["subject"] == other["subject"]
        for metric in ("ssim", "psnr", "nrmse", "sharpness"):
            assert one[metric] == pytest.approx(other[metric], rel=1e-3)
    patches = np.load(tmp_path / "evaluation" / "patches.npz")
    np.testing.assert_allclose(patches["inplane2/output"], patches["inplane2/input"], atol=1e-5)
    high = nibabel.load(copy / "high" / "sub-03_T1w_inplane2.nii").get_fdata()
    np.testing.assert_allclose(patches["inplane2/target"], high[:, ::-1, 7].T, rtol=1e-5)
    assert json.loads((tmp_path / "evaluation" / "finished.json").read_text()) == {"volumes": 4}


@pytest.mark.parametrize("preset", [None, "paper31m"])
def test_steps_are_measured_with_the_critic_of_the_variant(parts, preset):
    size = dataclasses.asdict(parts.plan.SCALES["tiny"].measured[0])
    step = next(s for s in parts.plan.measured_steps() if s["preset"] == preset and s["kind"] == "critic")
    found = parts.measure.measure({**size, **step, "device": "cpu", "threads": 1, "repeats": 1})
    assert found["seconds"] > 0
    assert found["critic_parameters"] == sum(p.numel() for p in MDCSRNCritic(preset, 2, patch_size=8).parameters())


def test_every_step_is_measured_at_every_size_in_turns(parts, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(parts.measure, "_process", lambda settings: calls.append(settings) or {"seconds": 1.0})
    scale = parts.plan.SCALES["small"]
    run = next(run for run in parts.plan.queue([]) if run.kind == "measurement")
    command = run.command("measurement", scale, Path("data"), tmp_path, {})
    parts.measure.measure_all(tmp_path, json.loads(command[3]))
    assert len(calls) == scale.rounds * len(scale.measured) * 9
    assert [(one["name"], one["kind"]) for one in calls[:3]] == [
        ("l1", "pretraining"),
        ("weight-clipping", "critic"),
        ("weight-clipping", "generator"),
    ]
    assert calls[1]["constraint"] == "weight_clipping" and calls[-1]["network"] == [4, 4, 16, 32]


def write_run(parts, queue, run, quality: float) -> None:
    """The files of a finished run, every metric of it from one number."""
    for part in run.parts:
        queue.path(run, part).mkdir(parents=True)
        (queue.path(run, part) / "finished.json").write_text("{}")
    if run.kind == "measurement":
        processes = [
            {
                **dataclasses.asdict(size),
                **step,
                "seconds": 3.0 if step["kind"] == "critic" else 2.0,
                "megabytes": 100.0 if step["kind"] == "critic" else 40.0,
                "parameters": 10,
                "critic_parameters": 20,
            }
            for size in queue.scale.measured
            for step in parts.plan.measured_steps()
        ]
        state = {"where": {"device": "cpu", "threads": 1}, "processes": processes}
        (queue.path(run, "measurement") / "finished.json").write_text(json.dumps(state))
        return
    training = queue.path(run, "training")
    (training / "model.pt").touch()
    (training / "model.json").write_text(json.dumps({"metrics": {"val_psnr": 10 * quality}, "epoch": 2}))
    rows = [
        {"file": f"{subject}_{recipe}", "subject": subject, "recipe": recipe, **made_up(parts, quality + shift)}
        for subject, shift in (("s1", 0.0), ("s2", 0.05))
        for recipe in ("inplane2", "isotropic2")
    ]
    write_rows(queue.path(run, "evaluation") / "volumes.csv", rows)
    images = {f"{recipe}/{kind}": np.full((8, 8), quality) for recipe in ("inplane2",) for kind in ("input", "output")}
    np.savez(queue.path(run, "evaluation") / "patches.npz", **images, **{"inplane2/target": np.ones((8, 8))})


def made_up(parts, quality: float) -> dict[str, float]:
    return {metric: 30 * quality if metric == "psnr" else quality for metric in parts.results.VOLUME_METRICS}


def write_rows(file: Path, rows: list[dict]) -> None:
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_curves(folder: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for epoch in (1, 2):
            writer.add_scalar("val_psnr", 8 + epoch, epoch)
            writer.add_scalar("train_wasserstein", epoch / 10, 4 * epoch)
            writer.add_scalar("train_score_gradient", epoch / 4, 4 * epoch)  # the first one in the first half


def test_the_page_says_what_was_measured_and_what_is_missing(parts, tmp_path):
    runs = parts.plan.queue([])
    data = tmp_path / "data"
    queue = parts.runner.Queue(runs, parts.plan.SCALES["tiny"], tmp_path / "runs", data, {None: 0})
    counts = {part: {"subjects": 2, "volumes": 2, "pairs": 4} for part in ("train", "val", "test")}
    plan = {"scale": "tiny", "data": counts}
    with pytest.raises(ValueError, match="nothing to report"):
        parts.report.write_report(queue, plan, tmp_path / "page.md")
    data.mkdir()
    interpolated = [
        {"file": f"{s}_{r}", "subject": s, "recipe": r, "method": method, **made_up(parts, 0.5)}
        for s in ("s1", "s2")
        for r in ("inplane2", "isotropic2")
        for method in ("trilinear", "cubic", "sinc")
    ]
    write_rows(data / "interpolation.csv", interpolated)
    qualities = {"pretrained": 0.6, "l1": 0.62, "weight-clipping": 0.61, "gradient-penalty": 0.66, "slide17m": 0.65}
    for run in runs:
        if run.variant != "paper31m":
            write_run(parts, queue, run, qualities.get(run.variant, 0.0) + run.seed / 1000)
    write_curves(queue.path(next(run for run in runs if run.variant == "gradient-penalty"), "training"))
    parts.report.write_report(queue, plan, tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    assert "12 of 13 runs are finished" in text and "Missing: paper31m-seed0." in text

    def line(start: str, number: int = 0) -> list[str]:
        found = [one for one in text.splitlines() if one.startswith(f"| {start}")]
        return [cell.strip() for cell in found[number].split("|")[1:-1]]

    assert line("cubic")[1:4] == ["", "0.5000", "15.00"]
    assert line("pretrained by")[1:4] == ["", "0.6250", "18.75"]
    assert line("critic, gradient penalty")[1:3] == ["3", "0.6860 ± 0.0010"]
    assert line("critic `slide17m`")[1:3] == ["1", "0.6750 *"]
    assert line("the critic raises SSIM")[3:] == ["3", "+0.0400", "+0.0400 to +0.0400", "6 of 6", "holds"]
    assert line("the critic lowers NRMSE")[-1] == "does not hold: the opposite"
    assert line("the larger critic `paper31m`")[-1] == "not run yet"
    assert line("the larger critic `slide17m`")[3] == "1 *"
    cost = line("critic, gradient penalty", -1 if text.count("| critic, gradient penalty") < 5 else 3)
    assert cost[1:] == ["10", "20", "3", "2", "100", "8", "4.0"]  # two steps of the critic and one of the generator
    gradient = [line(f"critic, {name}", 4) for name in ("weights clipped", "gradient penalty")]
    pull = 0.5 * 0.001 * 64**1.5
    assert gradient == [
        ["critic, weights clipped", "0", "n/a", "n/a"],
        ["critic, gradient penalty", "1", "0.5", f"{pull:.2g}"],
    ]
    assert "0.581 ± 0.133" in text and "no scanner does" in text
    made = {file.name for file in (tmp_path / "page").iterdir()}
    assert made == {"volumes.csv", "psnr.svg", "wasserstein.svg", "patches.png"}
    assert "updates of the generator" in (tmp_path / "page" / "psnr.svg").read_text()
    assert "--bundle mdcsrn_wgan_gp --dataset_dir DATA --scale tiny --report" in text


def test_patches_stand_in_columns_in_the_window_of_the_target(parts):
    images = {"dark": 0.0, "half": 1.5, "target": 3.0}
    picture = parts.mosaic.mosaic({name: {"a": np.full((40, 40), value)} for name, value in images.items()}, "target")
    line = np.asarray(picture)[60]  # through all images, below the name of the row
    places = [np.flatnonzero(line == level) for level in (0, 128, 255)]
    assert [len(place) for place in places] == [160, 160, 160]
    assert places[0].max() < places[1].min() and places[1].max() < places[2].min()


@pytest.mark.slow
def test_every_kind_of_run_works_and_is_reported(parts, dataset, tmp_path, monkeypatch):
    """Cut off after the first run; a training that lost its last word goes on at its end."""
    command = [sys.executable, str(SCRIPTS / "ablation.py"), "--bundle", "mdcsrn_wgan_gp", "--scale", "tiny"]
    command += ["--dataset_dir", str(dataset), "--output", str(tmp_path / "out")]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    status = subprocess.run([*command, "--status"], check=True, capture_output=True, text=True, timeout=300).stdout
    assert "13 of 13 runs left" in status
    runs = {run.name: run for run in parts.plan.queue([])}
    folder = tmp_path / "out" / "tiny"

    def queue(*names: str):
        chosen = [runs[name] for name in names]
        return parts.runner.Queue(chosen, parts.plan.SCALES["tiny"], folder / "runs", folder / "data", {None: 0})

    assert queue("pretrained").work() == 0
    (folder / "runs" / "pretrained" / "training" / "finished.json").unlink()
    again = queue("pretrained", "l1-seed0", "weight-clipping-seed0", "paper31m-seed0")
    assert again.work() == 0
    attempts = {name: len(again.attempts(runs[name])) for name in ("pretrained", "l1-seed0")}
    assert attempts == {"pretrained": 4, "l1-seed0": 2}
    weights = {
        name: torch.load(folder / "runs" / name / "training" / "model.pt") for name in ("pretrained", "l1-seed0")
    }
    assert any(not torch.equal(value, weights["l1-seed0"][key]) for key, value in weights["pretrained"].items())
    states = [
        torch.load(folder / "runs" / name / "training" / "last.pt")["states"]["adversarial"]
        for name in ("l1-seed0", "weight-clipping-seed0", "paper31m-seed0")
    ]
    assert [list(state["updates"].values()) for state in states] == [[2, 0, 0], [0, 6, 2], [0, 6, 2]]
    clipped, published = (state["critic"] for state in states[1:])
    bound = json.loads((ROOT / "bundles/mdcsrn_wgan_gp/configs/weight_clipping.json").read_text())["clip"]
    weights = [value for name, value in clipped.items() if value.is_floating_point() and ".norm." not in name]
    assert all(value.abs().max() <= bound for value in weights)
    assert published["stages.1.norm.weight"].shape == (2, 4, 4, 4)  # a scale for each position of a patch of 8
    subprocess.run([*command, "--report", str(tmp_path / "page.md")], check=True, timeout=300)
    assert "4 of 13 runs are finished" in (tmp_path / "page.md").read_text()
    assert {"psnr.svg", "patches.png", "volumes.csv"} <= {file.name for file in (tmp_path / "page").iterdir()}
