# One image for every host of the company: which one a container is follows from its name (see docker-compose.yml).
#
#   docker build -t panal .                                       from python:3.11-slim-bookworm, with PyPI and Debian
#   docker build -t panal --network none --build-arg BASE=... .   from what is here: see docs/compose.md
#
# BASE is any image with Python 3.11 or newer and Debian's apt; one that has nft already needs no Debian mirror, and
# wheels in the folder `wheels` are taken before PyPI's.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
COPY constraints.txt wheels* /wheels/
COPY pyproject.toml setup.py README.md ./
COPY panal panal
COPY agents agents
COPY controlplane controlplane
COPY proxy proxy
# The versions of constraints.txt; --no-index where wheels were brought, so that nothing else is asked. Of Kubernetes'
# schemas only those of Panal's version stay, and byte code is made once, for the command and for what it runs (-OO).
RUN python3 -m venv /opt/panal \
 && if ls /wheels/*.whl >/dev/null 2>&1; then from="--no-index --find-links /wheels"; else from=; fi \
 && /opt/panal/bin/pip install --no-cache-dir --no-compile --disable-pip-version-check $from -c /wheels/constraints.txt . \
 && /opt/panal/bin/pip uninstall -y -q pip setuptools \
 && find /opt/panal/lib/*/site-packages/kubernetes_validate/kubernetes-json-schema -mindepth 1 -maxdepth 1 \
    ! -name 'v1.36.*' -exec rm -r {} + \
 && find /opt/panal -exec touch -h -d @0 {} + \
 && /opt/panal/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/panal/lib \
 && /opt/panal/bin/python -P -m panal.agents.node.compile \
 && find /opt/panal -newermt 1970-01-02 -exec touch -h -d @0 {} +
# Whatever the checkout's umask and times were.
COPY examples/miempresa /opt/panal/share/miempresa
RUN chmod -R u=rwX,go=rX /opt/panal/share && find /opt/panal/share -exec touch -h -d @0 {} +

FROM ${BASE}
RUN command -v nft >/dev/null || { apt-get update && apt-get install -y --no-install-recommends nftables \
 && rm -rf /var/lib/apt/lists/* /var/cache/ldconfig/aux-cache /var/log/apt /var/log/dpkg.log; }
COPY --from=build /opt/panal /opt/panal
ENV PATH=/opt/panal/bin:$PATH \
    PANAL_HOME=/var/lib/panal \
    PANAL_CONFIG=/opt/panal/share/miempresa/cluster.yaml \
    PYTHONUNBUFFERED=1
VOLUME /var/lib/panal
STOPSIGNAL SIGTERM
# Whether the host does its work, not whether a process lives: its Node is Ready, its port answers, its names resolve.
# It is what `panal host --check` says, asked without what the command imports besides.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-P", "-m", "panal.command.hostcheck"]
ENTRYPOINT ["panal", "host"]
