#!/usr/bin/env bash
# Sets up the environment and runs the checks and tests. Arguments go to pytest: bash scripts/test.sh tests/physics -x
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

if [ $# -eq 0 ]; then
    ruff check .
    ruff format --check .
    mypy
fi
python -m pytest "$@"
