"""Test a model.

python tools/test.py configs/dgm4/dca_imq.py work_dirs/dca_imq/best_AUC_epoch_50.pth --predictions predictions.jsonl
bash tools/dist_test.sh configs/dgm4/dca_imq.py CHECKPOINT 8
"""

import argparse
import json
import os
import os.path as osp

from mmengine.config import Config, DictAction
from mmengine.dist import is_main_process

from mmvlforge.apis.running import build_runner, finish, load_config, prepare_distributed
from mmvlforge.models.weights.reading import safe_checkpoints


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Test a model')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--work-dir', help='folder for logs (default: work_dirs/CONFIG_NAME)')
    parser.add_argument('--out', metavar='FILE.json', help='write the metrics')
    parser.add_argument(
        '--predictions', metavar='FILE.jsonl', help='write the predictions, for tools/analysis/score_dgm4.py'
    )
    parser.add_argument('--show-dir', metavar='DIR', help='draw truth and prediction')
    parser.add_argument('--show-worst', type=int, metavar='N', help='draw only the N worst predictions')
    parser.add_argument('--amp', action='store_true', help='mixed precision (needs an accelerator)')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='settings over the config: key=value ...'
    )
    parser.add_argument(
        '--unsafe-load', action='store_true', help='unpickle any object in a checkpoint: only for a source you trust'
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by launchers')
    args = parser.parse_args()
    if args.show_worst is not None and not args.show_dir:
        parser.error('--show-worst needs --show-dir')
    return args


def add_outputs(cfg: Config, args: argparse.Namespace) -> None:
    """Add what the command line asks for beside the metrics."""
    if args.predictions:
        metrics = cfg.test_evaluator.metrics
        cfg.test_evaluator.metrics = [*metrics, dict(type='PredictionWriter', out_file=args.predictions)]
    if args.show_dir:
        hook = dict(type='ManipulationVisualizationHook', show_dir=args.show_dir, worst=args.show_worst)
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), hook]


def main() -> None:
    args = parse_args()
    if not osp.isfile(args.checkpoint):
        raise SystemExit(f'checkpoint {args.checkpoint!r} does not exist')
    args.cfg_options['load_from'] = args.checkpoint
    cfg = load_config(args)
    cfg.resume = False
    add_outputs(cfg, args)
    if args.amp:
        cfg.test_cfg.fp16 = True
    prepare_distributed(cfg)
    with safe_checkpoints(args.unsafe_load):
        runner = build_runner(cfg)
        metrics = runner.test()
    if args.out and is_main_process():
        os.makedirs(osp.dirname(osp.abspath(args.out)), exist_ok=True)
        with open(args.out, 'w') as file:
            json.dump({k: float(v) for k, v in metrics.items()}, file, indent=2)
    finish(runner)


if __name__ == '__main__':
    main()
