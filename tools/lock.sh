#!/usr/bin/env bash
# Pins every dependency, and what those depend on, with hashes and without addresses, in three files that agree.
set -euo pipefail
cd "$(dirname "$0")/.."

[ -x build/lock/bin/uv ] || { ${PYTHON:-python3} -m venv build/lock && build/lock/bin/pip install -q 'uv>=0.13,<0.14'; }

compile() {
    build/lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-header --no-annotate "$@"
}

compile pyproject.toml --extra dev --group build -o build/lock/all.lock
compile --group build -c build/lock/all.lock -o requirements-build.lock
compile pyproject.toml -c build/lock/all.lock -o requirements.lock
compile pyproject.toml --extra dev -c build/lock/all.lock -o requirements-dev.lock
grep -c -- '==' requirements-build.lock requirements.lock requirements-dev.lock
