"""Uni-modal encoders. Each reads a batch (``VLInputs``) and returns tokens, [CLS] first."""

from mmvlforge.models.encoders.conv_image_encoder import ConvImageEncoder
from mmvlforge.models.encoders.hf_text_encoder import HFTextEncoder
from mmvlforge.models.encoders.null_image_encoder import NullImageEncoder
from mmvlforge.models.encoders.null_text_encoder import NullTextEncoder
from mmvlforge.models.encoders.vit_image_encoder import ViTImageEncoder

__all__ = ['ConvImageEncoder', 'HFTextEncoder', 'NullImageEncoder', 'NullTextEncoder', 'ViTImageEncoder']
