#!/bin/sh
# in_environment.sh NAME COMMAND...: run with the environment's programs first on PATH.
set -eu
cd "$(dirname "$0")/.."
python=$("${PYTHON:-python3}" tools/environments.py "$1")
shift
PATH="$(dirname "$python"):$PATH" exec "$@"
