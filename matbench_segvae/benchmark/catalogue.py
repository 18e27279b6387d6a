"""The catalogue: which data files exist, where they come from and on what terms.

Nothing of these files is part of the package; :mod:`~matbench_segvae.benchmark.datasets`
finds or downloads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_GITHUB = "https://raw.githubusercontent.com"
_2DMD = "Huang et al., npj 2D Mater. Appl. 7, 6 (2023), doi 10.1038/s41699-023-00369-1"


@dataclass(frozen=True)
class DataFile:
    """One file somebody else published.

    Attributes:
        name: What the file is called on the command line.
        path: Where it lies in a mirror, relative to its top folder.
        url: Its address at a pinned commit.
        digest: Pinned checksum: ``sha256:`` or ``git-blob:`` and hexadecimal digits. The id of a
            git blob is the sha1 of a header with their number and the bytes, and is known of
            every file in a repository.
        licence: On what terms it is published.
        citation: What to cite when using it.
        description: What is in it.
    """

    name: str
    path: str
    url: str
    digest: str
    licence: str
    citation: str
    description: str


@dataclass(frozen=True)
class _Repository:
    """What the files of one repository have in common.

    Attributes:
        folder: Where they lie in a mirror.
        url: Address of their folder at a pinned commit.
        licence: On what terms they are published.
        citation: What to cite when using them.
    """

    folder: str
    url: str
    licence: str
    citation: str

    def file(self, name: str, path: str, digest: str, description: str) -> DataFile:
        """Describe a file of the repository; a digest without its kind is a sha256."""
        return DataFile(
            name=name,
            path=f"{self.folder}/{path}",
            url=f"{self.url}/{path}",
            digest=digest if ":" in digest else f"sha256:{digest}",
            licence=self.licence,
            citation=self.citation,
            description=description,
        )


_SPARSE = _Repository(
    "2dmd/megnet_sparse",
    f"{_GITHUB}/HSE-LAMBDA/MEGNetSparse/b0f38dba66f1714971d4801abfc28c02e068e090/examples",
    "MIT (repository), CC BY 4.0 (2DMD data)",
    f"{_2DMD}; Kazeev et al., npj Comput. Mater. 9, 113 (2023), doi 10.1038/s41524-023-01062-z",
)

_SEGVAE = _Repository(
    "2dmd/segvae_2.0",
    f"{_GITHUB}/Mikelazarev/SEGVAE_2.0/74c944ad2409197d5f4c7f846180245e1eeb2b5b/notebooks",
    "none stated (repository), CC BY 4.0 (2DMD data)",
    f"{_2DMD}; Lazarev & Ustyuzhanin, arXiv 2512.20785",
)

_IDAO = _Repository(
    "2dmd/idao_2022",
    f"{_GITHUB}/HSE-LAMBDA/IDAO-2022/3f1b62cf2a56449c3a02878137fce0af5714c0e3/data",
    "none stated (repository), CC BY 4.0 (2DMD data)",
    f"{_2DMD}; Kazeev et al., npj Comput. Mater. 9, 113 (2023), doi 10.1038/s41524-023-01062-z",
)

CATALOGUE: Mapping[str, DataFile] = MappingProxyType(
    {
        file.name: file
        for file in (
            _SEGVAE.file(
                "v3-table",
                "Symbolic_data_distance_dz_3def_GNNs_pred.pkl",
                "676d3f8c44f1fb1f6345ede27ff2efb7ca35c66642b908fa613b493d4e8edc1c",
                "743 MoS2 cells without one Mo and two S: distances, formation energies",
            ),
            _SEGVAE.file(
                "v2-table",
                "Symbolic_data_distance_2def_MoS_GNNs_pred.pkl",
                "9bd89ba36576d8c228d235b5bfa126e2a4e6c42da4ca59965167ec0226cfeea1",
                "15 MoS2 cells without one Mo and one S: distances, formation energies",
            ),
            _SEGVAE.file(
                "x2-table",
                "S_S_data_for_simbolic.pkl",
                "51ee10f98851d00b97e1b837af6cc2c6afc20ecbbb09979520f1d59029c81ce1",
                "19 MoS2 cells without two S: distances, formation energies",
            ),
            _SEGVAE.file(
                "dft-table",
                "pred_data_and_dft.pkl",
                "7df1d42cad51fd72ac5eabb075e383f0e8f8ff412c5dd7b627dd8d9530203fd2",
                "5933 low-density MoS2 cells: DFT energies and gaps, predictions of six models",
            ),
            _IDAO.file(
                "mos2-low-public",
                "dichalcogenides_public.tar.gz",
                "git-blob:53a08a13486d7ad60b2c4534ce2d71c546a76aa5",
                "2966 low-density MoS2 cells, one pymatgen JSON each",
            ),
            _IDAO.file(
                "mos2-low-private",
                "dichalcogenides_private.tar.gz",
                "git-blob:2108398d1dc79433a02a6d969a127614a61dd7da",
                "2967 more low-density MoS2 cells",
            ),
            _SPARSE.file(
                "pilot-structures",
                "pilot/data.csv.gz",
                "72241133fc4dc6c07732506e2a0ccc06e99f1a85a7aaf9926c131784418df3cd",
                "200 unrelaxed MoS2 cells with three defects, as CIF text",
            ),
            _SPARSE.file(
                "pilot-targets",
                "pilot/targets.csv.gz",
                "37a908702319fb74a41004eb146a11067fabbd5b9027e3cde54e66eca6923078",
                "energies and gaps of the pilot structures",
            ),
            _SPARSE.file(
                "descriptors",
                "descriptors.csv",
                "fc43c0dd545660e5cd67aa7f97cb9357c78c8c22462becc00f8986ff8d8749ad",
                "which defects each family of the 2DMD data set has",
            ),
            _SPARSE.file(
                "initial-structures",
                "initial_structures.csv",
                "e70096f7f2e59f8da2ab057a428c394c26210bc80491d099584689d51d18ab31",
                "energies of the pristine supercells",
            ),
            _SPARSE.file(
                "mos2-cell",
                "MoS2.cif",
                "a462bb4b8014b9829bed4b51b017c9f1b8b04cc84d9392aa3a425ec78952b27f",
                "unit cell of MoS2",
            ),
            _SPARSE.file(
                "wse2-cell",
                "WSe2.cif",
                "c929733b2deef0a9260bb9589950cb3f696b08bf10d2233458d37a013bfd13f2",
                "unit cell of WSe2",
            ),
        )
    }
)
"""Every known file by name."""
