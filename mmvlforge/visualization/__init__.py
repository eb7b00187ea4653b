"""Pictures of what a model was given and what it found."""

from mmvlforge.visualization.manipulation_visualizer import ManipulationVisualizer, blank_picture, load_picture

__all__ = ['ManipulationVisualizer', 'blank_picture', 'load_picture']
