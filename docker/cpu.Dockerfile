# isocost on the CPU, in about 150 MB.
#
#   docker build -f docker/cpu.Dockerfile -t isocost .
#   docker run --rm -v "$PWD/results:/isocost/results" isocost run quickstart
#
# Models from the hub are kept between runs with: -v "$HOME/.cache/huggingface:/isocost/.cache/huggingface"
FROM rust:1.90-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo install --locked --path . --root /installed

FROM debian:bookworm-slim
COPY --from=build /installed/bin/isocost /usr/local/bin/isocost
WORKDIR /isocost
ENV HOME=/isocost
ENTRYPOINT ["isocost"]
CMD ["--help"]
