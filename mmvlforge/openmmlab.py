"""Imports OpenMMLab's packages without what they say meanwhile.

mmpretrain prints that a client of its makers is not installed, mmcv warns of compiled operations; nothing here needs
either. Packages of ours that import them import this module first.
"""

import io
import warnings
from contextlib import redirect_stdout

with redirect_stdout(io.StringIO()), warnings.catch_warnings():
    warnings.simplefilter('ignore')
    import mmpretrain.datasets
    import mmpretrain.models  # noqa: F401
