"""Where the processes find Redis, and how the bundled one keeps what it took."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.chart.helm import objects, one, text


def test_the_url_of_the_bundled_redis_holds_no_password_until_the_pod_starts() -> None:
    env = environment("worker-default")
    assert env["CELERIAC_REDIS_URL"] == {"value": "redis://:$(REDIS_PASSWORD)@demo-celeriac-redis.ml.svc:6379/0"}
    assert env["REDIS_PASSWORD"] == {"valueFrom": {"secretKeyRef": {"name": "demo-celeriac-passwords", "key": "redis-password"}}}


def test_kubernetes_replaces_only_variables_that_stand_before() -> None:
    names = list(environment("worker-default"))
    assert names.index("REDIS_PASSWORD") < names.index("CELERIAC_REDIS_URL")


def test_an_external_redis_with_user_tls_and_an_authority_of_its_own() -> None:
    external = {"url": "rediss://celeriac@r.example:6380/1", "existingSecret": "ours", "passwordKey": "pw", "caSecret": "ca"}
    env = environment("api", redis__bundled__enabled=False, redis__external=external)
    assert env["CELERIAC_REDIS_URL"] == {"value": "rediss://celeriac:$(REDIS_PASSWORD)@r.example:6380/1"}
    assert env["CELERIAC_REDIS_CA"] == {"value": "/redis-ca/ca.crt"}
    assert env["REDIS_PASSWORD"] == {"valueFrom": {"secretKeyRef": {"name": "ours", "key": "pw"}}}


def test_an_external_redis_without_a_password() -> None:
    env = environment("api", redis__bundled__enabled=False, redis__external__url="redis://r.example:6379/0")
    assert env["CELERIAC_REDIS_URL"] == {"value": "redis://r.example:6379/0"}
    assert "REDIS_PASSWORD" not in env


def test_each_process_is_a_user_of_its_own_where_redis_has_users() -> None:
    for name, user in {"api": "api", "worker-default": "worker", "beat": "beat", "flower": "flower"}.items():
        env = environment(name, redis__usersSecret="users", beat__enabled=True)
        assert env["CELERIAC_REDIS_URL"] == {"value": f"redis://{user}:$(REDIS_PASSWORD)@demo-celeriac-redis.ml.svc:6379/0"}
        assert env["REDIS_PASSWORD"] == {"valueFrom": {"secretKeyRef": {"name": "users", "key": user}}}


def test_the_bundled_redis_reads_the_users_and_is_asked_by_one_who_may_change_nothing() -> None:
    pod = one("StatefulSet", "redis", redis__usersSecret="users")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["args"] == ["/config/redis.conf", "--aclfile", "/users/users.acl"]
    assert container["readinessProbe"]["exec"]["command"][2].startswith("redis-cli --user keda ping")
    assert {"name": "users", "secret": {"secretName": "users", "items": [{"key": "users.acl", "path": "users.acl"}]}} in pod["volumes"]


def test_the_sentinels_have_a_password_of_their_own() -> None:
    external = {"url": "sentinel://s1:26379/m/0", "sentinelUser": "watcher", "sentinelSecret": "theirs"}
    env = environment("api", redis__bundled__enabled=False, redis__external=external)
    assert env["CELERIAC_REDIS_SENTINEL_USER"] == {"value": "watcher"}
    assert env["CELERIAC_REDIS_SENTINEL_PASSWORD"] == {"valueFrom": {"secretKeyRef": {"name": "theirs", "key": "sentinel-password"}}}


def test_a_whole_url_from_a_secret() -> None:
    external = {"url": "redis://r.example:6379/0", "existingSecret": "ours", "urlKey": "url"}
    env = environment("api", redis__bundled__enabled=False, redis__external=external)
    assert env["CELERIAC_REDIS_URL"] == {"valueFrom": {"secretKeyRef": {"name": "ours", "key": "url"}}}


def test_the_bundled_redis_forgets_at_most_a_second_and_evicts_nothing() -> None:
    conf = one("ConfigMap", "redis")["data"]["redis.conf"].splitlines()
    assert {"appendonly yes", "appendfsync everysec", "maxmemory-policy noeviction"} <= set(conf)
    [claim] = one("StatefulSet", "redis")["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "data"


def test_a_redis_that_is_slow_to_answer_its_probe_keeps_its_name() -> None:
    assert one("Service", "redis")["spec"]["publishNotReadyAddresses"] is True


def test_redis_starts_anew_when_its_configuration_changes() -> None:
    def checksum(**values: Any) -> str:
        return str(one("StatefulSet", "redis", **values)["spec"]["template"]["metadata"]["annotations"]["checksum/config"])

    assert checksum() != checksum(redis__bundled__maxmemory="256mb")


def test_a_secret_of_one_s_own_needs_neither_job_nor_role() -> None:
    ours: dict[str, Any] = {"flower__existingSecret": "b", "auth__existingSecret": "c", "models__samples": False, "cluster__read": False}
    for redis in ({"redis__bundled__existingSecret": "a"}, {"redis__usersSecret": "a"}):
        kinds = {o["kind"] for o in objects(**ours, **redis)}
        assert not kinds & {"Job", "Role", "RoleBinding"}


def test_the_role_of_the_job_reaches_one_secret() -> None:
    create, rest = one("Role", "passwords")["rules"]
    assert create["verbs"] == ["create"]
    assert (rest["verbs"], rest["resourceNames"]) == (["get", "patch"], ["demo-celeriac-passwords"])


def test_two_releases_in_one_external_redis_have_keys_of_their_own() -> None:
    values: dict[str, Any] = {"redis__bundled__enabled": False, "redis__external__url": "redis://r.example:6379/0", "beat__enabled": True}
    for name in ("api", "worker-default", "beat", "flower", "toolbox"):
        env = environment(name, **values)
        assert env["CELERIAC_KEY_PREFIX"] == {"value": "ml.demo-celeriac"}
        assert env["CELERIAC_RELEASE"] == {"value": "ml/demo"}
        assert environment(name, beat__enabled=True)["CELERIAC_KEY_PREFIX"] == {"value": "celeriac"}
    external = json.dumps({key.replace("__", "."): value for key, value in values.items()})
    prefixes = re.findall(r"name: CELERIAC_KEY_PREFIX\n *value: (\S+)", text("small", external, f"--namespace={'n' * 60}"))
    assert {len(prefix.strip('"')) for prefix in prefixes} == {63}


def test_a_prefix_of_one_s_own_reaches_the_processes_and_keda() -> None:
    values: dict[str, Any] = {"redis__keyPrefix": "team-a:"}
    assert environment("api", **values)["CELERIAC_KEY_PREFIX"] == {"value": "team-a"}
    triggers = one("ScaledObject", "worker-default", **values)["spec"]["triggers"]
    tiers = ["default.priority", "backlog:default.priority", "default", "backlog:default", "default.flex", "backlog:default.flex"]
    names = [*tiers, "default.bulk", "backlog:default.bulk", "unacked:default", "paused:default"]
    assert [t["metadata"]["listName"] for t in triggers] == [f"team-a:{name}" for name in names]
    assert "CELERIAC_KEY_PREFIX_TAKEOVER" not in environment("api", **values)
    assert environment("api", redis__keyPrefixTakeover=True)["CELERIAC_KEY_PREFIX_TAKEOVER"] == {"value": "true"}


def test_a_job_s_name_changes_with_its_pod_because_jobs_cannot_be_changed() -> None:
    def names(**values: Any) -> set[str]:
        return {o["metadata"]["name"] for o in objects(**values) if o["kind"] == "Job"}

    assert names() == names()
    assert not names() & names(image__tag="other")


def test_nothing_is_a_hook_but_the_test() -> None:
    hooks = {o["metadata"]["name"]: h for o in objects() if (h := o["metadata"].get("annotations", {}).get("helm.sh/hook"))}
    assert hooks == {"demo-celeriac-test": "test"}


def environment(name: str, **values: Any) -> dict[str, Any]:
    [container] = one("Deployment", name, **values)["spec"]["template"]["spec"]["containers"]
    return {v["name"]: {k: v[k] for k in v if k != "name"} for v in container["env"]}
