"""``python -m mmvlforge``: the console command."""

import sys

from mmvlforge.cli import main

if __name__ == '__main__':
    sys.exit(main())
