#!/bin/sh
# Fills a file system of its own with a store: sh store_on_a_full_disk.sh FOLDER. 77: nothing can be mounted.
here=$(dirname "$0")
if ! unshare --mount --map-root-user true 2>/dev/null; then
    echo "unshare is refused" >&2
    exit 77
fi
exec unshare --mount --map-root-user sh -c '
    mount -t tmpfs -o size=1m tmpfs "$1" || exit 77
    exec "${PYTHON:-python3}" "$2/store_on_a_full_disk.py" "$1/class.db"
' sh "$1" "$here"
