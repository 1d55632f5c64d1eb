"""The information that a code of the past has about the truth, and about the past itself, as losses.

Ref: He et al., "Privileged knowledge distillation for sim-to-real policy generalization", arXiv 2305.18464; van den
Oord et al., "Representation learning with contrastive predictive coding", arXiv 1807.03748.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def info_nce(code: Tensor, truth: Tensor, episode: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The InfoNCE loss of codes [B, Z] against embeddings of the truth [B, Z], and the bound that it gives on their
    mutual information, both scalars in nats.

    Row i of `truth` is the positive of row i of `code`; the negatives are the rows of other episodes (`episode` [B]
    numbers them), because what a world drew for its episode is the same in all of its rows. The bound is the mean of
    log(candidates) minus the loss; the candidates of a row are its positive and its negatives, B at most, so the bound
    never exceeds log(B). A similarity is a cosine divided by `temperature`.
    """
    similarity = normalize(code, dim=-1) @ normalize(truth, dim=-1).T / temperature
    same = episode[:, None] == episode[None, :]
    same.fill_diagonal_(False)
    per_row = similarity.masked_fill(same, -torch.inf).logsumexp(-1) - similarity.diagonal()
    candidates = (len(code) - same.sum(-1)).to(per_row.dtype)
    return per_row.mean(), (candidates.log() - per_row).mean().detach()


def kl_to_standard_normal(mean: Tensor, log_std: Tensor) -> Tensor:
    """KL(N(mean, exp(log_std)^2) || N(0, 1)) of codes [B, Z], summed over Z, mean over B; nats."""
    return 0.5 * (mean.square() + (2.0 * log_std).exp() - 1.0 - 2.0 * log_std).sum(-1).mean()
