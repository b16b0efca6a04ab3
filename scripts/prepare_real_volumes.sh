#!/usr/bin/env bash
# Gather the T1-weighted brains of docs/data.md into one folder for super-resolution, split by subject:
#   OUT/brains   25 subjects of four public data sets as links to NIfTI files, and split.json
# Usage: scripts/prepare_real_volumes.sh DATA OUT      (DATA: the folder that docs/data.md calls $RECON_MONAI_REAL_DATA)
set -euo pipefail

if [[ $# -ne 2 || ! -d $1 ]]; then
  echo "usage: $0 DATA OUT; DATA is the folder that holds the data sets that docs/data.md lists" >&2
  exit 2
fi
data=$(cd "$1" && pwd)
mkdir -p "$2/brains"
out=$(cd "$2/brains" && pwd)

link() { # FILE NAME
  [[ -f $1 ]] || { echo "$1 is missing; get it as docs/data.md says" >&2; exit 1; }
  ln -sf "$1" "$out/$2"
}
# "sub-<data set>x<number>": several sets have a sub-01
for file in "$data"/t1_brains_ds002748/sub-*_T1w.nii.gz; do
  link "$file" "sub-ds002748x${file##*/sub-}"
done
for file in "$data"/t1_t2_brains_ds000011/sub-*_T1w.nii.gz; do
  link "$file" "sub-ds000011x${file##*/sub-}"
done
link "$data/t1_t2_brains_niimath_cc0/T1.nii.gz" sub-niimath_T1w.nii.gz
link "$data/t1_brain_coreg_qa/highres.nii.gz" sub-coregqa_T1w.nii.gz

# subjects, not files; those that the reconstruction networks train on stay in training where there is a choice
cat >"$out/split.json" <<'JSON'
{
    "val": ["sub-ds002748x60", "sub-ds000011x05"],
    "test": [
        "sub-ds002748x62", "sub-ds002748x64", "sub-ds002748x66", "sub-ds002748x68", "sub-ds002748x70",
        "sub-ds000011x07", "sub-ds000011x09", "sub-ds000011x11", "sub-ds000011x13"
    ],
    "train": [
        "sub-ds002748x52", "sub-ds002748x53", "sub-ds002748x54", "sub-ds002748x55", "sub-ds002748x56",
        "sub-ds002748x57", "sub-ds002748x58", "sub-ds002748x59",
        "sub-ds000011x01", "sub-ds000011x02", "sub-ds000011x03", "sub-ds000011x04",
        "sub-niimath", "sub-coregqa"
    ]
}
JSON
echo "$out: $(find "$out" -name '*.nii.gz' | wc -l) volumes"
