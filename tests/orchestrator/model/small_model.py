"""A small transformer's block, as a person would hand it to `regatta profile`, and broken ones."""

from __future__ import annotations

BLOCK = """
import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(64), nn.Linear(64, 192), nn.Linear(64, 64)
        self.up, self.down = nn.Linear(64, 256), nn.Linear(256, 64)

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (y.view(B, T, 2, 32).transpose(1, 2) for y in self.qkv(self.norm(x)).split(C, -1))
        weights = torch.softmax(q @ k.transpose(-1, -2) * 32**-0.5, dim=-1)
        x = x + self.out((weights @ v).transpose(1, 2).reshape(B, T, C))
        return x + self.down(F.gelu(self.up(x)))


def model():
    return Block()


def inputs():
    return (torch.randn(2, 32, 64),)
"""
WITHOUT_INPUTS = BLOCK.partition("def inputs")[0]
OF_NOTHING = """
import torch


class Sine(torch.nn.Module):
    def forward(self, x):
        return torch.sin(x)


def model():
    return Sine()


def inputs():
    return (torch.randn(100),)
"""
OTHER_EACH_TIME = BLOCK.replace("def inputs():", "def inputs():\n    torch.seed()")
