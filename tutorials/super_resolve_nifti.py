# %% [markdown]
# # Super-resolve a NIfTI
#
# Research use only, not for diagnosis. From a coarse volume to a finer one on the exact grid, with a record of what was
# done. A network draws detail that was likely in its training set: what it added to plain interpolation is written
# beside the image, and volumes unlike the training are refused.
#
# The bundle ships weights for T1-weighted brains, which bring voxels of about 2 mm to 1 mm, or thick slices to voxels
# of 0.8 to 1.33 mm. They come from a short training on a CPU; their data sheet says how much better than interpolation
# they are.

# %%
import json
from pathlib import Path

import nibabel
import numpy as np

from recon_monai import load_bundle
from recon_monai.data.demo import DemoVolumeRecipe, ensure_demo_volumes
from recon_monai.inference import bundle_folder

work = Path("super_resolve_nifti")
work.mkdir(exist_ok=True)

# %% [markdown]
# ## A coarse volume
#
# Your scan goes here: `coarse = "scan_T1w.nii.gz"`. These lines take the middle of a made-up head in voxels of 1 mm and
# keep half of its k-space along each axis; the samples that are left lie where every second one was.

# %%
recipe = DemoVolumeRecipe(heads=(0, 0, 1), shape=(64, 80, 64), spacing=1.0, real=False)
fine = nibabel.load(next(Path(ensure_demo_volumes(recipe=recipe)).glob("*.nii.gz")))
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
# instead. On the command line these are options of `inference.json`. Other weights are named by `ckpt=`: the bundle's
# `models/pretrained.pt`, which no critic has seen, or those of a training with volumes of yours.

# %%
loaded = load_bundle(bundle_folder("mdcsrn_wgan_gp"))
(done,) = loaded.super_resolve(coarse, work / "fine", factor=2, overwrite=True)
print(done.image, *done.warnings, sep="\n")

result = nibabel.load(done.image)
assert result.shape == fine.shape
assert np.allclose(result.header.get_zooms(), 1.0)
record = json.loads(done.record.read_text())
print("added to interpolation, of the intensity scale:", record["difference"]["mean_absolute"])

# %% [markdown]
# ## Is it nearer to the truth?
#
# Of a real scan nobody knows. Here the fine volume is at hand, so both images are compared with it. One made-up head
# says little: the numbers on brains that no training has seen are in the data sheet of the bundle.

# %%
truth, output = fine.get_fdata(), result.get_fdata()
plain = output - nibabel.load(done.difference).get_fdata()
for name, image in (("interpolation", plain), ("super-resolution", output)):
    error = np.linalg.norm(image - truth) / np.linalg.norm(truth)
    print(f"{name}: relative error {error:.4f}")

# %% [markdown]
# `scan_T1w_sr.nii.gz` is the volume, `scan_T1w_difference.nii.gz` what the network added (look at it), and the JSON
# file the record: grids, weights, what they were trained on, warnings.
