"""Run the operator: `python -m mltj_operator`."""

import logging

import kopf

from . import handlers  # noqa: F401  (importing it registers the handlers)


def main():
    logging.basicConfig(level=logging.INFO)
    # TODO: serve Prometheus metrics on port 8080.
    kopf.run(clusterwide=True, standalone=True)


if __name__ == "__main__":
    main()
