# Two images for docker-compose.yml, from the lock files that the tests use.
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

FROM python:3.11-slim-bookworm AS mlflow
COPY requirements/mlflow-3.17.txt /requirements/
RUN pip install --no-cache-dir -r /requirements/mlflow-3.17.txt
RUN useradd --uid 50000 --create-home mlflow && install -d -o mlflow /opt/mlflow
USER mlflow
WORKDIR /opt/mlflow
