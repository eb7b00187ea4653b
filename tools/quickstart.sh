#!/usr/bin/env bash
# bash tools/quickstart.sh
# Installs, makes the embedded small data set, trains DCA + DFC + IMQ on it, tests it and writes a report to
# work_dirs/quickstart. About 15 minutes on two CPU cores; a second call goes on where the first one stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/setup_env.sh
setup_env tensorboard

config=configs/dgm4/dca_imq_mini.py
data=data/mini_dgm4
out=work_dirs/quickstart
mkdir -p "$out"

# Shows progress only; everything is in $out/console.log, and its end is shown if a step fails.
run() {
    echo "== $1"
    shift
    "$@" 2>&1 | tee -a "$out/console.log" | { grep --line-buffered -oE 'Epoch\((train|val|test)\).*|^wrote .*' || true; } ||
        { tail -n 30 "$out/console.log" >&2; exit 1; }
}

run "making the mini set" python tools/data/make_mini_dgm4.py "$data" --num 12000 --seed 0
run "training" python tools/train.py "$config" --work-dir "$out" --resume
run "testing" python tools/test.py "$config" "$(cat "$out/last_checkpoint")" --work-dir "$out" \
    --predictions "$out/predictions.jsonl" --out "$out/metrics.json"
run "writing the report" python tools/analysis/make_report.py "$data/metadata/test.json" "$out/predictions.jsonl" \
    --image-root "$data" --out "$out/report.html" --title "Quick start: DCA + DFC + IMQ on the mini set"
echo
echo "== the twelve metrics, beside a predictor that knows only how frequent each class is"
python tools/analysis/score_dgm4.py "$data/metadata/test.json" "$out/predictions.jsonl" --trivial
echo
echo "checkpoint:  $(cat "$out/last_checkpoint")"
echo "predictions: $out/predictions.jsonl"
echo "report:      $out/report.html (open it in a browser)"
