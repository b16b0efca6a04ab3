# Sourced by the other scripts: makes the virtual environment (once) and activates it.
# RECON_MONAI_VENV names another place for it than .venv.

cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv="${RECON_MONAI_VENV:-.venv}"

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    rm -rf "$venv" # none yet, or one that was left half-made
    python=""
    for candidate in python3.11 python3.12 python3.13 python3; do
        if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            python="$candidate"
            break
        fi
    done
    if [ -z "$python" ]; then
        echo "Python 3.11 or newer is needed and was not found on the PATH." >&2
        exit 1
    fi
    echo "Making a virtual environment in $venv ($("$python" --version))"
    "$python" -m venv "$venv" || { rm -rf "$venv"; echo "Could not make it; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
fi

# The stamp holds what was installed, so that a second call is quick and a change of the requirements is not missed.
stamp="$venv/.recon_monai_installed"
wanted="$(cat pyproject.toml constraints.txt; pwd)"
if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ]; then
    echo "Installing recon_monai and what it needs (pinned in constraints.txt)"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
    printf '%s\n' "$wanted" > "$stamp"
fi
. "$venv/bin/activate"
