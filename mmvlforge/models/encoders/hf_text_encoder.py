"""Text encoder from Hugging Face."""

from mmengine.model import BaseModule, initialize
from torch import Tensor

from mmvlforge.models.encoders.hf_model import hf_model
from mmvlforge.models.weights.key_maps import hf_text_names
from mmvlforge.registry import MODELS
from mmvlforge.structures import VLInputs

POOLS = ('cls', 'mean', 'last')


@MODELS.register_module()
class HFTextEncoder(BaseModule):
    """E_t of Eq. 1: RoBERTa or BERT through transformers, without the pooler, attention through SDPA.

    For a DualEncoder any other text tower that gives hidden states does as well. ViLEM, whose text encoder reads the
    picture, takes BertTextEncoder or PreNormTextEncoder.

    Args:
        config: Fields of the model's Hugging Face config, ``model_type`` among them. Nothing is fetched; weights
            come through ``init_cfg`` or a checkpoint.
        with_cp: Gradient checkpointing of every layer.
        pool: A DualEncoder's h^t: ``'cls'``, the first token; ``'mean'`` of the tokens; or ``'last'``, the last token,
            for towers that read one way.
        init_cfg: How to start, for example ``dict(type='HFPretrained', folder=...)``. Without it, Hugging Face's
            random initialisation stays.

    Raises:
        ValueError: ``config`` has no ``model_type``, or another ``pool``.
    """

    hf_names = staticmethod(hf_text_names)

    def __init__(self, config: dict, with_cp: bool = False, pool: str = 'cls', init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if pool not in POOLS:
            raise ValueError(f'pool must be one of {POOLS}, got {pool!r}')
        self.pooling = pool
        self.model = hf_model(config, pooler=False, with_cp=with_cp)
        self.wide_mask = config['model_type'] in ('bert', 'roberta')

    @property
    def hf_config(self) -> dict:
        """The fields by which Hugging Face describes this model."""
        return self.model.config.to_dict()

    def init_weights(self) -> None:
        """Load ``init_cfg``; the random initialisation is Hugging Face's own, done at construction."""
        if self.init_cfg:
            initialize(self, self.init_cfg)
        self._is_init = True

    def forward(self, inputs: VLInputs) -> Tensor:
        """Encode ``inputs.input_ids`` to ``(B, L, C)``."""
        # RoBERTa numbers positions by where its own padding id stands.
        ids = inputs.input_ids.masked_fill(~inputs.attention_mask, self.model.config.pad_token_id or 0)
        # With a mask of shape (B, L) transformers looks whether all of it is True: an accelerator waits for the host.
        mask = inputs.attention_mask[:, None] if self.wide_mask else inputs.attention_mask
        return self.model(input_ids=ids, attention_mask=mask).last_hidden_state

    def pool(self, tokens: Tensor, inputs: VLInputs) -> Tensor:
        """A feature of each caption ``(B, C)``."""
        mask = inputs.attention_mask
        if self.pooling == 'mean':
            return (tokens * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        if self.pooling == 'cls':
            return tokens[:, 0]
        last = mask.sum(dim=1) - 1
        return tokens.gather(1, last[:, None, None].expand(-1, 1, tokens.shape[2]))[:, 0]
