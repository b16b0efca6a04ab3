#!/usr/bin/env bash
# Turn the public data sets of docs/data.md into three data sets of fastMRI files:
#   OUT/real_brain_heart  simulated k-space of brains and hearts, split by subject: training, validation, test
#   OUT/raw_test          measured, fully sampled k-space, for testing only
#   OUT/raw_undersampled  measured k-space that was acquired undersampled, for inference
# Usage: scripts/prepare_real_data.sh DATA OUT      (DATA: the folder that docs/data.md calls $RECON_MONAI_REAL_DATA)
# Files that an earlier run wrote are replaced; the split stays the same.
set -euo pipefail

if [[ $# -ne 2 ]]; then
  echo "usage: $0 DATA OUT" >&2
  exit 2
fi
absolute() { case $1 in /*) printf '%s\n' "$1" ;; *) printf '%s/%s\n' "$PWD" "$1" ;; esac; }
data=$(absolute "$1")
out=$(absolute "$2")
if [[ ! -d $data ]]; then
  echo "$data is no folder; get the data sets that docs/data.md lists and give the folder that holds them" >&2
  exit 1
fi
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh" # goes to the repository, so the paths had to be absolute

train=$out/real_brain_heart
raw=$out/raw_test
undersampled=$out/raw_undersampled
shares=0.7,0.1,0.2 # of the subjects for training, validation and test
prepare() { python -m recon_monai prepare "$@" --overwrite; }

# whole heads, T1-weighted and T2-weighted: 9 subjects
ds000011="OpenfMRI ds000011 (Foerde et al. 2006), PDDL; https://github.com/sbassetto/LHData"
prepare "$data/t1_t2_brains_ds000011/sub-*_T1w.nii.gz" --output "$train" --prefix ds000011 --credit "$ds000011" \
  --anatomy brain --acquisition AXT1 --plane axial --matrix 160 --coils 6 --slice_step 6 \
  --fractions "$shares"
prepare "$data/t1_t2_brains_ds000011/sub-*_T1w.nii.gz" --output "$train" --prefix ds000011 --credit "$ds000011" \
  --anatomy brain --acquisition SAGT1 --plane sagittal --matrix 160 --coils 6 --slice_step 6 \
  --fractions "$shares"
prepare "$data/t1_t2_brains_ds000011/sub-*_inplaneT2.nii.gz" --output "$train" --prefix ds000011 \
  --credit "$ds000011" --anatomy brain --acquisition AXT2 --plane axial --coils 6 --fractions "$shares"

# finer matrices, skull-stripped, for training only: 10 more subjects
niimath="https://github.com/rordenlab/niimath-bitmap, CC0"
for plane in axial sagittal; do
  contrast=$([[ $plane == axial ]] && echo AX || echo SAG)
  prepare "$data/t1_t2_brains_niimath_cc0/T1.nii.gz" --output "$train" --split train --prefix niimath \
    --credit "$niimath" --anatomy brain --acquisition "${contrast}T1" --plane "$plane" --coils 8 --slice_step 9
done
prepare "$data/t1_brains_ds002748/sub-5*_T1w.nii.gz" --output "$train" --split train --prefix ds002748 \
  --credit "OpenNeuro ds002748 (Bezmaternykh et al. 2021), CC0" --anatomy brain --acquisition AXT1 --plane axial \
  --coils 8 --slice_step 12
prepare "$data/t1_brain_coreg_qa/highres.nii.gz" --output "$train" --split train --prefix coreg_qa \
  --credit "https://github.com/neurolabusc/coreg_qa, BSD-2-Clause" --anatomy brain --acquisition AXT1 --plane axial --coils 8 --slice_step 6

# hearts: 36 subjects
prepare "$data/heart_sunnybrook/sunnybrook_36_subjects.npz" --output "$train" --prefix sunnybrook \
  --credit "Sunnybrook Cardiac Data (Radau et al. 2009), CC0; https://github.com/mshunshin/SegNetCMR" \
  --anatomy heart --acquisition CINE_SAX --matrix 144 --coils 6 --fractions "$shares"

# measured k-space
pulseq="https://github.com/pulseq/MR-Physics-with-Pulseq, MIT"
for file in ksp_16ch ksp_2ch_bodycoil; do
  prepare "$data/brain16_gre_pulseq/$file.npy" --output "$raw" --split test --prefix brain16 --subject pulseq \
    --anatomy brain --acquisition AXGRE --axes coil,phase,readout --credit "$pulseq"
  prepare "$data/phantom16_gre_pulseq/$file.npy" --output "$raw" --split test --prefix phantom16 --subject sphere \
    --anatomy phantom --acquisition GRE --axes coil,phase,readout --credit "$pulseq"
done
prepare "$data/brain7_mprage_midas/coil_images_7ch.npy" --output "$raw" --split test --prefix brain7 \
  --anatomy brain --acquisition AXT1 --axes coil,readout,phase --domain image \
  --credit "https://github.com/lab-midas/ismrm-moco-workshop, MIT"
prepare "$data/brain8_undersampled_sigpy/cartesian_ksp.npy" --output "$undersampled" --split test --prefix brain8 \
  --anatomy brain --acquisition T1 --axes coil,readout,phase \
  --credit "https://github.com/mikgroup/sigpy-mri-tutorial, BSD-3-Clause"
prepare "$data/phantoms_gre_pulseq_cc0/ksp_grid_1ch.npy" "$data/phantoms_gre_pulseq_cc0/ksp_resolution_1ch.npy" \
  --output "$raw" --split test --anatomy phantom --acquisition GRE --axes coil,phase,readout --prefix phantom1 \
  --credit "https://github.com/pulseq/tutorials, CC0"
prepare "$data/phantoms_gre_pulseq_cc0/ksp_resolution_3echo.npy" --output "$raw" --split test \
  --anatomy phantom --acquisition GRE --axes slice,phase,readout --prefix phantom1 \
  --credit "https://github.com/pulseq/tutorials, CC0"
prepare "$data/phantom4_gre_ankara/ksp_4ch.npy" --output "$raw" --split test --prefix phantom4 \
  --anatomy phantom --acquisition GRE --axes coil,phase,readout \
  --credit "https://github.com/pulseq/Ankara-UMRAM-Hands-on-Course--March-2024, MIT"
prepare "$data/phantom2_gre_twixtools/ksp_2ch.npy" --output "$raw" --split test --prefix phantom2 \
  --anatomy phantom --acquisition GRE --axes coil,phase,readout --readout_oversampling 2 \
  --credit "https://github.com/pehses/twixtools, MIT"
prepare "$data/mouse_t2rare_bruker/ksp_1ch_15slices.npy" --output "$raw" --split test --prefix mouse \
  --anatomy mouse --acquisition T2RARE --axes slice,phase,readout --voxel_size 0.28125,0.28125,1.25 \
  --credit "https://github.com/MagneticResonanceImaging/MRIRecoTutorial, MIT"
