# %% [markdown]
# # Add an anatomy
#
# Research use only, not for diagnosis. The universal network of the bundle knows brain and heart. Here it learns knees
# from two slices: only the affine maps of the new anatomy in its normalizations (ASPIN) and its row of the classifier
# are trained, 0.3 % of the network, so that what it does with the old anatomies stays the same to the last bit.
# Background, options and what it brings on real data: [a new anatomy](../docs/new_anatomy.md).

# %%
import subprocess
import sys
from pathlib import Path

import torch

from recon_monai import load_bundle
from recon_monai.data.demo import DemoRecipe, Protocol, built_in_dataset
from recon_monai.inference import bundle_folder

bundle = bundle_folder("universal_varnet")
work = Path("add_anatomy")

# %% [markdown]
# ## Few slices
#
# One slice of each of two knees to train on, one of another knee to choose the best epoch by, and a brain to see that
# nothing changed. With files of your own: a folder with a `split.json`, such as `{"train": ["knee_1.h5"], "val":
# ["knee_2.h5"], "test": []}`.

# %%
small = Protocol(shape=(96, 80), pixel_mm=1.8, coils=4)
recipe = DemoRecipe(
    brains=(1, 1, 1), knees=(2, 1, 1), slices=1, brain_protocols=(small,), knee_protocols=(small,), real_slice_step=12
)
folder = Path(built_in_dataset(recipe=recipe))
knee, brain = (next(folder.glob(f"{name}*.h5")) for name in ("knee-04", "brain-03"))

# %% [markdown]
# ## Training
#
# The overlay `add_anatomy.json` goes behind `train.json`; the name of the anatomy chooses the files. 50 epochs are the
# default; two show how it goes.

# %%
configs = bundle / "configs"
command = [sys.executable, "-m", "monai.bundle", "run", "training"]
command += ["--config_file", f"['{configs}/train.json', '{configs}/add_anatomy.json']"]
command += ["--new_anatomy", "knee", "--base", str(bundle / "models" / "model.pt"), "--dataset_dir", str(folder)]
command += ["--output_dir", str(work / "added"), "--run_name", "added", "--max_epochs", "2", "--warmup_epochs", "0"]
command += ["--val_interval", "2", "--accelerations", "[4]", "--center_fractions", "[0.08]", "--num_workers", "0"]
subprocess.run(command, check=True)

# %% [markdown]
# The run compares old and new bit by bit itself, and ends with an error if anything but the new parts changed.
# `model.pt` holds all three anatomies and their names; nothing has to be said of them when it is loaded.

# %%
weights = work / "added" / "model.pt"
before = load_bundle(bundle, ckpt=bundle / "models" / "model.pt", acceleration=4, anatomy="brain")
after = load_bundle(bundle, ckpt=weights, acceleration=4, anatomy="brain")
print(before.network.anatomies, "->", after.network.anatomies)

old, new = (loaded.reconstruct(brain)[0].images["pred"] for loaded in (before, after))
assert torch.equal(old, new), "the brain must not change"

# %% [markdown]
# With the anatomy given, the brain is the same to the last bit. Without `anatomy` the classifier decides; two epochs on
# two slices are few, so name the new anatomy where you know it.

# %%
knees = load_bundle(bundle, ckpt=weights, acceleration=4, anatomy="knee")
image = knees.reconstruct(knee, work / "reconstructed")[0].images["pred"]
print(tuple(image.shape), sorted(path.name for path in (work / "reconstructed").iterdir()))
