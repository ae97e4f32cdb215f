{{/* What cannot work is refused here, in one sentence that says what to do, before anything reaches the cluster. */}}
{{- define "celeriac.checks" -}}
{{- $v := .Values }}

{{- if not $v.image.repository }}
{{- fail "image.repository is empty: set it to the image in a registry that the nodes can pull from, for example image.repository=registry.example.com/celeriac." }}
{{- end }}

{{- if and $v.redis.bundled.enabled $v.redis.external.url }}
{{- fail "redis.external.url is set and the bundled Redis is on: set redis.bundled.enabled=false to use the external one, or leave the URL empty." }}
{{- end }}
{{- if not (or $v.redis.bundled.enabled $v.redis.external.url) }}
{{- fail "Redis is not configured. Set redis.bundled.enabled=true, or set redis.external.url to the URL of your own server." }}
{{- end }}
{{- if $v.redis.external.url }}
  {{- if not (regexMatch "^(rediss?|sentinels?)://[^/]" $v.redis.external.url) }}
  {{- fail (printf "redis.external.url is %q: it must begin with redis://, rediss://, sentinel:// or sentinels:// and a host." $v.redis.external.url) }}
  {{- end }}
  {{- if contains ":" (include "celeriac.redis.parts" . | fromJson).user }}
  {{- fail "redis.external.url holds a password: leave it out, put it into a Secret under redis-password, and name that in redis.external.existingSecret." }}
  {{- end }}
  {{- if and (hasPrefix "sentinel" $v.redis.external.url) (not (regexMatch "://[^/]+/[^/]+/[0-9]+$" $v.redis.external.url)) }}
  {{- fail (printf "redis.external.url is %q: the sentinels' master and the database follow, as in sentinel://s1:26379,s2:26379/mymaster/0." $v.redis.external.url) }}
  {{- end }}
  {{- if and (or $v.redis.external.sentinelUser $v.redis.external.sentinelSecret) (not (hasPrefix "sentinel" $v.redis.external.url)) }}
  {{- fail "redis.external.sentinelUser or .sentinelSecret is set, but redis.external.url names no sentinels: begin it with sentinel:// or sentinels://." }}
  {{- end }}
  {{- if and $v.redis.external.urlKey (not $v.redis.external.existingSecret) }}
  {{- fail "redis.external.urlKey names a key of a Secret that is not named: set redis.external.existingSecret." }}
  {{- end }}
  {{- if and $v.redis.external.caSecret (not (regexMatch "^(rediss|sentinels):" $v.redis.external.url)) }}
  {{- fail "redis.external.caSecret is set, but redis.external.url has no TLS: begin it with rediss:// or sentinels://." }}
  {{- end }}
{{- end }}
{{- if $v.redis.usersSecret }}
  {{- if or $v.redis.bundled.existingSecret $v.redis.external.existingSecret $v.keda.redisSecret $v.keda.redisUser }}
  {{- fail "redis.usersSecret gives each process a user and a password: leave redis.bundled.existingSecret, redis.external.existingSecret, keda.redisUser and keda.redisSecret empty." }}
  {{- end }}
  {{- if (include "celeriac.redis.parts" . | fromJson).user }}
  {{- fail "redis.usersSecret gives each process a user of its own: leave the user out of redis.external.url." }}
  {{- end }}
{{- end }}
{{- /* Only a cluster lists kinds; `helm template` without one knows nothing of what is installed. */}}
{{- if and $v.keda.enabled (.Capabilities.APIVersions.Has "apps/v1/Deployment") (not (.Capabilities.APIVersions.Has "keda.sh/v1alpha1/ScaledObject")) }}
{{- fail "keda.enabled is on, and KEDA is not installed in this cluster: install it (https://keda.sh/docs/latest/deploy), or set keda.enabled=false and pools.NAME.replicas." }}
{{- end }}

{{- if and $v.modelSync.models (not $v.api.writesModels) }}
{{- fail "modelSync.models is set, and the API may not write the model repository: set api.writesModels=true, and api.resources to the memory to load the largest model." }}
{{- end }}
{{- range $name, $model := $v.modelSync.models }}
{{- if and (regexMatch "^(https?|s3|gs|az)://" $model.from) (not $model.sha256) }}
{{- fail (printf "modelSync.models.%s.sha256 is missing: set it to what `sha256sum` prints for the file, so that a changed file is not served unnoticed." $name) }}
{{- end }}
{{- end }}

{{- if and (eq $v.auth.mode "none") (or $v.auth.issuers $v.auth.serviceAccounts.enabled) }}
{{- fail "auth.mode is none, so the API checks no tokens: set auth.mode=keys, or remove auth.issuers and auth.serviceAccounts.enabled." }}
{{- end }}
{{- if and $v.auth.serviceAccounts.enabled $v.auth.issuers.cluster }}
{{- fail "auth.issuers.cluster has the name that auth.serviceAccounts uses: give the issuer another name." }}
{{- end }}
{{- with $v.auth.consoleOidc }}
{{- if and .issuer (not (hasKey $v.auth.issuers .issuer)) }}
{{- fail (printf "auth.consoleOidc.issuer is %s, which auth.issuers does not have." .issuer) }}
{{- end }}
{{- if and .issuer (not (has .clientId (index $v.auth.issuers .issuer).audiences)) }}
{{- fail (printf "auth.consoleOidc.clientId is missing from auth.issuers.%s.audiences: add it there, because ID tokens are for the client." .issuer) }}
{{- end }}
{{- end }}
{{- range $name, $issuer := $v.auth.issuers }}
  {{- if not (or $issuer.roles $issuer.default) }}
  {{- fail (printf "auth.issuers.%s gives no token a role: set auth.issuers.%s.roles or .default." $name $name) }}
  {{- end }}
  {{- if not $issuer.issuer }}
  {{- fail (printf "auth.issuers.%s.issuer is missing: set it to the claim iss of its tokens. For this cluster, set auth.serviceAccounts.enabled=true instead." $name) }}
  {{- end }}
{{- end }}

{{- if and $v.models.existingClaim $v.models.hostPath }}
{{- fail "models.existingClaim and models.hostPath are both set: choose one." }}
{{- end }}
{{- if and $v.bucket.url (or $v.models.existingClaim $v.models.hostPath) }}
{{- fail "bucket.url is set, and models.existingClaim or models.hostPath, too: choose where the models are." }}
{{- end }}
{{- if and $v.bucket.url $v.shared.enabled }}
{{- fail "bucket.url is set, and shared.enabled is true: the bucket holds what is on the shared volume. Set shared.enabled=false, or leave bucket.url empty." }}
{{- end }}
{{- range $component := list "models" "shared" }}
  {{- $volume := get $v $component }}
  {{- if and $volume.storageClass (or $volume.existingClaim $volume.hostPath) }}
  {{- fail (printf "%s.storageClass is for a claim that the chart makes, and %s.%s is set too: leave one of them empty." $component $component (ternary "existingClaim" "hostPath" (not (not $volume.existingClaim)))) }}
  {{- end }}
{{- end }}
{{- if and (not $v.shared.enabled) $v.shared.existingClaim }}
{{- fail "shared.existingClaim is set and shared.enabled is false: set shared.enabled=true, or leave the claim empty." }}
{{- end }}
{{- if and (not $v.models.existingClaim) (not $v.models.hostPath) (eq $v.models.accessMode "ReadWriteOnce") (not $v.models.oneNode) }}
{{- fail "models.accessMode is ReadWriteOnce, a volume that one node can mount, and the pods may run on several: choose a storage class with ReadWriteMany, or set models.oneNode=true to keep them together." }}
{{- end }}
{{- if and $v.shared.enabled (not $v.shared.existingClaim) (eq $v.shared.accessMode "ReadWriteOnce") (not $v.models.oneNode) }}
{{- fail "shared.accessMode is ReadWriteOnce, a volume that one node can mount, and the pods may run on several: choose a storage class with ReadWriteMany, or set models.oneNode=true to keep them together." }}
{{- end }}

{{- range $name := list "ingress" "route" }}
  {{- if and (get $v.flower $name).enabled (not $v.flower.enabled) }}
  {{- fail (printf "flower.%s is on and flower.enabled is false: set flower.enabled=true, or flower.%s.enabled=false." $name $name) }}
  {{- end }}
{{- end }}
{{- range $name, $in := dict "api" $v.api "flower" $v.flower }}
  {{- if and $in.ingress.enabled $in.route.enabled }}
  {{- fail (printf "%s.ingress and %s.route are both on: choose Ingress or HTTPRoute." $name $name) }}
  {{- end }}
  {{- if and $in.ingress.enabled (not $in.ingress.host) }}
  {{- fail (printf "%s.ingress is on without a host name: set %s.ingress.host." $name $name) }}
  {{- end }}
  {{- if and $in.route.enabled (not $in.route.gateway) }}
  {{- fail (printf "%s.route is on without a gateway: set %s.route.gateway to the Gateway's name." $name $name) }}
  {{- end }}
{{- end }}
{{- if gt (int $v.api.autoscaling.min) (int $v.api.autoscaling.max) }}
{{- fail (printf "api.autoscaling.max is %d, below min, which is %d: raise max or lower min." (int $v.api.autoscaling.max) (int $v.api.autoscaling.min)) }}
{{- end }}
{{- include "celeriac.checks.rollout" (dict "at" "api" "values" $v.api) }}
{{- $grace := int (include "celeriac.api.grace" .) }}
{{- if and $v.api.graceSeconds (lt (int $v.api.graceSeconds) $grace) }}
{{- fail (printf "api.graceSeconds is %d, but six times lingerSeconds, drainSeconds and 15 seconds to end are %d together: a stopping pod would be killed before it has answered; raise it, or leave it 0." (int $v.api.graceSeconds) $grace) }}
{{- end }}

{{- $pools := include "celeriac.pools" . | fromYaml }}
{{- if not $pools }}
{{- fail "pools is empty, so nothing would answer predictions: set pools.NAME." }}
{{- end }}
{{- range $name, $pool := $pools }}
  {{- $at := printf "pools.%s" $name }}
  {{- if gt (len (printf "%s-worker-%s" (include "celeriac.fullname" $) $name)) 54 }}
  {{- fail (printf "%s: the name %s-worker-%s is longer than the 54 characters that KEDA's autoscaler can carry: shorten the pool's or the release's name." $at (include "celeriac.fullname" $) $name) }}
  {{- end }}
  {{- if not (or $pool.queues.interactive $pool.queues.bulk) }}
  {{- fail (printf "%s has no queue, so it would never have work: set %s.queues.interactive or .bulk to true, or %s.enabled to false." $at $at $at) }}
  {{- end }}
  {{- if gt (int $pool.keda.min) (int $pool.keda.max) }}
  {{- fail (printf "%s.keda.max is %d, below min, which is %d: raise max or lower min." $at (int $pool.keda.max) (int $pool.keda.min)) }}
  {{- end }}
  {{- include "celeriac.checks.rollout" (dict "at" $at "values" $pool) }}
  {{- if lt (int (include "celeriac.grace" $pool)) (int $pool.timeLimitSeconds) }}
  {{- fail (printf "%s.graceSeconds is %d, below timeLimitSeconds, which is %d: a stopping pod would be killed before its work is done; raise it, or leave it 0." $at (int $pool.graceSeconds) (int $pool.timeLimitSeconds)) }}
  {{- end }}
  {{- if and (eq $name (default "training" $v.settings.training_pool)) (not $pool.writesModels) }}
  {{- fail (printf "%s trains models and may not write them: set %s.writesModels=true." $at $at) }}
  {{- end }}
  {{- include "celeriac.checks.resources" (dict "at" $at "values" $pool) }}
  {{- if and (gt (int $pool.gpus) 0) (gt (int $pool.processes) 1) }}
  {{- fail (printf "%s asks for a GPU and %d processes: forked processes cannot share one, set %s.processes=1." $at (int $pool.processes) $at) }}
  {{- end }}
{{- end }}

{{- if $v.models.oneNode }}
{{- $wanted := dict }}
{{- $mounting := dict "api" $v.api "toolbox" $v.toolbox }}
{{- range $name, $pool := $pools }}{{ $_ := set $mounting (printf "pools.%s" $name) $pool }}{{ end }}
{{- range $at, $values := $mounting }}
{{- range $label, $value := $values.nodeSelector }}
{{- $other := default dict (get $wanted $label) }}
{{- if and $other (ne $other.value $value) }}
{{- fail (printf "models.oneNode keeps all pods with the models on one node, and %s.nodeSelector and %s.nodeSelector want nodes with %s=%s and %s=%s: give them the same node labels." $other.at $at $label $other.value $label $value) }}
{{- end }}
{{- $_ := set $wanted $label (dict "at" $at "value" $value) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $component := list "api" "flower" "beat" "toolbox" "jobs" }}
{{- include "celeriac.checks.resources" (dict "at" $component "values" (get $v $component)) }}
{{- end }}
{{- if $v.redis.bundled.enabled }}
{{- include "celeriac.checks.resources" (dict "at" "redis.bundled" "values" $v.redis.bundled) }}
  {{- with (default dict $v.redis.bundled.resources.limits).memory }}
  {{- $data := regexReplaceAll "[bB]$" (lower (toString $v.redis.bundled.maxmemory)) "" | replace "k" "Ki" | replace "m" "Mi" | replace "g" "Gi" }}
  {{- if ge (int64 (include "celeriac.bytes" $data)) (int64 (include "celeriac.bytes" .)) }}
  {{- fail (printf "redis.bundled.maxmemory is %v, and the container is killed at its memory limit of %v: set redis.bundled.maxmemory to three quarters of redis.bundled.resources.limits.memory." $v.redis.bundled.maxmemory .) }}
  {{- end }}
  {{- end }}
{{- end }}
{{- if $v.checkCluster }}
{{- include "celeriac.checks.cluster" . }}
{{- end }}
{{- end }}

{{/* Kubernetes refuses an upgrade that may neither add a pod nor remove one: (dict "at" "api" "values" .Values.api). */}}
{{- define "celeriac.checks.rollout" -}}
{{- $zero := list "0" "0%" }}
{{- if and (has (include "celeriac.text" .values.rollout.maxSurge) $zero) (has (include "celeriac.text" .values.rollout.maxUnavailable) $zero) }}
{{- fail (printf "%s.rollout.maxSurge and .maxUnavailable are both 0, so no pod could be replaced: set one of them to 1." .at) }}
{{- end }}
{{- end }}

{{/* Kubernetes refuses requests above limits, after other objects have changed: (dict "at" "api" "values" .Values.api). */}}
{{- define "celeriac.checks.resources" -}}
{{- $limits := default dict .values.resources.limits }}
{{- range $name, $request := .values.resources.requests }}
{{- $limit := get $limits $name }}
{{- if and (ne (toString $limit) "") (gt (include "celeriac.number" $request | float64) (include "celeriac.number" $limit | float64)) }}
{{- fail (printf "%s.resources.requests.%s is %v, above the limit of %v: lower the request or raise %s.resources.limits.%s." $.at $name $request $limit $.at $name) }}
{{- end }}
{{- end }}
{{- end }}
