"""Train and test several configs with several seeds at equal steps, and write mean and spread as a Markdown table.

python tools/benchmark/mini_table.py configs/dgm4/dca_imq_mini*.py --seeds 0 1 2 --jobs 2 --out work_dirs/mini_table

Finished runs are kept: a second call trains only what is missing.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[1]
METRICS = (
    *('AUC', 'EER', 'ACC', 'mAP', 'CF1', 'OF1', 'IoUmean', 'IoU50', 'IoU75'),
    *('Precision', 'Recall', 'F1', 'IoUmean_boxed'),
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Mean and spread of several configs over several seeds')
    parser.add_argument('configs', nargs='+', type=Path, help='config files, a row each')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument('--jobs', type=int, default=1, help='runs at a time, one thread each if more than one')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/mini_table'), help='work dirs and table.md')
    parser.add_argument('--metrics', nargs='+', default=list(METRICS), help='columns')
    parser.add_argument('--cfg-options', nargs='+', default=[], help='settings over every config: key=value ...')
    return parser.parse_args()


def run(config: Path, seed: int, args: argparse.Namespace) -> dict:
    """Metrics of one run, trained unless it is done already."""
    work_dir = args.out / config.stem / f'seed{seed}'
    result = work_dir / 'metrics.json'
    if not result.exists():
        work_dir.mkdir(parents=True, exist_ok=True)
        env = dict(os.environ, OMP_NUM_THREADS='1') if args.jobs > 1 else None
        options = ['--work-dir', str(work_dir), '--cfg-options', f'randomness.seed={seed}', *args.cfg_options]
        with open(work_dir / 'console.log', 'a') as log:

            def tool(name: str, *arguments: str) -> None:
                command = [sys.executable, str(TOOLS / name), str(config), *arguments, *options]
                if subprocess.run(command, env=env, stdout=log, stderr=subprocess.STDOUT, check=False).returncode:
                    raise SystemExit(f'{" ".join(command)} failed; see {log.name}')

            tool('train.py', '--resume')
            tool('test.py', (work_dir / 'last_checkpoint').read_text(), '--out', str(result))
        print(f'{config.stem} seed {seed}: done', flush=True)
    return json.loads(result.read_text())


def table(results: dict[str, list[dict]], metrics: list[str]) -> str:
    """Markdown: a row a config, "mean ± sample standard deviation"."""
    lines = ['| config | ' + ' | '.join(metrics) + ' |', '|---' * (len(metrics) + 1) + '|']
    for name, runs in results.items():
        cells = []
        for metric in metrics:
            values = [r[metric] for r in runs if metric in r]
            spread = f' ± {statistics.stdev(values):.1f}' if len(values) > 1 else ''
            cells.append(f'{statistics.mean(values):.1f}{spread}' if values else '-')
        lines.append(f'| {name} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines) + '\n'


def main() -> None:
    args = parse_args()
    missing = [str(c) for c in args.configs if not c.is_file()]
    if missing:
        raise SystemExit(f'no such config: {", ".join(missing)}')
    # Seed by seed, so that a table with fewer seeds is there as early as possible.
    jobs: list[tuple[Path, int]] = [(config, seed) for seed in args.seeds for config in args.configs]
    with ThreadPoolExecutor(args.jobs) as pool:
        metrics = list(pool.map(lambda job: run(*job, args), jobs))
    results: dict[str, list[dict]] = {config.stem: [] for config in args.configs}
    for (config, _), values in zip(jobs, metrics):
        results[config.stem].append(values)
    text = table(results, args.metrics)
    (args.out / 'table.md').write_text(text)
    print(text)


if __name__ == '__main__':
    main()
