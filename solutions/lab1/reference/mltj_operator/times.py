"""Kubernetes timestamps: whole seconds, UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def whole(moment: datetime) -> datetime:
    """`moment` as the API will store it."""
    return moment.replace(microsecond=0)


def parse(text: str | None) -> datetime | None:
    """Read a metav1.Time; None stays None."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def render(moment: datetime | None) -> str | None:
    """Write a metav1.Time; None stays None."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def render_micro(moment: datetime) -> str:
    """Write a metav1.MicroTime."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
