# %% [markdown]
# # Super-resolve a NIfTI
#
# Research use only, not for diagnosis. From a coarse volume to a finer one on the exact grid, with a record of what was
# done. A network draws detail that was likely in its training set: what it added to plain interpolation is written
# beside the image, and volumes unlike the training are refused.
#
# Here a small network is trained first, for a few steps and on made-up heads, so that everything is at hand. With
# weights of your own, or those of a release, begin at "Super-resolution".

# %%
import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np

from recon_monai import load_bundle
from recon_monai.data.demo import DemoVolumeRecipe, ensure_demo_volumes
from recon_monai.inference import bundle_folder

work = Path("super_resolve_nifti")
work.mkdir(exist_ok=True)

# %% [markdown]
# ## A network for these volumes
#
# Volumes of high resolution are all that a training needs: low resolution is simulated from them, here by cutting
# k-space to half along all axes. `small.json` makes the network small; 60 steps of its first stage are far too few for
# good images. For real: `--dataset_dir` of your own volumes, `train.json` alone, a GPU.

# %%
recipe = DemoVolumeRecipe(heads=(2, 1, 1), shape=(48, 56, 48), spacing=3.2, real=False)
folder = Path(ensure_demo_volumes(recipe=recipe))

bundle = bundle_folder("mdcsrn_wgan_gp", weights=False)
configs = bundle / "configs"
mixture = {"recipes": {"isotropic2": {"probability": 1.0, "magnitude": "coarse"}}, "val_recipes": ["isotropic2"]}
(work / "mixture.json").write_text(json.dumps(mixture))
files = [f"{configs}/train.json", f"{configs}/pretrain.json", f"{configs}/small.json", f"{work}/mixture.json"]
command = [sys.executable, "-m", "monai.bundle", "run", "training", "--config_file", str(files)]
command += ["--dataset_dir", str(folder), "--output_dir", str(work / "run"), "--run_name", "run"]
command += ["--pretrain_steps", "60", "--steps_per_epoch", "60", "--patch_size", "16", "--patches_per_volume", "2"]
subprocess.run(command, check=True)

# %% [markdown]
# ## A coarse volume
#
# Your scan goes here: `coarse = "scan_T1w.nii.gz"`. These lines take the test volume and keep half of its k-space along
# each axis; the samples that are left lie where every second one was.

# %%
fine = nibabel.load(next(folder.glob("*-04*.nii.gz")))
spectrum = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(fine.get_fdata())))
middle = tuple(slice(size // 4, size // 4 + size // 2) for size in fine.shape)
values = np.abs(np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(spectrum[middle])))) / 8
affine = fine.affine @ np.diag([2.0, 2.0, 2.0, 1.0])
coarse = work / "scan_T1w.nii.gz"
nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), affine), coarse)

# %% [markdown]
# ## Super-resolution
#
# `factor` is how many times finer the grid becomes over the same field of view; `target_spacing` names the voxel size
# instead. On the command line these are options of `inference.json`.

# %%
loaded = load_bundle(bundle, ckpt=work / "run" / "model.pt", overlays=["small.json"])
(done,) = loaded.super_resolve(coarse, work / "fine", factor=2)
print(done.image, *done.warnings, sep="\n")

result = nibabel.load(done.image)
assert result.shape == fine.shape
assert np.allclose(result.header.get_zooms(), 3.2)
record = json.loads(done.record.read_text())
print("added to interpolation, of the intensity scale:", record["difference"]["mean_absolute"])

# %% [markdown]
# `scan_T1w_sr.nii.gz` is the volume, `scan_T1w_difference.nii.gz` what the network added (look at it), and the JSON
# file the record: grids, weights, what they were trained on, warnings.
