"""Where a server is, by its URL."""

from urllib.parse import urlsplit


def server_address(url: str) -> tuple[str, int]:
    """Host and port of a URL; 443 where it names no port."""
    parts = urlsplit(url)
    return str(parts.hostname), int(parts.port or 443)
