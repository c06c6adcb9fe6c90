#!/bin/sh
# test.sh: everything that must hold beside build and lint, in two lanes side by side, for the
# servers of one wait while the core of the other works; Dagster is in the shorter one. A lane
# stops at its first failure. What the core printed comes when both are over: the last line closes
# the largest pytest run.
# test.sh core, test.sh servers: one of them.
set -u
cd "$(dirname "$0")/.."

pytest_in() {
    environment=$1
    shift
    tools/in_environment.sh "$environment" python -m pytest -q "$@"
}

core() {
    "${MAKE:-make}" --no-print-directory c-test c-test-sanitized &&
        pytest_in dagster-1.13 tests/dagster &&
        pytest_in kfp-2.17 tests/kubeflow &&
        pytest_in evidently-0.7 tests/evidently &&
        pytest_in dev
}

# Wiring, parsing and warnings; the servers of tests/airflow are those of Airflow 3. The dag.test
# of 2.9 never comes back from a task that is to be retried.
quick=$(printf 'tests/airflow/test_%s.py ' datasets days hooks learn operators parse states warnings)

servers() {
    pytest_in airflow-2.9 $quick -k "not a_retry_mends" &&
        pytest_in airflow-2.11 $quick &&
        pytest_in airflow-3.3 tests/airflow &&
        pytest_in prefect-3.8 tests/prefect
}

both() {
    setsid tools/test.sh core >build/test-core.log 2>&1 &
    core=$!
    setsid tools/test.sh servers &
    servers=$!
    trap 'kill -TERM "-$core" "-$servers"; exit 143' INT TERM
    wait "$servers"
    servers_code=$?
    wait "$core"
    core_code=$?
    [ "$servers_code" = 0 ] || echo "the servers' lane failed: see above"
    cat build/test-core.log
    [ "$servers_code" = 0 ] && [ "$core_code" = 0 ]
}

"${1:-both}"
