"""Train a model.

python tools/train.py configs/dgm4/dca_imq.py
bash tools/dist_train.sh configs/dgm4/dca_imq.py 8
"""

import argparse
import os.path as osp

from mmengine.config import DictAction

from mmvlforge.apis.running import build_runner, finish, load_config, prepare_distributed
from mmvlforge.models.weights.reading import safe_checkpoints


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a model')
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='folder for logs and checkpoints (default: work_dirs/CONFIG_NAME)')
    parser.add_argument('--amp', action='store_true', help='bfloat16 autocast, on any device')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from the newest checkpoint of the work dir, or from the one named',
    )
    parser.add_argument('--auto-scale-lr', action='store_true', help='scale the learning rate with the batch size')
    parser.add_argument('--compile', action='store_true', help='torch.compile the model')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='settings over the config: key=value ...'
    )
    parser.add_argument(
        '--unsafe-load', action='store_true', help='unpickle any object in a checkpoint: only for a source you trust'
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by launchers')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    if args.amp:
        wrapper = cfg.optim_wrapper.get('type', 'OptimWrapper')
        if wrapper not in ('OptimWrapper', 'AutocastOptimWrapper'):
            raise SystemExit(f'--amp replaces OptimWrapper; this config has {wrapper}, which sets its own precision')
        cfg.optim_wrapper.type = 'AutocastOptimWrapper'
    if args.compile:
        cfg.compile = True
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise SystemExit('--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in the config')
        cfg.auto_scale_lr.enable = True
    if args.resume:
        cfg.resume = True
        cfg.load_from = None
        if args.resume != 'auto':
            if not osp.isfile(args.resume):
                raise SystemExit(f'checkpoint {args.resume!r} (--resume) does not exist')
            cfg.load_from = args.resume
        elif not osp.isfile(osp.join(cfg.work_dir, 'last_checkpoint')):
            print(f'--resume: no checkpoint in {cfg.work_dir} yet, starting anew')
            cfg.resume = False
    prepare_distributed(cfg)
    with safe_checkpoints(args.unsafe_load):
        runner = build_runner(cfg)
        runner.train()
    finish(runner)


if __name__ == '__main__':
    main()
