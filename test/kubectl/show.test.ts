// What only looks: get in every form, watch, describe of every kind, explain, events, logs, top, discovery.
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll } from 'vitest';
import { everyKind } from './every-kind.ts';
import { type Followed, type Row, withEveryKubectl } from './sessions.ts';

const merge = 'application/merge-patch+json';
let kubelet: Server | undefined;

const { rows, work } = withEveryKubectl('ends', async ({ ok, server }) => {
  await server.call('POST', '/api/v1/nodes', { body: { metadata: { name: 'node-a', labels: { disk: 'ssd' } } } });
  await ok('apply -f -', { input: everyKind });
  const serving = server.pki.nodes['node-a']?.serving;
  kubelet = createServer({ key: serving?.keyPem, cert: serving?.certificatePem }, (incoming, answer) => {
    const asked = new URL(incoming.url ?? '/', 'https://node-a');
    if (asked.pathname.startsWith('/containerLogs/')) answer.end(`${asked.pathname}${asked.search}\n`);
    else answer.end(JSON.stringify(usage));
  });
  await new Promise<void>((resolve) => kubelet?.listen(0, '127.0.0.1', resolve));
  const capacity = { cpu: '2', memory: '6Mi', pods: '110' };
  const { port } = kubelet.address() as AddressInfo;
  await server.call('PATCH', '/api/v1/nodes/node-a/status', {
    body: {
      status: {
        addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
        daemonEndpoints: { kubeletEndpoint: { Port: port } },
        capacity,
        allocatable: capacity,
        conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'up' }],
        nodeInfo: {
          kubeletVersion: 'v1.36.2',
          osImage: 'Debian',
          kernelVersion: '6.1',
          containerRuntimeVersion: 'x://1',
        },
      },
    },
    type: merge,
  });
  const running = { running: { startedAt: '2026-01-01T00:00:00Z' } };
  const status = { image: 'nginx:1', imageID: 'sha', ready: true, started: true, state: running };
  await server.call('PATCH', '/api/v1/namespaces/shared/pods/pod/status', {
    body: {
      status: {
        phase: 'Running',
        podIP: '10.1.2.3',
        podIPs: [{ ip: '10.1.2.3' }],
        hostIP: '127.0.0.1',
        conditions: [{ type: 'Ready', status: 'True' }],
        initContainerStatuses: [
          { ...status, name: 'init', restartCount: 0, state: { terminated: { exitCode: 0, reason: 'Completed' } } },
        ],
        containerStatuses: [
          { ...status, name: 'c', restartCount: 2, lastState: { terminated: { exitCode: 137, reason: 'OOMKilled' } } },
          { ...status, name: 'side', restartCount: 0 },
        ],
      },
    },
    type: merge,
  });
});
afterAll(async () => {
  kubelet?.closeAllConnections();
  await new Promise((resolve) => (kubelet ? kubelet.close(resolve) : resolve(undefined)));
});

const started = '2026-01-01T00:00:00Z';
const used = { time: '2026-01-01T00:01:40Z', usageCoreNanoSeconds: 10e9 };
const container = (name: string) => ({ name, startTime: started, cpu: used, memory: { workingSetBytes: 1 << 20 } });
const usage = {
  node: { nodeName: 'node-a', startTime: started, cpu: used, memory: { workingSetBytes: 3 << 20 } },
  pods: [{ podRef: { namespace: 'shared', name: 'pod' }, containers: [container('c'), container('side')] }],
};

rows('gets in every form', [
  ['-n shared get pods', /^NAME +READY +STATUS +RESTARTS +AGE\npod +2\/2 +Running +2( \(.+ ago\))? +\S+\n$/],
  [
    '-n shared get pods -o wide',
    /^NAME +READY +STATUS +RESTARTS +AGE +IP +NODE +NOMINATED NODE +READINESS GATES\npod .* 10\.1\.2\.3 +node-a +<none> +<none>\n$/,
  ],
  ['-n shared get pods --no-headers', /^pod +2\/2/],
  ['-n shared get pods --show-labels', /LABELS\npod .* app=a\n$/],
  ['-n shared get pods -L app', /APP\npod .* a\n$/],
  ['-n shared get pods --show-kind', /^NAME .*\npod\/pod /],
  ['-n shared get pods pod -o yaml', /^apiVersion: v1\nkind: Pod\nmetadata:\n/],
  ['-n shared get pod/pod -o json', /^\{\n {4}"apiVersion": "v1",\n {4}"kind": "Pod",/],
  ['-n shared get pods -o name', 'pod/pod\n'],
  ["-n shared get pods -o jsonpath='{.items[*].metadata.name}'", 'pod'],
  [
    `-n shared get pods -o jsonpath='{range .items[*]}{.metadata.name}{"\\t"}{.status.phase}{"\\n"}{end}'`,
    'pod\tRunning\n',
  ],
  [`-n shared get pod pod -o jsonpath='{.spec.containers[?(@.name=="side")].image}'`, 'busybox:1'],
  ["-n shared get pods -o go-template='{{range .items}}{{.metadata.name}} {{end}}'", 'pod '],
  ['-n shared get pods -o custom-columns=NAME:.metadata.name,NODE:.spec.nodeName', 'NAME   NODE\npod    node-a\n'],
  ['-n shared get pods --server-print=false', /^NAME +AGE\npod /],
  ['-n shared get cm --sort-by=.metadata.name', /^NAME +DATA +AGE\ncm +2 /],
  [
    '-n shared get cm,secret,sa',
    /configmap\/cm +2 [^]*NAME +TYPE +DATA +AGE\nsecret\/secret +Opaque +1 [^]*NAME +(SECRETS +)?AGE\n/,
  ],
  ['-n shared get events --chunk-size=1 -o name', 'event/pod.1\nevent/pod.2\n'],
  ['-n shared get pods --field-selector=metadata.name=pod,status.phase=Running -o name', 'pod/pod\n'],
  [
    '-n shared get pods --field-selector=spec.nodeName!=node-a',
    '',
    { err: 'No resources found in shared namespace.\n' },
  ],
  ['!get pods --field-selector=spec.nosuch=1', /field label not supported: spec\.nosuch/],
  ['get pods -A -l app=a', /^NAMESPACE +NAME .*\nshared +pod /],
  ["-n shared get pods -l 'app in (a,b),!x' -o name", 'pod/pod\n'],
  ["!get pods -l 'a b'", /unable to parse requirement/],
  [
    '-n shared get pods,deploy,svc',
    /pod\/pod [^]*service\/svc [^]*deployment\.apps\/deploy |pod\/pod [^]*deployment\.apps\/deploy [^]*service\/svc /,
  ],
  [
    '-n shared get all',
    /pod\/pod [^]*replicationcontroller\/rc [^]*service\/svc [^]*daemonset\.apps\/ds [^]*deployment\.apps\/deploy [^]*replicaset\.apps\/rs [^]*statefulset\.apps\/sts [^]*horizontalpodautoscaler\.autoscaling\/hpa [^]*cronjob\.batch\/cj [^]*job\.batch\/job /,
  ],
  ['-n shared get deploy deploy --subresource=scale', /^NAME +DESIRED +AVAILABLE +AGE\ndeploy +2 +0 /],
  ['-n shared get deploy deploy --subresource=status -o jsonpath={.kind}', 'Deployment'],
  ['get --raw /readyz', 'ok'],
  ['get --raw /api/v1/namespaces/shared/pods/pod', /"kind":"Pod"/],
  ['!get --raw /nosuch', 'Error from server (NotFound): the server could not find the requested resource\n'],
  ['!get pod nope', 'Error from server (NotFound): pods "nope" not found\n'],
  ['get pod nope --ignore-not-found', ''],
  ['!-n shared get pod pod nope', 'Error from server (NotFound): pods "nope" not found\n'],
  ['!get nosuch', 'error: the server doesn\'t have a resource type "nosuch"\n'],
  ['!get', /^You must specify the type of resource to get/],
  ['!get pods -o nonsense', /unable to match a printer suitable for the output format "nonsense"/],
  ['get pods', '', { err: 'No resources found in VERSION namespace.\n' }],
  [
    'get componentstatuses',
    /^NAME +STATUS +MESSAGE +ERROR\n/,
    { err: 'Warning: v1 ComponentStatus is deprecated in v1.19+\n' },
  ],
  ['get apiservices v1.apps', /^NAME +SERVICE +AVAILABLE +AGE\nv1\.apps +Local +True /],
  ['get --raw /api/v1/namespaces/shared/configmaps?limit=1', /"remainingItemCount":|"items":\[/],
]);

rows('gets every kind as its own table', [
  [
    '-n shared get cronjob -o wide',
    /^NAME +SCHEDULE +TIMEZONE +SUSPEND +ACTIVE +LAST SCHEDULE +AGE +CONTAINERS +IMAGES +SELECTOR\ncj +0 \* \* \* \* +Etc\/UTC +False +0 +<none> /,
  ],
  [
    '-n shared get jobs -o wide',
    /^NAME +STATUS +COMPLETIONS +DURATION +AGE +CONTAINERS +IMAGES +SELECTOR\njob +Running +0\/3 /,
  ],
  ['-n shared get sts -o wide', /^NAME +READY +AGE +CONTAINERS +IMAGES\nsts +0\/1 /],
  [
    '-n shared get ds -o wide',
    /^NAME +DESIRED +CURRENT +READY +UP-TO-DATE +AVAILABLE +NODE SELECTOR +AGE +CONTAINERS +IMAGES +SELECTOR\nds +0 +0 +0 +0 +0 +disk=ssd /,
  ],
  [
    '-n shared get ing,networkpolicy',
    /NAME +CLASS +HOSTS +ADDRESS +PORTS +AGE\ningress\S+\/ing +ic +a\.example\.com +80, 443 [^]*NAME +POD-SELECTOR +AGE\nnetworkpolicy\S+\/np +app=a /,
  ],
  [
    'get pv pv',
    /^NAME +CAPACITY +ACCESS MODES +RECLAIM POLICY +STATUS +CLAIM +STORAGECLASS +VOLUMEATTRIBUTESCLASS +REASON +AGE\npv +1Gi +RWO +Retain +\S+ +shared\/pvc +slow +<unset> /,
  ],
  [
    '-n shared get pvc',
    /^NAME +STATUS +VOLUME +CAPACITY +ACCESS MODES +STORAGECLASS +VOLUMEATTRIBUTESCLASS +AGE\npvc +Pending +slow +<unset> /,
  ],
  [
    'get sc',
    /^NAME +PROVISIONER +RECLAIMPOLICY +VOLUMEBINDINGMODE +ALLOWVOLUMEEXPANSION +AGE\nslow \(default\) +example\.com\/slow +Delete +Immediate +false /,
  ],
  [
    '-n shared get hpa',
    /^NAME +REFERENCE +TARGETS +MINPODS +MAXPODS +REPLICAS +AGE\nhpa +Deployment\/deploy +cpu: <unknown>\/50% +1 +4 +0 /,
  ],
  ['-n shared get endpointslice slice', /^NAME +ADDRESSTYPE +PORTS +ENDPOINTS +AGE\nslice +IPv4 +80 +10\.1\.2\.3 /],
  ['-n shared get quota', /^NAME +(AGE +REQUEST +LIMIT|REQUEST +LIMIT +AGE)\nquota /],
  [
    'get node node-a -o wide',
    /^NAME +STATUS +ROLES +AGE +VERSION +INTERNAL-IP +EXTERNAL-IP +OS-IMAGE +KERNEL-VERSION +CONTAINER-RUNTIME\nnode-a +Ready +<none> +\S+ +v1\.36\.2 +127\.0\.0\.1 +<none> +Debian +6\.1 +x:\/\/1\n$/,
  ],
  [
    '-n shared get events',
    /^LAST SEEN +TYPE +REASON +OBJECT +MESSAGE\n\S+ +Normal +Started +pod\/pod +Container started\n\S+ +Warning +BackOff +pod\/pod +Back-off/,
  ],
  [
    '-n shared get events -o wide',
    /^LAST SEEN +TYPE +REASON +OBJECT +SUBOBJECT +SOURCE +MESSAGE +FIRST SEEN +COUNT +NAME\n.* kubelet, node-a +Container started +\S+ +3 +pod\.1\n/,
  ],
  [
    'get clusterrolebinding crb -o wide',
    /^NAME +ROLE +AGE +USERS +GROUPS +SERVICEACCOUNTS\ncrb +ClusterRole\/cr +\S+ +g/,
  ],
]);

const described: [what: string, shape: RegExp][] = [
  [
    'cm cm',
    /^Name: +cm\nNamespace: +shared\nLabels: +app=a\nAnnotations: +note: here\n\nData\n====\nkey:\n----\nvalue\n\n+BinaryData\n====\nbin: 3 bytes\n\n+Events: +<none>\n$/,
  ],
  ['secret secret', /^Name: +secret\n[^]*Type: +Opaque\n\nData\n====\npassword: +5 bytes\n/],
  ['sa sa', /Image pull secrets: +secret\nMountable secrets: +<none>\nTokens: +<none>\nEvents: +<none>\n/],
  [
    'pod pod',
    /Service Account: +sa\nNode: +node-a\/127\.0\.0\.1\n[^]*Status: +Running\nIP: +10\.1\.2\.3\nIPs:\n {2}IP: +10\.1\.2\.3\nInit Containers:\n {2}init:\n[^]*Reason: +Completed\n[^]*Containers:\n {2}c:\n[^]*Port: +80\/TCP( \(http\))?\n[^]*Last State: +Terminated\n {6}Reason: +OOMKilled\n {6}Exit Code: +137\n[^]*Restart Count: +2\n {4}Limits:\n {6}cpu: +1\n {6}memory: +2Mi\n {4}Requests:\n {6}cpu: +100m\n[^]*Liveness: +http-get http:\/\/:http\/healthz delay=0s timeout=1s period=7s #success=1 #failure=3\n {4}Readiness: +exec \[ready\] [^]*Environment Variables from:\n {6}secret +Secret +Optional: false\n {4}Environment:\n {6}PLAIN: +x\n {6}FROM: +<set to the key 'key' of config map 'cm'> +Optional: false\n {6}FIELD: +\(v1:status\.podIP\)\n[^]*Mounts:\n {6}\/conf from conf \(ro\)\n {6}\/data from data \(rw\)\n[^]*QoS Class: +Burstable\nNode-Selectors: +disk=ssd\nTolerations: +k:NoSchedule op=Exists\n[^]*Events: +<none>\n$/,
  ],
  [
    'rc rc',
    /Replicas: +0 current \/ 0 desired\nPods Status: +0 Running \/ 0 Waiting \/ 0 Succeeded \/ 0 Failed\nPod Template:\n/,
  ],
  ['rs rs', /Replicas: +0 current \/ 0 desired\n/],
  [
    'deploy deploy',
    /Replicas: +2 desired \| 0 updated \| 0 total \| 0 available \| 0 unavailable\nStrategyType: +RollingUpdate\nMinReadySeconds: +0\nRollingUpdateStrategy: +25% max unavailable, 25% max surge\n/,
  ],
  ['ds ds', /Node-Selector: +disk=ssd\n[^]*Desired Number of Nodes Scheduled: 0\n/],
  [
    'sts sts',
    /Replicas: +1 desired \| 0 total\nUpdate Strategy: +RollingUpdate\n {2}Partition: +0\n[^]*Volume Claims:\n {2}Name: +data\n/,
  ],
  [
    'job job',
    /Parallelism: +2\nCompletions: +3\nCompletion Mode: +NonIndexed\n(Suspend: +false\nBackoff Limit: +6\n)?[^]*Pods Statuses: +0 Active (\(0 Ready\) )?\/ 0 Succeeded \/ 0 Failed\n/,
  ],
  [
    'cj cj',
    /Schedule: +0 \* \* \* \*\nConcurrency Policy: +Allow\nSuspend: +False\nSuccessful Job History Limit: +3\nFailed Job History Limit: +1\n/,
  ],
  [
    'svc svc',
    /Selector: +app=a\nType: +ClusterIP\nIP Family Policy: +SingleStack\nIP Families: +IPv4\nIP: +10\.\S+\nIPs: +10\.\S+\nPort: +http +80\/TCP\nTargetPort: +8080\/TCP\nEndpoints: +(<none>)?\nSession Affinity: +None\n/,
  ],
  [
    'endpoints ep',
    /Subsets:\n {2}Addresses: +10\.1\.2\.3\n {2}NotReadyAddresses: +<none>\n {2}Ports:\n {4}Name +Port +Protocol\n/,
  ],
  [
    'endpointslice slice',
    /AddressType: +IPv4\nPorts:\n {2}Name +Port +Protocol\n[^]*Endpoints:\n {2}- Addresses: +10\.1\.2\.3\n {4}Conditions:\n {6}Ready: +true\n/,
  ],
  ['ingressclass ic', /Controller: +example\.com\/ingress\n/],
  [
    'ing ing',
    /Ingress Class: +ic\nDefault backend: +svc:http \(.*\)\nTLS:\n {2}secret terminates a\.example\.com\nRules:\n {2}Host +Path +Backends\n[^]*a\.example\.com +\n +\/ +svc:80 /,
  ],
  [
    'netpol np',
    /Spec:\n {2}PodSelector: +app=a\n {2}Allowing ingress traffic:\n {4}To Port: 80\/TCP\n {4}From:\n {6}PodSelector: <none>\n {2}Not affecting egress traffic\n {2}Policy Types: Ingress\n/,
  ],
  [
    'pv pv',
    /StorageClass: +slow\nStatus: +\S+\nClaim: +shared\/pvc\nReclaim Policy: +Retain\nAccess Modes: +RWO\nVolumeMode: +Filesystem\nCapacity: +1Gi\nNode Affinity: +<none>\nMessage: +\nSource:\n {4}Type: +HostPath /,
  ],
  ['pvc pvc', /StorageClass: +slow\nStatus: +Pending\n[^]*VolumeMode: +Filesystem\nUsed By: +pod\n/],
  [
    'sc slow',
    /IsDefaultClass: +Yes\n[^]*Provisioner: +example\.com\/slow\nParameters: +kind=disk\nAllowVolumeExpansion: +<unset>\nMountOptions: +<none>\nReclaimPolicy: +Delete\nVolumeBindingMode: +Immediate\n/,
  ],
  ['csinode node-a', /Drivers:\n {4}csi\.example\.com:\n {6}Node ID: +some\n {6}Topology Keys: +\[zone\]\n/],
  [
    'limits limits',
    /Type +Resource +Min +Max +Default Request +Default Limit +Max Limit\/Request Ratio\n.*\nContainer +cpu +- +2 +1 +1 +-\n/,
  ],
  ['quota quota', /^Name: +quota\nNamespace: +shared\nResource +Used +Hard\n-+ +-+ +-+\n/],
  [
    'hpa hpa',
    /Reference: +Deployment\/deploy\nMetrics: +\( current \/ target \)\n {2}resource cpu on pods +\(as a percentage of request\): +<unknown> \/ 50%\nMin replicas: +1\nMax replicas: +4\n/,
  ],
  [
    'pdb pdb',
    /Min available: +1\nSelector: +app=a\nStatus:\n {4}Allowed disruptions: +0\n {4}Current: +0\n {4}Desired: +0\n {4}Total: +0\n/,
  ],
  [
    'pc pc',
    /Value: +1000\nGlobalDefault: +false\nPreemptionPolicy: +PreemptLowerPriority\nDescription: +of some weight\n/,
  ],
  [
    'role role',
    /PolicyRule:\n {2}Resources +Non-Resource URLs +Resource Names +Verbs\n.*\n {2}pods +\[\] +\[a\] +\[get list\]\n/,
  ],
  [
    'rolebinding rb',
    /Role:\n {2}Kind: +Role\n {2}Name: +role\nSubjects:\n {2}Kind +Name +Namespace\n.*\n {2}ServiceAccount +sa +shared\n {2}User +u +\n/,
  ],
  ['clusterrole cr', /\[\/metrics\] +\[\] +\[get\]\n/],
  ['clusterrolebinding crb', / {2}Group +g +\n/],
  [
    'node node-a',
    /Taints: +\S.*\nUnschedulable: +false\n[^]*Conditions:\n {2}Type +Status +LastHeartbeatTime +LastTransitionTime +Reason +Message\n[^]*KubeletReady +up\n[^]*Capacity:\n {2}cpu: +2\n[^]*Non-terminated Pods: +\(1 in total\)\n[^]*shared +pod +100m \(5%\) +\d+ \(\d+%\) +1Mi \(16%\) [^]*Allocated resources:\n/,
  ],
  ['ns shared', /Status: +Active\n\nResource Quotas\n {2}Name: +quota\n[^]*Resource Limits\n Type +Resource /],
  ['podtemplate pt', /Template:\n {2}Metadata:\n/],
  [
    'controllerrevision rev',
    /Data:\n {2}A: +b\nEvents: +<none>\nKind: +ControllerRevision|Kind: +ControllerRevision\n[^]*Revision: +3\n/,
  ],
  ['lease lease', /Spec:\n[^]* {2}Holder Identity: +me\n {2}Lease Duration Seconds: +15\n/],
  ['runtimeclass rtc', /Handler: +runsc\n/],
  ['csidriver csi.example.com', /Spec:\n {2}Attach Required: +false\n/],
  ['validatingadmissionpolicy vap', /Validations:\n {4}Expression: +true\n/],
  ['validatingwebhookconfiguration vwc', /Webhooks:\n {2}Admission Review Versions:\n {4}v1\n/],
  ['crd -l none=1', /^$/],
  ['flowschema exempt', /Spec:\n {2}Matching Precedence: +1\n {2}Priority Level Configuration:\n/],
  ['apiservice v1.apps', /Status:\n {2}Conditions:\n[^]*Local APIServices are always available\n/],
];
rows(
  'describes every kind',
  described.map(([what, shape]): Row => [`-n shared describe ${what}`, shape]),
);
rows('describes several, by label, by prefix, and what is not there', [
  // From 1.29 to 1.32 it asks for the alpha or the beta of this kind, which Kubernetes 1.36 has no more.
  ['-n shared describe servicecidr more', /^Name: +more\n[^]*10\.200\.0\.0\/16/, { since: 33 }],
  ['-n shared describe cm,secret', /^Name: +cm\n[^]*\nName: +secret\n/],
  ['-n shared describe -l app=a cm', /^Name: +cm\n/],
  ['-n shared describe deploy dep', /^Name: +deploy\n/],
  ['!describe pod nope', 'Error from server (NotFound): pods "nope" not found\n'],
  ['-n shared describe pod pod --show-events=false', /^(?![^]*Events:)/],
]);

rows('explains', [
  ['explain pods', /^KIND: +Pod\nVERSION: +v1\n\nDESCRIPTION:\n/],
  ['explain pods.spec.containers', /FIELD: containers <\[\]Container>/],
  ['explain pods.spec.restartPolicy', /ENUM:\n( {4}\w+\n)*|FIELD: restartPolicy <string>/],
  [
    'explain deploy.spec.strategy --recursive',
    /rollingUpdate\t<RollingUpdateDeployment>\n {4}maxSurge\t<IntOrString>\n {4}maxUnavailable\t<IntOrString>\n/,
  ],
  ['explain hpa --api-version=autoscaling/v1', /VERSION: +v1\n/],
  ['explain pod.spec.containers.resources --output=plaintext-openapiv2', /RESOURCE: resources/],
  ['explain pod.spec.containers.livenessProbe', /DESCRIPTION:\n +\w[^]*periodSeconds[^]*Default 10\./],
  [
    'explain pod.spec.containers.livenessProbe --output=plaintext-openapiv2',
    /DESCRIPTION:\n +\w[^]*periodSeconds[^]*Default 10\./,
  ],
  ['explain pod.spec.restartPolicy', /Default\s+Always\.[^]*`"OnFailure"`: /],
  ['!explain pods.spec.nosuch', /field "nosuch" does not exist/],
  ['!explain nosuch', /the server doesn't have a resource type "nosuch"|couldn't find resource for/],
]);

rows('tells of events', [
  [
    '-n shared events',
    /^LAST SEEN +TYPE +REASON +OBJECT +MESSAGE\n.* Normal +Started +Pod\/pod +Container started\n.* Warning +BackOff +Pod\/pod /,
  ],
  ['-n shared events --types=Warning', /^LAST SEEN .*\n.* Warning +BackOff .*\n$/],
  ['-n shared events --for pod/pod --no-headers', /^.* Started .*\n.* BackOff .*\n$/],
  ['-n shared events --for pod/pod -o json', /"kind": "(Event)?List"/],
  ['-n shared events --for pod/other', '', { err: 'No events found in shared namespace.\n' }],
  ['!events --types=Odd', /valid --types are Normal or Warning/],
]);

rows('reads logs as it is told to', [
  ['-n shared logs pod -c c', '/containerLogs/shared/pod/c\n'],
  [
    '-n shared logs pod',
    '/containerLogs/shared/pod/c\n',
    { err: 'Defaulted container "c" out of: c, side, init (init)\n' },
  ],
  [
    '-n shared logs pod -c c --tail=5 --since=1h --timestamps --limit-bytes=900',
    '/containerLogs/shared/pod/c?timestamps=true&sinceSeconds=3600&tailLines=5&limitBytes=900\n',
  ],
  [
    '-n shared logs pod c --previous --since-time=2026-01-01T00:00:00Z',
    '/containerLogs/shared/pod/c?previous=true&sinceTime=2026-01-01T00%3A00%3A00Z\n',
  ],
  [
    '-n shared logs pod --all-containers --prefix',
    /^(?=[^]*\[pod\/pod\/init\] \S+\/init\n)(?=[^]*\[pod\/pod\/side\] \S+\/side\n)[^]*\[pod\/pod\/c\] \S+\/c\n/,
  ],
  ['-n shared logs -l app=a -c side', '/containerLogs/shared/pod/side?tailLines=10\n'],
  ['-n shared logs -f pod -c c', '/containerLogs/shared/pod/c?follow=true\n'],
  ['!logs nope', /^(Error|error: error) from server \(NotFound\): pods "nope" not found( in namespace "VERSION")?\n$/],
  ['!-n shared logs pod -c nope', 'error: container nope is not valid for pod pod\n'],
]);

rows('tops', [
  [
    'top node node-a',
    /^NAME +CPU\(cores\) +CPU(%|\(%\)) +MEMORY\(bytes\) +MEMORY(%|\(%\)) *\nnode-a +100m +5% +3Mi +50% *\n$/,
  ],
  ['-n shared top pods', /^NAME +CPU\(cores\) +MEMORY\(bytes\) *\npod +200m +2Mi *\n$/],
  [
    '-n shared top pod pod --containers',
    /^POD +NAME +CPU\(cores\) +MEMORY\(bytes\) *\npod +c +100m +1Mi *\npod +side +100m +1Mi *\n$/,
  ],
  ['top pods -A --sum --sort-by=cpu', /^NAMESPACE +NAME .*\nshared +pod +200m +2Mi *\n +_+ +_+ *\n +200m +2Mi *\n$/],
  ['!top pod nope', /podmetrics\.metrics\.k8s\.io "VERSION\/nope" not found/],
  ['top pods', '', { err: 'No resources found in VERSION namespace.\n' }],
]);

rows('tells what the server is and has', [
  ['version', /^(WARNING.*\n)?Client Version: .*\nKustomize Version: .*\nServer Version: .*v?1\.36\.\d+\+sampan/],
  ['version -o json', /"serverVersion": \{\n(.*\n)* {4}"gitVersion": "v1\.36\.\d+\+sampan/],
  ['cluster-info', /control plane.* is running at .*https:\/\/127\.0\.0\.1:\d+/],
  ['cluster-info dump', /"kind": "NodeList"[^]*"kind": "PodList"/],
  ['api-versions', /^admissionregistration\.k8s\.io\/v1\n[^]*metrics\.k8s\.io\/v1beta1\n[^]*\nv1\n$/],
  [
    'api-resources --api-group=apps',
    /^NAME +SHORTNAMES +APIVERSION +NAMESPACED +KIND\ncontrollerrevisions +apps\/v1 +true +ControllerRevision\n[^]*deployments +deploy +apps\/v1 +true +Deployment\n/,
  ],
  ['api-resources --namespaced=false --verbs=list,get -o name', /\nnodes\n[^]*\nstorageclasses\.storage\.k8s\.io\n/],
  ['api-resources --categories=all --sort-by=name --no-headers', /^cronjobs +cj +batch\/v1 +true +CronJob\n/],
  [
    'api-resources -o wide',
    /\npods +po +v1 +true +Pod +\S*create,delete,deletecollection,get,list,patch,update,watch\S* +all\n/,
  ],
]);

/** What prints nothing at first is watching once it has seen something: until then, it is given something to see. */
async function untilSeen(followed: Followed, happen: () => Promise<unknown>, pattern: RegExp): Promise<void> {
  let isOver = false;
  const seen = followed.until(pattern).finally(() => {
    isOver = true;
  });
  seen.catch(() => {});
  while (!isOver) {
    await happen();
    await Promise.race([seen, new Promise((resolve) => setTimeout(resolve, 250))]);
  }
  await seen;
}

work('watches as things happen', async ({ follow, server, name: namespace }) => {
  const path = `/api/v1/namespaces/${namespace}/configmaps`;
  const make = (name: string) => server.call('POST', path, { body: { metadata: { name } } });
  await make('first');
  const all = follow('get cm --watch --output-watch-events');
  const names = follow('get cm --watch-only -o name');
  const one = follow('get cm first -w -o jsonpath={.data.n};');
  const events = follow('events --watch');
  let made = 0;
  try {
    await all.until(/^EVENT +NAME +DATA +AGE\nADDED +first +0 /);
    await one.until(/^;$/);
    await untilSeen(names, () => make(`made-${made++}`), /^configmap\/made-\d+\n/);
    await server.call('PATCH', `${path}/first`, { body: { data: { n: 'x' } }, type: merge });
    await one.until(/^;x;$/);
    await all.until(/\nMODIFIED +first +1 /);
    await server.call('DELETE', `${path}/first`);
    await all.until(/\nDELETED +first +1 /);
    const involvedObject = { apiVersion: 'v1', kind: 'ConfigMap', namespace, name: 'first' };
    const event = { metadata: { generateName: 'e' }, involvedObject, reason: 'Seen', type: 'Normal', message: 'm' };
    const tell = () => server.call('POST', `/api/v1/namespaces/${namespace}/events`, { body: event });
    await untilSeen(events, tell, / Seen +ConfigMap\/first +m\n/);
  } finally {
    await Promise.all([all, names, one, events].map((each) => each.end()));
  }
});
