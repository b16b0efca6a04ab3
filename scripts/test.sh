#!/usr/bin/env bash
# Sets up the environment and runs the checks and tests. --all adds the tests marked slow (long trainings, several
# processes); other arguments go to pytest: bash scripts/test.sh tests/physics -x
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

if [ $# -eq 0 ] || [ "$*" = "--all" ]; then
    ruff check .
    ruff format --check .
    mypy
fi
# Two processes, each with the tests of whole files, which share what is trained for them.
in_two="--numprocesses 2 --dist loadfile"
case "$*" in
    "") OMP_NUM_THREADS=1 python -m pytest $in_two -m "not slow" ;;
    "--all") OMP_NUM_THREADS=1 python -m pytest $in_two ;;
    *) python -m pytest "$@" ;;
esac
