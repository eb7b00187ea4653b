"""Pictures of a retrieval model's work, on its test set or on a folder.

What is drawn: captions proofread (Fig. 5 of the ViLEM paper), where the model looks for each word (Fig. 3), what it
finds for a query, and how similar matching and other pairs are (Fig. 4).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mmvlforge.annotations.values import one_line
from mmvlforge.apis.index_sources import picture_bytes
from mmvlforge.apis.inputs import Picture
from mmvlforge.apis.retrieval import Features, Hit, TrainedRetriever
from mmvlforge.evaluation.retrieval import retrieval_ranks
from mmvlforge.evaluation.similarity import similarity_distribution
from mmvlforge.models.word_patch_maps import word_patch_maps
from mmvlforge.structures import VLDataSample, VLInputs
from mmvlforge.visualization.drawing import Drawn
from mmvlforge.visualization.proofread_caption import ProofreadToken, count_outcomes, draw_proofread_caption
from mmvlforge.visualization.retrieval_gallery import Answer, draw_found_captions, draw_found_pictures
from mmvlforge.visualization.similarity_chart import draw_similarities
from mmvlforge.visualization.word_patch_picture import draw_word_patch_maps

__all__ = [
    'draw_gallery',
    'draw_hits',
    'draw_overview',
    'draw_proofread',
    'draw_similarity_chart',
    'draw_word_maps',
    'measure_similarities',
    'read_caption',
    'spread',
]


def spread(num: int, total: int) -> list[int]:
    """``num`` places of ``total``, at equal distances: not picked for looks."""
    return np.linspace(0, total - 1, min(num, total)).round().astype(int).tolist()


def _check_captions(sample: VLDataSample) -> None:
    if not sample.num_captions:
        raise ValueError(f'sample {sample.index}, {sample.img_paths[0]}: has no caption to be drawn with')


def _pair(inputs: VLInputs, row: int) -> VLInputs:
    """A picture and one of its captions."""
    return VLInputs(inputs.images, *(part[row : row + 1] for part in inputs[1:]))


def _name(sample: VLDataSample) -> str:
    return f'{sample.index:06d}_{Path(sample.img_paths[0]).stem}'


def read_caption(
    trained: TrainedRetriever, inputs: VLInputs, path: str | None, originals: Sequence[str]
) -> list[ProofreadToken]:
    """Proofread one picture's caption; the top-3 corrections of each token.

    Args:
        trained: A ViLEM with both heads.
        inputs: One picture and one caption.
        path: Path of the model; None for its first.
        originals: The word tokens before the edition.
    """
    readings = trained.model.proofread(inputs, topk=3)
    path = path or next(iter(readings), None)
    if path not in readings:
        raise ValueError(f'path {path!r}: this model has {", ".join(readings) or "none"}')
    reading, mask = readings[path], inputs.word_mask[0]
    if reading.wrong is None or reading.candidates is None:
        raise ValueError(f'{trained.config}: proofreading needs a detection_head and a correction_head')
    tokens = trained.tokens(inputs, 0)
    names = [trained.tokenizer.convert_ids_to_tokens(row) for row in reading.candidates[0][mask].tolist()]
    return [
        ProofreadToken(text, wrong, list(zip(words, scores)), original)
        for text, wrong, words, scores, original in zip(
            tokens, reading.wrong[0][mask].tolist(), names, reading.scores[0][mask].tolist(), originals
        )
    ]


@torch.no_grad()
def draw_proofread(trained: TrainedRetriever, num: int, path: str | None = None, threshold: float = 0.5) -> list[Drawn]:
    """Edit captions of the test set as for ``ProofreadingMetric``, and proofread them.

    Args:
        trained: A ViLEM with both heads.
        num: Test images; of each it is the first caption with an edit.
        path: Path of the model; None for its first.
        threshold: P(wrong) above which a token is held for wrong.
    """
    trained.need('proofread')
    pictures = []
    for place in spread(num, len(trained.dataset)):
        inputs, samples = trained.prepare([trained.dataset[place]])
        trained.check_drawable(samples)
        _check_captions(samples[0])
        edited = trained.model.edit_groups(inputs, samples, trained.model.proofread_seed or 0)
        row = int((edited != inputs.input_ids).any(dim=1).int().argmax())  # the first caption where none is edited
        kept = _pair(inputs, row)
        changed = kept._replace(input_ids=edited[row : row + 1])
        tokens = read_caption(trained, changed, path, trained.tokens(kept, 0))
        drawn = draw_proofread_caption(trained.picture(samples[0].img_paths[0]), tokens, threshold)
        caption = ' '.join(token.text for token in tokens)
        pictures.append(Drawn(_name(samples[0]), drawn, caption, count_outcomes(tokens, threshold)))
    return pictures


def draw_word_maps(trained: TrainedRetriever, item: dict, path: str = 'local', layer: int | None = None) -> Drawn:
    """The maps of an item's first caption.

    Args:
        trained: A ViLEM with a detection_head.
        item: One picture with its captions, of the data set or from :meth:`TrainedRetriever.pair`.
        path: A path with a cross-attention.
        layer: Text layer whose attention is read, from 0; None for all.
    """
    trained.need('proofread')
    inputs, samples = trained.prepare([item])
    _check_captions(samples[0])
    one = _pair(inputs, 0)
    maps = word_patch_maps(trained.model, one, path, layer).cpu().numpy()
    words = trained.tokens(one, 0)
    drawn = draw_word_patch_maps(trained.picture(samples[0].img_paths[0]), words, maps)
    return Drawn(_name(samples[0]), drawn, ' '.join(words), samples[0].captions[0])


def draw_gallery(trained: TrainedRetriever, features: Features, num: int, topk: int = 5) -> dict[str, list[Drawn]]:
    """What is found for ``num`` queries each way: ``found_pictures`` and ``found_captions``.

    Args:
        trained: The model and its test set.
        features: The test set's.
        num: Queries each way, at equal distances in the set.
        topk: Answers to each.
    """
    i2t, t2i = retrieval_ranks(features.image, features.text, features.owner)
    pictures, captions = [], []
    for query in spread(num, len(features.text)):
        scores = features.image @ features.text[query]
        answers = [
            Answer(trained.picture(features.paths[i]), float(scores[i]), i == features.owner[query])
            for i in (-scores).argsort(kind='stable')[:topk]
        ]
        caption = features.captions[query]
        drawn = draw_found_pictures(caption, answers, int(t2i[query]) + 1)
        pictures.append(Drawn(f't2i_{query:06d}', drawn, caption, ''))
    for query in spread(num, len(features.image)):
        scores = features.text @ features.image[query]
        answers = [
            Answer(features.captions[i], float(scores[i]), features.owner[i] == query)
            for i in (-scores).argsort(kind='stable')[:topk]
        ]
        path = features.paths[query]
        drawn = draw_found_captions(trained.picture(path), answers, int(i2t[query]) + 1)
        captions.append(Drawn(f'i2t_{query:06d}', drawn, Path(path).name, ''))
    return dict(found_pictures=pictures, found_captions=captions)


def draw_hits(hits: Mapping[str, Sequence[Hit]], max_pixels: int, side: int = 320) -> dict[str, list[Drawn]]:
    """Pictures that were found, in small, with their similarities; one whose file is gone is left grey.

    Args:
        hits: Of each query.
        max_pixels: Those of more pixels are refused before they are decoded, as when they were found.
        side: Their longer side in pixels, at the most.
    """
    drawn: dict[str, list[Drawn]] = {}
    for query, found in hits.items():
        drawn[query] = []
        for hit in found:
            name = one_line(hit.path)
            note = f'{hit.similarity:.2f} {name}' + (f': {one_line(hit.caption)}' if hit.caption else '')
            try:
                small = Image.fromarray(Picture(picture_bytes(hit.path), max_pixels).rgb())
            except ValueError as error:
                small, note = Image.new('RGB', (side, side), 'lightgrey'), f'{note}: {one_line(str(error))}'
            small.thumbnail((side, side))
            drawn[query].append(Drawn(Path(name).stem, np.asarray(small), name, note))
    return drawn


def measure_similarities(features: Features) -> dict:
    """Distribution of a test set's similarities."""
    return similarity_distribution(features.image, features.text, features.owner)


def draw_similarity_chart(models: Mapping[str, dict]) -> Drawn:
    """The chart of one or several models, by name."""
    parts = [
        f'{name}: positive {found["positive"]["mean"]:.2f}, negative {found["negative"]["mean"]:.2f}, '
        f'normalised margin {found["normalised_margin"]["mean"]:.2f}'
        for name, found in models.items()
    ]
    return Drawn('similarity', draw_similarities(models), '; '.join(parts), 'means; ± is the standard deviation')


def draw_overview(trained: TrainedRetriever, features: Features, num: int) -> dict[str, list[Drawn]]:
    """What a report shows of a model, by kind; a kind that the model has no part for is left out.

    Args:
        trained: The model and its test set.
        features: The test set's.
        num: Pictures of each kind.
    """
    model = trained.model
    detects, corrects = (getattr(model, f'{head}_head', None) is not None for head in ('detection', 'correction'))
    paths = getattr(model, 'paths', {})
    drawn = {}
    if paths and detects and corrects:
        drawn['proofreading'] = draw_proofread(trained, num)
    if 'local' in paths and detects:
        places = spread(max(num // 2, 1), len(trained.dataset))
        drawn['word_maps'] = [draw_word_maps(trained, trained.dataset[place]) for place in places]
    drawn['similarity'] = [draw_similarity_chart({'this model': measure_similarities(features)})]
    return {**drawn, **draw_gallery(trained, features, num, topk=7)}  # as many as fill a page's width
