#!/bin/sh
# Style of Python and C; --fix rewrites what a tool can rewrite. Run with the dev environment on PATH.
set -eu
cd "$(dirname "$0")/.."
c_files=$(find csrc -name '*.c' -o -name '*.h')
if [ "${1:-}" = --fix ]; then
    ruff check -q --fix .
    ruff format -q .
    clang-format -i $c_files
    exit
fi
ruff check -q .
ruff format -q --check .
mypy
clang-format --dry-run --Werror $c_files
