#!/usr/bin/env bash
# Runs the checks in stages, each with its duration, all of them whatever fails, and ends non-zero if any did.
# `stages.sh lint unit` runs only those. What a stage printed stays in build/stages/.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

all=(install format lint types imports wheel spec unit coverage sim e2e)
[ $# -gt 0 ] || set -- "${all[@]}"
logs=build/stages
python=.venv/bin/python
failed=()
table=()
mkdir -p "$logs"
export COVERAGE_FILE=build/.coverage

# a test that hangs must not hang the run; somebody at a terminal keeps Ctrl-C
limit="timeout --kill-after=20 900"
if [ -t 0 ]; then limit="timeout --foreground 900"; fi
run_tests() { $limit $python -m pytest -q "$@"; }

stage_install() { tools/setup.sh dev; }
stage_format() { .venv/bin/ruff format --check --output-format=concise . || { echo "make format lays them out"; false; }; }
stage_lint() { .venv/bin/ruff check --output-format=concise .; }
stage_types() { $python -m mypy; }
stage_imports() { .venv/bin/lint-imports | sed -n '/^Analyzed/,$p'; }
stage_spec() { run_tests tests/spec; }
stage_unit() { # whatever is not another stage's, so that no new folder is left out
    local folders
    mapfile -t folders < <(find tests -mindepth 1 -maxdepth 1 -type d | grep -vE '/(spec|sim|e2e|bench|__pycache__)$')
    run_tests -n 2 --cov --cov-report= "${folders[@]}"
}
stage_coverage() { # every branch of the protocol; of the node it only shows
    $python -m coverage report --include='node/*' --format=total | sed 's/.*/node: & %/'
    $python -m coverage report --include='protocol/*' --fail-under=100
}
stage_sim() { run_tests -n 2 tests/sim; }
stage_e2e() { run_tests -p no:xdist tests/e2e; }
stage_wheel() { $python tools/check_wheel.py; }

for name in "$@"; do
    declare -F "stage_$name" >/dev/null || { echo "no stage '$name': ${all[*]}" >&2; exit 2; }
done

for name in "$@"; do
    printf '\n=== %s\n' "$name"
    began=$SECONDS
    "stage_$name" 2>&1 </dev/null | tee "$logs/$name.log"
    if [ "${PIPESTATUS[0]}" = 0 ]; then verdict=ok; else verdict=FAILED; failed+=("$name"); fi
    last=$(grep -v '^[[:space:]]*$' "$logs/$name.log" | tail -n 1 | cut -c -90)
    table+=("$(printf '%-9s %-6s %4d s  %s' "$name" $verdict $((SECONDS - began)) "$last")")
    printf '=== %s %s, %d s\n' "$name" $verdict $((SECONDS - began))
    if [ "$name" = install ] && [ $verdict = FAILED ]; then exit 1; fi
done

# how often a word like "passed" was counted in the closing lines of the stages that run tests
count() {
    for name in "${ran[@]}"; do tail -n 1 "$logs/$name.log"; done | grep -oE "[0-9]+ $1" | awk '{ n += $1 } END { print n + 0 }'
}

ran=()
for name in "$@"; do
    case $name in spec | unit | sim | e2e) ran+=("$name") ;; esac
done

printf '\n=== all stages, %d s\n' $SECONDS
printf '%s\n' "${table[@]}"
if [ ${#failed[@]} -gt 0 ]; then printf '\nfailed: %s\n' "${failed[*]}"; fi
if [ ${#ran[@]} -gt 0 ]; then printf '%d passed, %d failed\n' "$(count passed)" "$(($(count failed) + $(count error)))"; fi
exit $((${#failed[@]} > 0))
