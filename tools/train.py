"""Train a model.

python tools/train.py configs/dgm4/dca_imq.py
bash tools/dist_train.sh configs/dgm4/dca_imq.py 8
"""

import sys

from mmvlforge.cli import main

if __name__ == '__main__':
    sys.exit(main(['train', *sys.argv[1:]]))
