# Three images for docker-compose.yml, from lock files alone.
FROM python:3.11-slim-bookworm AS wheel
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev pkg-config libcurl4-openssl-dev libjansson-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY requirements/dev.txt requirements/dev.txt
RUN pip install --no-cache-dir -r requirements/dev.txt
COPY pyproject.toml setup.py README.md ./
COPY csrc csrc
COPY retrain_ops retrain_ops
RUN python setup.py -q bdist_wheel --dist-dir /wheel

FROM python:3.11-slim-bookworm AS airflow
RUN apt-get update \
    && apt-get install -y --no-install-recommends libcurl4 libjansson4 libgomp1 \
    && rm -rf /var/lib/apt/lists/*
COPY requirements/airflow-3.3-py311.txt requirements/airflow-extra.txt /requirements/
RUN pip install --no-cache-dir -r /requirements/airflow-3.3-py311.txt -r /requirements/airflow-extra.txt
COPY --from=wheel /wheel /wheel
RUN pip install --no-cache-dir --no-deps /wheel/*.whl
# Named volumes take the owner of the folder they are mounted on.
RUN useradd --uid 50000 --create-home airflow \
    && install -d -o airflow /opt/airflow /opt/airflow/logs /opt/retrain_ops
USER airflow
ENV AIRFLOW_HOME=/opt/airflow
WORKDIR /opt/airflow

FROM python:3.11-slim-bookworm AS serve
RUN apt-get update \
    && apt-get install -y --no-install-recommends libcurl4 libjansson4 libgomp1 \
    && rm -rf /var/lib/apt/lists/*
COPY requirements/serve.txt /requirements/
RUN pip install --no-cache-dir -r /requirements/serve.txt
COPY --from=wheel /wheel /wheel
RUN pip install --no-cache-dir --no-deps /wheel/*.whl
# The user of the airflow image: both write to the volume that holds the log.
RUN useradd --uid 50000 --create-home serve && install -d -o serve /opt/retrain_ops
USER serve
WORKDIR /opt/retrain_ops
EXPOSE 8000
# The spec is mounted; what it names as folder and log lies on a volume.
CMD ["retrain-ops", "serve", "--spec", "/opt/retrain_ops/spec.toml", "--host", "0.0.0.0", "--port", "8000", "--workers", "2"]

FROM python:3.11-slim-bookworm AS mlflow
COPY requirements/mlflow-3.17.txt /requirements/
RUN pip install --no-cache-dir -r /requirements/mlflow-3.17.txt
RUN useradd --uid 50000 --create-home mlflow && install -d -o mlflow /opt/mlflow
USER mlflow
WORKDIR /opt/mlflow
