"""The ablation's plan, its data, its queue (cut off and gone on with), and its page."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch

from recon_monai.data import write_fastmri_h5
from recon_monai.physics import fft2c, ifft2c, keyed_generator, rss

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"


@pytest.fixture
def parts(monkeypatch) -> SimpleNamespace:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from ablation_parts import curves, data, plan, report, results, runner

    return SimpleNamespace(curves=curves, data=data, plan=plan, report=report, results=results, runner=runner)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """Two anatomies, a volume of each in each part; matrices of two sizes."""
    folder = tmp_path_factory.mktemp("ablation_data")
    split = {}
    for part in ("train", "val", "test"):
        split[part] = [f"{anatomy}_{part}.h5" for anatomy in ("brain", "heart")]
        for anatomy, shape in (("brain", (48, 40)), ("heart", (36, 36))):
            kspace = [
                fft2c(torch.randn(2, *shape, dtype=torch.complex64, generator=keyed_generator(anatomy, part, number)))
                for number in range(5)
            ]
            write_fastmri_h5(
                folder / f"{anatomy}_{part}.h5",
                kspace=kspace,
                target=[rss(ifft2c(one))[0] for one in kspace],
                attributes={"acquisition": "TEST", "anatomy": anatomy, "source": "simulated"},
            )
    (folder / "split.json").write_text(json.dumps(split))
    return folder


def test_slices_are_shared_out_evenly(parts):
    assert parts.data.share_out(7, [5, 5, 5]) == [3, 2, 2]
    assert parts.data.share_out(7, [1, 9]) == [1, 6]
    assert parts.data.share_out(9, [2, 3]) == [2, 3]


def test_the_copy_is_the_center_of_k_space_with_the_same_split(parts, dataset, tmp_path):
    counts = {"train": 3, "val": 2, "test": 1}
    found = parts.data.reduce_data(dataset, tmp_path / "copy", 32, counts)
    for part, slices in counts.items():
        assert found[part] == {anatomy: {"volumes": 1, "slices": slices} for anatomy in ("brain", "heart")}
    assert json.loads((tmp_path / "copy" / "split.json").read_text()) == json.loads(
        (dataset / "split.json").read_text()
    )
    with h5py.File(dataset / "brain_train.h5") as whole, h5py.File(tmp_path / "copy" / "brain_train.h5") as copy:
        # three of five slices, spread evenly; rows 8 to 40 of 48, columns 4 to 36 of 40
        expected = whole["kspace"][[0, 2, 4]][:, :, 8:40, 4:36] * np.sqrt(32 * 32 / (48 * 40))
        np.testing.assert_allclose(copy["kspace"][()], expected, rtol=1e-5)
        image = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(expected, axes=(2, 3)), norm="ortho"), axes=(2, 3))
        target = np.sqrt((np.abs(image) ** 2).sum(axis=1))
        np.testing.assert_allclose(copy["reconstruction_rss"][()], target, rtol=1e-4)
        assert copy.attrs["max"] == pytest.approx(target.max(), rel=1e-4)
    before = (tmp_path / "copy" / "brain_train.h5").stat().st_mtime_ns
    assert parts.data.reduce_data(dataset, tmp_path / "copy", 32, counts) == found
    assert (tmp_path / "copy" / "brain_train.h5").stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="a copy made by"):
        parts.data.reduce_data(dataset, tmp_path / "copy", 24, counts)
    with pytest.raises(ValueError, match="at least 64 x 64"):
        parts.data.reduce_data(dataset, tmp_path / "other", 64, counts)


def test_the_queue_has_seed_0_first_and_what_others_need_before_them(parts):
    runs = parts.plan.queue(["brain", "heart"])
    assert len({run.name for run in runs}) == len(runs) == 18
    seeds = [run.seed for run in runs]
    assert seeds == sorted(seeds)
    names = [run.name for run in runs]
    first_student = next(index for index, run in enumerate(runs) if run.teachers)
    assert {"classifier-seed0", "a-brain-seed0", "a-heart-seed0"} <= set(names[:first_student])
    repeated = {run.variant for run in runs if run.seed == 2}
    assert repeated == {"b", "c-all", "d"}
    assert all(sum(run.variant == variant for run in runs) == 3 for variant in repeated)
    assert {run.omega for run in runs if run.variant.startswith("d")} == {0.5, 0.9, 0.99}


def test_commands_differ_in_what_the_variant_says(parts):
    runs = {run.name: run for run in parts.plan.queue(["brain", "heart"])}
    scale = parts.plan.SCALES["small"]

    def options(name: str) -> dict[str, str]:
        command = parts.plan.training_command(
            runs[name], scale, Path("data"), Path("out"), {"classifier": Path("c.pt")}
        )
        return dict(zip(command[5::2], command[6::2], strict=True))

    shared, universal, student, moved, affine = (options(f"{name}-seed0") for name in ("b", "c-all", "d", "e", "f"))
    assert "train_teacher.json" in shared["--config_file"]
    assert shared["--train::dataset::filters"] == "@filters"
    assert options("a-heart-seed0")["--teacher_of"] == "heart"
    assert "no_distillation.json" in universal["--config_file"]
    assert universal["--stage_weights::classifier"] == "c.pt"
    assert options("c-input-seed0")["--aspin_placement"] == "input"
    assert "no_distillation.json" not in student["--config_file"]
    assert {one["--aug_strength"] for one in (shared, universal, student)} == {"0.0"}
    assert (moved["--aug_strength"], moved["--aug_delay"]) == ("0.6", str(scale.epochs // 10))
    assert "--aug_weight_rotation" not in moved
    assert affine["--aug_weight_rotation"] == "0.5"
    assert options("d-seed2")["--seed"] == "2"


def rows_of(values: dict[tuple[str, int], list[float]]) -> list[dict]:
    rows = []
    for (variant, seed), found in values.items():
        for number, value in enumerate(found):
            fields = {"file": f"f{number}", "anatomy": "brain", "acceleration": 4}
            rows.append({"variant": variant, "seed": seed, **fields, "ssim": value, "psnr": 10 * value})
    return rows


def test_means_spread_and_differences(parts):
    results = parts.results
    rows = rows_of({("b", 0): [0.5, 0.7], ("b", 1): [0.6, 0.8], ("d", 0): [0.6, 0.9], ("d", 1): [0.8, 0.7]})
    means = results.seed_means(rows, "b", "ssim")
    assert means == pytest.approx({0: 0.6, 1: 0.7})
    assert results.value_and_spread(means, "ssim") == "0.6500 ± 0.0707"
    assert results.value_and_spread({0: 0.6}, "psnr") == "0.60 *"
    assert results.value_and_spread({}, "psnr") == "n/a"
    found = results.difference(rows, "d", "b", "ssim")
    assert found.by_seed == pytest.approx({0: 0.15, 1: 0.05})
    assert (found.better, found.volumes) == (3, 4)
    assert results.difference(rows, "d", "nothing", "ssim") is None
    # the seeds of d have equal means, so that the pooled variance is half that of b
    assert results.pooled_deviation(rows, "ssim") == pytest.approx(0.05)
    assert results.paired_deviation([found]) == pytest.approx(0.0707, abs=1e-4)
    assert results.paired_deviation([dataclasses.replace(found, by_seed={0: 0.1})]) is None
    assert found.mean == pytest.approx(0.1)
    assert found.sign(0.070) == 1  # twice 0.07 / sqrt(2) is 0.099
    assert found.sign(0.072) == 0
    assert found.sign(None) is None


def test_curves_are_drawn_where_their_values_are(parts):
    curves = {"one": [{5: 0.5, 10: 0.7}, {5: 0.7, 10: 0.9}], "other <b>": [{5: 0.6, 10: 0.6}], "none": []}
    text = parts.curves.draw_curves({"brain": curves}, "SSIM")
    svg = ElementTree.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    lines = [line.get("points") for line in svg.iter(f"{space}polyline")]
    assert len(lines) == 4  # two seeds, their mean, and a single one
    mean, flat = ([float(point.split(",")[1]) for point in line.split()] for line in (lines[2], lines[3]))
    assert mean[0] == pytest.approx(flat[0], abs=0.11)  # 0.6 in both
    assert flat[0] == flat[1]
    assert mean[1] < mean[0]  # higher values are further up
    labels = [element.text for element in svg.iter(f"{space}text")]
    assert {"brain", "one", "other <b>", "epoch", "SSIM"} <= set(labels)
    assert "none" not in labels
    assert parts.curves.ticks(0.68, 0.91) == pytest.approx([0.7, 0.75, 0.8, 0.85, 0.9])
    with pytest.raises(ValueError, match="no curves"):
        parts.curves.draw_curves({"brain": {"none": []}}, "SSIM")


def test_parameters_are_those_of_the_networks(parts):
    runs = {run.variant: run for run in parts.plan.queue(["brain", "knee"])}
    full = parts.plan.SCALES["full"]
    counts = {
        name: parts.report.parameters(runs[name], full, ["brain", "knee"]) for name in runs if name != "classifier"
    }
    assert counts["a"] == counts["b"] == 5_030_682
    assert (counts["c-all"], counts["c-bottleneck"], counts["c-input"]) == (5_061_498, 5_035_290, 5_030_746)


DRIVER = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from test_ablation import make_queue
from ablation_parts import plan, runner
sys.exit(make_queue(plan, runner, Path(sys.argv[1]), Path(sys.argv[2])).work())
"""


def make_queue(plan, runner, folder: Path, data: Path):
    """Two plain networks, one for all anatomies and one of brains; 100 epochs of 4 and 2 updates."""
    scale = dataclasses.replace(plan.SCALES["tiny"], epochs=100, val_interval=100)
    runs = [plan.Run("b", "plain"), plan.Run("a", "plain", anatomy="brain")]
    return runner.Queue(runs, scale, folder, data, {None: 4, "brain": 2})


@pytest.mark.slow
def test_a_queue_that_was_stopped_goes_on_and_skips_what_is_done(parts, dataset, tmp_path):
    data, folder = tmp_path / "data", tmp_path / "runs"
    parts.data.reduce_data(dataset, data, 32, {"train": 2, "val": 1, "test": 1})
    queue = make_queue(parts.plan, parts.runner, folder, data)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    paths = [str(SCRIPTS), str(Path(__file__).parent)]
    command = [sys.executable, "-c", DRIVER, str(folder), str(data), *paths]
    cut = subprocess.Popen(command, env=environment)
    deadline = time.monotonic() + 240
    while not (folder / "b-seed0" / "training" / "last.pt").exists():
        assert cut.poll() is None, (folder / "b-seed0" / "training.log").read_text()[-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with pytest.raises(parts.runner.Busy, match="is at work here"):
        queue.work()
    assert queue.status().splitlines()[0].split()[:2] == ["b-seed0", "running"]
    cut.send_signal(signal.SIGTERM)
    assert cut.wait(timeout=240) == 143
    assert not (folder / "a-brain-seed0").exists()
    lines = [line.split()[:2] for line in queue.status().splitlines()[:2]]
    assert lines == [["b-seed0", "begun"], ["a-brain-seed0", "waiting"]]
    subprocess.run(command, env=environment, check=True, timeout=400)
    for name in ("b-seed0", "a-brain-seed0"):
        assert json.loads((folder / name / "training" / "finished.json").read_text())["epochs"] == 100
    attempts = queue.attempts(queue.runs[0])
    assert [(entry["part"], entry["status"]) for entry in attempts] == [
        ("training", 143),
        ("training", 0),
        ("evaluation", 0),
    ]
    assert all(entry["cpu_seconds"] > 0 for entry in attempts)
    assert len(json.loads((folder / "b-seed0" / "training" / "run.json").read_text())["resumed"]) == 1
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.name != "lock"}
    assert queue.work() == 0
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.name != "lock"} == before
    check_page(parts, folder, data, tmp_path / "page.md")


def check_page(parts, folder: Path, data: Path, page: Path) -> None:
    """The page of a queue with two runs of 18: what is there and what is not."""
    scale = dataclasses.replace(parts.plan.SCALES["tiny"], epochs=100, val_interval=100)
    runs = parts.plan.queue(["brain", "heart"])
    queue = parts.runner.Queue(runs, scale, folder, data, {None: 4, "brain": 2, "heart": 2})
    parts.report.write_report(queue, {"scale": "tiny", "data": parts.data.describe_data(data)}, page)
    text = page.read_text()
    rows = parts.results.read_rows(folder / "b-seed0" / "evaluation" / "volumes.csv", "b", 0)
    brain = [row["ssim"] for row in rows if row["anatomy"] == "brain" and row["acceleration"] == 4]
    section = text[text.index("### brain, 4x") :]
    line = next(line for line in section.splitlines() if line.startswith("| (b)"))
    assert f"{np.mean(brain):.4f} *" in line
    # the runs of both anatomies are not finished
    assert next(line for line in section.splitlines() if line.startswith("| (a)")).count("n/a") == 4
    assert "2 of 18 runs are finished" in text
    assert "(page/curves.svg)" in text
    assert "(b) one VarNet for all" in (page.with_suffix("") / "curves.svg").read_text()
