"""The comparison of DIRCN variants: its plan, what it measures, and its page."""

from __future__ import annotations

import csv
import dataclasses
import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from recon_monai.data import write_fastmri_h5
from recon_monai.networks import DIRCN
from recon_monai.physics import fft2c, ifft2c, keyed_generator, rss

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"
VARIANTS = ["normalized-sum", "concat", "none", "sum", "no-interconnections", "no-se", "focal", "batch-schedule"]


@pytest.fixture
def parts(monkeypatch) -> SimpleNamespace:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import measure_dircn
    from ablation_parts import curves, dircn_plan, dircn_report, hardest, pages, results, runner

    return SimpleNamespace(
        curves=curves,
        plan=dircn_plan,
        report=dircn_report,
        hardest=hardest,
        pages=pages,
        results=results,
        runner=runner,
        measure=measure_dircn,
    )


def test_the_queue_changes_one_thing_at_a_time_and_repeats_three(parts):
    runs = parts.plan.queue(["brain", "heart"])
    assert [run.name for run in runs] == [
        *(f"{variant}-seed0" for variant in VARIANTS),
        "measurement",
        *(f"{variant}-seed{seed}" for seed in (1, 2) for variant in (*VARIANTS[:2], "no-interconnections")),
    ]
    first = {run.variant: run for run in runs if run.kind == "network" and run.seed == 0}
    changes = {name: [*run.network, *([run.overlay] if run.overlay else [])] for name, run in first.items()}
    assert changes.pop("normalized-sum") == []
    assert all(len(changed) == 1 for changed in changes.values())
    assert set(parts.report.LABELS) == {"zero-filled", *first}
    assert {name for claim in parts.report.CLAIMS for name in claim[1:3]} <= set(first)


def options_of(command: list[str]) -> dict[str, str]:
    return {name.removeprefix("--"): value for name, value in zip(command[5::2], command[6::2], strict=True)}


def test_commands_differ_in_what_the_variant_says(parts):
    scale = parts.plan.SCALES["small"]
    runs = {run.variant: run for run in parts.plan.queue([]) if run.seed == 0}

    def options(variant: str, part: str) -> dict[str, str]:
        return options_of(runs[variant].command(part, scale, Path("data"), Path("out"), {}))

    for part in ("training", "evaluation"):
        default = options("normalized-sum", part)
        assert default["network_def::refinement::channels"] == str(scale.sizes[1])
        for variant in VARIANTS[1:]:
            changed = {name for name, value in options(variant, part).items() if default.get(name) != value}
            expected = {
                "concat": {"network_def::aggregation"},
                "none": {"network_def::aggregation"},
                "sum": {"network_def::aggregation"},
                "no-interconnections": {"network_def::interconnections"},
                "no-se": {f"network_def::{one}::se_ratio" for one in ("refinement", "sensitivity_network::refinement")},
            }.get(variant, {"config_file"} if part == "training" else set())
            assert changed == expected, variant
    assert "focal.json" in options("focal", "training")["config_file"]
    assert "batch_schedule.json" in options("batch-schedule", "training")["config_file"]
    assert options("normalized-sum", "evaluation")["ckpt"] == "out/training/model.pt"


def test_what_commands_set_is_in_the_configurations(parts):
    """An id that a configuration does not have would be set without any effect."""
    scale = parts.plan.SCALES["tiny"]
    for run in parts.plan.queue([]):
        for part in run.parts[: len(run.parts) if run.kind == "network" else 0]:
            options = options_of(run.command(part, scale, Path("data"), Path("out"), {}))
            config = json.loads(Path(options["config_file"].split("'")[1]).read_text())
            for name in options.keys() - {"config_file"}:
                found = config
                for key in name.split("::"):
                    assert key in found, name
                    found = found[key]


def test_parameters_are_those_of_the_networks(parts):
    full = parts.plan.SCALES["full"]
    runs = {run.variant: run for run in parts.plan.queue([])}
    counts = {name: parts.report.parameters(runs[name], full) for name in VARIANTS}
    expected = {
        "normalized-sum": {},
        "concat": {"aggregation": "concat"},
        "no-interconnections": {"interconnections": False},
        "no-se": {"se_ratio": 0},
    }
    for name, arguments in expected.items():
        assert counts[name] == sum(p.numel() for p in DIRCN(5, 8, 4, **arguments).parameters())
    assert counts["normalized-sum"] == counts["sum"] == counts["focal"] == counts["batch-schedule"]
    assert counts["none"] == counts["sum"] - 4  # a weight for each cascade but the first


def slices_of(variant: str, seed: int, values: list[float]) -> list[dict]:
    rows = []
    for number, value in enumerate(values):
        fields = {"anatomy": "brain" if number < 10 else "heart", "acceleration": 4 if number % 2 else 8}
        metrics = {"ssim": value, "psnr": 10 * value, "nmse": 1 - value}
        rows.append({"variant": variant, "seed": seed, "file": f"f{number}", **fields, **metrics})
    return rows


def test_the_hardest_tenth_has_the_lowest_zero_filled_ssim(parts):
    easy = [0.9 - 0.01 * number for number in range(20)]
    easy[3], easy[14] = 0.2, 0.3
    rows = slices_of("zero-filled", 0, easy) + slices_of("normalized-sum", 0, [0.95] * 20)
    better = [0.95] * 20
    better[3], better[14], better[0] = 0.97, 0.99, 0.5
    rows += slices_of("focal", 0, better)
    found = parts.hardest.hardest(rows)
    assert found.keys == {("f3", 4), ("f14", 8)}
    assert found.threshold == pytest.approx(0.7)
    assert found.groups == {("brain", 4): 1, ("heart", 8): 1}
    labels = {"zero-filled": "zero-filled", "normalized-sum": "default", "focal": "focal"}
    table = parts.hardest.hardest_table(rows, found, labels, "normalized-sum")
    line = [cell.strip() for cell in table.splitlines()[-1].split("|")[1:-1]]
    assert line[:2] == ["focal", "0.9800 *"]
    assert line[-2:] == ["+0.0300 (2 of 2 better)", f"{-0.45 / 18:+.4f} (0 of 18 better)"]
    svg = ElementTree.fromstring(parts.hardest.histogram(rows, found))
    texts = [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert {"brain", "heart", "4x", "8x", "1 - SSIM(zero-filled)", "slices"} <= set(texts)


def test_histograms_have_bins_of_the_right_height(parts):
    text = parts.curves.draw_histograms({"one": {"a": [0.11, 0.12, 0.31]}}, "value", 0.1, {"mark": 0.2})
    svg = ElementTree.fromstring(text)
    outline, mark = (element.get("points") for element in svg.iter("{http://www.w3.org/2000/svg}polyline"))
    points = [tuple(map(float, point.split(","))) for point in outline.split()]
    assert len(points) == 8  # three bins from 0.1 to 0.4
    base, heights = points[0][1], [points[index][1] for index in (1, 3, 5)]
    assert base - heights[0] == pytest.approx(2 * (base - heights[2]), abs=0.2)
    assert heights[1] == base == points[-1][1]
    assert float(mark.split(",")[0]) == points[3][0]  # where the second bin begins
    with pytest.raises(ValueError, match="no values"):
        parts.curves.draw_histograms({"one": {"a": []}}, "value", 0.1, {})


def test_what_should_not_be_worse_is_judged_so(parts):
    values = {("one", 0): 0.80, ("one", 1): 0.82, ("other", 0): 0.70, ("other", 1): 0.73}
    rows = [row for (variant, seed), value in values.items() for row in slices_of(variant, seed, [value] * 4)]
    claims = [parts.pages.Claim("no worse", "one", "other", 0), parts.pages.Claim("worse", "other", "one", 0)]
    table = parts.pages.claims_table(rows, claims, ["one", "other"], "Intro.", lambda single, paired: f"{paired:.4f}")
    assert table.startswith("Intro. 0.0071\n")
    lines = table.splitlines()
    assert lines[-2].count("holds: better") == 2
    assert lines[-1].count("does not hold: worse") == 2


def measured(factor: float, name: str) -> list[dict]:
    return [{"name": name, "megabytes": factor * 100, "seconds": factor, "parameters": 10}]


def test_memory_is_said_as_measured(parts):
    factors = {"none": 1.0, "concat": 2.0, "normalized-sum": 1.5, "no-interconnections": 1.2}
    by_name = {name: measured(factor, name) for name, factor in factors.items()}
    by_name["normalized-sum-checkpointing"] = measured(0.75, "saving")
    text = parts.report.memory_sentences(by_name)
    assert "concatenation adds +100 MB (+100.0%), the normalized sum +50 MB (+50.0%)" in text
    assert "-25.0% of memory compared with concatenation" in text
    assert "differ by up to 0 MB" in text
    by_name["none"] = [{**by_name["none"][0], "megabytes": megabytes} for megabytes in (97.0, 104.0)]
    assert "differ by up to 7 MB; smaller differences are none" in parts.report.memory_sentences(by_name)
    by_name["concat"] = [{"name": "concat", "megabytes": None, "seconds": None, "parameters": 10}]
    assert "do not fit" in parts.report.memory_sentences(by_name)


def test_the_measurement_goes_on_where_it_was_cut_off(parts, tmp_path, monkeypatch):
    calls = []

    def process(settings):
        calls.append((settings["round"], settings["name"]))
        if len(calls) == 3:
            raise RuntimeError("cut off")
        return {"seconds": 1.0, "megabytes": 2.0, "parameters": 3}

    monkeypatch.setattr(parts.measure, "_process", process)
    size = {"sizes": [1, 4, 2], "shape": [2, 48, 48]}
    settings = {"networks": {"a": {}, "b": {"aggregation": "concat"}}, "measured": [size], "rounds": 2}
    with pytest.raises(RuntimeError, match="cut off"):
        parts.measure.measure_all(tmp_path, settings)
    assert not (tmp_path / "finished.json").exists()
    parts.measure.measure_all(tmp_path, settings)
    assert calls == [(0, "a"), (0, "b"), (1, "a"), (1, "a"), (1, "b")]
    processes = json.loads((tmp_path / "finished.json").read_text())["processes"]
    assert [(entry["round"], entry["name"]) for entry in processes] == [(0, "a"), (0, "b"), (1, "a"), (1, "b")]
    state = json.loads((tmp_path / "processes.json").read_text())
    state["where"]["device"] = "another"
    (tmp_path / "processes.json").write_text(json.dumps(state))
    with pytest.raises(ValueError, match="remove it to measure anew"):
        parts.measure.measure_all(tmp_path, settings)


def write_rows(file: Path, rows: list[dict]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def made_up_run(parts, folder: Path, run, quality: float) -> None:
    """The files of a finished run, every metric of it from one number."""
    for part in run.parts:
        (folder / run.name / part).mkdir(parents=True)
        (folder / run.name / part / "finished.json").write_text("{}")
    if run.kind == "measurement":
        state = {"where": {"device": "cpu", "threads": 1}, "processes": []}
        for size in parts.plan.SCALES["tiny"].measured:
            for place, name in enumerate(parts.plan.measured_networks(), start=1):
                figures = {"megabytes": 100.0 * place, "seconds": 0.1 * place, "parameters": place}
                state["processes"].append({"name": name, **dataclasses.asdict(size), **figures})
        (folder / run.name / "measurement" / "finished.json").write_text(json.dumps(state))
        return
    training = folder / run.name / "training"
    (training / "model.pt").touch()
    metrics = {f"val_{name}": quality for name in ("ssim", "psnr", "nmse", "foreground_ssim")}
    (training / "model.json").write_text(json.dumps({"metrics": metrics, "epoch": 1}))
    rows = []
    for method, value in (("zero_filled", 0.5), ("reconstruction", quality)):
        for anatomy in ("brain", "heart"):
            for acceleration in (4, 8):
                ssim = value - acceleration / 100
                fields = {"slice": 0, "file": anatomy, "anatomy": anatomy, "acceleration": acceleration}
                values = {"ssim": ssim, "psnr": 40 * ssim, "nmse": 1 - ssim, "foreground_ssim": ssim}
                rows.append({**fields, "method": method, **values})
    for name in ("volumes.csv", "slices.csv"):
        write_rows(folder / run.name / "evaluation" / name, rows)


def test_the_page_says_what_was_measured_and_what_is_missing(parts, tmp_path):
    runs = parts.plan.queue(["brain", "heart"])
    queue = parts.runner.Queue(runs, parts.plan.SCALES["tiny"], tmp_path / "runs", tmp_path, {None: 4})
    data = {part: {"brain": {"volumes": 1, "slices": 2}} for part in ("train", "val", "test")}
    plan = {"scale": "tiny", "data": data}
    with pytest.raises(ValueError, match="nothing to report"):
        parts.report.write_report(queue, plan, tmp_path / "page.md")
    for place, run in enumerate(runs):
        if run.variant != "no-se":
            made_up_run(parts, tmp_path / "runs", run, 0.8 + place / 1000)
    parts.report.write_report(queue, plan, tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    assert "14 of 15 runs are finished" in text
    assert "Missing: no-se-seed0." in text
    line = next(line for line in text.splitlines() if "| focal - normalized-sum" in line)
    assert "+0.0060" in line
    assert "*" in line
    line = next(line for line in text.splitlines() if "| normalized-sum - concat" in line)
    assert "-0.0010" in line  # at each of three seeds, so that it is found with certainty
    assert "does not hold: worse" in line
    memory = next(line for line in text.splitlines() if line.startswith("| concatenation") and "200" in line)
    assert [cell.strip() for cell in memory.split("|")[2:5]] == ["2", "200 (200 to 200)", "2.00"]
    assert "The hardest tenth are 1 slices with at least 0.580: 1 of brain at 8x." in text
    assert (tmp_path / "page" / "difficulty.svg").is_file()


@pytest.mark.slow
def test_a_process_measures_memory_and_time(parts):
    settings = {"sizes": [1, 4, 2], "network": {"aggregation": "concat"}, "shape": [2, 48, 48]}
    found = parts.measure._process({**settings, "name": "concat", "device": "cpu", "threads": 1, "repeats": 1})
    assert found["parameters"] == sum(p.numel() for p in DIRCN(1, 4, 2, aggregation="concat").parameters())
    assert found["seconds"] > 0
    assert found["megabytes"] > 0


@pytest.fixture
def dataset(tmp_path) -> Path:
    folder = tmp_path / "data"
    split = {}
    for part in ("train", "val", "test"):
        split[part] = []
        for anatomy in ("brain", "heart"):
            generator = keyed_generator(anatomy, part)
            kspace = [fft2c(torch.randn(2, 36, 40, dtype=torch.complex64, generator=generator)) for _ in range(3)]
            split[part].append(f"{anatomy}_{part}.h5")
            write_fastmri_h5(
                folder / split[part][-1],
                kspace=kspace,
                target=[rss(ifft2c(one))[0] for one in kspace],
                attributes={"acquisition": "TEST", "anatomy": anatomy, "source": "simulated"},
            )
    (folder / "split.json").write_text(json.dumps(split))
    return folder


@pytest.mark.slow
def test_every_kind_of_run_works_and_is_reported(parts, dataset, tmp_path, monkeypatch):
    command = [sys.executable, str(SCRIPTS / "ablation.py"), "--bundle", "weighted_dircn", "--scale", "tiny"]
    command += ["--dataset_dir", str(dataset), "--output", str(tmp_path / "out")]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    status = subprocess.run([*command, "--status"], check=True, capture_output=True, text=True, timeout=300).stdout
    assert "15 of 15 runs left" in status
    # a queue that was begun with fewer runs takes more, one with others or other settings does not
    file = tmp_path / "out" / "tiny" / "plan.json"
    whole = json.loads(file.read_text())
    file.write_text(json.dumps({**whole, "runs": whole["runs"][:-1]}))
    subprocess.run([*command, "--status"], check=True, timeout=300)
    assert json.loads(file.read_text()) == whole
    for other in ({**whole, "runs": [*whole["runs"], {"variant": "unknown"}]}, {**whole, "settings": {}}):
        file.write_text(json.dumps(other))
        refused = subprocess.run([*command, "--status"], capture_output=True, text=True, timeout=300)
        assert refused.returncode != 0
        assert "begun by another plan" in refused.stdout
    file.write_text(json.dumps(whole))
    runs = {run.variant: run for run in parts.plan.queue(["brain", "heart"]) if run.seed == 0}
    chosen = ["normalized-sum", "concat", "no-interconnections", "no-se", "focal", "batch-schedule", "measurement"]
    folder = tmp_path / "out" / "tiny"
    queue = parts.runner.Queue(
        [runs[name] for name in chosen], parts.plan.SCALES["tiny"], folder / "runs", folder / "data", {None: 4}
    )
    assert queue.work() == 0
    subprocess.run([*command, "--report", str(tmp_path / "page.md")], check=True, timeout=300)
    text = (tmp_path / "page.md").read_text()
    assert "7 of 15 runs are finished" in text
    svg = {file.name for file in (tmp_path / "page").iterdir()}
    assert svg == {"aggregation.svg", "parts.svg", "training.svg", "difficulty.svg"}
    for name in chosen[:-1]:
        config = json.loads((folder / "runs" / f"{name}-seed0" / "training" / "model.json").read_text())
        assert config["epoch"] == 1
