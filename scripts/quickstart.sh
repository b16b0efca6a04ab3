#!/usr/bin/env bash
# The main job on the built-in data, small enough for two CPU cores: reconstruct with the shipped weights, then train a
# small model from nothing, evaluate it and reconstruct with it.
# Arguments go to the training, for example: bash scripts/quickstart.sh --max_epochs 40
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

bundle=bundles/universal_varnet
configs=$bundle/configs
out=quickstart_output
run=quickstart-$(date +%Y%m%d-%H%M%S)
small="$configs/small.json"

echo "1/5 Reconstructing a real brain, undersampled 4x, with the shipped weights; nobody tells them that it is a brain"
rm -rf "$out"
data=$(python -c 'from recon_monai.data import built_in_dataset; print(built_in_dataset())')
python -m monai.bundle run inference --config_file "$configs/inference.json" --ckpt "$bundle/models/model.pt" \
    --dataset_dir "$data/nibabel-example4d.h5" --acceleration 4 --output_dir "$out/shipped"
echo "Look at $out/shipped/panels/: zero-filled and reconstruction; what it was taken for is in anatomies.csv there"

echo "2/5 Training a small universal network on the built-in brains and knees: classifier, two teachers, student"
python -m monai.bundle run training --config_file "['$configs/train.json', '$small']" --run_name "$run" "$@"

echo "3/5 Evaluating it on subjects it has not seen, at 4x and 8x"
python -m monai.bundle run evaluation --config_file "['$configs/evaluate.json', '$small']" \
    --ckpt "$bundle/eval/$run/model.pt" --output_dir "$out/small"

echo "4/5 Reconstructing the same brain with the small network"
python -m monai.bundle run inference --config_file "['$configs/inference.json', '$small']" \
    --ckpt "$bundle/eval/$run/model.pt" --output_dir "$out/small/inference" --acceleration 4 \
    --dataset_dir "$data/nibabel-example4d.h5"

echo "5/5 Comparing both networks with classical methods on the test subjects, and writing the report"
python -m recon_monai compare "$out/comparison" --report --accelerations 4 --max_slices 1 --dataset_dir "$data" --methods \
    "zero_filled,cg_sense,l1_wavelet,total_variation,shipped=$bundle@$bundle/models/model.pt,small=$bundle+small.json@$bundle/eval/$run/model.pt"

cat "$out/small/summary.md"
cat <<EOF

The report: open $out/comparison/report.html in a browser

Look at
  $out/shipped/panels/    the shipped weights: zero-filled, reconstruction, target, error x5
  $out/small/panels/      the same pictures of the small network, for each anatomy and acceleration
  $out/small/summary.md   the table above; slices.csv and volumes.csv hold every number
  $out/small/confusion.md which anatomy its classifier took for which
  $out/small/inference/   reconstructed volumes as HDF5 and NIfTI
  tensorboard --logdir $bundle/eval
EOF
