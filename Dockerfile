# The build stage is the toolchain's own image on Debian 12; the final image holds the executable, the shared
# libraries it loads, and nothing else: no shell, no package manager.
FROM swift:6.3.1-bookworm AS build
RUN apt-get -q update \
 && DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install \
      libpq-dev libmicrohttpd-dev libnghttp2-dev pkg-config ca-certificates binutils \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Package.swift ./
COPY Sources Sources
# Only because the manifest names them: nothing in there is compiled.
COPY Tests Tests
COPY Benchmarks Benchmarks
RUN swift build -c release --static-swift-stdlib --product warmgate
# What ldd lists, at the same paths, with the loader. glibc reads /etc/passwd (libpq asks for the user's name) and
# nsswitch.conf (how names are resolved); ca-certificates.crt is there for sslrootcert.
RUN set -eu; \
    warmgate=$(swift build -c release --static-swift-stdlib --show-bin-path)/warmgate; \
    mkdir -p /image/etc/ssl/certs /image/tmp; \
    chmod 1777 /image/tmp; \
    strip -o /image/warmgate "$warmgate"; \
    ldd "$warmgate" | grep -o '/[^ ]*' | while read -r library; do \
      install -D "$library" "/image$library"; \
    done; \
    cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/; \
    echo 'warmgate:x:65532:65532::/:/sbin/nologin' >/image/etc/passwd; \
    echo 'warmgate:x:65532:' >/image/etc/group; \
    echo 'hosts: files dns' >/image/etc/nsswitch.conf

FROM scratch
COPY --from=build /image /
# A number, so that Kubernetes can check runAsNonRoot.
USER 65532:65532
# An image that lacks a library does not get built.
RUN ["/warmgate", "version"]
# Nothing is written: run it with a read-only root file system.
EXPOSE 8086
# For Docker and Compose, where `depends_on: condition: service_healthy` waits for it (Kubernetes ignores it). One
# failure is enough, because --rise and --fall are Warmgate's own. Swarm replaces unhealthy tasks: ask `startup`
# there, or an outage of the database restarts every instance.
HEALTHCHECK --interval=2s --timeout=2s --start-period=1h --retries=1 CMD ["/warmgate", "probe", "ready"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/warmgate"]
CMD ["serve"]
