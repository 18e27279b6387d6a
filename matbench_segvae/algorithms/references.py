"""BibTeX entries of the methods behind the algorithms."""

from __future__ import annotations

CHEN = (
    "@article{Chen2019, title={Graph Networks as a Universal Machine Learning Framework "
    "for Molecules and Crystals}, author={Chen, Chi and Ye, Weike and Zuo, Yunxing and "
    "Zheng, Chen and Ong, Shyue Ping}, journal={Chemistry of Materials}, volume={31}, "
    "pages={3564--3572}, year={2019}, doi={10.1021/acs.chemmater.9b01294}}"
)

KAZEEV = (
    "@article{Kazeev2023, title={Sparse representation for machine learning the "
    "properties of defects in 2D materials}, author={Kazeev, Nikita and others}, "
    "journal={npj Computational Materials}, volume={9}, "
    "pages={113}, year={2023}, doi={10.1038/s41524-023-01062-z}}"
)

POPOV = (
    "@article{Popov2023, title={Symbolic expression generation via variational "
    "auto-encoder}, author={Popov, Sergei and Lazarev, Mikhail and Belavin, Vladislav "
    "and Derkach, Denis and Ustyuzhanin, Andrey}, journal={PeerJ Computer Science}, "
    "volume={9}, pages={e1241}, year={2023}, doi={10.7717/peerj-cs.1241}}"
)

LAZAREV = (
    "@misc{Lazarev2025, title={Symbolic regression for defect interactions in 2D "
    "materials}, author={Lazarev, Mikhail and Ustyuzhanin, Andrey}, year={2025}, "
    "eprint={2512.20785}, archivePrefix={arXiv}}"
)

WARD = (
    "@article{Ward2018, title={Matminer: An open source toolkit for materials data "
    "mining}, author={Ward, Logan and others}, journal={Computational Materials "
    "Science}, volume={152}, pages={60--69}, year={2018}, "
    "doi={10.1016/j.commatsci.2018.05.018}}"
)
