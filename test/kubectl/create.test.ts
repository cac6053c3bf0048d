// `create` with every generator, `run`, `expose`, `autoscale`, and the ways to delete.
import { withEveryKubectl } from './sessions.ts';

const { rows, work } = withEveryKubectl('newer');

const yaml = (path: string) => `-o jsonpath={${path}}`;

rows('creates with every generator', [
  ['create ns team-VERSION', 'namespace/team-VERSION created\n'],
  ['!create ns team-VERSION', 'Error from server (AlreadyExists): namespaces "team-VERSION" already exists\n'],
  ['create role r1 --verb=get,list --resource=pods,deployments.apps', 'role.rbac.authorization.k8s.io/r1 created\n'],
  [`get role r1 ${yaml('.rules[*].apiGroups')}`, '[""] ["apps"]'],
  ['create role r2 --verb=get --resource=pods --resource-name=a', 'role.rbac.authorization.k8s.io/r2 created\n'],
  ['!create role r3 --verb=get', 'error: at least one resource must be specified\n'],
  [
    '!create role r3 --verb=get --resource=nosuch',
    /the server doesn't have a resource type "nosuch"|cannot get REST mapping/,
  ],
  [
    'create rolebinding rb1 --role=r1 --serviceaccount=VERSION:default',
    'rolebinding.rbac.authorization.k8s.io/rb1 created\n',
  ],
  [
    'get rolebinding rb1 -o wide',
    /NAME +ROLE +AGE +USERS +GROUPS +SERVICEACCOUNTS\nrb1 +Role\/r1 .* VERSION\/default\n/,
  ],
  [
    'create clusterrole cr1-VERSION --verb=get --non-resource-url=/metrics',
    'clusterrole.rbac.authorization.k8s.io/cr1-VERSION created\n',
  ],
  [
    'create clusterrole cr2-VERSION --aggregation-rule=a.example.com/x=true',
    'clusterrole.rbac.authorization.k8s.io/cr2-VERSION created\n',
  ],
  [
    'create clusterrolebinding crb1-VERSION --clusterrole=cr1-VERSION --group=g --user=u',
    'clusterrolebinding.rbac.authorization.k8s.io/crb1-VERSION created\n',
  ],
  ['create secret generic s1 --from-literal=a=b', 'secret/s1 created\n'],
  ['create secret docker-registry s2 --docker-username=u --docker-password=p', 'secret/s2 created\n'],
  [`get secret s2 ${yaml('.type')}`, 'kubernetes.io/dockerconfigjson'],
  [
    '!create quota q1 --hard=services.nodeports=10,pods=40 --scopes=NotTerminating',
    'error: failed to create quota: ResourceQuota "q1" is invalid: spec.scopes: Invalid value: ["NotTerminating"]: unsupported scope applied to resource\n',
  ],
  ['create quota q1 --hard=services.nodeports=10,pods=40', 'resourcequota/q1 created\n'],
  ['create job j1 --image=busybox -- echo hi', 'job.batch/j1 created\n'],
  ["create cronjob cj1 --image=busybox --schedule='*/5 * * * *' -- date", 'cronjob.batch/cj1 created\n'],
  ['create job j2 --from=cronjob/cj1', 'job.batch/j2 created\n'],
  [`get job j2 ${yaml('.metadata.annotations')}`, '{"cronjob.kubernetes.io/instantiate":"manual"}'],
  ['!create job j3 --from=cronjob/nosuch', 'Error from server (NotFound): cronjobs.batch "nosuch" not found\n'],
  [
    "!create cronjob cj2 --image=busybox --schedule='nonsense'",
    /spec\.schedule: Invalid value: "nonsense": expected exactly 5 fields, found 1/,
  ],
  [
    'create ingress ing1 --class=nginx --rule=foo.com/bar*=svc1:8080,tls=my-cert',
    'ingress.networking.k8s.io/ing1 created\n',
  ],
  ['get ingress ing1', /NAME +CLASS +HOSTS +ADDRESS +PORTS +AGE\ning1 +nginx +foo\.com +80, 443/],
  ['create pdb pdb1 --selector=app=web --min-available=1', 'poddisruptionbudget.policy/pdb1 created\n'],
  ['create pdb pdb2 --selector=app=web --max-unavailable=50%', 'poddisruptionbudget.policy/pdb2 created\n'],
  [
    'get pdb',
    /NAME +MIN AVAILABLE +MAX UNAVAILABLE +ALLOWED DISRUPTIONS +AGE\npdb1 +1 +N\/A +0 .*\npdb2 +N\/A +50% +0 /,
  ],
  [
    'create priorityclass pc1-VERSION --value=1000 --preemption-policy=Never',
    'priorityclass.scheduling.k8s.io/pc1-VERSION created\n',
  ],
  [
    '!create priorityclass pc2-VERSION --value=1000 --global-default --preemption-policy=Sometimes',
    /preemptionPolicy: (Invalid|Unsupported) value: "Sometimes"/,
  ],
  ['create sa sa1', 'serviceaccount/sa1 created\n'],
  ['create service clusterip sc1 --tcp=5678:8080', 'service/sc1 created\n'],
  ['create service clusterip sc2 --clusterip=None', 'service/sc2 created\n'],
  ['create service nodeport sn1 --tcp=5678:8080', 'service/sn1 created\n'],
  ['create service loadbalancer sl1 --tcp=5678:8080', 'service/sl1 created\n'],
  ['create service externalname se1 --external-name=bar.com', 'service/se1 created\n'],
  [
    'get svc sn1 sc2 se1',
    /sn1 +NodePort +10\.\S+ +<none> +5678:3\d+\/TCP .*\nsc2 +ClusterIP +None +<none> +<none> .*\nse1 +ExternalName +<none> +bar\.com +<none> /,
  ],
  ['create configmap cmf --from-literal=k=v', 'configmap/cmf created\n'],
  ['create deployment web --image=nginx --replicas=2 --port=80', 'deployment.apps/web created\n'],
  ['create deployment two --image=nginx,busybox:1 --replicas=0', 'deployment.apps/two created\n'],
  [`get deploy two ${yaml('.spec.template.spec.containers[*].name')}`, 'nginx busybox'],
  ['run p1 --image=nginx --labels=app=p1 --env=A=B --port=80', 'pod/p1 created\n'],
  ['run p2 --image=nginx --expose --port=80', 'service/p2 created\npod/p2 created\n'],
  [`run p3 --image=nginx --overrides={"spec":{"hostNetwork":true}} --restart=Never`, 'pod/p3 created\n'],
  [`get pod p3 ${yaml('.spec.hostNetwork}{.spec.restartPolicy')}`, 'trueNever'],
  ['expose deploy web --port=80 --target-port=8080 --type=NodePort', 'service/web exposed\n'],
  ['expose pod p1 --name=p1-svc --port=8080', 'service/p1-svc exposed\n'],
  ['!expose cm cmf --port=80', 'error: cannot expose a ConfigMap\n'],
  ['autoscale deploy web --min=2 --max=5 --cpu-percent=80', 'horizontalpodautoscaler.autoscaling/web autoscaled\n'],
  [
    'get hpa',
    /NAME +REFERENCE +TARGETS +MINPODS +MAXPODS +REPLICAS +AGE\nweb +Deployment\/web +cpu: <unknown>\/80% +2 +5 +0/,
  ],
  ['create deployment d2 --image=nginx --dry-run=server -o name', 'deployment.apps/d2\n'],
  ['!get deploy d2', 'Error from server (NotFound): deployments.apps "d2" not found\n'],
  ['create deployment d2 --image=nginx --dry-run=client', 'deployment.apps/d2 created (dry run)\n'],
  ['create deployment d2 --image=nginx --dry-run=server', 'deployment.apps/d2 created (server dry run)\n'],
  [
    '!create deployment Bad --image=nginx',
    /error: failed to create deployment: Deployment\.apps "Bad" is invalid: metadata\.name: Invalid value: "Bad": a lowercase RFC 1123 subdomain/,
  ],
]);

const TLS_CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBdjCCAR2gAwIBAgIUNn0sUcsP9XgA
-----END CERTIFICATE-----
`;

work('creates from files', async ({ rows: all, write }) => {
  write('conf/a.txt', 'one');
  write('conf/b.bin', Buffer.from([0xff, 0xfe, 0x74, 0x77, 0x6f]));
  write('vars.env', 'A=1\nB=2\n# a comment\n');
  write('bad.crt', TLS_CERTIFICATE);
  write('bad.key', 'nonsense');
  write(
    'list.yaml',
    'apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: l1}}\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: l2}}\n',
  );
  await all([
    ['create configmap from-dir --from-file=conf', 'configmap/from-dir created\n'],
    ['get configmap from-dir -o jsonpath={.data}{.binaryData}', '{"a.txt":"one"}{"b.bin":"//50d28="}'],
    ['create configmap from-env --from-env-file=vars.env', 'configmap/from-env created\n'],
    ['get configmap from-env -o jsonpath={.data}', '{"A":"1","B":"2"}'],
    ['create secret generic from-file --from-file=key=conf/a.txt', 'secret/from-file created\n'],
    ['get secret from-file -o jsonpath={.data.key}', 'b25l'],
    ['!create secret tls t1 --cert=bad.crt --key=bad.key', /error: (failed to load key pair )?tls: /],
    ['create -f list.yaml', 'configmap/l1 created\nconfigmap/l2 created\n'],
    [
      'create -f - --edit',
      'configmap/edited created\n',
      {
        input: 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: unedited}\n',
        env: { KUBE_EDITOR: 'sed -i s/unedited/edited/' },
      },
    ],
    [
      'create -f - --save-config',
      'configmap/saved created\n',
      'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: saved}\n',
    ],
    ['get cm saved -o jsonpath={.metadata.annotations}', /last-applied-configuration/],
    [
      'create --raw /api/v1/namespaces/VERSION/configmaps -f -',
      /"name":"raw"/,
      '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"raw"}}',
    ],
    [
      'create -f - -o name',
      /^configmap\/gen-[a-z0-9]{5}\n$/,
      'apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: gen-}\n',
    ],
    ['delete -f list.yaml', /^configmap "l1" deleted\S*( from VERSION namespace)?\nconfigmap "l2" deleted/],
    ['!create -f nosuch.yaml', 'error: the path "nosuch.yaml" does not exist\n'],
    ['!create -f -', 'error: no objects passed to create\n', ''],
    ['!create -f -', /error parsing STDIN: error converting YAML to JSON/, 'a: [b\n'],
  ]);
});

const strange = (kind = '') =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: strange${kind}}\ndata: {a: b}\nextra: 1\n`;
rows('validates strictly, with a warning, or not at all', [
  ['!create -f -', /strict decoding error: unknown field "extra"/, strange()],
  ['!create --validate=strict -f -', /strict decoding error: unknown field "extra"/, strange()],
  ['!create --validate=true -f -', /strict decoding error: unknown field "extra"/, strange()],
  [
    'create --validate=warn -f -',
    'configmap/strange created\n',
    { input: strange(), err: 'Warning: unknown field "extra"\n' },
  ],
  ['create --validate=ignore -f -', 'configmap/strange2 created\n', { input: strange('2'), err: '' }],
  ['create --validate=false -f -', 'configmap/strange3 created\n', { input: strange('3'), err: '' }],
  ['!create --validate=maybe -f -', /invalid - validate option "maybe"/, strange('4')],
  [
    '!create -f -',
    /cannot be handled as a Deployment: (json|strict decoding error|.*cannot unmarshal string)/,
    'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: wrong}\nspec: {replicas: many, selector: {}, template: {}}\n',
  ],
  [
    '!create -f -',
    /The Service "s" is invalid: spec\.ports: Required value/,
    'apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {selector: {a: b}}\n',
  ],
]);

rows('deletes', [
  ['delete pod p2 --wait=false', /^pod "p2" deleted( from VERSION namespace)?\n$/],
  [
    'delete pod p1 --force --grace-period=0',
    /^pod "p1" force deleted/,
    { err: /^Warning: Immediate deletion does not wait for confirmation/ },
  ],
  ['delete pod p3 --now', /^pod "p3" deleted/],
  ['delete cm cmf', /^configmap "cmf" deleted/],
  ['!delete cm cmf', 'Error from server (NotFound): configmaps "cmf" not found\n'],
  ['delete cm cmf --ignore-not-found', ''],
  ['delete cm from-dir from-env', /^configmap "from-dir" deleted.*\nconfigmap "from-env" deleted/],
  ['delete cm/saved secret/from-file', /^configmap "saved" deleted.*\nsecret "from-file" deleted/],
  ['delete deploy web --dry-run=server', /^deployment\.apps "web" deleted \(server dry run\)/],
  ['delete deploy web --dry-run=client', /^deployment\.apps "web" deleted \(dry run\)/],
  ['delete deploy,svc -l app=web --wait=false', /^deployment\.apps "web" deleted.*\nservice "web" deleted/],
  ['delete cm --all -o name', /configmap\/edited\n/],
  [
    '!delete ns default',
    'Error from server (Forbidden): namespaces "default" is forbidden: this namespace may not be deleted\n',
  ],
  ['delete cm -l app=none', 'No resources found\n'],
  ['!delete pods', 'error: resource(s) were provided, but no name was specified\n'],
  [
    '!delete cm --field-selector=spec.x=1',
    /"spec\.x" is not a known field selector: only "metadata\.name", "metadata\.namespace"/,
  ],
  ['delete --raw /api/v1/namespaces/VERSION/secrets/s1', /"status":"Success"/],
  ['!delete --raw /api/v1/namespaces/VERSION/secrets/s1', /Error from server \(NotFound\): secrets "s1" not found/],
]);

rows('deletes with every kind of cascade', [
  ['create deployment c1 --image=i --replicas=0', 'deployment.apps/c1 created\n'],
  ['delete deploy c1 --cascade=foreground --wait=false', /^deployment\.apps "c1" deleted/],
  ['get deploy c1 -o jsonpath={.metadata.finalizers}', '["foregroundDeletion"]'],
  ['create deployment c2 --image=i --replicas=0', 'deployment.apps/c2 created\n'],
  ['delete deploy c2 --cascade=orphan --wait=false', /^deployment\.apps "c2" deleted/],
  ['get deploy c2 -o jsonpath={.metadata.finalizers}', '["orphan"]'],
  ['create deployment c3 --image=i --replicas=0', 'deployment.apps/c3 created\n'],
  ['delete deploy c3 --cascade=background', /^deployment\.apps "c3" deleted/],
  ['!get deploy c3', /"c3" not found/],
]);
