# %% [markdown]
# # ASPIN in your own U-Net
#
# Research use only, not for diagnosis. `ASPIN` is an instance normalization whose affine map goes by the anatomy (Liu
# et al. 2021): all anatomies share the convolutions, each has its own scale and shift per channel. It takes the place
# of `nn.InstanceNorm2d` in any network; what changes is that the anatomy has to reach it.

# %%
import torch
from torch import nn

from recon_monai.networks import ASPIN

# %% [markdown]
# ## The network
#
# A U-Net of two levels. `anatomy` is an index per sample `(B,)`, or probabilities `(B, anatomies)` of a classifier, by
# which the parameters are mixed.


# %%
class Block(nn.Module):
    """Convolution, ASPIN, activation."""

    def __init__(self, before: int, after: int, anatomies: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.norm = ASPIN(anatomies, after)

    def forward(self, x: torch.Tensor, anatomy: torch.Tensor) -> torch.Tensor:
        return nn.functional.leaky_relu(self.norm(self.convolution(x), anatomy), 0.2)


class SmallUNet(nn.Module):
    """Denoises images of several anatomies."""

    def __init__(self, anatomies: int, channels: int = 8) -> None:
        super().__init__()
        self.down = Block(1, channels, anatomies)
        self.bottom = Block(channels, 2 * channels, anatomies)
        self.up = Block(3 * channels, channels, anatomies)
        self.last = nn.Conv2d(channels, 1, 1)

    def forward(self, x: torch.Tensor, anatomy: torch.Tensor) -> torch.Tensor:
        fine = self.down(x, anatomy)
        coarse = self.bottom(nn.functional.avg_pool2d(fine, 2), anatomy)
        joined = torch.cat([fine, nn.functional.interpolate(coarse, scale_factor=2.0)], dim=1)
        return x + self.last(self.up(joined, anatomy))


# %% [markdown]
# ## Two anatomies
#
# Disks stand for the first, stripes for the second: images with different statistics, and noise to be removed.


# %%
def draw(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noisy images, clean ones, and the anatomy of each, by turns."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 32), torch.linspace(-1, 1, 32), indexing="ij")
    anatomy = torch.arange(count) % 2
    size, shift = torch.rand(2, count, 1, 1, generator=generator)
    disks = ((x - 0.5 * shift) ** 2 + y**2 < 0.2 + 0.3 * size).float()
    stripes = 3 + torch.sin((6 + 6 * size) * (x + shift))
    clean = torch.where(anatomy[:, None, None] == 0, disks, stripes)[:, None]
    return clean + 0.3 * torch.randn(clean.shape, generator=generator), clean, anatomy


def train(network: SmallUNet, parameters: list[nn.Parameter], chosen: slice, steps: int) -> float:
    """Train some parameters on some of the images; returns the last error."""
    optimizer = torch.optim.Adam(parameters, lr=0.01)
    for step in range(steps):
        noisy, clean, anatomy = (part[chosen] for part in draw(16, seed=step))
        error = (network(noisy, anatomy) - clean).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    return float(error.detach())


torch.manual_seed(0)
network = SmallUNet(anatomies=2)
error = train(network, list(network.parameters()), slice(None), steps=150)
print(f"mean squared error {error:.4f}, of the noisy images {0.3**2:.4f}")
assert error < 0.3**2

# %% [markdown]
# ## One anatomy more, by itself
#
# Each anatomy has tensors of its own (`gamma[a]`, `beta[a]`). So a new one is trained while all else is frozen, and the
# old ones keep their bits. Here the second one begins anew, as the mean of all there are.

# %%
noisy, clean, anatomy = draw(16, seed=1000)
with torch.no_grad():
    before = network(noisy[::2], anatomy[::2])
norms = [module for module in network.modules() if isinstance(module, ASPIN)]
for norm in norms:
    norm.select([0, None])  # the first stays, the second becomes the mean
network.requires_grad_(False)
own = [parameter for norm in norms for parameter in (norm.gamma[1], norm.beta[1])]
for parameter in own:
    parameter.requires_grad_(True)
error = train(network, own, slice(1, None, 2), steps=60)
with torch.no_grad():
    after = network(noisy[::2], anatomy[::2])
assert torch.equal(before, after), "the first anatomy must not change"
print(f"{sum(parameter.numel() for parameter in own)} numbers trained, error of the second anatomy {error:.4f}")

# %% [markdown]
# ## Unsure
#
# Probabilities mix the parameters, one-hot ones are the index itself.

# %%
with torch.no_grad():
    by_index = network(noisy, anatomy)
    by_weight = network(noisy, nn.functional.one_hot(anatomy, 2).float())
    mixed = network(noisy, torch.full((16, 2), 0.5))
assert torch.equal(by_index, by_weight)
print(f"mixed parameters change the images by {float((mixed - by_index).abs().mean()):.3f} on average")
