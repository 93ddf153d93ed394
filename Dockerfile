# The command line:
#   docker run --rm hiwake demo
#   docker run --rm --user "$(stat -c %u:%g DIR)" --volume DIR:/data hiwake status --root /data
#
# A root is readable by its owner and group only ([files] mode, dir_mode): `--user` names the owner.
# Without it the image runs as 65532 (nonroot), which owns nothing in a mounted folder.
# Your own configuration: --volume "$PWD/hiwake.toml:/etc/hiwake/hiwake.toml:ro".
FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /hiwake
# The C library's headers and a compiler, for zstd and aws-lc.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends cmake g++ make \
    && rm -rf /var/lib/apt/lists/*
COPY . .
# Any user may write into /data, because `demo` writes there as any user.
RUN cargo build --release --locked --bin hiwake \
    && install -D target/release/hiwake /image/usr/local/bin/hiwake \
    && install -D -m 0644 hiwake.toml /image/etc/hiwake/hiwake.toml \
    && install -d -m 1777 /image/data

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /image/ /
ENV HIWAKE_CONFIG=/etc/hiwake/hiwake.toml
WORKDIR /data
ENTRYPOINT ["hiwake"]
CMD ["demo"]
