"""Test a model.

python tools/test.py configs/dgm4/dca_imq.py work_dirs/dca_imq/best_AUC_epoch_50.pth --predictions predictions.jsonl
bash tools/dist_test.sh configs/dgm4/dca_imq.py CHECKPOINT 8
"""

import sys

from mmvlforge.cli import main

if __name__ == '__main__':
    sys.exit(main(['test', *sys.argv[1:]]))
