"""Heads of the manipulation detector.

Each owns ``forward`` (logits), ``loss`` (weighted ``loss_*``) and ``predict`` (fills ``pred_*`` of the records).
"""

from mmvlforge.models.heads.binary_head import BinaryHead
from mmvlforge.models.heads.box_head import BoxHead
from mmvlforge.models.heads.dfc_head import DFCHead
from mmvlforge.models.heads.imq_box_head import IMQBoxHead
from mmvlforge.models.heads.imq_token_head import IMQTokenHead
from mmvlforge.models.heads.multi_label_head import MultiLabelHead
from mmvlforge.models.heads.token_mlp_head import TokenMLPHead

__all__ = ['BinaryHead', 'BoxHead', 'DFCHead', 'IMQBoxHead', 'IMQTokenHead', 'MultiLabelHead', 'TokenMLPHead']
