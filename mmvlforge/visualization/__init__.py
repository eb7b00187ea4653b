"""Pictures of what a model was given and what it found."""

from mmvlforge.visualization.drawing import blank_picture, load_picture
from mmvlforge.visualization.manipulation_visualizer import ManipulationVisualizer

__all__ = ['ManipulationVisualizer', 'blank_picture', 'load_picture']
