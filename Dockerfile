# Dashboard and service in one image; compose.yaml and docs/deploy.md say how to run them.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

RUN useradd --create-home --uid 10001 ferscope \
    && mkdir /state /data \
    && chown ferscope /state /data
WORKDIR /app

# A layer of its own: the code changes more often than what it needs.
COPY requirements.txt constraints.txt ./
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --extra-index-url "$TORCH_INDEX" -r requirements.txt -c constraints.txt

COPY pyproject.toml README.md LICENSE ./
COPY .streamlit .streamlit
COPY fer_core fer_core
COPY training training
COPY dashboard dashboard
RUN pip install --no-deps --no-build-isolation --editable .

# Read-only in the container: mount another folder over it to serve other benchmarks.
COPY artifacts artifacts

ENV FERSCOPE_ARTIFACTS=/app/artifacts \
    FERSCOPE_DATA=/data \
    FERSCOPE_STATE=/state
USER 10001
VOLUME ["/state"]
EXPOSE 8501 8000
STOPSIGNAL SIGTERM

# The dashboard by default; `docker run IMAGE serve --host 0.0.0.0` starts the service.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://localhost:8501/_stcore/health', timeout=4)"]
ENTRYPOINT ["python", "-m", "training"]
CMD ["dashboard", "--host", "0.0.0.0"]
