FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/invitree
COPY requirements-runtime.lock /tmp/
RUN /opt/invitree/bin/pip install --require-hashes --no-deps -r /tmp/requirements-runtime.lock

FROM python:3.11-slim
# Pillow finds it at run time; without it Arabic, Thai and joined emoji on posters are drawn unshaped.
RUN apt-get update && apt-get install -y --no-install-recommends libfribidi0 && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin invitree
COPY --from=build /opt/invitree /opt/invitree
WORKDIR /srv/invitree
COPY alembic.ini LICENSE ./
COPY migrations migrations
COPY app app
# Bytecode is made here, because the user below may not write.
RUN /opt/invitree/bin/python -m compileall -q app migrations \
    && printf '#!/bin/sh\nexec /opt/invitree/bin/python -P -m app.cli "$@"\n' > /usr/local/bin/invitree \
    && chmod 755 /usr/local/bin/invitree
ENV PATH=/opt/invitree/bin:$PATH PYTHONPATH=/srv/invitree PYTHONUNBUFFERED=1 INVITREE_ENV=production
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["python", "-c", "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', 8000, timeout=2); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["invitree"]
CMD ["api", "--host", "0.0.0.0"]
