#!/usr/bin/env bash
# Sets the project up in .venv: `setup.sh run` for the node, `setup.sh dev` for its checks too. Done once: what was
# set up from the same locks, for the same place, is left as it is.
set -euo pipefail
cd "$(dirname "$0")/.."

kind=${1:-run}
log=.venv/setup.log
case $kind in
    run) lock=requirements.lock ;;
    dev) lock=requirements-dev.lock ;;
    *) echo "setup.sh: run or dev, not '$kind'" >&2; exit 2 ;;
esac
# the place is part of it, because a virtual environment that was moved runs the code of the place it came from
key="$kind $(cat requirements*.lock pyproject.toml | sha256sum | cut -c -64) $PWD"

fail() { printf '%s\n' "$@" >&2; exit 1; }

is_done() { grep -qxF "$key" .venv/done 2>/dev/null && .venv/bin/python -c '' 2>/dev/null; }

# What has all that a set-up needs. Distributions build their Python with profile-guided optimisation, version managers
# by default without: what runs for days is then a sixth slower. So theirs comes first, unless PYTHON names one.
choose_python() {
    local python
    for python in /usr/bin/python3 python3; do
        if "$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null &&
            compiles Python.h; then
            echo "$python"
            return
        fi
    done
    echo python3
}

check_python() {
    "$python" -c '' 2>/dev/null || fail "Troth needs Python 3.11 or newer, and there is no $python here."
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "Troth needs Python 3.11 or newer, and $python is $("$python" -V 2>&1)." \
            "Name a newer one: make PYTHON=python3.12 …"
}

# One dependency of libp2p, fastecdsa, comes as C source only: it wants a compiler, Python's headers and GMP's.
compiles() {
    local headers
    headers=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    printf '#include <%s>\n' "$1" | cc -I "$headers" -fsyntax-only -x c - 2>/dev/null
}

missing_packages() {
    "$python" -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
    if ! compiles stdlib.h; then echo gcc libc6-dev; fi
    compiles Python.h || echo python3-dev
    compiles gmp.h || echo libgmp-dev
}

install_system_packages() {
    local missing
    missing=$(missing_packages | xargs)
    [ -n "$missing" ] || return 0
    # a missing compiler hides what else is missing: headers that are there already cost nothing to ask for
    case $missing in *gcc*) missing="$missing python3-dev libgmp-dev" ;; esac
    missing=$(printf '%s\n' $missing | sort -u | xargs)
    if ! command -v apt-get >/dev/null; then
        fail "Troth needs a C compiler and the headers of Python and GMP; missing here, by their Debian names: $missing." \
            "Install what your system calls them (gmp-devel, or gmp from Homebrew), then try again."
    elif [ "$(id -u)" != 0 ]; then
        fail "Troth needs some packages of the system. Run this, then try again:" "  sudo apt-get install -y $missing"
    fi
    say "system packages ($missing)"
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } \
        </dev/null >"$system_log" 2>&1 ||
        { cat "$system_log" >&2; fail "The packages could not be installed. Run this, then try again:" "  apt-get install -y $missing"; }
    told
}

began=0
say() { began=$SECONDS; printf '  %-40s' "$1 …"; }
told() { printf '%4d s\n' $((SECONDS - began)); }

pip() { .venv/bin/python -m pip --disable-pip-version-check --no-input "$@"; }

step() {
    say "$1"
    shift
    "$@" </dev/null >>"$log" 2>&1 || { echo; tail -n 20 "$log" >&2; fail "Set-up stopped; all it said is in $log."; }
    told
}

# ahead of the first start, and where the environment forbids Python to keep what it compiles: half of a start is that
compile_all() {
    env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -m compileall -qq -j 2 -x '/tests?/|/testing/' .venv/lib protocol node || true
}

is_done && exit 0
python=${PYTHON:-$(choose_python)}
check_python
echo "Setting up in .venv, with $("$python" -V) from $(command -v "$python") (once; about a minute)…"
system_log=$(mktemp)
trap 'rm -f "$system_log"' EXIT
install_system_packages

# what was set up for another place, or broke when Python moved, is made anew
if [ -f .venv/done ] && ! grep -qF " $PWD" .venv/done; then rm -rf .venv; fi
if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then rm -rf .venv; "$python" -m venv .venv; fi
rm -f .venv/done
: >"$log"
step "build tools" pip install --require-hashes -r requirements-build.lock
step "packages ($lock)" pip install --require-hashes --no-build-isolation --no-deps -r "$lock"
step "troth itself" pip install --no-build-isolation --no-deps --no-index -e .
step "bytecode" compile_all
# the checks need all that the node needs: whoever has them has both
if [ "$kind" = dev ]; then echo "run ${key#dev }" >.venv/done; fi
echo "$key" >>.venv/done
echo "Ready."
