"""Multi-layer perceptron."""

from torch import nn

from mmvlforge.models.layers.attention import init_linear


def mlp(in_dims: int, hidden_dims: int, out_dims: int, num_hidden: int = 1) -> nn.Sequential:
    """``num_hidden`` hidden layers with GELU, then a linear layer."""
    layers, dims = [], in_dims
    for _ in range(num_hidden):
        layers += [init_linear(nn.Linear(dims, hidden_dims)), nn.GELU()]
        dims = hidden_dims
    return nn.Sequential(*layers, init_linear(nn.Linear(dims, out_dims)))
