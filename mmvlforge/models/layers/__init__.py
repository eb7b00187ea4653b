"""Layers shared by the models."""

from mmvlforge.models.layers.attention import Attention
from mmvlforge.models.layers.implicit_query import ImplicitQueries
from mmvlforge.models.layers.mlp import mlp
from mmvlforge.models.layers.transformer_layer import PreNormLayer, TransformerLayer

__all__ = ['Attention', 'ImplicitQueries', 'PreNormLayer', 'TransformerLayer', 'mlp']
