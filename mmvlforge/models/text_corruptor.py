"""Plausible wrong captions: some words replaced by what a frozen masked language model would write there."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import AutoModelForMaskedLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from mmvlforge.models.weights.reading import require_finite
from mmvlforge.registry import MODELS
from mmvlforge.starter_files import starter_folder
from mmvlforge.structures import IGNORE, EditedText, VLInputs


class _Knowledge(NamedTuple):
    """What lies in the folder.

    Attributes:
        model: The masked language model; None in modes that need none.
        editable: True for tokens that may be replaced, bool ``(V,)``.
        writable: True for tokens that may be written in their place, bool ``(V,)``.
        continues: True for tokens that go on a word begun before ('##ing'), bool ``(V,)``; if ``goes_on``, for tokens
            whose word goes on after them (CLIP's 'skate' without '</w>').
        goes_on: Which of the two.
        mask_id: Id of [MASK].
        to_lm: For captions of another tokenizer: the language model's token for each of theirs, int64 ``(V,)``. Then V
            is their vocabulary, but for ``writable``.
        from_lm: The reverse, int64, for tokens that are writable.
    """

    model: PreTrainedModel | None
    editable: Tensor
    writable: Tensor
    continues: Tensor
    goes_on: bool
    mask_id: int
    to_lm: Tensor | None = None
    from_lm: Tensor | None = None


@MODELS.register_module()
class TextCorruptor(nn.Module):
    """Knowledge-based text edition (Sec. 3.2 of the ViLEM paper).

    Each token is chosen independently; special tokens, punctuation and stop words never are. The chosen positions of a
    caption are masked together, and in place of each comes a token drawn from the softmax over the language model's
    ``top_k`` predictions there, without the original token and without special, punctuation-like, [unused] and stop
    tokens. A caption may come out unchanged. All randomness is that of torch's generator of the inputs' device, drawn
    in a way that does not depend on ``chunk_size``.

    A word that the tokenizer splits ('skate', '##board') is left alone, and no continuation is written: the labels of
    Eq. 6-7 go token by token, so that no whole word fits in the place of several pieces, and a new piece would make up
    a word. Edited captions therefore consist of whole words, and ``rate`` is that of the other tokens.

    The language model is no submodule: it is in no checkpoint, no optimiser and no wrapper of a distributed run, and
    ``train()`` does not reach it. It is loaded by ``init_weights`` or at first use, so that a config can be built
    without it.

    No masked language model speaks the vocabulary of CLIP or SigLIP. BERT then reads their captions through a table:
    each token becomes the BERT token of the same letters, or [UNK], and only words that are one token on both sides are
    replaced and written. SigLIP's first word, which looks to its tokenizer like the end of another, is left alone.

    Args:
        name: Folder, or name on the Hugging Face hub, of the masked language model and its tokenizer. It must be the
            tokenizer that made the inputs, unless ``tokenizer`` names that. Modes other than ``'lm'`` read the
            tokenizer only, and take ``starter::minilm`` too.
        mode: ``'lm'``; ``'random'`` draws uniformly from the vocabulary (Table 7 F); ``'masked'`` writes [MASK], for
            masked language modelling (Table 7 B).
        rate: Probability that a token is chosen. Defaults to the paper's 0.15.
        max_edits: Most edits of a caption; surplus ones are dropped at random. Defaults to 8.
        top_k: Number of predictions to draw from. Defaults to 20.
        joint: Whether all chosen positions of a caption are masked together, as in the paper. False masks each alone,
            against the otherwise original caption, at the cost of a sequence for each edit.
        chunk_size: Most sequences in one forward pass of the language model, which bounds its memory. Captions go
            through it sorted by length. Defaults to 32 on a CPU, where the padding of a large chunk costs more than
            a further pass, and to 512 on a GPU.
        stop_words: Further tokens that are neither replaced nor written.
        subwords: Treat the pieces of a split word as any token, both to replace and to write. Mode ``'masked'``, which
            writes no words, always does.
        tokenizer: Folder, or name on the hub, of the tokenizer that made the inputs, if it is not the language model's
            own. For mode ``'lm'``, without ``subwords``.

    Raises:
        ValueError: Unknown ``mode``, a number out of range, or (on loading) a folder that is missing or holds no
            complete masked language model.
    """

    def __init__(
        self,
        name: str,
        mode: str = 'lm',
        rate: float = 0.15,
        max_edits: int = 8,
        top_k: int = 20,
        joint: bool = True,
        chunk_size: int | None = None,
        stop_words: Sequence[str] = (),
        subwords: bool = False,
        tokenizer: str | None = None,
    ) -> None:
        super().__init__()
        if mode not in ('lm', 'random', 'masked'):
            raise ValueError(f"mode must be 'lm', 'random' or 'masked', got {mode!r}")
        if not 0 <= rate <= 1:
            raise ValueError(f'rate is a probability, got {rate}')
        if min(max_edits, top_k, 1 if chunk_size is None else chunk_size) < 1:
            raise ValueError(
                f'max_edits, top_k and chunk_size must be at least 1, got {max_edits}, {top_k} and {chunk_size}'
            )
        if tokenizer and (mode != 'lm' or subwords):
            raise ValueError(f"tokenizer is for mode 'lm' without subwords, got {mode!r} and subwords={subwords}")
        self.name = name
        self.tokenizer = tokenizer
        self.mode = mode
        self.rate = rate
        self.max_edits = max_edits
        self.top_k = top_k
        self.joint = joint
        self.chunk_size = chunk_size
        self.stop_words = frozenset(stop_words)
        self.subwords = subwords
        self._loaded: _Knowledge | None = None

    def init_weights(self) -> None:
        """Load the language model: a missing one should stop a run before its first step."""
        self._knowledge(torch.device('cpu'))

    @torch.no_grad()
    def forward(self, inputs: VLInputs) -> EditedText:
        """Edit a batch of captions."""
        return self.edit(inputs, self.choose(inputs))

    @torch.no_grad()
    def editable(self, inputs: VLInputs) -> Tensor:
        """Where the edition may take place, bool ``(B, L)``."""
        ids = inputs.input_ids
        knowledge = self._knowledge(ids.device)
        allowed = inputs.word_mask & knowledge.editable[ids]
        if self.subwords or self.mode == 'masked':
            return allowed
        piece = inputs.word_mask & knowledge.continues[ids]
        # The other piece of the same word is the one after, or the one before.
        other = nn.functional.pad(piece, (1, -1)) if knowledge.goes_on else nn.functional.pad(piece, (-1, 1))
        return allowed & ~piece & ~other

    @torch.no_grad()
    def choose(self, inputs: VLInputs) -> Tensor:
        """Draw the positions to edit, bool ``(B, L)``."""
        ids = inputs.input_ids
        draw = torch.rand(ids.shape, device=ids.device)
        chosen = self.editable(inputs) & (draw < self.rate)
        # The smallest draws of those chosen are as random a choice as any.
        first = draw.masked_fill(~chosen, 2).topk(min(self.max_edits, ids.shape[1]), largest=False).indices
        return torch.zeros_like(chosen).scatter(1, first, chosen.gather(1, first))

    @torch.no_grad()
    def edit(self, inputs: VLInputs, chosen: Tensor) -> EditedText:
        """Edit given positions.

        Args:
            inputs: The captions.
            chosen: True where to edit, bool ``(B, L)``; only at words.
        """
        ids = inputs.input_ids
        knowledge = self._knowledge(ids.device)
        if knowledge.model is not None:
            edited = self._write_predictions(inputs, chosen, knowledge.model, knowledge)
        elif self.mode == 'random':
            edited = torch.where(chosen, self._random_tokens(ids, knowledge.writable), ids)
        else:
            edited = ids.masked_fill(chosen, knowledge.mask_id)
        return EditedText(
            input_ids=edited,
            detection=(~chosen).long().masked_fill(~inputs.word_mask, IGNORE),
            correction=ids.masked_fill(~chosen, IGNORE),
        )

    def _write_predictions(
        self, inputs: VLInputs, chosen: Tensor, model: PreTrainedModel, knowledge: _Knowledge
    ) -> Tensor:
        """Replace the chosen tokens by draws from the language model's predictions, ``(B, L)``."""
        edited = inputs.input_ids.clone()
        ids = edited if knowledge.to_lm is None else knowledge.to_lm[edited]
        rows, columns = chosen.nonzero(as_tuple=True)  # (E,) each: the edits
        noise = torch.empty(len(rows), min(self.top_k, len(knowledge.writable)), device=ids.device).exponential_()
        # Short captions first: a chunk is as wide as its longest. Edits of one caption stay together.
        lengths = inputs.attention_mask.sum(dim=1)
        by_length = lengths[rows].argsort(stable=True)
        rows, columns, noise = rows[by_length], columns[by_length], noise[by_length]
        # Which masked sequence an edit is predicted from, and of which caption a sequence is a copy.
        if self.joint:
            captions, sequence = torch.unique_consecutive(rows, return_inverse=True)
            masked = ids.masked_fill(chosen, knowledge.mask_id)[captions]
        else:
            captions, sequence = rows, torch.arange(len(rows), device=ids.device)
            masked = ids[rows].scatter(1, columns[:, None], knowledge.mask_id)
        attention_mask = inputs.attention_mask[captions]
        originals = ids[rows, columns]

        widths = lengths[captions].tolist()
        chunk_size = self.chunk_size or (32 if ids.device.type == 'cpu' else 512)
        for start in range(0, len(captions), chunk_size):
            part = slice(start, start + chunk_size)
            edits = part
            if self.joint:
                edits = ((sequence >= part.start) & (sequence < part.stop)).nonzero()[:, 0]
            width = widths[part][-1]
            logits = self._predict(
                model,
                masked[part, :width],
                attention_mask[part, :width],
                sequence[edits] - start,
                columns[edits],
            )
            logits = logits.float().masked_fill(~knowledge.writable, float('-inf'))
            logits.scatter_(1, originals[edits, None], float('-inf'))
            best = logits.topk(noise.shape[1])
            # The largest of p / Exp(1) is a draw from p, as in torch.multinomial.
            drawn = (best.values.softmax(1) / noise[edits]).argmax(1, keepdim=True)
            tokens = best.indices.gather(1, drawn)[:, 0]
            edited[rows[edits], columns[edits]] = tokens if knowledge.from_lm is None else knowledge.from_lm[tokens]
        return edited

    @torch.no_grad()
    def log_probs(self, inputs: VLInputs, chosen: Tensor, *captions: Tensor) -> list[Tensor]:
        """How plausible the language model finds tokens at given positions, which are masked together.

        Args:
            inputs: The captions, in the language model's own vocabulary.
            chosen: True at the positions ``(B, L)``.
            captions: Ids with a token to judge at each of them, ``(B, L)`` each.

        Returns:
            Log-probabilities, a tensor ``(positions,)`` for each of ``captions``.

        Raises:
            ValueError: The corruptor has no language model, or one of another vocabulary.
        """
        knowledge = self._knowledge(inputs.input_ids.device)
        if knowledge.model is None or knowledge.to_lm is not None:
            raise ValueError(
                f"needs mode 'lm' without a tokenizer of its own, got {self.mode!r} and {self.tokenizer!r}"
            )
        masked = inputs.input_ids.masked_fill(chosen, knowledge.mask_id)
        found: list[list[Tensor]] = [[] for _ in captions]
        for part in torch.arange(len(masked)).split(self.chunk_size or 32):
            rows, columns = chosen[part].nonzero(as_tuple=True)
            logits = self._predict(knowledge.model, masked[part], inputs.attention_mask[part], rows, columns)
            known = logits.float().log_softmax(dim=1)
            for ids, each in zip(captions, found):
                each.append(known.gather(1, ids[part][rows, columns][:, None])[:, 0])
        return [torch.cat(each) for each in found]

    @staticmethod
    def _predict(model: PreTrainedModel, ids: Tensor, attention_mask: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Logits at the given positions ``(E, V)``: the head, as large as the vocabulary, runs nowhere else."""

        def keep_positions(module, args, output):
            output['last_hidden_state'] = output['last_hidden_state'][rows, columns]
            return output

        # RoBERTa numbers positions by where its own padding id stands.
        ids = ids.masked_fill(~attention_mask, model.config.pad_token_id or 0)
        handle = model.base_model.register_forward_hook(keep_positions)
        try:
            return model(input_ids=ids, attention_mask=attention_mask.long()).logits
        finally:
            handle.remove()

    @staticmethod
    def _random_tokens(ids: Tensor, writable: Tensor) -> Tensor:
        """A writable token for every position, never the one that stands there, ``(B, L)``."""
        number = writable.cumsum(0) - 1  # of each writable token among them
        tokens = writable.nonzero()[:, 0]
        # One choice less where the token that stands there is writable: numbers from its own on move up by one.
        choices = len(tokens) - writable[ids].long()
        draw = (torch.rand(ids.shape, device=ids.device, dtype=torch.float64) * choices).long()
        return tokens[draw + (writable[ids] & (draw >= number[ids]))]

    def _knowledge(self, device: torch.device) -> _Knowledge:
        """The folder's contents on the device."""
        if self._loaded is None:
            self._loaded = self._load()
        if self._loaded.editable.device != device:
            moved = {name: part.to(device) for name, part in self._loaded._asdict().items() if hasattr(part, 'to')}
            self._loaded = self._loaded._replace(**moved)
        return self._loaded

    def _load(self) -> _Knowledge:
        model = None
        try:
            tokenizer = AutoTokenizer.from_pretrained(starter_folder(self.name), trust_remote_code=False)
            if self.mode == 'lm':
                model, report = AutoModelForMaskedLM.from_pretrained(
                    self.name, trust_remote_code=False, output_loading_info=True
                )
                if report['missing_keys']:
                    raise ValueError(f'its weights lack {sorted(report["missing_keys"])}')
                require_finite(model.state_dict(), 'its weights')
        except (OSError, ValueError) as error:
            reason = str(error).partition('\n')[0]  # transformers goes on to advise trust_remote_code
            raise ValueError(
                f'masked language model {self.name!r} cannot be loaded: {reason:.200}. Give a folder with config.json, '
                'weights with the prediction head, and the tokenizer, or a name on a reachable hub. That of the mini '
                'set is written by python tools/train.py configs/vilem/mini_lm.py.'
            ) from error
        if self.mode == 'masked' and tokenizer.mask_token_id is None:
            raise ValueError(f"{self.name!r}: has no mask token, which mode 'masked' writes")
        words, editable, continues, goes_on = self._vocabulary(tokenizer)
        writable = editable if self.subwords else editable & ~continues
        if model is not None:
            if model.config.vocab_size < len(words):
                raise ValueError(
                    f'{self.name!r}: the tokenizer has {len(words)} tokens, the model {model.config.vocab_size}'
                )
            model = model.eval().requires_grad_(False)
            # A model may have rows beyond the tokenizer's, for alignment.
            surplus = (0, model.config.vocab_size - len(words))
            editable, writable, continues = (
                nn.functional.pad(table, surplus) for table in (editable, writable, continues)
            )
        known = _Knowledge(model, editable, writable, continues, goes_on, tokenizer.mask_token_id)
        if self.tokenizer is not None:
            known = self._translate(known, tokenizer, words)
        if known.writable.sum() < 2:
            raise ValueError(f'{self.name!r}: only {int(known.writable.sum())} of {len(words)} tokens may be written')
        return known

    def _vocabulary(self, tokenizer: PreTrainedTokenizerBase) -> tuple[list[str], Tensor, Tensor, bool]:
        """Of each token its letters, whether it may be replaced, whether it is a piece of a word, and ``goes_on``."""
        tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
        special = set(tokenizer.all_special_ids)
        # Without the marks of each family.
        words = [token.lstrip('Ġ▁').removeprefix('##').removesuffix('</w>') for token in tokens]
        editable = torch.tensor(
            [
                number not in special
                and not token.startswith('[unused')
                and any(letter.isalnum() for letter in word)
                and word not in self.stop_words
                for number, (token, word) in enumerate(zip(tokens, words))
            ]
        )
        # WordPiece marks what goes on with a word, CLIP what ends one, the others what begins one. Any vocabulary may
        # hold a few tokens that look like another's.
        pieces, starts, ends = (
            torch.tensor([mark(token) for token in tokens])
            for mark in (
                lambda token: token.startswith('##'),
                lambda token: token.startswith(('Ġ', '▁')),
                lambda token: token.endswith('</w>'),
            )
        )
        most = max(pieces.sum(), starts.sum(), ends.sum())
        if ends.sum() == most and most:
            return words, editable, editable & ~ends, True
        return words, editable, pieces if pieces.sum() == most else editable & ~starts, False

    def _translate(self, known: _Knowledge, tokenizer: PreTrainedTokenizerBase, words: list[str]) -> _Knowledge:
        """Let the language model read and write the captions of another tokenizer."""
        assert self.tokenizer is not None
        try:
            theirs = AutoTokenizer.from_pretrained(self.tokenizer, trust_remote_code=False)
        except (OSError, ValueError) as error:
            reason = str(error).partition('\n')[0]
            raise ValueError(
                f'tokenizer {self.tokenizer!r} of the captions cannot be loaded: {reason}. Give its folder, or a '
                'name on a reachable hub.'
            ) from error
        their_words, editable, continues, goes_on = self._vocabulary(theirs)
        whole = editable & ~continues
        own = {words[number]: number for number in known.writable.nonzero()[:, 0].tolist()}
        unknown = tokenizer.unk_token_id
        to_lm = torch.tensor([own.get(word, unknown) for word in their_words])
        from_lm = torch.zeros(len(known.writable), dtype=torch.int64)
        numbers = (whole & (to_lm != unknown)).nonzero()[:, 0]
        from_lm[to_lm[numbers]] = numbers
        writable = torch.zeros_like(known.writable)
        writable[to_lm[numbers]] = True
        for theirs_id, lm_id in (
            (theirs.bos_token_id, tokenizer.cls_token_id),
            (theirs.eos_token_id, tokenizer.sep_token_id),
        ):
            if theirs_id is not None and lm_id is not None:
                to_lm[theirs_id] = lm_id
        editable = editable & (to_lm != unknown)
        return known._replace(
            editable=editable, writable=writable, continues=continues, goes_on=goes_on, to_lm=to_lm, from_lm=from_lm
        )
