"""How ViLEM's text encoder sees the picture.

Each is called with ``ImageFeatures`` and M_1, the number of text layers, and returns what to give to the text encoder:
``shift`` or ``memory``.
"""

from mmvlforge.models.paths.global_path import GlobalPath
from mmvlforge.models.paths.highest_level_path import HighestLevelPath
from mmvlforge.models.paths.local_path import LocalPath
from mmvlforge.models.paths.unified_path import UnifiedPath

__all__ = ['GlobalPath', 'HighestLevelPath', 'LocalPath', 'UnifiedPath']
