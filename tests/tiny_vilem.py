"""ViLEM's mini config in small, for tests that run it."""

import json
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image
from project import ROOT
from transformers import BertTokenizerFast

from mmvlforge.registry import MODELS


def tiny_model(vocab_size: int) -> dict:
    """Settings over ``configs/vilem/vilem_mini.py``: 16 channels and a short queue."""
    stem = dict(type='ConvImageEncoder', embed_dims=16, num_patches=64, channels=(8, 8, 8, 16), strides=(4, 1, 2, 2))
    return {
        'model.image_encoder.stem': stem,
        **{f'model.{encoder}_encoder.{key}': 16 for encoder in ('image', 'text') for key in ('embed_dims', 'ffn_dims')},
        **{f'model.{key}': 16 for key in ('image_dims', 'text_dims', 'embed_dims')},
        'model.text_encoder.vocab_size': vocab_size,
        'model.contrastive_head.embed_dims': 16,
        'model.contrastive_head.queue_size': 8,
        'model.detection_head.in_dims': 16,
        'model.correction_head.in_dims': 16,
        'model.correction_head.vocab_size': vocab_size,
    }


COLORS = ('red', 'blue', 'green', 'white', 'black', 'pink')
WORDS = ('[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'picture', 'of', 'colour', *COLORS, 'car', '##s')


def write_tiny_retriever(root: Path) -> Path:
    """Six one-coloured pictures with captions, ``tiny.py`` on them and ``tiny.pth``, its untrained ViLEM."""
    images = []
    for i, color in enumerate(COLORS):
        name = f'{i}.png'
        Image.new('RGB', (60, 40), color).save(root / name)
        captions = [f'a picture of colour {color}', f'{color} cars'][: 1 + i % 2]
        images.append(dict(filename=name, split='test', sentences=[dict(raw=text) for text in captions]))
    (root / 'captions.json').write_text(json.dumps(dict(images=images)))
    (root / 'words.txt').write_text('\n'.join(WORDS))
    BertTokenizerFast(vocab_file=str(root / 'words.txt')).save_pretrained(root / 'tokenizer')
    config = Config.fromfile(str(ROOT / 'configs/vilem/vilem_mini.py'))
    config.merge_from_dict(
        {
            'test_dataloader.batch_size': 4,
            'test_dataloader.num_workers': 0,
            'test_dataloader.dataset.data_root': f'{root}/',
            'test_dataloader.dataset.ann_file': 'captions.json',
            'test_dataloader.dataset.pipeline.3.name': str(root / 'tokenizer'),
            **tiny_model(len(WORDS)),
            'model.corruptor': dict(type='TextCorruptor', name=str(root / 'tokenizer'), mode='random', rate=0.5),
        }
    )
    config.dump(root / 'tiny.py')
    init_default_scope('mmvlforge')
    torch.manual_seed(0)
    torch.save(dict(state_dict=MODELS.build(config.model).state_dict()), root / 'tiny.pth')
    return root
