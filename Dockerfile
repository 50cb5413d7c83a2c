# syntax=docker/dockerfile:1

FROM node:24-bookworm-slim AS build
RUN apt-get update \
  && apt-get install -y --no-install-recommends python3 make g++ \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY . .
# Installs, compiles the native modules, builds dist/, then drops what only building needs.
RUN npm ci && npm prune --omit=dev --ignore-scripts

FROM node:24-bookworm-slim
ENV NODE_ENV=production \
    HOLDFAST_DISKS=/disks/disk{1..6} \
    HOLDFAST_STATE=/state \
    HOLDFAST_LISTEN=0.0.0.0:9000
WORKDIR /app
COPY --from=build /app/package.json /app/LICENSE ./
COPY --from=build /app/bin bin
COPY --from=build /app/dist dist
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/deploy/healthcheck.cjs deploy/healthcheck.cjs
# Any --user may own the volumes: fresh named volumes take these modes.
RUN mkdir -m 0777 /disks /state
USER node
VOLUME ["/disks", "/state"]
EXPOSE 9000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["node", "/app/deploy/healthcheck.cjs"]
ENTRYPOINT ["node", "/app/bin/holdfast.cjs"]
CMD ["serve"]
