from math import inf

from typing_extensions import override

from polysemantic.functional import effective_weight, fourth_norm, privilege, privilege_z
from polysemantic.metrics.base import InstanceMetric, Matrix


class FourthNorm(InstanceMetric):
    """Concentration of features on single neurons; for rows of length 1, 1 / n_hidden spread evenly, 1 on one each.

    See `functional.fourth_norm`.

    Example:
        >>> metric = FourthNorm()
        >>> metric.update(torch.eye(4).unsqueeze(0))
        >>> metric.compute()
        tensor([1.], dtype=torch.float64)
    """

    group = "basis"
    label = "fourth norm"
    unit = "mean over features"
    range = (0, inf)

    @override
    def update(self, W_enc: Matrix, W_dec: Matrix | None = None) -> None:
        self.add(fourth_norm(effective_weight(W_enc, W_dec)))


class Privilege(InstanceMetric):
    """How special the neuron basis is; 0 random directions, 1 every feature on one neuron, below 0 avoided.

    See `functional.privilege`.

    Example:
        >>> metric = Privilege()
        >>> metric.update(torch.eye(4).unsqueeze(0))
        >>> metric.compute()
        tensor([1.], dtype=torch.float64)
    """

    group = "basis"
    label = "basis privilege"
    unit = "0 none, 1 full"
    range = (-inf, 1)

    @override
    def update(self, W_enc: Matrix, W_dec: Matrix | None = None) -> None:
        self.add(privilege(effective_weight(W_enc, W_dec)))


class PrivilegeZ(InstanceMetric):
    """Standard score of the fourth norm against random rotations; about 0 for an ordinary basis, large if special.

    See `functional.privilege_z`.

    Example:
        >>> metric = PrivilegeZ()
        >>> metric.update(torch.eye(64).unsqueeze(0))
        >>> metric.compute().round()
        tensor([874.], dtype=torch.float64)
    """

    group = "basis"
    label = "basis privilege"
    unit = "standard deviations"

    @override
    def update(self, W_enc: Matrix, W_dec: Matrix | None = None) -> None:
        self.add(privilege_z(effective_weight(W_enc, W_dec)))
