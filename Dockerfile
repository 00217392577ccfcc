# One image a service: docker build --build-arg SERVICE=gateway --tag flickrhub/gateway .
# SERVICE is gateway, auth, executor, notifier or flickr-sim (the simulator). Why it is as it is: docs/adr/0026-images.md.
ARG SERVICE=gateway

FROM python:3.11.16-slim-bookworm AS python

# ---- Everything that needs pip, a shell and the sources. Nothing of it but the virtual environment goes further.
FROM python AS build
ARG SERVICE
ENV PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements/build.txt requirements/${SERVICE}.txt requirements/
RUN pip install --require-hashes --only-binary :all: -r requirements/build.txt \
    && python -m venv --without-pip /opt/flickrhub \
    && pip --python /opt/flickrhub/bin/python install --require-hashes --only-binary :all: -r "requirements/${SERVICE}.txt"
COPY libs libs
COPY services services
# The operator's tool for dead letters needs nothing that the services haven't.
RUN case "${SERVICE}" in \
        flickr-sim) set -- ./libs/flickr_sim ;; \
        *) set -- ./libs/common ./libs/dlq "./services/${SERVICE}" ;; \
    esac \
    && pip wheel --no-deps --no-index --no-build-isolation --wheel-dir wheels "$@" \
    && pip --python /opt/flickrhub/bin/python install --no-deps --no-index wheels/*.whl \
    && pip --python /opt/flickrhub/bin/python check

# ---- What runs: any user, a read-only file system, no shell. Only an executor that fetches photos writes, to /tmp.
FROM python AS runtime
ARG SERVICE
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="flickrhub/${SERVICE}" \
      org.opencontainers.image.description="FlickrHub turns the Flickr API into durable jobs with signed callbacks." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11.16-slim-bookworm"
RUN groupadd --gid 1000 flickrhub \
    && useradd --uid 1000 --gid 1000 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin flickrhub
COPY --from=build /opt/flickrhub /opt/flickrhub
COPY deploy/image/healthcheck.py /opt/flickrhub/healthcheck.py
ENV PATH=/opt/flickrhub/bin:${PATH} PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 LANG=C.UTF-8
WORKDIR /
# In numbers, so that Kubernetes can see that it isn't root.
USER 1000:1000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/opt/flickrhub/bin/python", "-I", "-S", "/opt/flickrhub/healthcheck.py"]

# ---- One small stage a service. An exec form can't hold an ARG, and each has a port of its own.
FROM runtime AS service-gateway
ENV PORT=3000
EXPOSE 3000 9464
ENTRYPOINT ["/opt/flickrhub/bin/python", "-P", "-m", "flickrhub_gateway"]

FROM runtime AS service-auth
ENV PORT=3101
EXPOSE 3101 9464
ENTRYPOINT ["/opt/flickrhub/bin/python", "-P", "-m", "flickrhub_auth"]

FROM runtime AS service-executor
ENV PORT=3111
EXPOSE 3111 9464
ENTRYPOINT ["/opt/flickrhub/bin/python", "-P", "-m", "flickrhub_executor"]

FROM runtime AS service-notifier
ENV PORT=3121
EXPOSE 3121 9464
ENTRYPOINT ["/opt/flickrhub/bin/python", "-P", "-m", "flickrhub_notifier"]

FROM runtime AS service-flickr-sim
ENV SIM_HOST=0.0.0.0 SIM_PORT=3131
EXPOSE 3131
ENTRYPOINT ["/opt/flickrhub/bin/python", "-P", "-m", "flickr_sim"]

FROM service-${SERVICE}
