"""Tokens from the provider to the prediction: real processes, a provider that rotates its keys, and files that are replaced."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from celeriac import AuthenticationError, Client, PermissionDeniedError

from tests.issuing import Provider, provider
from tests.running import Running

ROW = [0.0] * 10
ACCOUNT = "system:serviceaccount:ml:trainer"
pytestmark = pytest.mark.slow


@dataclass
class Open:
    """An API that accepts the people of a company and the service accounts of a cluster."""

    url: str
    company: Provider
    cluster: Provider
    own: Path
    """The token of the API itself, which names the issuer of its cluster."""


@pytest.fixture(scope="module")
def accepting(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    folder = tmp_path_factory.mktemp("issuers")
    with provider() as company, provider(folder) as cluster:
        cluster.documents["/openid/v1/jwks"] = cluster.document("/keys")
        own = folder / "token"
        own.write_text(cluster.token(aud="kubernetes", sub="system:serviceaccount:celeriac:celeriac-api"))
        people = {"name": "company", "issuer": company.url, "audiences": ["celeriac"], "roles": [{"value": "ml", "role": "operator"}]}
        pods = {
            "name": "cluster", "type": "serviceaccount", "issuer": cluster.url, "jwks_uri": f"{cluster.url}/openid/v1/jwks",
            "audiences": ["celeriac"], "ca_file": str(folder / "ca.crt"), "token_file": str(own), "owner_prefix": "",
            "roles": [{"value": "system:serviceaccount:ml:*", "role": "user", "models": ["diabetes"]}],
        }  # fmt: skip
        (folder / "issuers.yaml").write_text(json.dumps({"issuers": [people, pods]}))
        with running.process("api", auth="keys", issuers_file=str(folder / "issuers.yaml")) as (_, url):
            yield Open(url, company, cluster, own)


def test_a_pod_predicts_with_a_token_file_that_is_replaced(accepting: Open, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(accepting.cluster.token(sub=ACCOUNT))
    with Client(accepting.url, token_file=file) as client:
        assert len(client.predict("diabetes", [ROW])) == 1
        file.write_text(accepting.cluster.token(sub=ACCOUNT, exp=1))
        with pytest.raises(AuthenticationError, match="expired"):
            client.get("/v1/jobs")
        file.write_text(accepting.cluster.token(sub=ACCOUNT))
        job = client.submit("diabetes", [ROW])
        assert job.result(timeout=60)
        with pytest.raises(PermissionDeniedError, match=f"The token of cluster:{ACCOUNT} does not allow model 'wine'"):
            client.predict("wine", [{}])
    assert ("/openid/v1/jwks", f"Bearer {accepting.own.read_text()}") in accepting.cluster.asked


def test_a_token_of_the_cluster_itself_is_refused(accepting: Open) -> None:
    with Client(accepting.url, token_file=accepting.own) as client, pytest.raises(AuthenticationError, match="another audience"):
        client.get("/v1/jobs")


def test_the_command_line_reads_the_file(accepting: Open, running: Running, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(accepting.company.token(groups=["ml"]))
    environment = running.environment | {"CELERIAC_URL": accepting.url, "CELERIAC_TOKEN_FILE": str(file)}
    line = [sys.executable, "-m", "app", "jobs", "list", "--json"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    file.unlink()
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert f"The token file {file} cannot be read" in done.stderr


def test_a_provider_that_rotates_its_key_and_then_fails_is_not_noticed(accepting: Open) -> None:
    def status() -> int:
        headers = {"authorization": f"Bearer {accepting.company.token(groups=['ml'])}"}
        return httpx.get(f"{accepting.url}/v1/jobs", headers=headers).status_code

    assert status() == 200
    accepting.company.rotate("RS256", keep=True)
    assert status() == 200
    accepting.company.documents["/keys"] = 500
    assert status() == 200
