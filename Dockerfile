# One static binary in an image made from nothing: no shell, no package manager, no other user's program.
#
#   buildah bud --format docker --layers -t model-registry .        # or: docker build -t model-registry .
#
# docs/deployment.md says why it is as it is. The compiler's version is the image's; rust-toolchain.toml is not copied,
# so that nothing but the image decides which compiler it is.
ARG RUST_IMAGE=docker.io/library/rust:1.95-bookworm

FROM ${RUST_IMAGE} AS build
WORKDIR /src
ENV CARGO_TERM_COLOR=never CARGO_TARGET_DIR=/target
# The C library is linked in. The target is named so that build scripts and macros, which run here, are built as usual.
ENV RUSTFLAGS="-C target-feature=+crt-static"

# The dependencies alone, over an empty program: this layer is made again when Cargo.toml or Cargo.lock change.
COPY Cargo.toml Cargo.lock build.rs ./
COPY crates/load-checks/Cargo.toml crates/load-checks/
RUN mkdir src crates/load-checks/src && touch src/lib.rs crates/load-checks/src/lib.rs && echo 'fn main() {}' >src/main.rs \
  && target=$(rustc --version --verbose | sed -n 's/^host: //p') \
  && cargo build --locked --release --bin model-registry --target "$target" \
  && rm -rf src crates/load-checks/src \
    /target/"$target"/release/deps/*model_registry* /target/"$target"/release/deps/*load_checks* \
    /target/"$target"/release/.fingerprint/model-registry-* /target/"$target"/release/.fingerprint/load-checks-*

# The program. It must be static, or it could not start where there is no loader.
COPY crates crates
COPY src src
COPY migrations migrations
RUN target=$(rustc --version --verbose | sed -n 's/^host: //p') \
  && cargo build --locked --release --bin model-registry --target "$target" \
  && mkdir -p /image/etc /volume/data \
  && cp /target/"$target"/release/model-registry /image/ \
  && ! readelf --program-headers /image/model-registry | grep INTERP \
  && echo 'hosts: files dns' >/image/etc/nsswitch.conf

FROM scratch
ARG VERSION=3.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="model-registry" \
  org.opencontainers.image.description="Says which version of a model is in production, whether it is intact and whether it would load" \
  org.opencontainers.image.licenses="MIT OR Apache-2.0" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}"
COPY --from=build /image/ /
# Debian's root certificates, for the identity provider and PostgreSQL. Not copied in the build, which may run with
# other certificates mounted over them.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build --chown=10001:10001 /volume/ /
ENV MODEL_REGISTRY_DIR=/data MODEL_REGISTRY_HOST=0.0.0.0 MODEL_REGISTRY_PORT=8003 \
  SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
# Numbers, so that an orchestrator can see without a passwd file that it is not root.
USER 10001:10001
# SQLite looks for a temporary directory, which is rarely wanted, and takes this one.
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8003
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/model-registry", "health"]
ENTRYPOINT ["/model-registry"]
CMD ["serve"]
