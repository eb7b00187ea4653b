#!/usr/bin/env bash
# bash tools/quickstart.sh          manipulation detection
# bash tools/quickstart.sh vilem    image-text retrieval
# Installs, makes an embedded small data set, trains on it (DCA + DFC + IMQ, or ViLEM), tests and writes a report to
# work_dirs/quickstart or work_dirs/quickstart_vilem. About 15 minutes on two CPU cores; a second call goes on where the
# first one stopped.
# bash tools/quickstart.sh photos FOLDER ['WORDS' ...]
# Installs, real weights too, and searches a folder of photos by words: nothing is trained.
set -euo pipefail
mistake() {
    echo "$1" >&2
    exit 2
}
job=${1:-manipulation}
case "$job" in
manipulation | vilem) ;;
photos)
    [ $# -ge 2 ] || mistake "photos needs a folder: bash tools/quickstart.sh photos FOLDER ['a dog' 'WORDS' ...]"
    [ -e "$2" ] || mistake "$2: does not exist; give a folder of photos"
    [ -d "$2" ] || mistake "$2: is a file; give the folder it is in"
    [ -n "$(find -L "$2" -type f -print -quit)" ] || mistake "$2: is empty; give a folder of photos"
    folder=$(CDPATH='' cd -- "$2" && pwd)
    words=("${@:3}")
    [ ${#words[@]} -gt 0 ] || words=('a dog' 'children playing' 'people at the sea' 'a street in a city' 'snow' 'food')
    ;;
*) mistake "unknown job '$job': give nothing for manipulation detection, vilem for image-text retrieval, or photos FOLDER" ;;
esac
cd "$(dirname "$0")/.."
first=''
[ -n "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] || first='source .venv/bin/activate'
source tools/setup_env.sh
setup_env
trap 'echo "stopped; the same command goes on from here" >&2; exit 130' INT

mmvlforge() { python -m mmvlforge "$@"; }

# Everything is in $out/console.log; its end is shown if a step fails.
fail() {
    tail -n 30 "$out/console.log" >&2
    exit 1
}

# Shows progress only. Ctrl-C is for the command alone, so that the log has its last words.
run() {
    echo "== $1"
    shift
    "$@" 2>&1 | tee -i -a "$out/console.log" | progress || fail
}

# Shows what a command prints.
show() {
    echo "== $1"
    shift
    "$@" 2>>"$out/console.log" || fail
}

# Shows all of a command that has a progress bar.
draw() {
    echo "== $1"
    shift
    "$@" | tee -i -a "$out/console.log" || exit 1
}

# MMEngine's log in short: a line for each validation, and for the training one that is written over on a terminal.
progress() {
    local line again='' end='\n' train val
    train='Epoch\(train\) +\[([0-9]+)\]\[ *([0-9]+)/([0-9]+)\].* eta: (.*)  time: .* loss: ([^ ]+)'
    val='Epoch\(val\) \[([0-9]+)\]\[[^]]+\] +([^ ]+): ([0-9.]+)'
    [ -t 1 ] && again='\r\033[K' end=''
    trap '' INT
    while IFS= read -r line; do
        if [[ $line =~ $train ]]; then
            printf "$again%s$end" "epoch ${BASH_REMATCH[1]}, step ${BASH_REMATCH[2]} of ${BASH_REMATCH[3]}, loss\
 ${BASH_REMATCH[5]}, ${BASH_REMATCH[4]} left"
        elif [[ $line =~ $val ]]; then
            printf "$again%s\n" "epoch ${BASH_REMATCH[1]}, validated: ${BASH_REMATCH[2]} ${BASH_REMATCH[3]}"
        fi
    done
    printf "$again"
}

manipulation() {
    local config=configs/dgm4/dca_imq_mini.py data=data/mini_dgm4 worth=()
    out=work_dirs/quickstart
    mkdir -p "$out"
    draw "making the mini set" mmvlforge forge news "$data" --num 12000 --seed 0
    run "training" mmvlforge train "$config" --work-dir "$out" --resume
    run "testing" mmvlforge test "$config" "$(cat "$out/last_checkpoint")" --work-dir "$out" \
        --predictions "$out/predictions.jsonl" --out "$out/metrics.json"
    [ -f "$out/model/manifest.json" ] || run "writing the model's folder" mmvlforge export "$out" "$out/model"
    [ ! -f "$out/model/calibration.json" ] || worth=(--calibration "$out/model/calibration.json")
    run "writing the report" mmvlforge report manipulation "$data/metadata/test.json" "$out/predictions.jsonl" \
        --image-root "$data" --out "$out/report.html" --title "Quick start: DCA + DFC + IMQ on the mini set" \
        ${worth[@]+"${worth[@]}"}
    echo
    echo "== the twelve metrics, beside a predictor that knows only how frequent each class is"
    mmvlforge score manipulation "$data/metadata/test.json" "$out/predictions.jsonl" --trivial
    echo
    echo "checkpoint:  $(cat "$out/last_checkpoint")"
    echo "model:       $out/model (give it to mmvlforge check --model)"
    echo "predictions: $out/predictions.jsonl"
    echo "report:      $out/report.html (open it in a browser)"
}

vilem() {
    local config=configs/vilem/vilem_mini.py winoground=configs/vilem/vilem_mini_winoground.py lm=work_dirs/mini_lm
    out=work_dirs/quickstart_vilem
    mkdir -p "$out"
    draw "making the mini captions" mmvlforge forge captions data/mini_captions --num 12000 --seed 0
    # The tokenizer is the last of its files.
    [ -f "$lm/hf/tokenizer.json" ] || run "training the masked language model that edits captions" \
        mmvlforge train configs/vilem/mini_lm.py --work-dir "$lm" --resume
    show "how it edits captions" mmvlforge forge edit-quality "$config" --examples 3
    run "training" mmvlforge train "$config" --work-dir "$out" --resume
    run "testing" mmvlforge test "$config" "$(cat "$out/last_checkpoint")" --work-dir "$out" --out "$out/recall.json"
    run "testing on the mini Winoground" mmvlforge test "$winoground" "$(cat "$out/last_checkpoint")" \
        --work-dir "$out/winoground" --out "$out/winoground.json"  # $out holds one model, so that it can be asked
    show "writing the report; the metrics, beside chance" \
        mmvlforge report retrieval "$config" "$(cat "$out/last_checkpoint")" \
        --metrics "$out/recall.json" "$out/winoground.json" --all-metrics "$out/metrics.json" \
        --out "$out/report.html" --title "Quick start: ViLEM on the mini captions"
    [ -f "$out/model/manifest.json" ] || run "writing the model's folder" mmvlforge export "$out" "$out/model"
    echo
    echo "checkpoint: $(cat "$out/last_checkpoint")"
    echo "model:      $out/model (give it to mmvlforge proofread --model)"
    echo "log:        $out/console.log"
    echo "metrics:    $out/metrics.json"
    echo "report:     $out/report.html (open it in a browser)"
}

photos() {
    local page=work_dirs/quickstart_photos/found.html code=0
    setup_starter
    echo "== searching $folder"
    mmvlforge search --out "$page" -- "$folder" "${words[@]}" || code=$?
    [ $code = 0 ] || [ $code = 3 ] || exit $code  # 3: some pictures could not be read, and are named
    echo
    printf 'again:   %smmvlforge search %q %q\n' "${first:+$first; }" "$folder" 'other words'
    echo "better:  mmvlforge align fits the model to your own captions, see docs/starter.md"
    exit $code
}

"$job"
