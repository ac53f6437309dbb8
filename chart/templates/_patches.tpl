{{- /*
The objects are those of manifests/base, read from files/: nothing is written twice. What differs by
values is patched here, as an overlay of kustomize does it. tests/install compares the results.
*/ -}}

{{- /* What Helm conventions add to every object, beside the label of manifests/base. */ -}}
{{- define "quiesce.labels" -}}
app.kubernetes.io/name: quiesce
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /*
One file's objects under the key "items": each as "object", moved into the release's namespace, and
"own": whether it was in the operator's namespace, and not in one with drains.
*/ -}}
{{- define "quiesce.read" -}}
items:
{{- range $text := regexSplit "(?m)^---\\s*$" (.root.Files.Get .path) -1 }}
{{- $object := fromYaml (replace "quiesce-system" $.root.Release.Namespace $text) }}
{{- if hasKey $object "Error" }}{{ fail (printf "%s: %s" $.path $object.Error) }}{{ end }}
{{- $own := eq "quiesce-system" (dig "metadata" "namespace" "" (fromYaml $text)) }}
{{- if and $object.kind (ne $object.kind "Kustomization") }}
{{- $labels := merge (fromYaml (include "quiesce.labels" $.root)) ($object.metadata.labels | default dict) }}
{{- $_ := set $object.metadata "labels" $labels }}
{{ toYaml (list (dict "object" $object "own" $own)) }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "quiesce.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end -}}

{{- /* The Deployment, changed in place. */ -}}
{{- define "quiesce.patchDeployment" -}}
{{- $values := .root.Values -}}
{{- $pod := .object.spec.template.spec -}}
{{- $container := first $pod.containers -}}
{{- $scope := dict "name" "QUIESCE_NAMESPACE" "value" (join "," $values.namespaces) -}}
{{- if $values.allNamespaces -}}
{{- $scope = dict "name" "QUIESCE_ALL_NAMESPACES" "value" "true" -}}
{{- end -}}
{{- $env := list -}}
{{- range $container.env -}}
{{- $env = append $env (eq .name "QUIESCE_NAMESPACE" | ternary $scope .) -}}
{{- end -}}
{{- $_ := set $container "env" (concat $env $values.env) -}}
{{- $_ := set $container "args" (concat $container.args $values.args) -}}
{{- $_ := set $container "image" (include "quiesce.image" .root) -}}
{{- if $values.image.pullPolicy }}{{ $_ := set $container "imagePullPolicy" $values.image.pullPolicy }}{{ end -}}
{{- if $values.resources }}{{ $_ := set $container "resources" $values.resources }}{{ end -}}
{{- range list "imagePullSecrets" "nodeSelector" "tolerations" "affinity" "priorityClassName" "hostAliases" -}}
{{- $value := get $values . -}}
{{- if $value }}{{ $_ := set $pod . $value }}{{ end -}}
{{- end -}}
{{- if not (kindIs "invalid" $values.replicas) }}{{ $_ := set .object.spec "replicas" (int $values.replicas) }}{{ end -}}
{{- $metadata := .object.spec.template.metadata -}}
{{- $_ := set $metadata "labels" (merge $metadata.labels $values.podLabels) -}}
{{- $_ := set $metadata "annotations" (merge $metadata.annotations $values.podAnnotations) -}}
{{- end -}}
