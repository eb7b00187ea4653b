"""MMVLForge: vision-language forensics and retrieval on OpenMMLab."""

from mmvlforge.version import __version__

__all__ = ['__version__']
