# One image for every process: `docker run banyan gateway`, `... gateway.control`, `... services intake`.
# The argument is the package that `python -m` starts; `--entrypoint banyan` gives the command line.
# The gateway takes one core per process: GATEWAY_PROCESSES, or `docker run banyan gateway --processes 4`. SIGTERM drains
# (DRAIN_SECONDS, so give it `--stop-timeout 45`), SIGHUP replaces its processes one by one.

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /venv
WORKDIR /src
COPY pyproject.toml constraints.txt README.md ./
# Dependencies apart from the code, so that a change of code does not install them again. PyPI wheels only: the
# build stage has no compiler, and a source package would run its own code here.
RUN python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; e = p["optional-dependencies"]; print(*p["dependencies"], *e["kafka"], *e["otel"], sep="\n")' > requirements.txt \
 && /venv/bin/pip install --only-binary :all: -c constraints.txt -r requirements.txt
COPY . .
RUN /venv/bin/pip install --no-deps .


# The data plane's compiled form (runtime/compiled/), for the same sources. The compiler and mypy stay in this stage.
FROM python:3.11-bookworm AS compiled
COPY --from=build /venv /venv
COPY --from=build /src /src
WORKDIR /src
RUN /venv/bin/pip install --no-cache-dir --only-binary :all: -c constraints.txt mypy setuptools \
 && /venv/bin/python -m runtime.compiled.build


FROM python:3.11-slim-bookworm
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1
# .run holds the flag snapshot and the kill switch: a volume where they have to outlive the container.
RUN groupadd --system --gid 10001 banyan \
 && useradd --system --uid 10001 --gid banyan --no-create-home --shell /usr/sbin/nologin banyan \
 && install -d -o banyan -g banyan /app /app/.run
WORKDIR /app
COPY --from=build /venv /venv
COPY --from=compiled /src/.compiled /venv/lib/python3.11/site-packages/.compiled
COPY config config
USER 10001:10001
STOPSIGNAL SIGTERM
# The gateway's; who runs another process names that one's port (compose.yaml does).
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8400/healthz', timeout=2)"]
ENTRYPOINT ["python", "-m"]
CMD ["gateway"]
