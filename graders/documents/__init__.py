"""Strict YAML with line numbers: the one way kubeproof reads a file that a person wrote.

Stricter than YAML: no duplicate keys, no tags of one's own, keys are text, no control characters, and
limits on size, depth and what aliases stand for. Dates stay text, as in Kubernetes.
"""

from graders.documents.document import Document, DocumentLimits, Location
from graders.documents.reading import load_document, load_documents, read_documents
from graders.documents.validation import Strict, misfit, parse

__all__ = [
    "Document",
    "DocumentLimits",
    "Location",
    "Strict",
    "load_document",
    "load_documents",
    "misfit",
    "parse",
    "read_documents",
]
