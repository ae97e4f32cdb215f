{{/*
What the values would change in the cluster, compared with what is there, so that a change that Kubernetes would refuse is refused before anything
is changed. `lookup` finds nothing without a cluster (`helm template`, Argo CD): then nothing is compared.
*/}}
{{- define "celeriac.checks.cluster" -}}
{{- $ns := .Release.Namespace }}
{{- $name := include "celeriac.fullname" . }}
{{- range $component := list "models" "shared" }}
{{- $volume := get $.Values $component }}
{{- if ternary (not $.Values.bucket.url) $volume.enabled (eq $component "models") }}
{{- if $volume.existingClaim }}
{{- include "celeriac.checks.givenClaim" (dict "root" $ "component" $component "volume" $volume) }}
{{- else }}
{{- include "celeriac.checks.claim" (dict "root" $ "component" $component "volume" $volume) }}
{{- end }}
{{- end }}
{{- end }}

{{- with .Values.models.hostPath }}
{{- $present := lookup "v1" "PersistentVolume" "" (include "celeriac.modelsVolume" $) }}
{{- if and $present (ne $present.spec.hostPath.path .) }}
{{- fail (printf "models.hostPath is %q, and the volume %s has the path %q, which Kubernetes cannot change. Set models.hostPath to that path, or delete the volume and its claim first: kubectl -n %s delete pvc/%s-models pv/%s" . $present.metadata.name $present.spec.hostPath.path $ns $name $present.metadata.name) }}
{{- end }}
{{- end }}

{{- if .Values.redis.bundled.enabled }}
{{- $redis := .Values.redis.bundled.persistence }}
{{- $present := lookup "apps/v1" "StatefulSet" $ns (printf "%s-redis" $name) }}
{{- if $present }}
{{- $template := first (default list $present.spec.volumeClaimTemplates) }}
{{- $remedy := printf "Pass the values of the installation again (-f FILE or --reset-then-reuse-values). To change it, first run: kubectl -n %s delete statefulset/%s-redis --cascade=orphan" $ns $name }}
{{- if and $redis.enabled (not $template) }}
{{- fail (printf "redis.bundled.persistence.enabled is true, and the StatefulSet %s-redis has no volume, which Kubernetes cannot change. %s" $name $remedy) }}
{{- else if and $template (not $redis.enabled) }}
{{- fail (printf "redis.bundled.persistence.enabled is false, and the StatefulSet %s-redis has a volume, which Kubernetes cannot change. %s" $name $remedy) }}
{{- else if $template }}
{{- $has := $template.spec.resources.requests.storage }}
{{- if ne (include "celeriac.bytes" $redis.size) (include "celeriac.bytes" $has) }}
{{- fail (printf "redis.bundled.persistence.size is %v, and the StatefulSet %s-redis has %v, which Kubernetes cannot change. %s" $redis.size $name $has $remedy) }}
{{- end }}
{{- if ne $redis.storageClass (default "" $template.spec.storageClassName) }}
{{- fail (printf "redis.bundled.persistence.storageClass is %q, and the StatefulSet %s-redis has %q, which Kubernetes cannot change. %s" $redis.storageClass $name (default "" $template.spec.storageClassName) $remedy) }}
{{- end }}
{{- end }}
{{- else if $redis.enabled }}
{{- if not (lookup "v1" "PersistentVolumeClaim" $ns (printf "data-%s-redis-0" $name)) }}
{{- include "celeriac.checks.class" (dict "root" . "key" "redis.bundled.persistence" "class" $redis.storageClass "mode" "ReadWriteOnce") }}
{{- end }}
{{- end }}
{{- end }}

{{- $api := lookup "apps/v1" "Deployment" $ns (printf "%s-api" $name) }}
{{- if $api }}
{{- $has := get $api.spec.selector.matchLabels "app.kubernetes.io/name" }}
{{- if ne $has (include "celeriac.name" .) }}
{{- fail (printf "nameOverride makes the label app.kubernetes.io/name %q, and the Deployments of this release select %q, which Kubernetes cannot change. Set nameOverride=%s, or install a new release." (include "celeriac.name" .) $has $has) }}
{{- end }}
{{- if not .Values.redis.keyPrefix }}
{{- $prefix := "celeriac" }}
{{- $url := "" }}
{{- range (first $api.spec.template.spec.containers).env }}
{{- if eq .name "CELERIAC_KEY_PREFIX" }}{{ $prefix = trimSuffix ":" .value }}{{ end }}
{{- if eq .name "CELERIAC_REDIS_URL" }}{{ $url = default "" .value }}{{ end }}
{{- end }}
{{- /* In another Redis there are no keys to lose. */}}
{{- $same := or (not $url) (eq $url (include "celeriac.redis.url" (dict "root" . "component" "api"))) }}
{{- if and $same (ne $prefix (include "celeriac.prefix" .)) }}
{{- fail (printf "The keys of this release in Redis begin with %s: and would now begin with %s:, so it would no longer find its jobs. Set redis.keyPrefix=%s to keep them, or redis.keyPrefix=%s to start with none." $prefix (include "celeriac.prefix" .) $prefix (include "celeriac.prefix" .)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* A claim that the chart makes: (dict "root" $ "component" "models" "volume" .Values.models). */}}
{{- define "celeriac.checks.claim" -}}
{{- $ns := .root.Release.Namespace }}
{{- $name := printf "%s-%s" (include "celeriac.fullname" .root) .component }}
{{- $mode := include "celeriac.accessMode" . }}
{{- $present := lookup "v1" "PersistentVolumeClaim" $ns $name }}
{{- if not $present }}
{{- if not .volume.hostPath }}
{{- include "celeriac.checks.class" (dict "root" .root "key" .component "class" .volume.storageClass "mode" $mode) }}
{{- end }}
{{- else }}
{{- $bound := eq (default "" $present.status.phase) "Bound" }}
{{- $holds := ternary "To change it, copy the data, then delete the claim" "The claim was never bound and holds nothing, so you can delete it" $bound }}
{{- $remedy := printf "Pass the values of the installation again (-f FILE or --reset-then-reuse-values). %s: kubectl -n %s delete pvc/%s" $holds $ns $name }}
{{- $what := printf "and the claim %s in namespace %s has %%v, which Kubernetes cannot change. %s" $name $ns $remedy }}
{{- if not (has $mode $present.spec.accessModes) }}
{{- fail (printf "%s.accessMode is %s, %s" .component $mode (printf $what (join ", " $present.spec.accessModes))) }}
{{- end }}
{{- $class := default "" $present.spec.storageClassName }}
{{- if and .volume.storageClass (ne .volume.storageClass $class) }}
{{- fail (printf "%s.storageClass is %s, %s" .component .volume.storageClass (printf $what (default "no class" $class))) }}
{{- end }}
{{- $own := include "celeriac.modelsVolume" .root }}
{{- if and .volume.hostPath (ne (default "" $present.spec.volumeName) $own) }}
{{- fail (printf "models.hostPath is %s, %s" .volume.hostPath (printf $what "another volume")) }}
{{- end }}
{{- if and (eq .component "models") (not .volume.hostPath) (eq (default "" $present.spec.volumeName) $own) }}
{{- fail (printf "models.hostPath is empty, %s" (printf $what "the folder of a node")) }}
{{- end }}
{{- $size := $present.spec.resources.requests.storage }}
{{- $less := sub (int64 (include "celeriac.bytes" $size)) (int64 (include "celeriac.bytes" .volume.size)) }}
{{- if or (gt $less 0) (and (lt $less 0) (not $bound)) }}
{{- fail (printf "%s.size is %v, %s" .component .volume.size (printf $what $size)) }}
{{- end }}
{{- if lt $less 0 }}
{{- $found := dict }}
{{- if $class }}{{ $found = lookup "storage.k8s.io/v1" "StorageClass" "" $class }}{{ end }}
{{- if not $found.allowVolumeExpansion }}
{{- fail (printf "%s.size is %v, and the claim %s in namespace %s has %v. Its storage class %q does not allow volume expansion: set %s.size=%v." .component .volume.size $name $ns $size $class .component $size) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* A claim that the user made: it may come later, and must fit if it is there. */}}
{{- define "celeriac.checks.givenClaim" -}}
{{- $present := lookup "v1" "PersistentVolumeClaim" .root.Release.Namespace .volume.existingClaim }}
{{- if $present }}
{{- $modes := $present.spec.accessModes }}
{{- if not (has "ReadWriteMany" $modes) }}
{{- if and (or (has "ReadWriteOnce" $modes) (has "ReadWriteOncePod" $modes)) (not .root.Values.models.oneNode) }}
{{- fail (printf "%s.existingClaim is %s, a claim with %s, which one node can mount, and the pods may run on several: use a claim with ReadWriteMany, or set models.oneNode=true to keep the pods together." .component .volume.existingClaim (join ", " $modes)) }}
{{- end }}
{{- if not (has "ReadWriteOnce" $modes) }}
{{- fail (printf "%s.existingClaim is %s, a claim with %s: several pods mount it, and some write it. Use a claim with ReadWriteMany, or one with ReadWriteOnce and models.oneNode=true." .component .volume.existingClaim (join ", " $modes)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The storage class of a claim that is to be made: (dict "root" $ "key" "models" "class" "" "mode" "ReadWriteMany"). */}}
{{- define "celeriac.checks.class" -}}
{{- $list := lookup "storage.k8s.io/v1" "StorageClass" "" "" }}
{{- /* Without a cluster there is not even an empty list. */}}
{{- if $list }}
{{- $classes := dict }}
{{- $default := "" }}
{{- range $list.items }}
{{- $_ := set $classes .metadata.name . }}
{{- if eq (default "" (get (default dict .metadata.annotations) "storageclass.kubernetes.io/is-default-class")) "true" }}{{ $default = .metadata.name }}{{ end }}
{{- end }}
{{- $names := default "none" (keys $classes | sortAlpha | join ", ") }}
{{- $class := default $default .class }}
{{- if not $class }}
{{- fail (printf "%s.storageClass is empty, and this cluster has no default storage class: set it to one of its classes (%s)." .key $names) }}
{{- end }}
{{- $found := get $classes $class }}
{{- if not $found }}
{{- /* A class that is not there is right for volumes that were made by hand. */}}
{{- $ready := false }}
{{- range (lookup "v1" "PersistentVolume" "" "").items }}
{{- if and (eq (default "" .spec.storageClassName) $class) (has $.mode .spec.accessModes) (eq .status.phase "Available") }}{{ $ready = true }}{{ end }}
{{- end }}
{{- if not $ready }}
{{- fail (printf "%s.storageClass is %s, and this cluster has neither that storage class nor an available volume of it with %s: set it to one of its classes (%s)." .key $class .mode $names) }}
{{- end }}
{{- else if and (eq .mode "ReadWriteMany") (regexMatch (include "celeriac.oneNodeProvisioners" .) $found.provisioner) }}
{{- fail (printf "%s.accessMode is ReadWriteMany, and the storage class %s (%s) offers ReadWriteOnce only: set %s.storageClass to a class with ReadWriteMany (classes here: %s), set bucket.url to use an object store, or set models.oneNode=true to keep all pods with the models on one node. If this class does offer it, set checkCluster=false." .key $class $found.provisioner .key $names) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Provisioners of volumes that one node can mount. Others are trusted. */}}
{{- define "celeriac.oneNodeProvisioners" -}}
^(rancher\.io/local-path|kubernetes\.io/(aws-ebs|gce-pd|azure-disk|cinder|vsphere-volume|rbd)|ebs\.csi\.(aws|eks\.amazonaws)\.com|pd\.csi\.storage\.gke\.io|disk\.csi\.azure\.com|cinder\.csi\.openstack\.org|dobs\.csi\.digitalocean\.com|csi\.hetzner\.cloud|linodebs\.csi\.linode\.com|block\.csi\.vultr\.com|csi\.scaleway\.com|csi\.exoscale\.com|blockvolume\.csi\.oraclecloud\.com|(.*\.)?rbd\.csi\.ceph\.com|topolvm\.(io|cybozu\.com)|openebs\.io/local|(local|zfs)\.csi\.openebs\.io)$
{{- end }}

{{/* A quantity of Kubernetes as a number: bytes, cores. */}}
{{- define "celeriac.number" -}}
{{- $text := include "celeriac.text" . }}
{{- $unit := regexFind "[A-Za-z]*$" $text }}
{{- $scale := dict "" 1 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 "Ei" 1152921504606846976 }}
{{- mulf (trimSuffix $unit $text | float64) (get $scale $unit | float64) }}
{{- end }}

{{/* The same as a whole number of bytes. */}}
{{- define "celeriac.bytes" -}}
{{- include "celeriac.number" . | float64 | int64 }}
{{- end }}
