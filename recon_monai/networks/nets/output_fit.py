"""One more output for a linear classifier whose other outputs stay as they are."""

from __future__ import annotations

import torch
import torch.nn.functional as F

__all__ = ["fit_output"]

_WEIGHT_DECAY = 1e-3


def fit_output(
    positives: torch.Tensor, negatives: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit one more row to fixed ones by cross-entropy over all outputs.

    Positives and negatives weigh the same in all. The problem is convex, and is solved by L-BFGS on standardized
    features with a small weight decay.

    Args:
        positives: features for which the new output is to win, double, shape ``(N, F)``.
        negatives: features for which any old output is to win, double, shape ``(M, F)``.
        weight: rows of the old outputs, double, shape ``(A, F)``.
        bias: their biases, double, shape ``(A,)``.

    Returns:
        The new row ``(F,)`` and its bias ``()``.
    """
    features = torch.cat([positives, negatives])
    fixed = features @ weight.T + bias
    new = torch.arange(len(features)) < len(positives)
    # a negative counts as right whichever old anatomy it is taken for: the old rows cannot change
    share = torch.where(new, 0.5 / len(positives), 0.5 / len(negatives))
    mean, deviation = features.mean(dim=0), features.std(dim=0)
    deviation = torch.where(deviation > 0, deviation, torch.ones_like(deviation))
    standard = (features - mean) / deviation
    against = fixed.logsumexp(dim=1)
    row = torch.zeros(features.shape[1], dtype=torch.float64, requires_grad=True)
    offset = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([row, offset], max_iter=500, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        gap = standard @ row + offset - against
        loss = (share * F.softplus(torch.where(new, -gap, gap))).sum() + _WEIGHT_DECAY * row.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    fitted = row.detach() / deviation
    return fitted, offset.detach() - fitted @ mean
