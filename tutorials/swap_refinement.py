# %% [markdown]
# # Swap the sub-network of a cascade
#
# Research use only, not for diagnosis. A variational network alternates data consistency, which knows the physics, and
# a refinement network, which knows images. The second one is a parameter: any module from a complex image `(B, 1, H,
# W)` to another. Here it becomes a small residual network of your own, first in Python, then in a bundle's
# configuration.

# %%
import json
import sys
from functools import partial
from pathlib import Path

import torch
from monai.bundle import ConfigParser
from torch import nn

from recon_monai.inference import bundle_folder
from recon_monai.losses import ReconstructionLoss
from recon_monai.networks import SensitivityNetwork, VarNet
from recon_monai.physics import EquispacedFractionMask, ifft2c, rss, simulate_coil_maps, simulate_kspace

# %% [markdown]
# ## The module
#
# Real and imaginary part are two channels. Its last convolution starts at zero, so that the network begins as plain
# data consistency. It lies in a file of its own, so that a configuration can name it.

# %%
code = '''
import torch
from torch import nn


class ResidualRefinement(nn.Module):
    """Convolutions on real and imaginary part, which make what is taken away from the image."""

    def __init__(self, channels: int = 16, layers: int = 3) -> None:
        super().__init__()
        sizes = [2, *[channels] * (layers - 1), 2]
        parts = []
        for before, after in zip(sizes, sizes[1:]):
            parts += [nn.Conv2d(before, after, 3, padding=1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*parts[:-1])
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        parts = torch.view_as_real(image[:, 0]).movedim(-1, 1)
        scale = parts.abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(1e-12)  # any scale of the data will do
        out = self.layers(parts / scale) * scale
        return torch.view_as_complex(out.movedim(1, -1).contiguous())[:, None]
'''
Path("my_refinement.py").write_text(code)
sys.path.insert(0, str(Path.cwd()))

from my_refinement import ResidualRefinement  # noqa: E402

# %% [markdown]
# ## In Python
#
# `refinement` is called once per cascade, so that each has weights of its own.

# %%
torch.manual_seed(0)
network = VarNet(
    num_cascades=3,
    refinement=partial(ResidualRefinement, channels=16),
    sensitivity_network=SensitivityNetwork(channels=4, pools=2),
)
print(f"{sum(parameter.numel() for parameter in network.parameters()):,} parameters")

# %% [markdown]
# One simulated slice, sampled four times less than needed, and a few steps, to see that it learns. A training takes
# `recon_monai.data` and the trainers of a bundle.

# %%
y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
image = ((x / 0.7) ** 2 + (y / 0.9) ** 2 < 1).float() - 0.5 * (((x - 0.2) ** 2 + (y + 0.3) ** 2) < 0.05).float()
maps = simulate_coil_maps(4, (64, 64), torch.Generator().manual_seed(0))
kspace = simulate_kspace(image, maps)[None]
target = rss(ifft2c(kspace))
mask = EquispacedFractionMask([0.08], [4])((64, 64), seed=0).mask[None]

loss = ReconstructionLoss()
optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
losses = []
for _ in range(60):
    optimizer.zero_grad()
    value = loss(network(kspace * mask, mask), target, target.amax().reshape(1))
    value.backward()
    optimizer.step()
    losses.append(float(value.detach()))
print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}")
assert losses[-1] < 0.8 * losses[0]

# %% [markdown]
# ## In a configuration
#
# The same as an overlay of a few lines: `_target_` names the class, `_mode_: callable` hands it over uncalled. It goes
# behind `train.json`, `evaluate.json` and `inference.json` alike: `--config_file "['.../train.json',
# '.../train_plain.json', 'my_refinement.json']"`, with the folder of `my_refinement.py` on `PYTHONPATH`.
# `train_plain.json` is the training of a network that knows no anatomies.

# %%
overlay = {
    "network_def": {
        "_target_": "recon_monai.networks.VarNet",
        "num_cascades": 3,
        "refinement": {"_target_": "my_refinement.ResidualRefinement", "_mode_": "callable", "channels": 16},
        "sensitivity_network": {"_target_": "recon_monai.networks.SensitivityNetwork", "channels": 4, "pools": 2},
    }
}
Path("my_refinement.json").write_text(json.dumps(overlay, indent=4))

parser = ConfigParser()
parser.read_config([str(bundle_folder("universal_varnet") / "configs" / "train.json"), "my_refinement.json"])
configured: nn.Module = parser.get_parsed_content("network_def")
configured.load_state_dict(network.state_dict())
with torch.no_grad():
    assert torch.equal(configured(kspace * mask, mask), network(kspace * mask, mask))
print("the configuration makes the same network")
