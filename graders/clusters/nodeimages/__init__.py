"""The images of kind's nodes, and those that learners' images start from.

`image` has them on an engine. Where they cannot be pulled they are built here, from Debian packages
(`rootfs`) and programs of pinned Go modules (`programs`), and kept (`imagecache`).
"""
