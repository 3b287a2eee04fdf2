# One image for web, worker, beat and the one-off tasks; compose says which of them a container is.
FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
# The installer stays in this stage: what runs has the packages alone.
RUN python -m venv --without-pip /venv
COPY requirements/runtime.lock requirements/runtime.lock
RUN pip --python /venv/bin/python install --require-hashes --only-binary :all: -r requirements/runtime.lock
COPY . .
RUN /venv/bin/python -m scripts.collect_static \
    && /venv/bin/python -m compileall -q /app

FROM python:3.13-slim
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ENVIRONMENT=production \
    DATA_DIR=/data \
    PORT=3000
RUN groupadd --gid 10001 manager \
    && useradd --uid 10001 --gid manager --no-create-home --home-dir /data --shell /usr/sbin/nologin manager \
    && install -d -o manager -g manager -m 0700 /data
WORKDIR /app
COPY --from=build /venv /venv
COPY --from=build /app /app
USER 10001:10001
VOLUME /data
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-m", "scripts.live"]
CMD ["gunicorn", "--config", "python:novita_manager.web_server", "novita_manager.wsgi:application"]
