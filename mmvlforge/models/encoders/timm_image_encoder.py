"""Convolutional networks of timm as image encoder."""

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule, initialize
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mmvlforge.registry import MODELS
from mmvlforge.structures import VLInputs, is_encoded


@MODELS.register_module()
class TIMMImageEncoder(BaseModule):
    """A convolutional network of timm without its classifier; the cells of its last map are the patches.

    The mean of the patches stands first, as [CLS]: what the network's own classifier reads.

    A frozen one is made for speed on a CPU: batch norms are folded into the convolutions, and pictures and weights are
    laid out channels-last. Its weights then have other names and shapes than those of one that is trained. It also
    takes what it has made of pictures before (see LoadImageFeatures), and hands it on.

    B pictures, N cells, C channels.

    Args:
        model_name: Of timm, such as ``'tf_efficientnet_lite0'`` (N = 49 and C = 1280 at 224 pixels).
        frozen: Train nothing of it, stay in evaluation mode, be fast. The sides of a picture must then be even wherever
            a stride halves them: multiples of 32 will do.
        fine_level: Number, in timm's ``feature_info``, of a finer map that is read beside the last one: a patch has the
            channels of its cell there and after them those of the finer cells below it, channel by channel, each row by
            row. Of EfficientNet-Lite0, 3 has stride 16: C = 1280 + 4 x 112. None reads the last map alone.
        norm_eval: Of one that is trained: its batch norms keep the statistics that they came with, while their weights
            learn. Statistics of a few pictures are rough.
        float32_depthwise: Of one that is trained on a CPU: its depthwise convolutions leave autocast, for oneDNN takes
            up to seven times as long over their gradients in bfloat16.
        bf16: Of a frozen one: hold weights and compute in bfloat16. On a processor with instructions for it (AMX,
            AVX-512 BF16) more pictures a second; tokens are float32 again, of 8 bits.
        init_cfg: How to start, for example ``dict(type='StarterWeights', name='efficientnet_lite0')``. Without it,
            timm's random initialisation stays.

    Raises:
        ValueError: timm has no such model, the model no such level, or ``bf16`` of one that is trained (there autocast
            is the way).
    """

    def __init__(
        self,
        model_name: str,
        frozen: bool = False,
        bf16: bool = False,
        init_cfg: dict | None = None,
        fine_level: int | None = None,
        norm_eval: bool = False,
        float32_depthwise: bool = False,
    ) -> None:
        super().__init__(init_cfg)
        import timm  # here: it registers a thousand models, which takes a second

        if not timm.is_model(model_name):
            raise ValueError(f'model_name {model_name!r} is none of timm; see timm.list_models()')
        if bf16 and not frozen:
            raise ValueError('bf16=True needs frozen=True; train in bfloat16 with --amp')
        self.model_name = model_name
        self.frozen = frozen
        self.fine_level = fine_level
        self.norm_eval = norm_eval
        self.dtype = torch.bfloat16 if bf16 else torch.float32  # of a frozen one
        # Never pretrained=True: timm would fetch weights.
        self.backbone: Any = timm.create_model(model_name, pretrained=False, num_classes=0, global_pool='')
        levels = len(getattr(self.backbone, 'feature_info', ()))
        if fine_level is not None and not 0 <= fine_level < levels:
            raise ValueError(f'fine_level must be one of the {levels} levels of {model_name}, from 0, got {fine_level}')
        if frozen:
            self.requires_grad_(False).eval()
            fold_batch_norms(self.backbone)
            self.backbone.to(self.dtype).to(memory_format=torch.channels_last)
        elif float32_depthwise:
            for module in self.backbone.modules():
                if isinstance(module, nn.Conv2d) and module.groups == module.in_channels:
                    module.__class__ = type('DepthwiseConv2d', (_OutOfCPUAutocast, type(module)), {})

    def init_weights(self) -> None:
        """Load ``init_cfg``; the random initialisation is timm's own, done at construction."""
        if self.init_cfg and self.frozen:
            whole = TIMMImageEncoder(self.model_name, init_cfg=self.init_cfg)  # batch norms apart, as published
            whole.init_weights()
            fold_batch_norms(whole.backbone.eval())
            self.load_state_dict(whole.state_dict())
        elif self.init_cfg:
            initialize(self, self.init_cfg)
        self._is_init = True

    def train(self, mode: bool = True) -> 'TIMMImageEncoder':
        """Set the mode; a frozen encoder stays in evaluation mode, and so do norms that keep their statistics."""
        super().train(mode and not self.frozen)
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, inputs: VLInputs) -> Tensor:
        """Encode ``inputs.images`` to ``(B, 1 + N, C)``.

        Raises:
            ValueError: The network's last map is none (a transformer), or a frozen one gets a picture of odd sides.
        """
        images = inputs.images
        assert images is not None
        if self.frozen and is_encoded(images):
            return images[:, 0]
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            if self.frozen:
                if images.shape[-1] % 32 or images.shape[-2] % 32:
                    raise ValueError(f'pictures of {tuple(images.shape[-2:])}: sides must be multiples of 32 (frozen)')
                images = images.to(self.dtype, memory_format=torch.channels_last)
            found = self._map(images)
            if found.ndim != 4:
                raise ValueError(f'{self.model_name} gives {tuple(found.shape)}, must be a map (B, C, H, W)')
            patches = found.flatten(2).transpose(1, 2).float()
            return torch.cat([patches.mean(dim=1, keepdim=True), patches], dim=1)

    def _map(self, images: Tensor) -> Tensor:
        if self.fine_level is None:
            return self.backbone.forward_features(images)
        last, (fine,) = self.backbone.forward_intermediates(images, indices=[self.fine_level])
        if fine.shape[-1] % last.shape[-1] or fine.shape[-2] % last.shape[-2]:
            raise ValueError(
                f'fine_level {self.fine_level}: {tuple(fine.shape[-2:])} cells do not lie evenly below '
                f'{tuple(last.shape[-2:])}: sides of pictures must be multiples of the last stride'
            )
        return torch.cat([last, F.pixel_unshuffle(fine, int(fine.shape[-1] // last.shape[-1]))], dim=1)


class _OutOfCPUAutocast(nn.Module):
    """Depthwise convolution that computes in float32 on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != 'cpu' or not torch.is_autocast_enabled('cpu'):
            return super().forward(x)
        with torch.autocast('cpu', enabled=False):
            return super().forward(x.float())


def fold_batch_norms(module: nn.Module) -> None:
    """Fold batch norms into the convolutions before them, and paddings of strides; outputs stay equal but for rounding.

    TensorFlow's padding of a strided convolution depends on the picture's size, and copies the picture. With even sides
    it always is one row and column less at the front than behind: so a kernel with a first row and column of zeros and
    equal padding does the same.

    Args:
        module: A network of timm in evaluation mode; it is changed. Its norms follow their convolutions, and hold the
            activation.
    """
    from timm.layers import Conv2dSame

    before = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and before is not None:
            conv = fuse_conv_bn_eval(getattr(module, before), child)
            setattr(module, before, _equally_padded(conv) if isinstance(conv, Conv2dSame) else conv)
            setattr(module, name, getattr(child, 'act', nn.Identity()))
            before = None
        elif type(child) in (nn.Conv2d, Conv2dSame):  # others may make their weights anew at each call
            before = name
        else:
            fold_batch_norms(child)


def _equally_padded(conv: nn.Conv2d) -> nn.Conv2d:
    """A plain convolution in place of timm's Conv2dSame of stride 2."""
    height, width = conv.kernel_size
    plain = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        (height + 1, width + 1),
        conv.stride,  # type: ignore[arg-type]
        (height // 2, width // 2),
        groups=conv.groups,
        device=conv.weight.device,
        dtype=conv.weight.dtype,
    ).requires_grad_(False)
    plain.weight.copy_(F.pad(conv.weight, (1, 0, 1, 0)))
    assert conv.bias is not None and plain.bias is not None
    plain.bias.copy_(conv.bias)
    return plain
