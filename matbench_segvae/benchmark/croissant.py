"""The data card of a task's folder: Croissant metadata, by which others find and load it.

Croissant 1.0 is JSON-LD of MLCommons on top of schema.org (Akhtar et al., "Croissant: A
Metadata Format for ML-Ready Datasets", doi 10.1145/3650203.3663326; specification
https://docs.mlcommons.org/croissant/docs/croissant-spec.html).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from matbench_segvae.benchmark.samples import INPUT
from matbench_segvae.benchmark.task_card import TaskCard

_TYPED = {"@type": "@json"}
_CONTEXT: Mapping[str, Any] = MappingProxyType(
    {
        "@language": "en",
        "@vocab": "https://schema.org/",
        "citeAs": "cr:citeAs",
        "column": "cr:column",
        "conformsTo": "dct:conformsTo",
        "cr": "http://mlcommons.org/croissant/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "data": {"@id": "cr:data", **_TYPED},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "dct": "http://purl.org/dc/terms/",
        "equivalentProperty": "cr:equivalentProperty",
        "examples": {"@id": "cr:examples", **_TYPED},
        "extract": "cr:extract",
        "field": "cr:field",
        "fileProperty": "cr:fileProperty",
        "fileObject": "cr:fileObject",
        "fileSet": "cr:fileSet",
        "format": "cr:format",
        "includes": "cr:includes",
        "isLiveDataset": "cr:isLiveDataset",
        "jsonPath": "cr:jsonPath",
        "key": "cr:key",
        "md5": "cr:md5",
        "parentField": "cr:parentField",
        "path": "cr:path",
        "recordSet": "cr:recordSet",
        "references": "cr:references",
        "regex": "cr:regex",
        "repeated": "cr:repeated",
        "replace": "cr:replace",
        "samplingRate": "cr:samplingRate",
        "sc": "https://schema.org/",
        "separator": "cr:separator",
        "source": "cr:source",
        "subField": "cr:subField",
        "transform": "cr:transform",
    }
)

_VERSION = "1.0.0"  # of the data: a task that is changed is another task
_SPLITS = {"train": "cr:TrainingSplit", "test": "cr:TestSplit"}


def croissant(
    card: TaskCard, files: Mapping[str, str], folds: Sequence[str], checksums: Mapping[str, str]
) -> dict[str, Any]:
    """Describe a task's folder.

    Args:
        card: The task without its data.
        files: Names of the files ``structures`` and ``samples``.
        folds: Names of the folds.
        checksums: File name to sha256.

    Returns:
        The content of the metadata file, in JSON's own types.
    """
    formats = {"structures": "application/jsonlines", "samples": "text/csv"}
    content: dict[str, Any] = {
        "@context": dict(_CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": card.name,
        "description": card.description or f"Structures and {card.target} of {card.name}.",
        "version": _VERSION,
    }
    if card.licence:
        content["license"] = card.licence
    if card.citation:
        content["citeAs"] = card.citation
    return {
        **content,
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": name,
                "name": name,
                "contentUrl": name,
                "encodingFormat": formats[what],
                "sha256": checksums[name],
            }
            for what, name in files.items()
        ],
        "recordSet": [_splits(), _samples(card, files, folds)],
    }


def _splits() -> dict[str, Any]:
    """The names of the parts of a fold."""
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [
            _field("splits", "name", "sc:Text", "Part of a fold."),
            _field("splits", "url", "sc:URL", "Its meaning."),
        ],
        "data": [{"splits/name": name, "splits/url": url} for name, url in _SPLITS.items()],
    }


def _samples(card: TaskCard, files: Mapping[str, str], folds: Sequence[str]) -> dict[str, Any]:
    """One record for each structure; the tables are joined by sample id."""
    structure, target = "Pymatgen Structure as a text of JSON.", f"Target of the task{_unit(card)}."
    return {
        "@type": "cr:RecordSet",
        "@id": "samples",
        "name": "samples",
        "key": {"@id": "samples/id"},
        "field": [
            _column("id", "sc:Text", "Sample id.", files["structures"]),
            _column(INPUT, "sc:Text", structure, files["structures"]),
            _joined("sample_id", files["samples"], files["structures"]),
            _column(card.target, "sc:Float", target, files["samples"]),
            *(
                {
                    **_column(fold, "sc:Text", f"Part of {fold} that it is in.", files["samples"]),
                    "references": {"field": {"@id": "splits/name"}},
                }
                for fold in folds
            ),
        ],
    }


def _joined(name: str, file: str, other: str) -> dict[str, Any]:
    """A field of sample ids, by which a file is joined with another one."""
    column = _column(name, "sc:Text", "Sample id.", file, "id")
    return {**column, "references": {"fileObject": {"@id": other}, "extract": {"column": "id"}}}


def _unit(card: TaskCard) -> str:
    return f" in {card.unit}" if card.unit else ""


def _field(record_set: str, name: str, kind: str, description: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{record_set}/{name}",
        "name": name,
        "description": description,
        "dataType": kind,
    }


def _column(
    name: str, kind: str, description: str, file: str, column: str | None = None
) -> dict[str, Any]:
    """A field that is read from a column of a file."""
    source = {"fileObject": {"@id": file}, "extract": {"column": column or name}}
    return {**_field("samples", name, kind, description), "source": source}
