# syntax=docker/dockerfile:1
# One image for every process of Dragoman; what a container runs is its command, see
# deploy/container.py. The base is pinned by its full version; for more, build with
# --build-arg PYTHON_IMAGE=python:3.11.14-slim-bookworm@sha256:…
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
# With run,otel the image can send traces: docs/operations.md.
ARG PACKAGE_GROUPS=run
WORKDIR /app
COPY deploy/__init__.py deploy/venv.py deploy/
COPY requirements/run.lock requirements/otel.lock requirements/
# Every package by its hash (pip's --require-hashes), without the embedded Valkey. `./dragoman` finds
# the result complete. pip itself goes: nothing is installed later.
RUN python -P -c "\
import sys; sys.path.insert(0, '/app');\
from pathlib import Path; from deploy.venv import Venv, ensure;\
ensure(Venv(Path('/app')), tuple('${PACKAGE_GROUPS}'.split(',')), with_valkey=False)" \
 && .venv/bin/python -m pip uninstall --yes --quiet pip setuptools \
 && find .venv -depth -type d '(' -name tests -o -name test ')' -path '*/site-packages/*' \
    -exec rm -rf '{}' +
COPY . .
RUN find . -name __pycache__ -prune -exec rm -rf '{}' + \
 && .venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash .

FROM ${PYTHON_IMAGE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Dragoman" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The two folders become volumes: who mounts them first gives them this owner and mode.
RUN groupadd --gid 10001 dragoman \
 && useradd --uid 10001 --gid 10001 --home-dir /var/lib/dragoman --no-create-home dragoman \
 && install -d -o dragoman -g dragoman -m 700 \
    /var/lib/dragoman /var/lib/dragoman/keyring /var/lib/dragoman/admin
COPY --from=build /app /app
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DRAGOMAN_DATA_DIR=/var/lib/dragoman \
    DRAGOMAN_KEYRING_FILE=/var/lib/dragoman/keyring/keyring.json \
    DRAGOMAN_ADMIN_KEY_FILE=/var/lib/dragoman/admin/admin.key \
    DRAGOMAN_METRICS_DIR=/tmp/metrics \
    DRAGOMAN_HOST=0.0.0.0
WORKDIR /var/lib/dragoman
USER 10001:10001
EXPOSE 8642
# Of whatever this container was started as; docker-compose.yml and Kubernetes have checks of their own.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --start-interval=1s \
    CMD ["python", "-P", "-m", "deploy.container", "healthy"]
ENTRYPOINT ["python", "-P", "-m", "deploy.container"]
CMD ["--help"]
