"""Two encoders, one space (Section 3.1 of the ViLEM paper)."""

from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel, initialize
from torch import Tensor, nn

from mmvlforge.models.layers.attention import init_linear
from mmvlforge.models.momentum_copy import MomentumCopy
from mmvlforge.registry import MODELS
from mmvlforge.structures import CaptionTargets, ImageFeatures, RetrievalFeatures, VLDataSample, VLInputs


@MODELS.register_module()
class DualEncoder(BaseModel):
    """Contrastive learning with momentum encoders and queues: the baseline, and the base of ViLEM.

    Global features h^v, h^t ([CLS], where the encoder says nothing else), linear maps to z^v, z^t, both scaled to
    length 1. In training the momentum encoders follow before they encode the batch, once for each step of the
    optimiser: with accumulated gradients only the first batch of a step moves them, since the weights have not moved
    for the others. A contrastive head that needs no momentum keys (SigmoidContrastiveHead) has no momentum encoders.

    B pairs, D channels of the shared space.

    Args:
        image_encoder: f^v; reads VLInputs, returns ImageFeatures.
        text_encoder: f^t; reads VLInputs, returns ``(B, L, C_t)``. ``pool(tokens, inputs)``, if it has that, makes h^t
            ``(B, C_t)`` of it; else the first token is h^t.
        contrastive_head: L_align; owns the queues. None for a model that only retrieves: it has no momentum encoders.
        image_dims: C_v; None: h^v, of D channels, is taken as it is (SigLIP).
        text_dims: C_t; None as for the pictures.
        embed_dims: D; the paper does not say, 256 as in ALBEF.
        proj_bias: Whether the linear maps have a bias; CLIP's do not.
        momentum: m of Eq. 1-2.
        momentum_features: Retrieve with the momentum encoders.
        data_preprocessor: Defaults to ``VLDataPreprocessor`` as it stands.
        init_cfg: How to start, applied after the encoders' own; the momentum encoders then equal the encoders.

    Raises:
        ValueError: ``momentum_features`` of a model that has no momentum encoders.
    """

    def __init__(
        self,
        image_encoder: dict,
        text_encoder: dict,
        contrastive_head: dict | None = None,
        image_dims: int | None = 768,
        text_dims: int | None = 768,
        embed_dims: int = 256,
        proj_bias: bool = True,
        momentum: float = 0.995,
        momentum_features: bool = False,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        # Built here: BaseModel would look in MMEngine's own registry, which needs a default scope.
        super().__init__(MODELS.build(data_preprocessor or dict(type='VLDataPreprocessor')))
        self.start_cfg = init_cfg
        self.image_encoder = MODELS.build(image_encoder)
        self.text_encoder = MODELS.build(text_encoder)
        self.embed_dims = embed_dims
        self.image_proj, self.text_proj = (
            init_linear(nn.Linear(dims, embed_dims, proj_bias)) if dims else nn.Identity()
            for dims in (image_dims, text_dims)
        )
        self.contrastive_head = MODELS.build(contrastive_head) if contrastive_head else None
        has_keys = self.contrastive_head is not None and self.contrastive_head.needs_keys
        names = ('image_encoder', 'text_encoder', 'image_proj', 'text_proj') if has_keys else ()
        if momentum_features and not names:
            raise ValueError('momentum_features=True needs a contrastive_head with momentum encoders')
        self.momentum = MomentumCopy(self, names, momentum)
        self.momentum_features = momentum_features

    def init_weights(self) -> None:
        """Initialise the parts, load ``init_cfg`` over them, and let the momentum encoders begin there."""
        super().init_weights()
        if self.start_cfg:
            initialize(self, self.start_cfg)
        self.momentum.restart(self)

    def extract_feat(self, inputs: VLInputs, momentum: bool = False) -> RetrievalFeatures:
        """Encode pictures and captions, whose numbers may differ.

        Args:
            inputs: The batch.
            momentum: Use the momentum encoders.
        """
        return RetrievalFeatures(self.encode_images(inputs, momentum), self.encode_texts(inputs, momentum))

    def encode_images(self, inputs: VLInputs, momentum: bool = False) -> Tensor:
        """z^v of the pictures ``(pictures, D)``; arguments as in :meth:`extract_feat`."""
        net: Any = self.momentum if momentum else self  # with children of the same names
        return project_image(net, net.image_encoder(inputs))

    def encode_texts(self, inputs: VLInputs, momentum: bool = False) -> Tensor:
        """z^t of the captions ``(captions, D)``; arguments as in :meth:`extract_feat`."""
        net: Any = self.momentum if momentum else self  # with children of the same names
        if not len(inputs.input_ids):  # pictures alone
            return torch.zeros(0, self.embed_dims, device=inputs.input_ids.device)
        return project_text(net, net.text_encoder(inputs), inputs)

    def loss(self, inputs: VLInputs, targets: CaptionTargets) -> dict[str, Tensor]:
        """L_align of one batch."""
        return self.align(self.image_encoder(inputs), inputs, targets)

    def align(self, image: ImageFeatures, inputs: VLInputs, targets: CaptionTargets, **hard) -> dict[str, Tensor]:
        """L_align of encoded pictures.

        Args:
            image: The pictures' features.
            inputs: The batch.
            targets: Its image ids.
            **hard: Further negatives, as in ``ContrastiveHead.loss``.

        Raises:
            ValueError: The model has no contrastive head.
        """
        if self.contrastive_head is None:
            raise ValueError('a model without contrastive_head only retrieves: it cannot be trained')
        text = project_text(self, self.text_encoder(inputs), inputs)
        features = RetrievalFeatures(project_image(self, image), text)
        keys = (self.momentum_keys(inputs),) if self.contrastive_head.needs_keys else ()
        return self.contrastive_head.loss(features, *keys, targets.image_ids, **hard)

    @torch.no_grad()
    def momentum_keys(self, inputs: VLInputs) -> RetrievalFeatures:
        """Move the momentum encoders (Eq. 1-2), then encode with them."""
        if all(parameter.grad is None for parameter in self.parameters()):  # else gradients accumulate
            self.momentum.follow(self)
        return self.extract_feat(inputs, momentum=True)

    def predict(self, inputs: VLInputs, data_samples: list[VLDataSample]) -> list[VLDataSample]:
        """Fill ``pred_image_feats`` and ``pred_text_feats`` of each group of pictures and captions."""
        features = self.extract_feat(inputs, self.momentum_features)
        for name, rows, count in (('image', features.image, 'num_images'), ('text', features.text, 'num_captions')):
            ends = list(accumulate(getattr(sample, count) for sample in data_samples))
            for sample, part in zip(data_samples, rows.cpu().tensor_split(ends[:-1])):
                setattr(sample, f'pred_{name}_feats', part.clone())
        return data_samples

    def forward(
        self,
        inputs: VLInputs,
        targets: CaptionTargets | None = None,
        data_samples: list[VLDataSample] | None = None,
        mode: str = 'tensor',
    ) -> RetrievalFeatures | dict[str, Tensor] | list[VLDataSample]:
        """Run the model.

        Args:
            inputs: The batch. To train it holds one caption for each picture.
            targets: Its image ids; needed for ``mode='loss'``.
            data_samples: Its records; needed for ``mode='predict'``, which fills their ``pred_*`` fields.
            mode: ``'loss'`` returns the weighted losses, ``'predict'`` the records, ``'tensor'`` the features.

        Raises:
            ValueError: Unknown ``mode``, or what it needs is missing.
        """
        if mode == 'tensor':
            return self.extract_feat(inputs, self.momentum_features)
        if mode == 'loss' and targets is not None:
            return self.loss(inputs, targets)
        if mode == 'predict' and data_samples is not None:
            return self.predict(inputs, data_samples)
        raise ValueError(
            f"mode must be 'loss', 'predict' or 'tensor', got {mode!r} ('loss' needs targets, 'predict' data_samples)"
        )


def project_image(net: Any, image: ImageFeatures) -> Tensor:
    """z^v by the map of ``net``, in float32 ``(B, D)``."""
    return F.normalize(net.image_proj(image.cls).float(), dim=-1)


def pool_text(net: Any, tokens: Tensor, inputs: VLInputs) -> Tensor:
    """h^t ``(B, C_t)`` of the tokens ``(B, L, C_t)`` that the text encoder of ``net`` made of ``inputs``."""
    pool = getattr(net.text_encoder, 'pool', None)
    return tokens[:, 0] if pool is None else pool(tokens, inputs)


def project_text(net: Any, tokens: Tensor, inputs: VLInputs) -> Tensor:
    """z^t by the map of ``net``, of the tokens ``(B, L, C_t)`` made of ``inputs``, in float32 ``(B, D)``."""
    return F.normalize(net.text_proj(pool_text(net, tokens, inputs)).float(), dim=-1)
