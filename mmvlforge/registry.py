"""Child registries of MMEngine under the scope ``mmvlforge``.

Every registry kind of MMEngine gets a child here, so that the Runner finds the scope in each of them.
``locations`` names the modules to import on the first look-up: for the parts of this package a config needs only
``default_scope = 'mmvlforge'``, never ``custom_imports``. Those are for parts in a user's own file (docs/extend.md).
"""

import mmengine.registry as root
from mmengine.registry import Registry

_LOCATIONS = {
    'DATASETS': ['mmvlforge.datasets'],
    'DATA_SAMPLERS': ['mmvlforge.datasets'],
    'FUNCTIONS': ['mmvlforge.datasets'],
    'TRANSFORMS': ['mmvlforge.datasets.transforms'],
    'MODELS': ['mmvlforge.models'],
    'METRICS': ['mmvlforge.evaluation'],
    'VISUALIZERS': ['mmvlforge.visualization'],
    'HOOKS': ['mmvlforge.engine'],
    'OPTIM_WRAPPERS': ['mmvlforge.engine'],
    'OPTIM_WRAPPER_CONSTRUCTORS': ['mmvlforge.engine'],
    'WEIGHT_INITIALIZERS': ['mmvlforge.models'],
}

_CHILDREN = {
    name: Registry(parent.name, parent=parent, scope='mmvlforge', locations=_LOCATIONS.get(name, ['mmvlforge']))
    for name, parent in vars(root).items()
    if isinstance(parent, Registry)
}

DATASETS = _CHILDREN['DATASETS']
DATA_SAMPLERS = _CHILDREN['DATA_SAMPLERS']
FUNCTIONS = _CHILDREN['FUNCTIONS']
TRANSFORMS = _CHILDREN['TRANSFORMS']
MODELS = _CHILDREN['MODELS']
METRICS = _CHILDREN['METRICS']
VISUALIZERS = _CHILDREN['VISUALIZERS']
HOOKS = _CHILDREN['HOOKS']
OPTIM_WRAPPERS = _CHILDREN['OPTIM_WRAPPERS']
OPTIM_WRAPPER_CONSTRUCTORS = _CHILDREN['OPTIM_WRAPPER_CONSTRUCTORS']
WEIGHT_INITIALIZERS = _CHILDREN['WEIGHT_INITIALIZERS']

__all__ = [
    'DATASETS',
    'DATA_SAMPLERS',
    'FUNCTIONS',
    'HOOKS',
    'METRICS',
    'MODELS',
    'OPTIM_WRAPPERS',
    'OPTIM_WRAPPER_CONSTRUCTORS',
    'TRANSFORMS',
    'VISUALIZERS',
    'WEIGHT_INITIALIZERS',
]
