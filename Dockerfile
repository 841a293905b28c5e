# What serves a build. From the repository's root:  docker build -t headrace .
# torch as the default index has it carries CUDA, some GB; an index of CPU builds spares them: --build-arg PIP_EXTRA_INDEX_URL=...
FROM python:3.11.14-slim-bookworm AS build
ARG EXTRAS=serve,text,faiss
ARG PIP_EXTRA_INDEX_URL=
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN python -m venv /opt/headrace \
    && /opt/headrace/bin/pip install --no-cache-dir --constraint constraints.txt ".[${EXTRAS}]" \
    && /opt/headrace/bin/pip uninstall --yes pip

FROM python:3.11.14-slim-bookworm
LABEL org.opencontainers.image.title="headrace" org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 headrace \
    && useradd --uid 10001 --gid headrace --no-create-home --home-dir /runs --shell /usr/sbin/nologin headrace \
    && install --directory --owner=headrace --group=headrace /runs
COPY --from=build /opt/headrace /opt/headrace
ENV PATH=/opt/headrace/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /runs
EXPOSE 8765
# SIGTERM drains: answers in flight are finished and the logs are flushed
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8765/readyz', timeout=2)"]
ENTRYPOINT ["headrace"]
# for more than one core: add "--workers", "4"
CMD ["serve", "/runs/live", "--host", "0.0.0.0", "--log-format", "json"]
