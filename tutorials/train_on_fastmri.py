# %% [markdown]
# # Train on your fastMRI folder
#
# Research use only, not for diagnosis. From a folder of fastMRI files to trained weights, a table and images, in four
# commands. Everything is made small here so that it runs in a minute or two without a GPU; what to change for real
# trainings stands beside it.

# %%
import subprocess
import sys
from pathlib import Path

from recon_monai import load_bundle
from recon_monai.data import FastMRISliceDataset
from recon_monai.data.demo import DemoRecipe, Protocol, built_in_dataset
from recon_monai.inference import bundle_folder

bundle = bundle_folder("weighted_dircn")  # in a clone of the repository; a folder of your own will do as well
work = Path("train_on_fastmri")  # everything is written there

# %% [markdown]
# ## The folder
#
# The bundle takes fastMRI's own tree (`multicoil_train`, `multicoil_val`, `multicoil_test`), or any folder of such
# files with a `split.json`. Put yours here: `folder = "/data/fastmri/knee"`. These lines make a few heads in its place.

# %%
protocol = Protocol(shape=(64, 56), pixel_mm=3.5, coils=4)
folder = built_in_dataset(
    recipe=DemoRecipe(brains=(2, 1, 1), knees=(0, 0, 0), slices=2, brain_protocols=(protocol,), real_slice_step=8)
)

# %% [markdown]
# `check` reads every file once, lists what is there, and names what cannot be used. It is a command; here, as all
# commands of this page, called by Python.


# %%
def run(*words: object) -> None:
    """A command as it would be typed, with this Python."""
    subprocess.run([sys.executable, "-m", *map(str, words)], check=True)


run("recon_monai", "check", folder)

# %% [markdown]
# ## Training
#
# `train.json` defines the network, its data, loss and schedule. What follows changes values in it by their ids, as on
# any command line of MONAI bundles: three cascades in `small.json`, and one epoch. For real: leave out `small.json` and
# `max_epochs`, add `--num_workers 8`, `--amp True` on a GPU, and `multi_gpu_train.json` under torchrun
# ([training](../docs/training.md)). `--dry_run True` says first what a training would do and cost.

# %%
configs = bundle / "configs"
files = f"['{configs}/train.json', '{configs}/small.json']"
training = ["monai.bundle", "run", "training", "--config_file", files]
options = ["--dataset_dir", folder, "--output_dir", work / "run", "--run_name", "run", "--max_epochs", 1]
run(*training, *options)
print(sorted(path.name for path in (work / "run").iterdir()))

# %% [markdown]
# `model.pt` are the weights with the best validation SSIM, `model.json` what they were trained on, `last.pt` the whole
# state (`--resume True` goes on), `run.json` command, configuration and versions.
#
# ## Evaluation
#
# Every file of the test part comes once per acceleration; the table has SSIM, PSNR and NMSE in fastMRI's conventions,
# beside the zero-filled image. One epoch on four slices teaches next to nothing.

# %%
evaluation = [
    "monai.bundle",
    "run",
    "evaluation",
    "--config_file",
    f"['{configs}/evaluate.json', '{configs}/small.json']",
]
run(*evaluation, "--dataset_dir", folder, "--ckpt", work / "run" / "model.pt", "--output_dir", work / "evaluation")
print((work / "evaluation" / "summary.md").read_text())

# %% [markdown]
# ## Images
#
# `inference.json` does the same from the command line; from Python it is `load_bundle`. Files are taken as they were
# measured; `acceleration` undersamples them first.

# %%
trained = load_bundle(bundle, ckpt=work / "run" / "model.pt", overlays=["small.json"], acceleration=4)
scans = sorted(Path(folder).glob("brain-04*.h5"))
volume = trained.reconstruct(scans, work / "reconstructed")[0]
assert volume.images["pred"].shape == (2, *FastMRISliceDataset(scans)[0]["target"].shape[-2:])
print(volume.key, tuple(volume.images["pred"].shape), sorted(path.name for path in (work / "reconstructed").iterdir()))
