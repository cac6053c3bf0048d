// One object of every kind that `describe` knows, and of some that it does not.
export const everyKind = `
apiVersion: v1
kind: ConfigMap
metadata: { name: cm, labels: { app: a }, annotations: { note: here } }
data: { key: value }
binaryData: { bin: AAEC }
---
apiVersion: v1
kind: Secret
metadata: { name: secret }
stringData: { password: "12345" }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: sa }
imagePullSecrets: [{ name: secret }]
---
apiVersion: v1
kind: Pod
metadata: { name: pod, labels: { app: a } }
spec:
  nodeName: node-a
  serviceAccountName: sa
  initContainers: [{ name: init, image: i, command: [init, "1"] }]
  containers:
  - name: c
    image: nginx:1
    command: [run]
    args: [fast]
    ports: [{ name: http, containerPort: 80 }]
    env:
    - { name: PLAIN, value: x }
    - { name: FROM, valueFrom: { configMapKeyRef: { name: cm, key: key } } }
    - { name: FIELD, valueFrom: { fieldRef: { fieldPath: status.podIP } } }
    envFrom: [{ secretRef: { name: secret } }]
    resources: { requests: { cpu: 100m, memory: 1Mi }, limits: { cpu: "1", memory: 2Mi } }
    livenessProbe: { httpGet: { path: /healthz, port: http }, periodSeconds: 7 }
    readinessProbe: { exec: { command: [ready] } }
    volumeMounts: [{ name: data, mountPath: /data }, { name: conf, mountPath: /conf, readOnly: true }]
  - { name: side, image: "busybox:1" }
  nodeSelector: { disk: ssd }
  tolerations: [{ key: k, operator: Exists, effect: NoSchedule }]
  volumes:
  - { name: data, persistentVolumeClaim: { claimName: pvc } }
  - { name: conf, configMap: { name: cm } }
---
apiVersion: v1
kind: ReplicationController
metadata: { name: rc }
spec:
  replicas: 0
  selector: { app: rc }
  template: { metadata: { labels: { app: rc } }, spec: { containers: [{ name: c, image: i }] } }
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: { name: rs }
spec:
  replicas: 0
  selector: { matchLabels: { app: rs } }
  template: { metadata: { labels: { app: rs } }, spec: { containers: [{ name: c, image: i }] } }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: deploy }
spec:
  replicas: 2
  selector: { matchLabels: { app: deploy } }
  template: { metadata: { labels: { app: deploy } }, spec: { containers: [{ name: c, image: i }] } }
---
apiVersion: apps/v1
kind: DaemonSet
metadata: { name: ds }
spec:
  selector: { matchLabels: { app: ds } }
  template: { metadata: { labels: { app: ds } }, spec: { nodeSelector: { disk: ssd }, containers: [{ name: c, image: i }] } }
---
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: sts }
spec:
  serviceName: svc
  selector: { matchLabels: { app: sts } }
  template: { metadata: { labels: { app: sts } }, spec: { containers: [{ name: c, image: i }] } }
  volumeClaimTemplates:
  - metadata: { name: data }
    spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Gi } } }
---
apiVersion: batch/v1
kind: Job
metadata: { name: job }
spec: { completions: 3, parallelism: 2, template: { spec: { restartPolicy: Never, containers: [{ name: c, image: i }] } } }
---
apiVersion: batch/v1
kind: CronJob
metadata: { name: cj }
spec:
  schedule: "0 * * * *"
  timeZone: Etc/UTC
  jobTemplate: { spec: { template: { spec: { restartPolicy: Never, containers: [{ name: c, image: i }] } } } }
---
apiVersion: v1
kind: Service
metadata: { name: svc }
spec: { selector: { app: a }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: v1
kind: Endpoints
metadata: { name: ep }
subsets: [{ addresses: [{ ip: 10.1.2.3 }], ports: [{ name: http, port: 80 }] }]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: slice }
addressType: IPv4
ports: [{ name: http, port: 80, protocol: TCP }]
endpoints: [{ addresses: [10.1.2.3], conditions: { ready: true } }]
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: { name: ic }
spec: { controller: example.com/ingress }
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: ing }
spec:
  ingressClassName: ic
  defaultBackend: { service: { name: svc, port: { name: http } } }
  tls: [{ hosts: [a.example.com], secretName: secret }]
  rules:
  - host: a.example.com
    http: { paths: [{ path: /, pathType: Prefix, backend: { service: { name: svc, port: { number: 80 } } } }] }
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: np }
spec:
  podSelector: { matchLabels: { app: a } }
  policyTypes: [Ingress]
  ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 80 }] }]
---
apiVersion: v1
kind: PersistentVolume
metadata: { name: pv }
spec: { capacity: { storage: 1Gi }, accessModes: [ReadWriteOnce], hostPath: { path: /data }, storageClassName: slow, claimRef: { namespace: shared, name: pvc } }
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: pvc }
spec: { accessModes: [ReadWriteOnce], storageClassName: slow, resources: { requests: { storage: 1Gi } } }
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: { name: slow, annotations: { storageclass.kubernetes.io/is-default-class: "true" } }
provisioner: example.com/slow
parameters: { kind: disk }
---
apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata: { name: csi.example.com }
spec: { attachRequired: false }
---
apiVersion: storage.k8s.io/v1
kind: CSINode
metadata: { name: node-a }
spec: { drivers: [{ name: csi.example.com, nodeID: some, topologyKeys: [zone] }] }
---
apiVersion: v1
kind: LimitRange
metadata: { name: limits }
spec: { limits: [{ type: Container, default: { cpu: "1" }, max: { cpu: "2" } }] }
---
apiVersion: v1
kind: ResourceQuota
metadata: { name: quota }
spec: { hard: { configmaps: "100" } }
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: { name: hpa }
spec:
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: deploy }
  maxReplicas: 4
  metrics: [{ type: Resource, resource: { name: cpu, target: { type: Utilization, averageUtilization: 50 } } }]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: pdb }
spec: { minAvailable: 1, selector: { matchLabels: { app: a } } }
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: { name: pc }
value: 1000
description: of some weight
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: role }
rules: [{ apiGroups: [""], resources: [pods], resourceNames: [a], verbs: [get, list] }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: rb }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: role }
subjects: [{ kind: ServiceAccount, name: sa, namespace: shared }, { kind: User, name: u, apiGroup: rbac.authorization.k8s.io }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: cr }
rules: [{ nonResourceURLs: [/metrics], verbs: [get] }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: crb }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cr }
subjects: [{ kind: Group, name: g, apiGroup: rbac.authorization.k8s.io }]
---
apiVersion: v1
kind: PodTemplate
metadata: { name: pt }
template: { metadata: { labels: { app: pt } }, spec: { containers: [{ name: c, image: i }] } }
---
apiVersion: apps/v1
kind: ControllerRevision
metadata: { name: rev }
revision: 3
data: { a: b }
---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: { name: lease }
spec: { holderIdentity: me, leaseDurationSeconds: 15 }
---
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: { name: rtc }
handler: runsc
---
apiVersion: networking.k8s.io/v1
kind: ServiceCIDR
metadata: { name: more }
spec: { cidrs: [10.200.0.0/16] }
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: { name: vap }
spec:
  matchConstraints: { resourceRules: [{ apiGroups: [x.example.com], apiVersions: ["*"], resources: ["*"], operations: [CREATE] }] }
  validations: [{ expression: "true" }]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: { name: vwc }
webhooks:
- name: w.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  clientConfig: { url: "https://192.0.2.1/" }
  rules: [{ apiGroups: [x.example.com], apiVersions: ["*"], resources: ["*"], operations: [CREATE] }]
---
apiVersion: v1
kind: Event
metadata: { name: pod.1 }
involvedObject: { apiVersion: v1, kind: Pod, namespace: shared, name: pod }
type: Normal
reason: Started
message: Container started
source: { component: kubelet, host: node-a }
firstTimestamp: "2026-01-01T00:00:00Z"
lastTimestamp: "2026-01-01T00:00:10Z"
count: 3
---
apiVersion: v1
kind: Event
metadata: { name: pod.2 }
involvedObject: { apiVersion: v1, kind: Pod, namespace: shared, name: pod }
type: Warning
reason: BackOff
message: Back-off restarting failed container
source: { component: kubelet, host: node-a }
firstTimestamp: "2026-01-01T00:00:20Z"
lastTimestamp: "2026-01-01T00:00:20Z"
count: 1
`;
