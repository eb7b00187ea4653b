#!/usr/bin/env bash
# bash tools/quickstart.sh          manipulation detection
# bash tools/quickstart.sh vilem    image-text retrieval
# Installs, makes an embedded small data set, trains on it (DCA + DFC + IMQ, or ViLEM), tests and writes a report to
# work_dirs/quickstart or work_dirs/quickstart_vilem. About 15 minutes on two CPU cores; a second call goes on where the
# first one stopped.
set -euo pipefail
job=${1:-manipulation}
case "$job" in
manipulation | vilem) ;;
*)
    echo "unknown job '$job': give nothing for manipulation detection, or vilem for image-text retrieval" >&2
    exit 2
    ;;
esac
cd "$(dirname "$0")/.."
source tools/setup_env.sh
setup_env tensorboard

# Everything is in $out/console.log; its end is shown if a step fails.
fail() {
    tail -n 30 "$out/console.log" >&2
    exit 1
}

# Shows progress only.
run() {
    echo "== $1"
    shift
    "$@" 2>&1 | tee -a "$out/console.log" | { grep --line-buffered -oE 'Epoch\((train|val|test)\).*|^wrote .*' || true; } ||
        fail
}

# Shows what a tool prints.
show() {
    echo "== $1"
    shift
    "$@" 2>>"$out/console.log" || fail
}

manipulation() {
    local config=configs/dgm4/dca_imq_mini.py data=data/mini_dgm4
    out=work_dirs/quickstart
    mkdir -p "$out"
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
}

vilem() {
    local config=configs/vilem/vilem_mini.py winoground=configs/vilem/vilem_mini_winoground.py lm=work_dirs/mini_lm
    out=work_dirs/quickstart_vilem
    mkdir -p "$out"
    run "making the mini captions" python tools/data/make_mini_captions.py data/mini_captions --num 12000 --seed 0
    # The tokenizer is the last of its files.
    [ -f "$lm/hf/tokenizer.json" ] || run "training the masked language model that edits captions" \
        python tools/train.py configs/vilem/mini_lm.py --work-dir "$lm" --resume
    show "how it edits captions" python tools/analysis/edit_quality.py "$config" --examples 3
    run "training" python tools/train.py "$config" --work-dir "$out" --resume
    run "testing" python tools/test.py "$config" "$(cat "$out/last_checkpoint")" --work-dir "$out" \
        --out "$out/recall.json"
    run "testing on the mini Winoground" python tools/test.py "$winoground" "$(cat "$out/last_checkpoint")" \
        --work-dir "$out" --out "$out/winoground.json"
    show "writing the report; the metrics, beside chance" \
        python tools/analysis/make_retrieval_report.py "$config" "$(cat "$out/last_checkpoint")" \
        --metrics "$out/recall.json" "$out/winoground.json" --all-metrics "$out/metrics.json" \
        --out "$out/report.html" --title "Quick start: ViLEM on the mini captions"
    echo
    echo "checkpoint: $(cat "$out/last_checkpoint")"
    echo "log:        $out/console.log"
    echo "metrics:    $out/metrics.json"
    echo "report:     $out/report.html (open it in a browser)"
}

"$job"
