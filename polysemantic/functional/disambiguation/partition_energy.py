import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor


def partition_energies(
    W_enc: Float[Tensor, "*instance feature hidden"],
    W_dec: Float[Tensor, "*instance feature hidden"],
    signs: Shaped[Tensor, " feature"],
) -> Float[Tensor, "*instance hidden"]:
    r"""How far each neuron tells the two parts of a partition of the features apart.

    :math:`e_k = (s \cdot W^{enc}_k)(s \cdot W^{dec}_k) / n`, with :math:`s_i = \pm 1` the part of feature i.

    0: blind to the partition. 1/n: a single feature of weight 1; at most 4/n: a pair. 2: the disambiguation neuron
    of the constructed solution. Negative (untied only): the encoder reads the part that the decoder does not write.

    Args:
        W_enc: Encoder.
        W_dec: Decoder; tied: `W_enc` again.
        signs: +1 for the features of one part, -1 for those of the other.

    Returns:
        One energy per neuron.

    Raises:
        ValueError: If the shapes of `W_enc` and `W_dec` differ, or `signs` holds anything but +1 and -1.

    Example:
        >>> from polysemantic.functional import partition_energies
        >>> W = torch.tensor([[1.0, 1.0], [-1.0, 0.0]])
        >>> partition_energies(W, W, torch.tensor([1, -1]))
        tensor([2.0000, 0.5000])
    """
    if W_enc.shape != W_dec.shape:
        raise ValueError(f"`W_dec` must have the shape of `W_enc`, {tuple(W_enc.shape)}, got {tuple(W_dec.shape)}.")
    if not (signs.abs() == 1).all():
        raise ValueError(f"`signs` must hold only +1 and -1, got {signs.tolist()}.")
    s = signs.to(W_enc)
    return (s @ W_enc) * (s @ W_dec) / len(s)


def partition_energy(energies: Float[Tensor, "*instance hidden"]) -> Float[Tensor, "*instance"]:
    r"""How far the whole network tells the two parts apart, :math:`\sum_k e_k`.

    It does not change when the hidden space is rotated, so it sees a disambiguating direction even where no neuron
    holds it. 0: none.

    Args:
        energies: From `partition_energies`.

    Returns:
        One energy per instance.

    Example:
        >>> from polysemantic.functional import partition_energy
        >>> partition_energy(torch.tensor([2.0, 0.5]))
        tensor(2.5000)
    """
    return energies.sum(-1)


def partition_concentration(energies: Float[Tensor, "*instance hidden"]) -> Float[Tensor, "*instance"]:
    r"""Share of the partition energy in its largest neuron, :math:`\max_k e_k / \sum_k e_k`.

    1: one neuron holds it all. 1/m: spread evenly. Outside [1/m, 1] only where some energies are negative (untied).

    Args:
        energies: From `partition_energies`.

    Returns:
        One share per instance; nan where the energies sum to 0.

    Example:
        >>> from polysemantic.functional import partition_concentration
        >>> partition_concentration(torch.tensor([1.5, 0.5]))
        tensor(0.7500)
    """
    total = energies.sum(-1)
    return torch.where(total == 0, torch.nan, energies.amax(-1) / total)


def disambiguation_neurons(
    energies: Float[Tensor, "*instance hidden"], threshold: float = 1.5
) -> Bool[Tensor, "*instance hidden"]:
    """Neurons that tell the two parts apart, those with a partition energy of at least `threshold`.

    A candidate until ablation (`ablate`) raises the cost of the pairs it should disambiguate.

    Args:
        energies: From `partition_energies`.
        threshold: Least energy. With three features or more, two of weight 1 on one neuron stay below the default.

    Returns:
        A mask over neurons.

    Example:
        >>> from polysemantic.functional import disambiguation_neurons
        >>> disambiguation_neurons(torch.tensor([2.0, 0.5]))
        tensor([ True, False])
    """
    return energies >= threshold
