FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY client client
COPY mesh_sim mesh_sim
# The wheel carries it for `mesh-sim demo`.
COPY examples/patients.csv examples/patients.csv
# Only the environment goes into the image below; the sources, the wheels and pip's leavings stay here.
RUN python -m pip wheel --no-cache-dir --wheel-dir /wheels . \
    && python -m venv /opt/mesh-sim \
    && /opt/mesh-sim/bin/pip install --no-cache-dir --no-index --find-links /wheels mesh-sim

FROM python:3.13-slim
COPY --from=build /opt/mesh-sim /opt/mesh-sim
# The volume takes over this folder's owner when it is first used.
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /data mesh-sim \
    && install --directory --owner mesh-sim --group mesh-sim --mode 0700 /data
ENV PATH=/opt/mesh-sim/bin:$PATH \
    MESH_SIM_HOST=0.0.0.0 \
    MESH_SIM_DATA=/data \
    MESH_SIM_CERTS=/data/certs
USER mesh-sim
WORKDIR /data
VOLUME /data
EXPOSE 8700
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["mesh-sim", "ready"]
ENTRYPOINT ["mesh-sim"]
CMD ["serve"]
