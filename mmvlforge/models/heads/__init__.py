"""Heads.

Each owns its ``loss`` (weighted ``loss_*``). Those of the manipulation detector also own ``predict``, which fills
``pred_*`` of the records.
"""

from mmvlforge.models.heads.binary_head import BinaryHead
from mmvlforge.models.heads.box_head import BoxHead
from mmvlforge.models.heads.contrastive_head import ContrastiveHead
from mmvlforge.models.heads.dfc_head import DFCHead
from mmvlforge.models.heads.error_correction_head import ErrorCorrectionHead
from mmvlforge.models.heads.error_detection_head import ErrorDetectionHead
from mmvlforge.models.heads.imq_box_head import IMQBoxHead
from mmvlforge.models.heads.imq_token_head import IMQTokenHead
from mmvlforge.models.heads.multi_label_head import MultiLabelHead
from mmvlforge.models.heads.sigmoid_contrastive_head import SigmoidContrastiveHead
from mmvlforge.models.heads.token_mlp_head import TokenMLPHead

__all__ = [
    'BinaryHead',
    'BoxHead',
    'ContrastiveHead',
    'DFCHead',
    'ErrorCorrectionHead',
    'ErrorDetectionHead',
    'IMQBoxHead',
    'IMQTokenHead',
    'MultiLabelHead',
    'SigmoidContrastiveHead',
    'TokenMLPHead',
]
