"""What the wrong words should have been."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmvlforge.models.layers.attention import init_linear
from mmvlforge.models.weights.key_maps import mlm_head_names
from mmvlforge.registry import MODELS
from mmvlforge.structures import IGNORE, EditedText


@MODELS.register_module()
class ErrorCorrectionHead(BaseModule):
    """Error correction P_cor (Eq. 9 of the ViLEM paper): BERT's head of masked language modelling.

    Dense, GELU, LayerNorm, then the text encoder's word embeddings as decoder, plus a bias. L_cor is the mean over the
    edited tokens of the batch (of each process its own), not over captions: Eq. 9 has no sum over tokens. It is 0
    without any.

    Args:
        in_dims: Channels C.
        vocab_size: Tokens of the vocabulary.
        max_edits: Most edits of one caption. An accelerator works out so many rows of the vocabulary for each of them,
            whatever their true number, which the host would have to wait for; a CPU works out those that there are.
        loss_weight: Weight of L_cor beside L_det, 1 in Eq. 10 and 12.
        init_cfg: How to start, for example ``dict(type='HFPretrained', folder=...)``: with BERT's own head, if the
            folder has it, which suits the text encoder of the same folder.
    """

    hf_names = staticmethod(mlm_head_names)
    hf_optional = True

    def __init__(
        self,
        in_dims: int = 768,
        vocab_size: int = 30522,
        max_edits: int = 8,
        loss_weight: float = 1.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.transform = nn.Sequential(
            init_linear(nn.Linear(in_dims, in_dims)), nn.GELU(), nn.LayerNorm(in_dims, eps=1e-12)
        )
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        self.max_edits = max_edits
        self.loss_weight = loss_weight
        # The fields by which Hugging Face would describe this head.
        self.hf_config = dict(
            model_type='bert',
            vocab_size=vocab_size,
            hidden_size=in_dims,
            hidden_act='gelu',
            layer_norm_eps=1e-12,
            tie_word_embeddings=True,
        )

    def forward(self, tokens: Tensor, decode: Callable[[Tensor], Tensor]) -> Tensor:
        """Logits over the vocabulary ``(..., vocab_size)``.

        Args:
            tokens: ``(..., C)``.
            decode: The text encoder's ``word_logits``.
        """
        return decode(self.transform(tokens)) + self.bias

    def loss(
        self, tokens: Tensor, edited: EditedText, decode: Callable[[Tensor], Tensor], prefix: str = 'loss'
    ) -> dict[str, Tensor]:
        """L_cor.

        Args:
            tokens: ``(B, L, C)``.
            edited: The captions they were made from.
            decode: The text encoder's ``word_logits``.
            prefix: What the loss's name begins with.
        """
        is_edit = edited.correction != IGNORE
        positions = is_edit.int().topk(min(self.max_edits, is_edit.shape[1]), dim=1).indices
        labels = edited.correction.gather(1, positions)
        chosen = tokens.gather(1, positions[:, :, None].expand(-1, -1, tokens.shape[2]))
        real = labels != IGNORE
        if tokens.device.type == 'cpu' and not torch.compiler.is_compiling():
            chosen, labels = chosen[real], labels[real]
        logits = self(chosen, decode).float()
        loss = F.cross_entropy(logits.flatten(0, -2), labels.flatten(), ignore_index=IGNORE, reduction='sum')
        return {f'{prefix}_correction': self.loss_weight * loss / real.sum().clamp(min=1)}
