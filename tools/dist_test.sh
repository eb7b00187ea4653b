#!/usr/bin/env bash
# bash tools/dist_test.sh CONFIG CHECKPOINT PROCESSES_PER_NODE [arguments of test.py]
# Several nodes: NNODES, NODE_RANK, MASTER_ADDR and PORT as for dist_train.sh.
set -euo pipefail
if [ $# -lt 3 ] || [ ! -f "$1" ] || [ ! -f "$2" ]; then
    echo "usage: bash tools/dist_test.sh CONFIG CHECKPOINT PROCESSES_PER_NODE [arguments of tools/test.py]" >&2
    for file in "${@:1:2}"; do [ -f "$file" ] || echo "'$file' does not exist" >&2; done
    exit 2
fi
exec python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" --nproc_per_node="$3" \
    "$(dirname "$0")/test.py" "$1" "$2" --launcher pytorch "${@:4}"
