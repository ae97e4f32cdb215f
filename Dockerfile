# One image for every process: `docker run celeriac api | worker | flower | …`
# `--build-arg GPU=true` puts onnxruntime-gpu, CUDA and cuDNN in place of onnxruntime: 2.4 GB more, and the node brings the driver.
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS build
WORKDIR /src
RUN python -m venv /opt/celeriac
ENV PATH=/opt/celeriac/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# The dependencies first: an edit of the code does not install them again. pip refuses a file whose hash is another than scripts/lock has found.
COPY scripts/image.txt scripts/image-gpu.txt ./
ARG GPU=false
RUN case "$GPU" in true | false) ;; *) echo "GPU must be true or false, not $GPU" >&2 && exit 2 ;; esac && \
    pip install --require-hashes -r image.txt && \
    if [ "$GPU" = true ]; then pip uninstall --yes onnxruntime && pip install --require-hashes -r image-gpu.txt; fi
COPY pyproject.toml README.md LICENSE ./
COPY client client
COPY app app
RUN if [ "$GPU" = true ]; then sed -i 's/"onnxruntime>=/"onnxruntime-gpu>=/' pyproject.toml; fi && \
    pip install --no-deps --no-build-isolation ./client . && pip uninstall --yes setuptools pip

FROM ${BASE_IMAGE}
COPY --from=build /opt/celeriac /opt/celeriac
# A slot is a process: a second thread pool in each would only fight over the same cores.
ENV PATH=/opt/celeriac/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    OMP_NUM_THREADS=1 \
    OPENBLAS_NUM_THREADS=1 \
    MKL_NUM_THREADS=1 \
    HOME=/state \
    TMPDIR=/state \
    CELERIAC_API_HOST=0.0.0.0 \
    CELERIAC_BEAT_HOST=0.0.0.0 \
    CELERIAC_FLOWER_HOST=0.0.0.0 \
    CELERIAC_WORKER_HOST=0.0.0.0 \
    CELERIAC_MODELS=/models \
    CELERIAC_STATE=/state
# The two folders that are written, the second by whatever user it runs as; everything else may be read-only.
RUN mkdir /models && chown 65532:65532 /models && mkdir -m 1777 /state
WORKDIR /state
USER 65532:65532
EXPOSE 8000 5555 9808 9809
STOPSIGNAL SIGTERM
# The kernel drops a SIGTERM for PID 1 that has no handler yet. A blocked one stays pending until Python has installed its handler and unblocks it.
ENTRYPOINT ["env", "--block-signal=TERM,INT", "python", "-m", "app"]
