"""The data sets of MNIST's format, with the checksums of their files.

Those of packed files are torchvision's too.
"""

from __future__ import annotations

from vae.data.idx_files import IdxFiles

__all__ = ["EMNIST_CLASSES", "FASHION_MNIST", "KMNIST", "MNIST", "emnist"]


MNIST = IdxFiles(
    "MNIST",
    (60000, 10000),
    {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
    megabytes=12,
)

FASHION_MNIST = IdxFiles(
    "FashionMNIST",
    (60000, 10000),
    {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
    megabytes=31,
)

KMNIST = IdxFiles(
    "KMNIST",
    (60000, 10000),
    {
        "train-images-idx3-ubyte.gz": "bdb82020997e1d708af4cf47b453dcf7",
        "t10k-images-idx3-ubyte.gz": "5c965bf0a639b31b8f53240b1b52f4d7",
        "train-labels-idx1-ubyte.gz": "e144d726b3acfaa3e44228e80efcd344",
        "t10k-labels-idx1-ubyte.gz": "7320c461ea6c1c855c0b718fb2a4b134",
    },
    megabytes=21,
)

EMNIST_COUNTS = {
    "letters": (124800, 20800),
    "balanced": (112800, 18800),
    "byclass": (697932, 116323),
    "bymerge": (697932, 116323),
    "digits": (240000, 40000),
    "mnist": (60000, 10000),
}
"""Training and test images of each part of EMNIST."""

EMNIST_CLASSES = {
    "letters": 26,
    "balanced": 47,
    "byclass": 62,
    "bymerge": 47,
    "digits": 10,
    "mnist": 10,
}
"""Classes of each part of EMNIST."""


def emnist(subset: str) -> IdxFiles:
    """The files of a part of EMNIST, one of ``EMNIST_COUNTS``."""
    return IdxFiles(
        "EMNIST",
        EMNIST_COUNTS[subset],
        {"gzip.zip": "58c8d27c78d21e728a6bc7b3cc06412e"},
        (f"emnist-{subset}-train", f"emnist-{subset}-test"),
        archive="gzip.zip",
        megabytes=562,
        split=subset,
    )
