"""The two networks in PyTorch, written from their papers with torchvision's names."""

import torch
import torch.nn.functional as F
from torch import nn


class Bottleneck(nn.Module):
    def __init__(self, channels, inner, out, stride, groups):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        if channels != out or stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )
        else:
            self.downsample = nn.Identity()

    def forward(self, x):
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        return (self.bn3(self.conv3(y)) + self.downsample(x)).relu()


class ResNet(nn.Module):
    def __init__(self, sizes, width, inner, groups, dim):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.stages, channels = [], width
        for stage, size in enumerate(sizes):
            blocks = []
            for block in range(size):
                stride = 2 if stage and not block else 1
                blocks.append(Bottleneck(channels, inner * 2**stage, 4 * width * 2**stage, stride, groups))
                channels = 4 * width * 2**stage
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.num_stages = len(sizes)
        self.fc = nn.Linear(channels, dim)

    def forward(self, x):
        x = F.max_pool2d(self.bn1(self.conv1(x)).relu(), 3, 2, 1)
        for stage in range(self.num_stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        pooled = F.avg_pool2d(x.clamp(min=1e-6).pow(3), x.shape[-2:]).flatten(1).pow(1 / 3)
        return self.fc(pooled)


class SSCD(nn.Module):
    def __init__(self, sizes, width, inner, groups, dim):
        super().__init__()
        self.backbone = ResNet(sizes, width, inner, groups, dim)

    def forward(self, images):
        """Descriptors of images [B,3,320,320] in [0,1]."""
        mean, std = (torch.tensor(v)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
        return F.normalize(self.backbone((images - mean) / std))


class BasicConv2d(nn.Module):
    def __init__(self, channels, out, kernel_size, stride=1, padding=0):
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel_size, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=0.001)

    def forward(self, x):
        return self.bn(self.conv(x)).relu()


def mean_pool(x):
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def max_pool(x):
    return F.max_pool2d(x, 3, 1, 1)


def halving_pool(x):
    return F.max_pool2d(x, 3, 2)


class Mixed(nn.Module):
    """Branches side by side: each a list of (name, channels, kernel, stride, padding) steps.

    A step may instead be a function, or a list of steps whose results stand side by side.
    """

    def __init__(self, channels, *branches):
        super().__init__()
        self.branches = branches
        self.out = sum(self._build(channels, branch) for branch in branches)

    def _build(self, channels, steps):
        for step in steps:
            if isinstance(step, list):
                channels = sum(self._build(channels, [inner]) for inner in step)
            elif isinstance(step, tuple):
                name, out, kernel, stride, padding = step
                setattr(self, name, BasicConv2d(channels, out, kernel, stride, padding))
                channels = out
        return channels

    def _run(self, x, steps):
        for step in steps:
            if isinstance(step, list):
                x = torch.cat([self._run(x, [inner]) for inner in step], 1)
            else:
                x = getattr(self, step[0])(x) if isinstance(step, tuple) else step(x)
        return x

    def forward(self, x):
        return torch.cat([self._run(x, branch) for branch in self.branches], 1)


def one(name, out):
    return name, out, 1, 1, 0


def three(name, out, stride=1):
    return name, out, 3, stride, 1 if stride == 1 else 0


def wide(name, out, n=7):
    return name, out, (1, n), 1, (0, n // 2)


def tall(name, out, n=7):
    return name, out, (n, 1), 1, (n // 2, 0)


def block_a(channels, pooled):
    return Mixed(
        channels,
        [one("branch1x1", 64)],
        [one("branch5x5_1", 48), ("branch5x5_2", 64, 5, 1, 2)],
        [one("branch3x3dbl_1", 64), three("branch3x3dbl_2", 96), three("branch3x3dbl_3", 96)],
        [mean_pool, one("branch_pool", pooled)],
    )


def block_c(c):
    double = [f"branch7x7dbl_{i}" for i in range(1, 6)]
    return Mixed(
        768,
        [one("branch1x1", 192)],
        [one("branch7x7_1", c), wide("branch7x7_2", c), tall("branch7x7_3", 192)],
        [
            one(double[0], c),
            tall(double[1], c),
            wide(double[2], c),
            tall(double[3], c),
            wide(double[4], 192),
        ],
        [mean_pool, one("branch_pool", 192)],
    )


def block_e(channels, pool):
    return Mixed(
        channels,
        [one("branch1x1", 320)],
        [one("branch3x3_1", 384), [wide("branch3x3_2a", 384, 3), tall("branch3x3_2b", 384, 3)]],
        [
            one("branch3x3dbl_1", 448),
            three("branch3x3dbl_2", 384),
            [wide("branch3x3dbl_3a", 384, 3), tall("branch3x3dbl_3b", 384, 3)],
        ],
        [pool, one("branch_pool", 192)],
    )


class Inception(nn.Module):
    def __init__(self):
        super().__init__()
        self.Conv2d_1a_3x3 = BasicConv2d(3, 32, 3, 2)
        self.Conv2d_2a_3x3 = BasicConv2d(32, 32, 3)
        self.Conv2d_2b_3x3 = BasicConv2d(32, 64, 3, 1, 1)
        self.Conv2d_3b_1x1 = BasicConv2d(64, 80, 1)
        self.Conv2d_4a_3x3 = BasicConv2d(80, 192, 3)
        self.Mixed_5b = block_a(192, 32)
        self.Mixed_5c = block_a(256, 64)
        self.Mixed_5d = block_a(288, 64)
        self.Mixed_6a = Mixed(
            288,
            [three("branch3x3", 384, 2)],
            [one("branch3x3dbl_1", 64), three("branch3x3dbl_2", 96), three("branch3x3dbl_3", 96, 2)],
            [halving_pool],
        )
        self.Mixed_6b = block_c(128)
        self.Mixed_6c = block_c(160)
        self.Mixed_6d = block_c(160)
        self.Mixed_6e = block_c(192)
        seven = [f"branch7x7x3_{i}" for i in range(1, 5)]
        self.Mixed_7a = Mixed(
            768,
            [one("branch3x3_1", 192), three("branch3x3_2", 320, 2)],
            [one(seven[0], 192), wide(seven[1], 192), tall(seven[2], 192), three(seven[3], 192, 2)],
            [halving_pool],
        )
        self.Mixed_7b = block_e(1280, mean_pool)
        self.Mixed_7c = block_e(2048, max_pool)
        self.fc = nn.Linear(2048, 1008)

    def forward(self, images):
        """Features of images [B,3,299,299] in [0,1]."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(2 * images - 1)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(halving_pool(x)))
        x = halving_pool(x)
        for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"):
            x = getattr(self, f"Mixed_{name}")(x)
        return x.mean((2, 3))


def randomised(network, seed=0):
    """Weights of trained size and running statistics away from their start, in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                fan_in = module.weight[0].numel()
                module.weight.normal_(0, (2 / fan_in) ** 0.5, generator=generator)
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(0, 0.2, generator=generator)
                module.running_mean.normal_(0, 0.2, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
    return network.eval()


def arrays(network):
    """The state dict in NumPy."""
    return {key: value.numpy() for key, value in network.state_dict().items()}
