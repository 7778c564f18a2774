FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY client client
COPY mesh_sim mesh_sim
# The wheel carries it for `mesh-sim demo`.
COPY examples/patients.csv examples/patients.csv
# Only what is installed goes into the image below; the sources, the wheels and pip itself stay here.
RUN python -m pip wheel --no-cache-dir --wheel-dir /wheels . \
    && python -m venv --without-pip /opt/mesh-sim \
    && python -m pip --python /opt/mesh-sim/bin/python install --no-cache-dir --no-index --find-links /wheels mesh-sim
# Where NHS's mesh-sandbox image has them: files mounted over these replace what is built in here too.
# Their mode is set because it would otherwise be the checkout's, which may let nobody but its owner read.
RUN mkdir -p /app/mesh_sandbox/store/data \
    && install -m 0644 mesh_sim/builtin/mailboxes.jsonl mesh_sim/builtin/workflows.jsonl /app/mesh_sandbox/store/data/

FROM python:3.13-slim
COPY --from=build /opt/mesh-sim /opt/mesh-sim
COPY --from=build /app /app
# A new volume takes over this folder's owner and mode. Its group may write for the sake of containers that
# run as somebody else, to whom the group is then given: docker-compose.yml does.
RUN useradd --uid 10001 --user-group --no-log-init --no-create-home --home-dir /data --shell /usr/sbin/nologin mesh-sim \
    && install --directory --owner mesh-sim --group mesh-sim --mode 0770 /data
# Nothing that mesh-sandbox has a variable for is set here: ours would win over it. Data and certificates are
# kept below the folder that the server starts in.
ENV PATH=/opt/mesh-sim/bin:$PATH \
    MESH_SIM_HOST=0.0.0.0 \
    MESH_SIM_MAILBOXES=/app/mesh_sandbox/store/data/mailboxes.jsonl \
    MESH_SIM_WORKFLOWS=/app/mesh_sandbox/store/data/workflows.jsonl
# By number, so that an orchestrator can tell that it is not root.
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8700
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["mesh-sim", "ready"]
ENTRYPOINT ["mesh-sim"]
CMD ["serve"]
