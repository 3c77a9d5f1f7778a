# What all images are made of: toolchain > wheels > runtime. `make images` builds `builder` and `runtime`;
# services/<name>/Dockerfile adds one service to `runtime`, with what `builder` has made.
#
#   compiler  the interpreter and a C++ compiler
#   python    the interpreter alone, without tests, installers and headers
#   toolchain compiler, uv and what builds wheels; nothing of it reaches a runtime image
#   packages  third-party packages of every service; changes when requirements.lock does
#   native    the kernels' wheel, compiled once for all images
#   builder   toolchain and sources of the libraries: what a service's Dockerfile installs from
#   platform  our libraries, installed
#   runtime   Debian, the interpreter, packages, platform; no compiler, no installer, not root
ARG DEBIAN_IMAGE=debian:bookworm-slim
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS compiler
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    rm -f /etc/apt/apt.conf.d/docker-clean; apt-get -q update && apt-get install -y -q --no-install-recommends g++

FROM compiler AS python
RUN set -eu; cd /usr/local/lib/python3.*; \
    rm -rf site-packages/* test ensurepip idlelib lib2to3 tkinter turtledemo turtle.py pydoc_data distutils/command/*.exe config-*; \
    rm -rf lib-dynload/_test* lib-dynload/_xx* lib-dynload/xx* lib-dynload/_tkinter* lib-dynload/_curses* \
        lib-dynload/readline* lib-dynload/nis* lib-dynload/ossaudiodev* lib-dynload/_dbm* lib-dynload/_gdbm*; \
    find . -name __pycache__ -prune -exec rm -rf {} +; \
    python3 -m compileall -q --invalidation-mode unchecked-hash . ; \
    mkdir -p /out/usr/local/bin /out/usr/local/lib; cd /usr/local; \
    cp -a lib/python3.* lib/libpython3* /out/usr/local/lib/; cp -a bin/python bin/python3 bin/python3.[0-9]* /out/usr/local/bin/; \
    rm -f /out/usr/local/bin/*-config; find /out/usr/local/lib -name '*.so*' -type f -exec strip --strip-unneeded {} +

FROM compiler AS toolchain
ARG UV_VERSION=0.13.9
RUN --mount=type=cache,target=/root/.cache/pip pip install -q --disable-pip-version-check --root-user-action=ignore uv==${UV_VERSION}
WORKDIR /src
COPY pyproject.toml requirements.lock ./
COPY docker/build/packages.py /usr/local/lib/tradewind-build/packages.py
COPY --chmod=755 docker/build/install-needs docker/build/install-service /usr/local/bin/
RUN --mount=type=cache,target=/root/.cache/uv \
    python /usr/local/lib/tradewind-build/packages.py build-packages --list \
    | uv --quiet --no-config pip install --system --break-system-packages --link-mode copy --require-hashes --no-deps -r -

# The list is made anew whenever a pyproject.toml may have changed; what is installed only when the list has changed.
FROM toolchain AS package-list
COPY libs libs
COPY native/pyproject.toml native/
RUN mkdir -p /lists && python /usr/local/lib/tradewind-build/packages.py platform-packages --list > /lists/platform.txt

FROM toolchain AS packages
COPY --from=package-list /lists/platform.txt /lists/platform.txt
RUN --mount=type=cache,target=/root/.cache/uv \
    python /usr/local/lib/tradewind-build/packages.py platform-packages --from /lists/platform.txt

FROM toolchain AS native
# With what the FIX sessions are compiled against; the library itself is only in the images that speak FIX.
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    apt-get -q update && apt-get install -y -q --no-install-recommends libquickfix-dev
COPY native native
RUN --mount=type=cache,target=/root/.cache/uv \
    uv --quiet --no-config build --wheel --no-build-isolation --offline --out-dir /wheels native

FROM toolchain AS builder
COPY --from=native /wheels /wheels
COPY native/pyproject.toml native/
COPY libs libs

FROM builder AS platform
RUN --mount=type=cache,target=/root/.cache/uv python /usr/local/lib/tradewind-build/packages.py platform

FROM ${DEBIAN_IMAGE} AS runtime
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    rm -f /etc/apt/apt.conf.d/docker-clean; apt-get -q update \
    && apt-get install -y -q --no-install-recommends ca-certificates libbz2-1.0 libexpat1 libffi8 liblzma5 libsqlite3-0 \
        libssl3 libstdc++6 libuuid1 tini zlib1g \
    && groupadd --gid 10001 tradewind && useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin tradewind \
    && install -d -o 10001 -g 10001 -m 0750 /data && rm -rf /var/log/* /var/cache/ldconfig /var/cache/debconf/*-old
COPY --link --from=python /out/ /
COPY --link --from=packages /out/packages/ /
COPY --link --from=platform /out/platform/ /
COPY --link --chmod=755 docker/build/ready /usr/local/bin/tradewind-ready
# A missing library of the system is found here and not at a customer's.
RUN ldconfig && python3 -c "import ctypes, sqlite3, ssl, lzma, bz2, uuid, zlib, hashlib, pyexpat, decimal, numpy, tradewind_native.matching"
ENV PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    TRADEWIND_HOST=0.0.0.0 TRADEWIND_HEALTH_PORT=9100 TRADEWIND_LOG_FORMAT=json TRADEWIND_DATA_DIR=/data
EXPOSE 9100
USER 10001:10001
WORKDIR /tmp
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --start-interval=1s --retries=3 CMD ["tradewind-ready"]
# tini is PID 1: it hands signals on and buries orphans.
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["tradewind", "--help"]
