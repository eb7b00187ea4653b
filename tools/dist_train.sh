#!/usr/bin/env bash
# bash tools/dist_train.sh CONFIG PROCESSES_PER_NODE [arguments of train.py]
# Several nodes: NNODES=2 NODE_RANK=0 MASTER_ADDR=host0 bash tools/dist_train.sh CONFIG 8   (and NODE_RANK=1 on the other)
set -euo pipefail
if [ $# -lt 2 ] || [ ! -f "$1" ]; then
    echo "usage: bash tools/dist_train.sh CONFIG PROCESSES_PER_NODE [arguments of tools/train.py]" >&2
    [ $# -ge 1 ] && [ ! -f "$1" ] && echo "config '$1' does not exist; see configs/ for those that do" >&2
    exit 2
fi
exec python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" --nproc_per_node="$2" \
    "$(dirname "$0")/train.py" "$1" --launcher pytorch "${@:3}"
