"""The front matter of a text: YAML between two lines of dashes at its top."""

from graders.documents.document import Document
from graders.documents.reading import read_documents

FENCE = "---"


def front_matter(text: str, file: str) -> tuple[Document, str]:
    """The front matter, its lines counted from the top of the file, and the text with it blanked out.

    Raises:
        LocatedError: there is none, or it is not one strict document.
    """
    lines = text.splitlines()
    nothing = Document(None, {}, file)
    if not lines or lines[0].strip() != FENCE:
        raise nothing.refusal("has no front matter", fix="begin the file with a line ---")
    end = next((at for at, line in enumerate(lines[1:], 1) if line.strip() == FENCE), 0)
    if not end:
        raise nothing.refusal("its front matter does not end", fix="end it with a line ---")
    found = read_documents("\n".join(["", *lines[1:end]]).encode(), shown_as=file)
    if len(found) != 1:
        raise nothing.refusal("its front matter is empty", fix="write what the lab text names there")
    return found[0], "\n".join([*[""] * (end + 1), *lines[end + 1 :]])
