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
case "$*" in
    "") python -m pytest -m "not slow" ;;
    "--all") python -m pytest ;;
    *) python -m pytest "$@" ;;
esac
