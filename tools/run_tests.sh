#!/usr/bin/env bash
# bash tools/run_tests.sh [arguments of pytest]
# Installs everything, then runs all tests, one process a core.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/setup_env.sh
setup_env tests
processes=${TEST_PROCESSES:-$(nproc)}  # asked first: nproc obeys OMP_NUM_THREADS
# One thread a process: the processes share the cores already.
export OMP_NUM_THREADS=1
exec python -m pytest -n "$processes" "$@"
