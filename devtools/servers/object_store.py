"""S3-compatible storage on a free port of this machine: moto's server, objects in memory."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow.fs as pafs

from devtools.servers.processes import ServerError, free_port, launch, stop_group, wait_until

STARTED_WITHIN_S = 90.0
BUCKET = "retraining"


@dataclass(slots=True)
class ObjectStore:
    """Runs under an interpreter that has moto; lives as long as its `with` block."""

    folder: Path
    python: Path = Path(sys.executable)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """A workspace in the bucket, as `Workspace.open` wants it."""
        options = f"endpoint_override=127.0.0.1:{self.port}&scheme=http&region=us-east-1"
        return f"s3://{BUCKET}/workspace?{options}"

    def variables(self) -> dict[str, str]:
        """What pyarrow reads credentials from; moto takes any."""
        keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
        return {**keys, "AWS_EC2_METADATA_DISABLED": "true"}

    def filesystem(self) -> pafs.S3FileSystem:
        """A client that may create the bucket."""
        return pafs.S3FileSystem(
            access_key="testing",
            secret_key="testing",
            endpoint_override=f"127.0.0.1:{self.port}",
            scheme="http",
            region="us-east-1",
            allow_bucket_creation=True,
        )

    def objects(self) -> dict[str, bytes]:
        """Every object of the bucket by its key; a lock's come and go meanwhile."""
        filesystem = self.filesystem()
        infos = filesystem.get_file_info(pafs.FileSelector(BUCKET, recursive=True))
        files = sorted(info.path for info in infos if info.type == pafs.FileType.File)
        found = {}
        for path in files:
            with suppress(FileNotFoundError), filesystem.open_input_stream(path) as stream:
                found[path.removeprefix(f"{BUCKET}/")] = stream.read()
        return found

    def __enter__(self) -> ObjectStore:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        command = [str(self.python), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self.process = launch(command, log=self.folder / "server.log", variables=os.environ)
        try:
            wait_until("the object store", STARTED_WITHIN_S, self._listens)
            self.filesystem().create_dir(BUCKET)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends the server; the objects go with it."""
        if self.process is not None:
            stop_group(self.process)
            self.process = None

    def _listens(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            log = (self.folder / "server.log").read_text(errors="replace")
            raise ServerError(f"the object store ended with {self.process.returncode}:\n{log}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
