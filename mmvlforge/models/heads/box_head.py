"""Grounding of image manipulation by a plain MLP."""

import torch
from mmengine.model import BaseModule
from torch import Tensor
from torchvision.ops import box_convert

from mmvlforge.models.heads.mean import global_mean
from mmvlforge.models.layers import mlp
from mmvlforge.registry import MODELS
from mmvlforge.structures import FusedFeatures, ManipulationTargets, VLDataSample

AREA_EPS = 1e-12  # a millionth of the width by a millionth of the height
EMPTY_TERMS = ('both', 'l1', 'none')
COORD_EPS = 1e-4  # published rule: "no box" if all four normalised coordinates are below this


def giou_loss(pred: Tensor, target: Tensor) -> Tensor:
    """1 - GIoU of each pair (Rezatofighi et al., CVPR 2019).

    torchvision's selects the overlapping pairs by a mask, which makes an accelerator wait for the host.

    Args:
        pred: xyxy in 0..1 ``(B, 4)``.
        target: xyxy in 0..1 ``(B, 4)``.

    Returns:
        ``(B,)``, between 0 and 2. An empty box has nothing in common with any other, nor with itself: at least 1.
    """

    def area(top_left: Tensor, bottom_right: Tensor) -> Tensor:
        width, height = (bottom_right - top_left).clamp(min=0).unbind(dim=-1)
        return width * height

    (p1, p2), (t1, t2) = pred.split(2, dim=-1), target.split(2, dim=-1)
    overlap = area(torch.max(p1, t1), torch.min(p2, t2))
    # Where both boxes are empty or nearly so, neither the quotients nor their gradients exist.
    union = (area(p1, p2) + area(t1, t2) - overlap).clamp(min=AREA_EPS)
    enclosing = area(torch.min(p1, t1), torch.max(p2, t2)).clamp(min=AREA_EPS)
    return 1 - overlap / union + (enclosing - union) / enclosing


@MODELS.register_module()
class BoxHead(BaseModule):
    """Box MLP D_i on the mean of the patches: the baseline of Table 2, which has no image query.

    Args:
        in_dims: Channels C.
        hidden_dims: Hidden channels of the MLP; the paper does not say, C here.
        num_hidden: Hidden layers of the MLP; the paper does not say, 2 as in DETR.
        loss_weight: β of Eq. 9.
        supervise_empty: Terms that teach the zero box to pictures without a manipulated region, and so average over all
            rows. ``'both'`` is published practice. A true zero box lies in the corner, so that GIoU then draws boxes
            there. ``'l1'``: GIoU averages over the rows with a region. ``'none'``: both do.
        no_box_rule: When a predicted box is dropped. ``'coord'``: all four coordinates, xyxy divided by width and
            height, are below 1e-4 (the published rule; it needs ``supervise_empty``). ``'type'``: the type head
            holds the picture for real. Metrics are given under the other rule as well.

    Raises:
        ValueError: Unknown ``no_box_rule`` or ``supervise_empty``, or ``'coord'`` where nothing teaches the zero box.
    """

    def __init__(
        self,
        in_dims: int = 768,
        hidden_dims: int = 768,
        num_hidden: int = 2,
        loss_weight: float = 0.1,
        supervise_empty: str = 'both',
        no_box_rule: str = 'coord',
    ) -> None:
        super().__init__()
        if no_box_rule not in ('coord', 'type'):
            raise ValueError(f"no_box_rule must be 'coord' or 'type', got {no_box_rule!r}")
        if supervise_empty not in EMPTY_TERMS:
            raise ValueError(f'supervise_empty must be one of {EMPTY_TERMS}, got {supervise_empty!r}')
        if no_box_rule == 'coord' and supervise_empty == 'none':
            raise ValueError("no_box_rule='coord' needs supervise_empty='both' or 'l1': else no zero box is learnt")
        self.box_mlp = mlp(in_dims, hidden_dims, 4, num_hidden)
        self.loss_weight = loss_weight
        self.supervise_empty = supervise_empty
        self.no_box_rule = no_box_rule

    def aggregate(self, features: FusedFeatures) -> Tensor:
        """One feature a picture ``(B, C)``."""
        return features.image_patches.mean(dim=1)

    def forward(self, features: FusedFeatures) -> Tensor:
        """Boxes, cxcywh in 0..1, float32 ``(B, 4)``."""
        return self.box_mlp(self.aggregate(features)).float().sigmoid()

    def loss(self, features: FusedFeatures, targets: ManipulationTargets) -> dict[str, Tensor]:
        """L1 and GIoU terms of L_mig (Eq. 7), in float32; never NaN.

        Rows are counted over all processes, so that several learn what one with all their rows would.
        """
        boxes = self(features)
        l1 = (boxes - targets.box).abs().sum(dim=-1)
        giou = giou_loss(*(box_convert(b, 'cxcywh', 'xyxy') for b in (boxes, targets.box)))
        everyone = torch.ones_like(targets.has_box)
        l1 = global_mean(l1, targets.has_box if self.supervise_empty == 'none' else everyone)
        giou = global_mean(giou, everyone if self.supervise_empty == 'both' else targets.has_box)
        return dict(loss_box_l1=self.loss_weight * l1, loss_box_giou=self.loss_weight * giou)

    def predict(self, features: FusedFeatures, data_samples: list[VLDataSample]) -> None:
        """Fill ``pred_box_raw``, ``pred_no_box`` and ``pred_box``, which is None if the head's rule finds no box.

        Boxes are xyxy pixels of the stored image and may reach beyond it: published practice scores them as they are.
        The rule ``'type'`` is answered where a type head ran before.
        """
        boxes = box_convert(self(features), 'cxcywh', 'xyxy').cpu()
        for sample, box in zip(data_samples, boxes):
            no_box = dict(coord=bool((box < COORD_EPS).all()))
            if 'pred_image_type' in sample:
                no_box['type'] = sample.pred_image_type == 0
            if self.no_box_rule not in no_box:
                raise ValueError("no_box_rule='type' needs pred_image_type, which a type head writes")
            height, width = sample.ori_shape
            x1, y1, x2, y2 = (box * torch.tensor([width, height, width, height])).unbind()
            if sample.get('flip', False):
                x1, x2 = width - x2, width - x1
            sample.pred_box_raw = torch.stack([x1, y1, x2, y2])
            sample.pred_no_box = no_box
            sample.pred_box = None if no_box[self.no_box_rule] else sample.pred_box_raw
