"""Uni-modal encoders. Each reads a batch (``VLInputs``).

Most return tokens, [CLS] first; those with several levels return ``ImageFeatures``.
"""

from mmvlforge.models.encoders.bert_text_encoder import BertTextEncoder
from mmvlforge.models.encoders.concat_image_encoder import ConcatImageEncoder
from mmvlforge.models.encoders.conv_image_encoder import ConvImageEncoder
from mmvlforge.models.encoders.hf_image_encoder import HFImageEncoder
from mmvlforge.models.encoders.hf_text_encoder import HFTextEncoder
from mmvlforge.models.encoders.hybrid_image_encoder import HybridImageEncoder
from mmvlforge.models.encoders.multi_level_vit import MultiLevelViT
from mmvlforge.models.encoders.null_encoders import NullImageEncoder, NullTextEncoder
from mmvlforge.models.encoders.open_clip_image_encoder import OpenCLIPImageEncoder
from mmvlforge.models.encoders.pre_norm_text_encoder import PreNormTextEncoder
from mmvlforge.models.encoders.single_level_encoders import ClassProbabilityEncoder, SingleLevelEncoder
from mmvlforge.models.encoders.timm_image_encoder import TIMMImageEncoder
from mmvlforge.models.encoders.vit_image_encoder import ViTImageEncoder

__all__ = [
    'BertTextEncoder',
    'ClassProbabilityEncoder',
    'ConcatImageEncoder',
    'ConvImageEncoder',
    'HFImageEncoder',
    'HFTextEncoder',
    'HybridImageEncoder',
    'MultiLevelViT',
    'NullImageEncoder',
    'NullTextEncoder',
    'OpenCLIPImageEncoder',
    'PreNormTextEncoder',
    'SingleLevelEncoder',
    'TIMMImageEncoder',
    'ViTImageEncoder',
]
