"""Install mmvlforge."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r"__version__ = '(.+)'", (ROOT / 'mmvlforge/version.py').read_text()).group(1)

setup(
    name='mmvlforge',
    version=VERSION,
    description='Vision-language forensics and retrieval on OpenMMLab',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['mmvlforge', 'mmvlforge.*']),
    python_requires='>=3.10',
    # The ranges in which the public interfaces we use exist; requirements/constraints.txt is the set we tried.
    install_requires=[
        'torch>=2.6',
        'torchvision>=0.21',
        'transformers>=4.48,<5',  # mmpretrain needs transformers 4
        'onedl-mmengine>=0.10.10',
        'onedl-mmcv>=2.3',
        'onedl-mmpretrain>=1.3',
        'numpy>=2,<2.3',  # mmcv and opencv 4.12
        'pillow>=9.3',
        'webdataset>=1.0',
    ],
    extras_require={
        'tensorboard': ['tensorboard'],
        'tests': ['pytest>=8', 'pytest-xdist>=3'],
        'dev': ['ruff', 'pre-commit'],
        'deepspeed': ['deepspeed'],  # install with --no-build-isolation
    },
)
