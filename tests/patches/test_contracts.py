"""What `app.patches` relies on inside of libraries is unchanged."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import inspect
import re
import textwrap
from pathlib import Path
from typing import Final

import pytest

import app.patches

PATCHES: Final = sorted(path.stem for path in Path(app.patches.__file__ or "").parent.glob("*.py") if path.stem != "__init__")
HEADINGS: Final = ("Why:", "Upstream:", "Checked with:", "Remove:")
ROOT: Final = Path(__file__).parents[2]
CONTRACTS: Final[dict[str, dict[str, str]]] = {
    "billiard_exit": {
        "billiard.common:_shutdown_cleanup": "19bd05fdfb5b320a",
        "billiard.common:reset_signals": "ba50dd75c7a0e756",
    },
    "celery_pool": {
        "celery.concurrency.asynpool:AsynPool._create_write_handlers": "b9fafdd50f00ae07",
        "celery.concurrency.asynpool:AsynPool.on_job_ready": "fe297cb7dd6cc170",
        "celery.concurrency.asynpool:AsynPool.__init__": "8feecfa1a1cf80f6",
        "celery.concurrency.prefork:TaskPool.on_start": "9f3e9bf37398ee1f",
        "billiard.pool:Pool._worker_active": "2990e5e4da3f2f2d",
        "billiard.pool:Pool._repopulate_pool": "2a13836a213b9236",
        "billiard.pool:Pool.grow": "eebb58ec8b28d191",
        "billiard.pool:Pool.shrink": "e96c8a3a310025a5",
        "billiard.pool:Pool.maintain_pool": "4e04ec8bd450d064",
        "billiard.pool:LaxBoundedSemaphore.shrink": "b3599af5572b8ad4",
        "billiard.process:BaseProcess.terminate_controlled": "1077d2c89b494105",
    },
    "celery_request": {
        "celery.worker.request:Request.acknowledge": "71ab139796d7dfbf",
        "celery.worker.request:Request.reject": "8fca5a2c5bc802cc",
        "celery.worker.request:Request.on_failure": "784538486830be0e",
        "celery.worker.request:Request.on_timeout": "bda2f0c09090443d",
        "celery.worker.state:task_ready": "6535320aa278c3e6",
    },
    "flower_pages": {
        "flower.views:BaseHandler.get_active_queue_names": "9b72fd1d2ad01bfd",
        "flower.views:BaseHandler.get_current_user": "06096f8e6d6a7cca",
        "flower.views.broker:BrokerView": "b61b54caa24c62ef",
        "flower.api.tasks:GetQueueLengths": "0172280c8d1e95d5",
        "flower.views.monitor:Metrics": "0f5e23adc6db3d13",
    },
    "kombu_connection": {
        "celery.app.base:Celery._connection": "954987e36b968f67",
        "kombu.connection:Connection.get_transport_cls": "6506aefaf2304944",
        "kombu.connection:Connection.ensure_connection": "4540154198f0499f",
        "kombu.connection:Connection.maybe_close_channel": "892f0023648c7559",
    },
    "kombu_redis": {
        "kombu.transport.redis:QoS": "07138363fa770cba",
        "kombu.transport.virtual.base:QoS.append": "cb0f72e801797b1b",
        "kombu.transport.virtual.base:QoS.ack": "2e0fc4afe1185c5f",
        "kombu.transport.redis:Channel._create_client": "70307ac7d8546805",
        "kombu.transport.redis:Channel.close": "c447267f9e72e770",
        "kombu.transport.redis:Channel._brpop_read": "f7e4afb7bac8b174",
        "redis.connection:AbstractConnection.send_command": "8a047d2ee09effb4",
        "redis.connection:AbstractConnection.read_response": "aa367dc2c18257b9",
        "redis.connection:AbstractConnection.can_read": "519a5aeea4280bb6",
    },
    "redbeat_entry": {
        "redbeat.schedulers:RedBeatSchedulerEntry": "d54631a36bf54a9c",
        "redbeat.decoder:RedBeatJSONEncoder": "6bd7f4afe6ac267c",
        "redbeat.decoder:RedBeatJSONDecoder": "7086c3df00c85b45",
    },
    "redbeat_scheduler": {
        "redbeat.schedulers:RedBeatScheduler": "fc180f811ce7ad19",
        "redbeat.schedulers:acquire_distributed_beat_lock": "78081b99ad950ed6",
        "redbeat.schedulers:get_redis": "b66e063a96f8671c",
    },
    "uvicorn_headers": {
        "uvicorn.protocols.http.httptools_impl:_get_status_line": "97d768be1a153596",
        "uvicorn.protocols.http.httptools_impl:RequestResponseCycle.send": "2283ee63dfa5cad7",
    },
    "uvicorn_protocol": {
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol": "504faa6923252322",
    },
    "uvicorn_transport": {
        "uvicorn.protocols.http.httptools_impl:RequestResponseCycle.send": "2283ee63dfa5cad7",
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.connection_made": "57022c8ff63c84b7",
        "uvicorn.protocols.http.flow_control:FlowControl": "34bcc6175187a24d",
    },
    "uvicorn_workers": {
        "uvicorn.supervisors.multiprocess:Multiprocess": "0e6304cd4d08a4d0",
    },
}
"""Patch -> what it relies on upstream -> the hash of its source."""
PUBLIC_NAMES: Final[dict[str, dict[str, str]]] = {
    "app/api/server/shutdown.py": {
        # It takes the handlers that uvicorn installed, and calls them in the end.
        "uvicorn.server:Server.capture_signals": "f5efdd178894332d",
        "uvicorn.server:Server.handle_exit": "33f9602fb6392d71",
        "uvicorn.server:Server.serve": "727eeda71c6aaecd",
    },
    "app/api/server/fast_router.py": {
        # It matches paths by `path_regex`, and selects a handler of an exception as Starlette does.
        "starlette.routing:compile_path": "1b31fbc2cbc764ac",
        "starlette.routing:Route.matches": "e5e2ac6c21472c10",
        "starlette._exception_handler:_lookup_exception_handler": "3f8ef2af6ba7b6f8",
        "fastapi.routing:APIRoute.matches": "2a7b275bd29a1b87",
    },
}
"""Module outside of `app.patches` -> what it relies on upstream by public names alone -> the hash of its source."""


def source_hash(dotted: str) -> str:
    """Hash the source of an upstream object without its layout and comments."""
    module, _, name = dotted.partition(":")
    target = importlib.import_module(module)
    for part in name.split("."):
        target = inspect.getattr_static(target, part)
    lines = (line.strip() for line in inspect.getsource(target).splitlines())
    code = "\n".join(line for line in lines if line and not line.startswith("#"))
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def docstring(patch: str) -> str:
    return importlib.import_module(f"app.patches.{patch}").__doc__ or ""


def current_hash(dotted: str) -> str:
    try:
        return source_hash(dotted)
    except (AttributeError, ImportError) as error:
        return f"missing: {error}"


@pytest.mark.parametrize(
    ("patch", "dotted", "expected"), [(patch, *contract) for patch, contracts in CONTRACTS.items() for contract in contracts.items()]
)
def test_upstream_is_what_the_patch_was_checked_with(patch: str, dotted: str, expected: str) -> None:
    assert current_hash(dotted) == expected, (
        f"{dotted} has changed. Read it, then adapt or remove app/patches/{patch}.py, and write the new hash here.\n\n{docstring(patch)}"
    )


@pytest.mark.parametrize(
    ("module", "dotted", "expected"), [(module, *contract) for module, contracts in PUBLIC_NAMES.items() for contract in contracts.items()]
)
def test_upstream_is_what_a_module_outside_of_the_patches_was_checked_with(module: str, dotted: str, expected: str) -> None:
    assert (ROOT / module).is_file()
    assert current_hash(dotted) == expected, f"{dotted} has changed. Read it, adapt {module}, and write the new hash here."


def test_every_patch_has_a_contract() -> None:
    assert sorted(CONTRACTS) == PATCHES


@pytest.mark.parametrize("patch", PATCHES)
def test_every_patch_says_why_it_exists_and_how_to_remove_it(patch: str) -> None:
    text = docstring(patch)
    assert [heading for heading in HEADINGS if f"\n{heading}\n" in text] == list(HEADINGS)
    assert sorted(HEADINGS, key=text.index) == list(HEADINGS)


@pytest.mark.parametrize("patch", PATCHES)
def test_the_versions_of_a_patch_are_the_installed_ones(patch: str) -> None:
    checked = textwrap.dedent(docstring(patch).split("\nChecked with:\n")[1].split("\n\n")[0])
    versions = dict(re.findall(r"([a-z-]+) ([0-9.]+)", checked))
    assert versions
    assert {name: importlib.metadata.version(name) for name in versions} == versions
