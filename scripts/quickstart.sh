#!/usr/bin/env bash
# The main job on the built-in data, small enough for two CPU cores: train, evaluate, reconstruct.
# Arguments go to the training, for example: bash scripts/quickstart.sh --max_epochs 40
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

bundle=bundles/universal_varnet
configs=$bundle/configs
out=quickstart_output
run=quickstart-$(date +%Y%m%d-%H%M%S)
small="$configs/small.json"

echo "1/3 Training a small variational network on the built-in brains and knees"
python -m monai.bundle run training --config_file "['$configs/train.json', '$small']" --run_name "$run" "$@"

echo "2/3 Evaluating it on subjects it has not seen, at 4x and 8x"
rm -rf "$out"
python -m monai.bundle run evaluation --config_file "['$configs/evaluate.json', '$small']" \
    --ckpt "$bundle/eval/$run/model.pt" --output_dir "$out"

echo "3/3 Reconstructing one file, a real brain, from its k-space undersampled 4x"
data=$(python -c 'from recon_monai.data import built_in_dataset; print(built_in_dataset())')
python -m monai.bundle run inference --config_file "['$configs/inference.json', '$small']" \
    --ckpt "$bundle/eval/$run/model.pt" --output_dir "$out/inference" --acceleration 4 \
    --dataset_dir "$data/nibabel-example4d.h5"

cat "$out/summary.md"
cat <<EOF

Look at
  $out/panels/         pictures: zero-filled, reconstruction, target, error x5
  $out/summary.md      the table above; slices.csv and volumes.csv hold every number
  $out/inference/      reconstructed volumes as HDF5 and NIfTI
  tensorboard --logdir $bundle/eval
EOF
