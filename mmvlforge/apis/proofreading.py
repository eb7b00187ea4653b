"""Which words of a caption are wrong for its picture, and what should stand there? (Sec. 3.2 of the ViLEM paper)"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from mmvlforge.apis.inferencer import Item
from mmvlforge.apis.inputs import Query
from mmvlforge.apis.retrieval import PairInferencer
from mmvlforge.visualization.proofread_caption import ProofreadToken, draw_proofread_caption

__all__ = ['ProofreadInferencer', 'Reading']


class Reading(NamedTuple):
    """What the model makes of one caption. T word tokens, k candidates.

    Attributes:
        wrong: P(wrong) of each token ``(T,)``.
        candidates: Ids of what should stand there, the best first ``(T, k)``.
        scores: Their probabilities ``(T, k)``.
        ids: Ids of the tokens ``(T,)``.
    """

    wrong: Tensor
    candidates: Tensor
    scores: Tensor
    ids: Tensor


class ProofreadInferencer(PairInferencer):
    """Let a trained ViLEM proofread captions of pictures.

    A result is a dict of the form ``mmvlforge.proofread/1``: ``words`` with ``wrong_score`` (P(wrong), the largest of
    the word's tokens), ``marked`` and the top-3 ``corrections``; ``wrong_words``, ``unknown_words`` (the vocabulary
    lacks them: not judged, their score is None), ``unread_words`` (beyond the limit), ``warnings``, ``model``. Words
    stand as the model read them: in lower case, without punctuation.

    Args:
        model: See :class:`mmvlforge.apis.inferencer.ForgeInferencer`, as all others.
        weights: Likewise.
        path: Path that reads, ``'local'`` or ``'global'``; the model's first by default.
        threshold: P(wrong) above which a word is marked.
        **kwargs: Likewise.

    Raises:
        ValueError: The model cannot be loaded, or cannot proofread.
    """

    schema = 'mmvlforge.proofread/1'
    fields = ('path', 'threshold', 'words', 'wrong_words', 'unknown_words', 'unread_words', 'warnings', 'model')

    def __init__(
        self,
        model: str | Path,
        weights: str | Path | None = None,
        path: str | None = None,
        threshold: float = 0.5,
        **kwargs: Any,
    ) -> None:
        if not 0 <= threshold <= 1:
            raise ValueError(f'threshold must be a probability in [0, 1], got {threshold}')
        self.path, self.threshold = path, threshold
        super().__init__(model, weights, **kwargs)

    def check_kind(self) -> None:
        """Raise ValueError if the model is none that proofreads by this path."""
        super().check_kind()
        model, config = self.trained.model, self.trained.config
        heads = ('detection_head', 'correction_head')
        if not getattr(model, 'paths', None) or any(getattr(model, head, None) is None for head in heads):
            raise ValueError(
                f'{config}: proofreading needs a ViLEM with a path, a detection_head and a correction_head'
            )
        self.path = self.path or next(iter(model.paths))
        if self.path not in model.paths:
            raise ValueError(f'path {self.path!r}: this model has {", ".join(model.paths)}')

    def prepare(self, query: Query) -> Item:
        """Make a query ready; it needs a picture and a caption."""
        if query.image is None or query.caption is None:
            lacks = 'caption' if query.caption is None else 'picture'
            raise ValueError(f'{query.image_name or query.caption!r:.80}: proofreading needs a {lacks} too')
        return super().prepare(query)

    def answer_batch(self, batch: dict, items: list[Item]) -> list[Reading]:
        """Proofread pairs."""
        inputs = self.model.data_preprocessor(batch)['inputs']
        reading = self.model.proofread(inputs, topk=3)[self.path]
        parts = (reading.wrong, reading.candidates, reading.scores, inputs.input_ids)
        return [Reading(*(part[row][mask].cpu() for part in parts)) for row, mask in enumerate(inputs.word_mask)]

    def words(self, item: Item, reading: Reading) -> list[dict]:
        """Each word that was read, with its corrections."""
        tokens = self.tokenizer.convert_ids_to_tokens(reading.ids.tolist())
        places: dict[int, list[int]] = {}
        for place, word in enumerate(item.word_ids):
            places.setdefault(word, []).append(place)
        found = []
        for word in sorted({*places, *item.unknown} - {item.part_read}):
            own = places.get(word)
            if own is None:  # of which no token is left
                found.append(dict(word=item.words[word], known=False, wrong_score=None, marked=False, corrections=[]))
                continue
            worst = max(own, key=lambda place: float(reading.wrong[place]))
            known, score = word not in item.unknown, float(reading.wrong[worst])
            found.append(
                dict(
                    word=item.words[word],
                    known=known,
                    wrong_score=score if known else None,
                    marked=known and score > self.threshold,
                    corrections=self._corrections(tokens, own, worst, reading) if known else [],
                )
            )
        return found

    def _corrections(self, tokens: list[str], own: list[int], worst: int, reading: Reading) -> list[dict]:
        """The word with its worst token replaced."""
        names = self.tokenizer.convert_ids_to_tokens(reading.candidates[worst].tolist())
        return [
            dict(word=_join([name if place == worst else tokens[place] for place in own]), score=score)
            for name, score in zip(names, reading.scores[worst].tolist())
        ]

    def result(self, item: Item, sample: Any) -> dict:
        """The answer in plain values."""
        words = self.words(item, sample)
        return dict(
            self.head(item.query, item.picture),
            path=self.path,
            threshold=self.threshold,
            words=words,
            wrong_words=[word['word'] for word in words if word['marked']],
            unknown_words=[word['word'] for word in words if not word['known']],
            unread_words=item.unread_words,
            warnings=self.input_warnings(item),
            model=self.trained.describe(),
        )

    def draw(self, item: Item, sample: Any) -> np.ndarray:
        """The picture, its caption with the words held for wrong in colours, and their corrections."""
        tokens = [
            ProofreadToken(
                word['word'] if word['known'] else f'{word["word"]} (not read)',
                word['wrong_score'] or 0.0,
                [(other['word'], other['score']) for other in word['corrections']],
            )
            for word in self.words(item, sample)
        ]
        assert item.picture is not None  # prepare() needs one
        return draw_proofread_caption(item.picture.rgb(), tokens, self.threshold)


def _join(pieces: list[str]) -> str:
    """One word of its tokens; '##' opens one that continues a word."""
    return pieces[0].removeprefix('##') + ''.join(piece.removeprefix('##') for piece in pieces[1:])
