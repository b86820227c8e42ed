"""What ends a start, in a sentence, and what a start leaves as it was."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from tests.postgresql import Postgres

from packtrain.service.server import StartError, running_server
from packtrain.service.settings import Settings
from packtrain.workers import EngineStartError, LocalEngine


class TestStarting:
    async def start(self, engine: LocalEngine | None = None, **fields: Any) -> str:
        settings = Settings(**{"port": 0, "workers": 1} | fields)
        made = engine or LocalEngine(workers=1)
        async with running_server(settings, lambda _settings, _on_change: made) as server:
            return server.address

    async def test_a_port_that_is_taken(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            told = rf"can't listen on 127.0.0.1:{port} \(Address already in use\): .*--listen"
            with pytest.raises(StartError, match=told):
                await self.start(data_dir=tmp_path, port=port)
        await self.start(data_dir=tmp_path)  # nothing is held

    @pytest.mark.parametrize(
        ("host", "why"),
        [
            ("192.0.2.1", "Cannot assign requested address"),
            ("nowhere.invalid", "[^()]*(name|Name)[^()]*"),
        ],
    )
    async def test_an_address_that_is_not_of_this_machine(
        self, tmp_path: Path, host: str, why: str
    ) -> None:
        with pytest.raises(StartError, match=rf"can't listen on {host}:0 \({why}\): "):
            await self.start(data_dir=tmp_path, host=host)

    async def test_a_file_in_place_of_the_data_directory(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(StartError, match=r"can't be written .*--data-dir"):
            await self.start(data_dir=tmp_path / "file")

    async def test_a_data_directory_in_use(self, start_api: Any, tmp_path: Path) -> None:
        async with start_api():
            with pytest.raises(StartError, match="in use by another server"):
                await self.start(data_dir=tmp_path / "data")
        await self.start(data_dir=tmp_path / "data")

    async def test_a_store_that_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "packtrain.db").write_bytes(b"no database" * 1000)
        with pytest.raises(StartError, match="can't be opened"):
            await self.start(data_dir=tmp_path)

    async def test_a_postgresql_that_is_not_there(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        url = f"postgresql://someone:s3cr3t@127.0.0.1:{port}/jobs"
        with pytest.raises(StartError) as caught:
            await self.start(data_dir=tmp_path, store=url)
        sentence = str(caught.value)
        assert sentence.startswith(f"the store at 127.0.0.1:{port}/jobs can't be opened: ")
        assert "refused" in sentence
        assert "\n" not in sentence
        assert "s3cr3t" not in sentence

    async def test_a_data_directory_of_postgresql(self, tmp_path: Path, postgres: Postgres) -> None:
        url = postgres.make_database()
        for _ in range(2):
            await self.start(data_dir=tmp_path, store=url)
        told = r"belongs to another store than .*--data-dir"
        with pytest.raises(StartError, match=told):
            await self.start(data_dir=tmp_path)
        with pytest.raises(StartError, match=told):
            await self.start(data_dir=tmp_path, store=postgres.make_database())

    async def test_checkpoints_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        where = tmp_path / "file" / "artifacts"
        told = rf"can't be written to {where}/checkpoints \(Not a directory\): .*--artifacts"
        with pytest.raises(StartError, match=told):
            await self.start(data_dir=tmp_path / "data", artifacts=str(where))
        await self.start(data_dir=tmp_path / "data", artifacts=str(tmp_path / "artifacts"))

    async def test_an_engine_that_cannot_start(self, tmp_path: Path) -> None:
        class Broken(LocalEngine):
            async def start(self) -> None:
                raise EngineStartError("there is no Ray at 10.0.0.1")

        with pytest.raises(EngineStartError, match="no Ray"):
            await self.start(Broken(), data_dir=tmp_path)
        await self.start(data_dir=tmp_path)

    async def test_models_of_jobs_that_are_gone_are_swept(self, tmp_path: Path) -> None:
        orphan = tmp_path / "models" / "gone"
        orphan.mkdir(parents=True)
        (orphan / "0.safetensors").write_bytes(b"")
        await self.start(data_dir=tmp_path)
        assert not orphan.exists()

    async def test_a_data_directory_of_another_store_is_left_as_it_is(self, tmp_path: Path) -> None:
        await self.start(data_dir=tmp_path)
        model = tmp_path / "models" / "job" / "0.safetensors"
        model.parent.mkdir()
        model.write_bytes(b"")
        ours = tmp_path / "packtrain.db"
        ours.rename(tmp_path / "ours.db")
        with pytest.raises(
            StartError, match=r"belongs to another store than the store in .*--data"
        ):
            await self.start(data_dir=tmp_path)
        assert model.exists()
        (tmp_path / "ours.db").rename(ours)
        await self.start(data_dir=tmp_path)
        assert not model.exists()

    @pytest.mark.parametrize(
        "wrong", [{"port": 70_000}, {"workers": 0}, {"datasets": (Path("/none"),)}]
    )
    def test_wrong_settings_are_told(self, tmp_path: Path, wrong: dict[str, Any]) -> None:
        (option,) = wrong
        option = "listen" if option == "port" else option
        with pytest.raises(ValueError, match=f"--{option} must"):
            Settings(**{"data_dir": tmp_path, "workers": 1} | wrong)
