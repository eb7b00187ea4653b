"""A model for onnxruntime: both towers of a dual encoder, or a whole detector.

    mmvlforge export MODEL OUT --onnx

adds ``image.onnx`` and ``text.onnx``, or ``detector.onnx``, and ``onnx.json``, which says what goes in and comes out,
so that whoever uses them needs none of our code. Pictures go in as they are seen, RGB uint8; the graph normalises them.
Batch and length of captions are free. What was written is run beside the model before it counts.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmvlforge.annotations.json_files import write_json
from mmvlforge.apis.inferencer import ForgeInferencer
from mmvlforge.structures import VLInputs

__all__ = ['export_onnx']

TOLERANCE = 1e-4  # between ONNX and PyTorch, of vectors of length 1 and of probabilities
_OPSET = 17
_TEXT = ('input_ids', 'attention_mask', 'word_mask')


class _Part(nn.Module):
    """A function of a model, as a module that can be traced."""

    def __init__(self, net: nn.Module, run: Callable[..., Any]) -> None:
        super().__init__()
        self.net, self.run = net, run

    def forward(self, *tensors: Tensor) -> Any:
        """Run it."""
        return self.run(self.net, *tensors)


def _pictures(net: Any, images: Tensor) -> Tensor:
    """RGB uint8 ``(B, H, W, 3)`` as the model reads it, by its own data preprocessor's numbers."""
    prepare = net.data_preprocessor
    return (images.permute(0, 3, 1, 2).float() - prepare.mean) / prepare.std


def _no_words() -> tuple[Tensor, Tensor, Tensor]:
    none = torch.zeros(0, 0, dtype=torch.bool)
    return none.long(), none, none


def _embed_images(net: Any, images: Tensor) -> Tensor:
    return net.encode_images(VLInputs(_pictures(net, images), *_no_words()), net.momentum_features)


def _embed_texts(net: Any, ids: Tensor, attention: Tensor, words: Tensor) -> Tensor:
    return net.encode_texts(VLInputs(None, ids, attention.bool(), words.bool()), net.momentum_features)


def _detect(net: Any, images: Tensor, ids: Tensor, attention: Tensor, words: Tensor) -> tuple[Tensor, ...]:
    features = net.extract_feat(VLInputs(_pictures(net, images), ids, attention.bool(), words.bool()))
    fake = net.binary_head(features).softmax(-1)[:, 1]
    types = net.type_head.scores(features).sigmoid()
    box = net.box_head(features) if net.box_head is not None else images.new_zeros((len(images), 0)).float()
    return fake, types, box, net.token_head(features).softmax(-1)[..., 1]


def export_onnx(inferencer: ForgeInferencer, folder: str | Path) -> list[str]:
    """Write a model for onnxruntime.

    Args:
        inferencer: The model, a RetrievalInferencer or a ManipulationInferencer.
        folder: Where to.

    Returns:
        What was done, as lines for people.

    Raises:
        ValueError: onnx or onnxruntime is not installed, the model has parts that cannot be exported, or what was
            written gives other answers than the model.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime
    except ImportError as error:
        raise ValueError(f"--onnx needs onnx and onnxruntime: pip install 'mmvlforge[onnx]' ({error})") from error
    net = inferencer.trained.model.cpu().float().eval()
    height, width = _size(inferencer)
    vocab = len(inferencer.tokenizer)
    generator = torch.Generator().manual_seed(0)

    def examples(batch: int, length: int) -> dict[str, Tensor]:
        words = torch.ones(batch, length, dtype=torch.int64)
        words[:, 0] = 0
        attention = words.clone()
        attention[:, 0] = 1
        if batch > 1:  # a shorter caption among longer ones
            attention[1, length // 2 :] = words[1, length // 2 :] = 0
        ids = torch.randint(0, vocab, (batch, length), generator=generator)
        images = torch.randint(0, 256, (batch, height, width, 3), generator=generator, dtype=torch.uint8)
        return dict(images=images, input_ids=ids * attention, attention_mask=attention, word_mask=words)

    if hasattr(net, 'encode_images'):
        parts: dict[str, Any] = {
            'image.onnx': (_embed_images, ('images',), ('vectors',)),
            'text.onnx': (_embed_texts, _TEXT, ('vectors',)),
        }
    else:
        outputs = ('fake_score', 'type_scores', 'box', 'token_scores')
        parts = {'detector.onnx': (_detect, ('images', *_TEXT), outputs)}
    lines, told = [], {}
    for file, (run, names, outputs) in parts.items():
        path, part = Path(folder, file), _Part(net, run).eval()  # as a new module it would train
        first = examples(2, 8)
        axes: dict[str, dict[int, str]] = {name: {0: 'batch'} for name in (*names, *outputs)}
        for name in (*_TEXT, 'token_scores'):
            if name in axes:
                axes[name][1] = 'length'
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of tracing: shapes that are free are run in more than one size below
            try:
                torch.onnx.export(
                    part,
                    tuple(first[name] for name in names),
                    str(path),
                    input_names=list(names),
                    output_names=list(outputs),
                    dynamic_axes=axes,
                    opset_version=_OPSET,
                    dynamo=False,  # the exporter that needs no further package
                )
            except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
                reason = str(error).splitlines()[0]
                raise ValueError(f'{inferencer.trained.config}: cannot be written as ONNX: {reason:.200}') from error
        session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
        taken = [one.name for one in session.get_inputs()]
        furthest = 0.0
        for batch, length in ((2, 8), (1, 5), (3, 13)):
            given = examples(batch, length)
            with torch.no_grad():
                wanted = part(*(given[name] for name in names))
            found = session.run(None, {name: given[name].numpy() for name in taken})
            pairs = zip(found, wanted if isinstance(wanted, tuple) else (wanted,))
            furthest = max(furthest, *(float(np.abs(a - b.numpy()).max(initial=0)) for a, b in pairs))
        if not furthest <= TOLERANCE:
            path.unlink()
            raise ValueError(f'{path}: its answers are up to {furthest:.2g} off those of the model')
        lines.append(f'{file}: {path.stat().st_size / 2**20:.1f} MiB, at most {furthest:.1e} off the model')
        told[file] = dict(inputs=taken, outputs=list(outputs))
    write_json(Path(folder, 'onnx.json'), dict(_preprocessing(inferencer, width, height), files=told))
    return lines


def _size(inferencer: ForgeInferencer) -> tuple[int, int]:
    """Height and width of pictures, as the test pipeline makes them."""
    item = inferencer.prepared(_question())
    if isinstance(item, dict) or 'image' not in item.packed['inputs']:
        raise ValueError(f'{inferencer.trained.config}: its test pipeline makes no picture of a size')
    return tuple(item.packed['inputs']['image'].shape[-2:])


def _question() -> Any:
    from mmvlforge.apis.inputs import Query

    return Query(np.zeros((8, 8, 3), np.uint8), 'a word')


def _preprocessing(inferencer: ForgeInferencer, width: int, height: int) -> dict[str, Any]:
    """What must be done to a picture and a caption before they go in, in words and numbers."""
    from mmvlforge.datasets.transforms import WordTokenizer

    transforms = inferencer.dataset.pipeline.transforms
    tokenizer = next(step for step in transforms if isinstance(step, WordTokenizer))
    meta = inferencer.dataset.metainfo
    types = [*meta.get('image_types', ())[1:], *meta.get('text_types', ())[1:]]
    return dict(
        schema='mmvlforge.onnx/1',
        pictures='RGB uint8 (batch, height, width, 3), upright, resized to this size whatever their shape, bicubic as '
        'Pillow does it; the graph normalises them',
        width=width,
        height=height,
        captions='lower-cased as the tokenizer does it; input_ids with special tokens, padded with 0; attention_mask 1 '
        'at every token that is no padding; word_mask 1 at every token of a word, 0 at special tokens and padding',
        max_length=tokenizer.max_length,
        by_word=tokenizer.by_word,
        tokenizer=Path(tokenizer.name.rpartition(':')[2]).name,
        caption_cleaning=inferencer.trained.cfg.get('caption_cleaning'),
        types=types,
        outputs='vectors have length 1; fake_score and type_scores are raw probabilities; box is the middle, width and '
        'height in shares of the picture; token_scores has P(manipulated) of every token but the first'
        if types
        else 'vectors have length 1; their dot product is the similarity',
    )
