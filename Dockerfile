# One image for the service and for every node of its Ray cluster: Ray wants the same Python and the
# same packages everywhere. Built by BuildKit, as Docker does by default since version 23.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    RAY_USAGE_STATS_ENABLED=0

WORKDIR /opt/packtrain
COPY pyproject.toml constraints.txt README.md LICENSE ./
# What it needs comes before what changes. A package index of one's own is told by two secrets, of
# which nothing stays in the image: --secret id=pip.conf,src=FILE, and the certificates that FILE
# names as /run/secrets/certificates by --secret id=certificates,src=FILE.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=certificates \
    python -c "import tomllib; \
project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*project['dependencies'], *project['optional-dependencies']['server'], sep='\n')" \
      > requirements.txt \
    && pip install -c constraints.txt -r requirements.txt 'hatchling>=1.27'
COPY client client
COPY proto proto
COPY service service
COPY workers workers
RUN pip install --no-deps --no-build-isolation .
COPY --chmod=755 deploy/check-health deploy/serve-on-ray deploy/

RUN useradd --system --uid 10001 --create-home packtrain \
    && install --directory --owner=packtrain --group=packtrain /data
USER packtrain
WORKDIR /data
VOLUME /data
EXPOSE 50051

ENTRYPOINT ["packtrain"]
CMD ["serve", "--listen", "0.0.0.0:50051", "--data-dir", "/data"]
