#!/bin/sh
# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Makes, or brings up to date, the virtual environment .cache/NAME with a dependency group of pyproject.toml:
#   tests/venv.sh NAME GROUP OLDEST NEWEST        (tests/venv.sh venv dev 3.11 3.13)
# from the machine's own python3 if it lies between the two, else from the newest other that does.
# Does nothing when pyproject.toml's group is what is installed. Exit code 3: no such Python here.
set -eu
name=$1 group=$2 oldest=$3 newest=$4
cd "$(dirname "$0")/.."
venv=.cache/$name
stamp=$venv/.installed-$group

fits() {
    "$1" - "$oldest" "$newest" <<'EOF' 2>/dev/null
import sys
low, high = (tuple(map(int, text.split("."))) for text in sys.argv[1:])
sys.exit(0 if low <= sys.version_info[:2] <= high else 1)
EOF
}

# Prints the candidates, best first. pyenv's shims say "not found" for most versions, its real files do not.
candidates() {
    echo python3
    for minor in 14 13 12 11 10; do
        echo "python3.$minor"
        ls -d "${PYENV_ROOT:-$HOME/.pyenv}/versions/3.$minor".*/bin/python3 2>/dev/null || true
    done
}

find_python() {
    for candidate in $(candidates); do
        if fits "$candidate" && "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

# Debian ships Python without ensurepip; python3-venv brings it. Only root can help itself, and nothing is removed for it.
install_python() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    echo "Installing python3-venv with apt." >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -qy --no-remove --no-install-recommends python3-venv >&2 ||
        { apt-get update -q >&2 && apt-get install -qy --no-remove --no-install-recommends python3-venv >&2; }
}

[ -f "$stamp" ] && cmp -s pyproject.toml "$stamp" && exit 0
if [ ! -x "$venv/bin/python" ]; then
    if ! python=$(find_python); then
        # Another environment's odd range is not worth installing anything for.
        [ "$name" = venv ] && install_python || true
        python=$(find_python) || {
            echo "No Python from $oldest to $newest with the venv module was found (Debian: apt install python3-venv)." >&2
            exit 3
        }
    fi
    mkdir -p .cache
    "$python" -m venv "$venv"
fi
echo "Installing what is needed into $venv; this takes a minute or two." >&2
# Dependency groups need pip 25.1.
"$venv/bin/python" -m pip install -qq --disable-pip-version-check --upgrade 'pip>=25.1' >&2
"$venv/bin/python" -m pip install -qq --disable-pip-version-check --group "$group" >&2
cp pyproject.toml "$stamp"
