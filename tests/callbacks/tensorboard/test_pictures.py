import numpy as np
import torch

from polysemantic.callbacks.tensorboard.pictures import picture

WHITE, BLUE, VERMILION = [255, 255, 255], [0, 114, 178], [213, 94, 0]


def test_the_strongest_entry_of_a_block_decides_its_colour():
    matrix = torch.zeros(4, 1030)
    matrix[1, 4], matrix[1, 5] = 0.2, -2.0
    matrix[3, 1029] = 1.0
    shown = np.asarray(picture(matrix).convert("RGB"))
    assert shown.shape == (4, 344, 3)
    coloured = np.argwhere((shown != 255).any(-1)).tolist()
    assert coloured == [[1, 1], [3, 343]]
    assert (shown[1, 1].tolist(), shown[3, 343].tolist(), shown[0, 0].tolist()) == (BLUE, VERMILION, WHITE)
