"""Train and test several configs with several seeds at equal steps, and write mean and spread as a Markdown table.

python tools/benchmark/mini_table.py configs/dgm4/dca_imq_mini*.py --seeds 0 1 2 --jobs 2 --out work_dirs/mini_table

Finished runs are kept: a second call trains only what is missing. With --rows FILE their metrics are kept in FILE, so
that a table over hours may grow on several machines; a row of other settings stops.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from mmvlforge.cli.output import read_cfg_options
from mmvlforge.config_files import load_config
from mmvlforge.manifest import described_config

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
    parser.add_argument('--rows', type=Path, help='JSON file of the metrics of finished runs, read and added to')
    parser.add_argument('--metrics', nargs='+', default=list(METRICS), help='columns')
    parser.add_argument('--cfg-options', nargs='+', default=[], help='settings over every config: key=value ...')
    return parser.parse_args()


class Rows:
    """Metrics of finished runs by config and seed, in a file if there is one to be."""

    def __init__(self, path: Path | None) -> None:
        self.path, self.lock = path, Lock()
        self.found: dict = json.loads(path.read_text()) if path and path.exists() else {}

    def get(self, name: str, seed: int, fingerprint: str) -> dict | None:
        """The metrics, None if there are none yet."""
        row = self.found.get(name, {}).get(str(seed))
        if row and row['config'] != fingerprint:
            raise SystemExit(
                f'{self.path}: the row {name}, seed {seed} is of other settings; take it out, or another file'
            )
        return row

    def add(self, name: str, seed: int, fingerprint: str, metrics: dict) -> None:
        """Keep the metrics of a run."""
        with self.lock:
            row = {key: round(value, 3) for key, value in metrics.items() if isinstance(value, (int, float))}
            self.found.setdefault(name, {})[str(seed)] = dict(config=fingerprint, **row)
            if self.path:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                new = self.path.with_suffix('.new')
                new.write_text(json.dumps(self.found, indent=1, sort_keys=True) + '\n')
                new.replace(self.path)


def run(config: Path, seed: int, args: argparse.Namespace, rows: Rows) -> dict:
    """Metrics of one run, trained unless it is done already."""
    settings = [f'randomness.seed={seed}', *args.cfg_options]
    options = read_cfg_options(settings)
    fingerprint = described_config(load_config(config, options), options)['fingerprint']
    row = rows.get(config.stem, seed, fingerprint)
    if row:
        return row
    work_dir = args.out / config.stem / f'seed{seed}'
    result = work_dir / 'metrics.json'
    if not result.exists():
        work_dir.mkdir(parents=True, exist_ok=True)
        env = dict(os.environ, OMP_NUM_THREADS='1') if args.jobs > 1 else None
        with open(work_dir / 'console.log', 'a') as log:

            def tool(name: str, *arguments: str) -> None:
                command = [sys.executable, str(TOOLS / name), str(config), *arguments]
                command += ['--work-dir', str(work_dir), '--cfg-options', *settings]
                if subprocess.run(command, env=env, stdout=log, stderr=subprocess.STDOUT, check=False).returncode:
                    raise SystemExit(f'{" ".join(command)} failed; see {log.name}')

            tool('train.py', '--resume')
            tool('test.py', (work_dir / 'last_checkpoint').read_text(), '--out', str(result))
        print(f'{config.stem} seed {seed}: done', flush=True)
    metrics = json.loads(result.read_text())
    if metrics['manifest']['config']['fingerprint'] != fingerprint:
        raise SystemExit(f'{result}: is of other settings; give another --out')
    rows.add(config.stem, seed, fingerprint, metrics)
    return metrics


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
    rows = Rows(args.rows)
    with ThreadPoolExecutor(args.jobs) as pool:
        metrics = list(pool.map(lambda job: run(*job, args, rows), jobs))
    results: dict[str, list[dict]] = {config.stem: [] for config in args.configs}
    for (config, _), values in zip(jobs, metrics):
        results[config.stem].append(values)
    text = table(results, args.metrics)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / 'table.md').write_text(text)
    print(text)


if __name__ == '__main__':
    main()
