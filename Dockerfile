# One image for the service and for every node of its Ray cluster: Ray wants the same Python and the
# same packages everywhere.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    RAY_USAGE_STATS_ENABLED=0

WORKDIR /opt/packtrain
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY client client
COPY proto proto
COPY service service
COPY workers workers
RUN pip install -c constraints.txt '.[server]'
COPY --chmod=755 deploy/ deploy/

RUN useradd --system --uid 10001 --create-home packtrain \
    && install --directory --owner=packtrain --group=packtrain /data
USER packtrain
WORKDIR /data
VOLUME /data
EXPOSE 50051

ENTRYPOINT ["packtrain"]
CMD ["serve", "--listen", "0.0.0.0:50051", "--data-dir", "/data"]
