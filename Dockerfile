# syntax=docker/dockerfile:1

# The same Debian release as below: a binary built against a newer glibc would not start.
FROM rust:1.95-slim-bookworm AS build
# For the allocator.
RUN apt-get update && apt-get install --yes --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked && cp target/release/ak-stages /usr/local/bin/

# No PostgreSQL in here: the database is another container's, see docker-compose.yml.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /usr/local/bin/ak-stages /usr/local/bin/
ENV AUTHENTIK_LISTEN__HTTP=0.0.0.0:9000
EXPOSE 9000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["ak-stages", "healthcheck"]
ENTRYPOINT ["ak-stages"]
CMD ["serve"]
