# The command line: `docker run --rm hiwake demo`, or
# `docker run --rm -v DIR:/data hiwake status --root /data`.
FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /hiwake
# The C library's headers and a compiler, for zstd and aws-lc.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends cmake g++ make \
    && rm -rf /var/lib/apt/lists/*
COPY . .
RUN cargo build --release --locked --bin hiwake

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /hiwake/target/release/hiwake /usr/local/bin/hiwake
WORKDIR /home/nonroot
ENTRYPOINT ["hiwake"]
CMD ["demo"]
