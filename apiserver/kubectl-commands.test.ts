// What real kubectl prints, and with which exit code, command by command: the words a user sees, with the oldest and the
// newest kubectl of this machine. Nodes and pods have hand-made states; what needs running containers is in test/e2e.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kubectls } from '../test/kubectls.ts';
import { type Kubectl, kubectlFor } from './testing/kubectl.ts';
import { startTestServer, type TestServer } from './testing/server.ts';

const NS = '/api/v1/namespaces/default';
const all = kubectls();
/** SAMPAN_EVERY_KUBECTL=1 runs every row with every kubectl; otherwise the ends of the range, and most rows once. */
const isWhole = process.env['SAMPAN_EVERY_KUBECTL'] === '1';
const ends = all.filter((_each, index) => isWhole || index === 0 || index === all.length - 1);

/** Command line, the pattern of the output (of stderr when the command fails), the manifest on stdin. `!`: it fails. */
type Row = [command: string, seen: RegExp | string, input?: string];

describe.each(ends)('kubectl %s', (version, binary) => {
  let server: TestServer;
  let kubectl: Kubectl;
  const isNewest = version === all.at(-1)?.[0];
  /** What does not differ by version on the wire is enough once. */
  const once = (title: string, work: () => Promise<void>) => {
    if (isNewest || isWhole) it(title, work);
  };

  beforeAll(async () => {
    server = await startTestServer();
    kubectl = kubectlFor(server, binary);
    await server.call('POST', `${NS}/serviceaccounts`, { body: { metadata: { name: 'default' } } });
    await server.call('POST', '/api/v1/nodes', { body: { metadata: { name: 'node-a' } } });
    await server.call('PATCH', '/api/v1/nodes/node-a', {
      body: { spec: { taints: null } },
      type: 'application/merge-patch+json',
    });
  });
  afterAll(() => server?.stop());

  /** `together`: the commands do not depend on each other. */
  async function rows(table: readonly Row[], together = false): Promise<void> {
    if (together) await Promise.all(table.map((row) => rows([row])));
    else
      for (const [line, wanted, input] of table) {
        const fails = line.startsWith('!');
        const command = fails ? line.slice(1) : line;
        const options = input === undefined ? {} : { input };
        const text = fails ? await kubectl.fails(command, options) : await kubectl.ok(command, options);
        if (typeof wanted === 'string') expect(text, command).toBe(wanted);
        else expect(text, command).toMatch(wanted);
      }
  }

  const configMap = (name: string, value: string, labels = '{}') =>
    `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}, labels: ${labels}}\ndata: {a: "${value}"}\n`;

  once('creates with every generator', () =>
    rows([
      ['create ns team', 'namespace/team created\n'],
      [
        'create role r1 --verb=get,list --resource=pods,deployments.apps',
        'role.rbac.authorization.k8s.io/r1 created\n',
      ],
      ['create rolebinding rb1 --role=r1 --serviceaccount=default:default', /rolebinding\S+\/rb1 created/],
      ['create clusterrole cr1 --verb=get --non-resource-url=/metrics', /clusterrole\S+\/cr1 created/],
      ['create clusterrole cr2 --aggregation-rule=a.example.com/x=true', /clusterrole\S+\/cr2 created/],
      ['create clusterrolebinding crb1 --clusterrole=cr1 --group=g', /clusterrolebinding\S+\/crb1 created/],
      ['create secret generic s1 --from-literal=a=b', 'secret/s1 created\n'],
      ['create secret docker-registry s2 --docker-username=u --docker-password=p', 'secret/s2 created\n'],
      ['create quota q1 --hard=services.nodeports=10', 'resourcequota/q1 created\n'],
      ['create job j1 --image=busybox -- echo hi', 'job.batch/j1 created\n'],
      ["create cronjob cj1 --image=busybox --schedule='*/5 * * * *' -- date", 'cronjob.batch/cj1 created\n'],
      ['create job j2 --from=cronjob/cj1', 'job.batch/j2 created\n'],
      ['create ingress ing1 --rule=foo.com/bar=svc1:8080,tls=my-cert', 'ingress.networking.k8s.io/ing1 created\n'],
      ['create pdb pdb1 --selector=app=web --min-available=1', 'poddisruptionbudget.policy/pdb1 created\n'],
      ['create priorityclass pc1 --value=1000', 'priorityclass.scheduling.k8s.io/pc1 created\n'],
      ['create sa sa1', 'serviceaccount/sa1 created\n'],
      ['create service clusterip sc1 --tcp=5678:8080', 'service/sc1 created\n'],
      ['create service nodeport sn1 --tcp=5678:8080', 'service/sn1 created\n'],
      ['create service loadbalancer sl1 --tcp=5678:8080', 'service/sl1 created\n'],
      ['create service externalname se1 --external-name=bar.com', 'service/se1 created\n'],
      ['create configmap cmf --from-literal=k=v', 'configmap/cmf created\n'],
      ['create deployment web --image=nginx --replicas=2 --port=80', 'deployment.apps/web created\n'],
      ['run p1 --image=nginx --labels=app=p1 --env=A=B --port=80', 'pod/p1 created\n'],
      ['expose deploy web --port=80 --target-port=8080 --type=NodePort', 'service/web exposed\n'],
      ['autoscale deploy web --min=2 --max=5 --cpu-percent=80', 'horizontalpodautoscaler.autoscaling/web autoscaled\n'],
      ['create deployment d2 --image=nginx --dry-run=server -o name', 'deployment.apps/d2\n'],
      ['!get deploy d2', 'Error from server (NotFound): deployments.apps "d2" not found\n'],
      ['!create ns team', 'Error from server (AlreadyExists): namespaces "team" already exists\n'],
      ['get ingress ing1', /ing1 +<none> +foo\.com +80, 443/],
      ['get hpa', /web +Deployment\/web +(cpu: )?<unknown>\/80% +2 +5 +0/],
      ['get svc sn1', /sn1 +NodePort +10\.\S+ +<none> +5678:3\d+\/TCP/],
    ]),
  );

  it('applies, compares, prunes and replaces', () =>
    rows([
      ['apply -f -', 'configmap/cm1 created\n', configMap('cm1', '1', '{app: p}')],
      ['apply -f -', 'configmap/cm1 unchanged\n', configMap('cm1', '1', '{app: p}')],
      ['apply -f -', 'configmap/cm1 configured\n', configMap('cm1', '2', '{app: p}')],
      ['apply --dry-run=server -f -', 'configmap/cm1 configured (server dry run)\n', configMap('cm1', '3', '{app: p}')],
      ['get cm cm1 -o jsonpath={.data.a}', '2'],
      [
        'apply --prune -l app=p --prune-allowlist=core/v1/ConfigMap -f -',
        /configmap\/cm2 created\nconfigmap\/cm1 pruned\n/,
        configMap('cm2', '1', '{app: p}'),
      ],
      ['apply -f -', 'configmap/ssa created\n', configMap('ssa', '1')],
      [
        '!apply --server-side --field-manager=other -f -',
        /Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using v1: \.data\.a\n/,
        configMap('ssa', '9'),
      ],
      [
        'apply --server-side --force-conflicts --field-manager=other -f -',
        'configmap/ssa serverside-applied\n',
        configMap('ssa', '9'),
      ],
      ['replace --force -f -', 'configmap "cm2" deleted\nconfigmap/cm2 replaced\n', configMap('cm2', '5')],
      ['replace -f -', 'configmap/cm2 replaced\n', configMap('cm2', 'blue')],
      [
        '!replace -f -',
        'Error from server (NotFound): error when replacing "STDIN": configmaps "absent" not found\n',
        configMap('absent', '6'),
      ],
      [
        '!apply -f -',
        /Error from server \(BadRequest\): error when creating "STDIN": ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "dat"/,
        'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndat: {}\n',
      ],
      [
        '!apply -f -',
        /no matches for kind "Thing" in version "nosuch\/v1"/,
        'apiVersion: nosuch/v1\nkind: Thing\nmetadata: {name: x}\n',
      ],
    ]));

  it('tells the difference and exits with 1 when there is one', async () => {
    expect((await kubectl('diff -f -', { input: configMap('cm2', 'blue') })).code).toBe(0);
    const seen = await kubectl('diff -f -', { input: configMap('cm2', 'red') });
    expect([seen.code, seen.out]).toEqual([1, expect.stringMatching(/-  a: blue\n\+  a: red\n/)]);
    expect(await kubectl.ok('get cm cm2 -o jsonpath={.data.a}')).toBe('blue');
  });

  once('prunes by a set of applied objects', async () => {
    const apply = (name: string) =>
      kubectl.ok('apply --prune --applyset=set -n default -f -', {
        env: { KUBECTL_APPLYSET: 'true' },
        input: configMap(name, '1'),
      });
    expect(await apply('in-set')).toContain('configmap/in-set created');
    expect(await apply('in-set2')).toBe('configmap/in-set2 created\nconfigmap/in-set pruned\n');
  });

  once('edits', async () => {
    const edited = await kubectl.ok('edit cm cm2', { env: { KUBE_EDITOR: 'sed -i s/blue/green/' } });
    expect(edited).toBe('configmap/cm2 edited\n');
    expect((await kubectl('edit cm cm2', { env: { KUBE_EDITOR: 'true' } })).err).toBe(
      'Edit cancelled, no changes made.\n',
    );
  });

  once('changes what is there', () =>
    rows([
      ['label pod p1 x=y', 'pod/p1 labeled\n'],
      ['!label pod p1 x=z', "error: 'x' already has a value (y), and --overwrite is false\n"],
      ['label pod p1 x=z --overwrite', 'pod/p1 labeled\n'],
      ['label pod p1 x-', 'pod/p1 unlabeled\n'],
      ['label pods --all all=1', /pod\/p1 labeled/],
      ['annotate pod p1 note=hi', /^pod\/p1 annotated?\n$/],
      ['set image deploy/web nginx=nginx:2', 'deployment.apps/web image updated\n'],
      ['set env deploy/web A=B', 'deployment.apps/web env updated\n'],
      ['set env deploy/web --list', '# Deployment web, container nginx\nA=B\n'],
      [
        'set resources deploy/web --limits=cpu=200m,memory=512Mi',
        'deployment.apps/web resource requirements updated\n',
      ],
      ['set serviceaccount deploy/web default', 'deployment.apps/web serviceaccount updated\n'],
      ['set selector svc/sc1 app=x', 'service/sc1 selector updated\n'],
      ['set subject clusterrolebinding crb1 --user=u', /crb1 subjects updated\n/],
      ['scale deploy web --replicas=3', 'deployment.apps/web scaled\n'],
      ['!scale deploy web --current-replicas=1 --replicas=4', /Expected replicas to be 1, was 3/],
      ['get deploy web --subresource=scale', /NAME +DESIRED +AVAILABLE +AGE\nweb +3 +0/],
      [`patch deploy web -p '{"spec":{"replicas":2}}'`, 'deployment.apps/web patched\n'],
      [
        `patch deploy web --type=json -p '[{"op":"replace","path":"/spec/replicas","value":1}]'`,
        'deployment.apps/web patched\n',
      ],
      [`patch deploy web -p '{"spec":{"replicas":1}}'`, 'deployment.apps/web patched (no change)\n'],
      [
        `patch node node-a --subresource=status --type=merge -p '{"status":{"capacity":{"example.com/x":"1"}}}'`,
        'node/node-a patched\n',
      ],
      ['rollout pause deploy/web', 'deployment.apps/web paused\n'],
      ['!rollout pause deploy/web', 'error: deployments.apps "web" is already paused\n'],
      ['rollout resume deploy/web', 'deployment.apps/web resumed\n'],
      ['rollout restart deploy/web', 'deployment.apps/web restarted\n'],
      ['rollout history deploy/web', 'deployment.apps/web \nNo rollout history found.\n'],
      ['!rollout undo deploy/web', 'error: no rollout history found for deployment "web"\n'],
      ['!rollout status deploy/web --timeout=1s', /timed out waiting for the condition/],
      ['wait --for=jsonpath={.spec.replicas}=1 deploy/web', 'deployment.apps/web condition met\n'],
      ['!wait --for=condition=Ready pod/p1 --timeout=1s', /timed out waiting for the condition on pods\/p1/],
      ['taint node node-a k=v:NoSchedule', 'node/node-a tainted\n'],
      ['!taint node node-a k=v:NoSchedule', /already has k taint\(s\) with same effect\(s\) and --overwrite is false/],
      ['taint node node-a k:NoSchedule-', 'node/node-a untainted\n'],
      ['cordon node-a', 'node/node-a cordoned\n'],
      ['get nodes', /node-a +\S+SchedulingDisabled/],
      ['uncordon node-a', 'node/node-a uncordoned\n'],
    ]),
  );

  once('shows', () =>
    rows(
      [
        [
          'get pods -o wide',
          /NAME +READY +STATUS +RESTARTS +AGE +IP +NODE +NOMINATED NODE +READINESS GATES\np1 +0\/1 +Pending/,
        ],
        ['get pods --show-labels', /all=1,app=p1/],
        ['get pods -L app', /APP\np1 .* p1\n/],
        ['get cm --sort-by=.metadata.name -o name', /configmap\/cmf\n/],
        ['get cm --chunk-size=1 -o name', /configmap\/cmf\n/],
        ['get pods --field-selector=metadata.name=p1 -o name', 'pod/p1\n'],
        ['!get pods --field-selector=spec.nosuch=1', /field label not supported: spec\.nosuch/],
        ['get pods -o custom-columns=NAME:.metadata.name,NODE:.spec.nodeName', 'NAME   NODE\np1     <none>\n'],
        [`get pods -o jsonpath='{.items[*].metadata.name}'`, 'p1'],
        [`get pods -o go-template='{{range .items}}{{.metadata.name}} {{end}}'`, 'p1 '],
        ['get --raw /readyz', 'ok'],
        ['!get pod nope', 'Error from server (NotFound): pods "nope" not found\n'],
        ['get pod nope --ignore-not-found', ''],
        ['!get nosuch', 'error: the server doesn\'t have a resource type "nosuch"\n'],
        ['get pods,deploy,svc -A', /default +deployment\.apps\/web/],
        ['get all', /service\/web +NodePort/],
        ['get apiservices v1.apps', /v1\.apps +Local +True/],
        ['get pods --server-print=false', /NAME +AGE\np1/],
        ['describe pod p1', /Status: +Pending/],
        ['describe node node-a', /Name: +node-a/],
        ['describe svc kubernetes', /Endpoints: +192\.0\.2\.1/],
        ['describe deploy web', /Replicas: +1 desired \| 0 updated/],
        ['api-resources --api-group=apps', /deployments +deploy +apps\/v1 +true +Deployment/],
        ['api-versions', /metrics\.k8s\.io\/v1beta1/],
        ['explain pods.spec.containers', /FIELD: containers <\[\]Container>/],
        ['explain deploy.spec.strategy --recursive', /maxSurge/],
        ['explain pod.spec.containers.resources --output=plaintext-openapiv2', /RESOURCE: resources/],
        ['explain pod.spec.containers.livenessProbe', /DESCRIPTION:\n +Tells whether[^]*periodSeconds[^]*Default 10\./],
        [
          'explain pod.spec.containers.livenessProbe --output=plaintext-openapiv2',
          /DESCRIPTION:\n +Tells whether[^]*periodSeconds[^]*Default 10\./,
        ],
        ['explain pod.spec.restartPolicy', /Default\s+Always\.[^]*`"OnFailure"`: /],
        ['!explain pods.spec.nosuch', /field "nosuch" does not exist/],
        ['cluster-info', /control plane.* is running at/],
        ['cluster-info dump', /"kind": "NodeList"/],
        ['__complete get deploy we', /^web\n/],
        ['events', ''],
      ],
      true,
    ),
  );

  once('asks what it may, who it is, and for tokens', () =>
    rows(
      [
        ['auth can-i --list', /\*\.\* +\[\] +\[\] +\[\*\]/],
        ['auth can-i get pods/log', 'yes\n'],
        ['auth can-i get /healthz --as=bob --as-group=system:authenticated', 'yes\n'],
        ['auth whoami', /Username +kubernetes-admin/],
        [
          'auth reconcile -f -',
          /role\S+\/rec reconciled/,
          'apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: rec, namespace: default}\nrules: []\n',
        ],
        ['create token default', /^[\w-]+\.[\w-]+\.[\w-]+\n?$/],
        ['!create token default --duration=10s', /may not specify a duration less than 10 minutes/],
        ['!create token nosuch', /serviceaccounts "nosuch" not found/],
        [
          '!get pods --as=bob',
          'Error from server (Forbidden): pods is forbidden: User "bob" cannot list resource "pods" in API group "" in the namespace "default"\n',
        ],
      ],
      true,
    ),
  );

  once('tells why a pod cannot be spoken to', () =>
    rows([
      ['logs p1', ''],
      ['!exec p1 -- date', 'Error from server (BadRequest): pod p1 does not have a host assigned\n'],
      ['!attach p1', /Error from server \(BadRequest\): pod p1 does not have a host assigned/],
      [
        '!port-forward pod/p1 18080:80',
        'error: unable to forward port because pod is not running. Current status=Pending\n',
      ],
      ['!logs nope', /pods "nope" not found/],
      ['!logs p1 -c nope', /container nope is not valid for pod p1/],
      ['debug p1 --image=busybox -c eph --attach=false', ''],
      ['get pod p1 -o jsonpath={.spec.ephemeralContainers[*].name}', 'eph'],
      ['debug p1 --copy-to=p1c --image=busybox -c dbg --attach=false', ''],
      ['get pod p1c -o jsonpath={.spec.containers[*].name}', 'p1 dbg'],
    ]),
  );

  once('kustomizes', async () => {
    const { mkdirSync, writeFileSync } = await import('node:fs');
    mkdirSync(`${kubectl.dir}/kz`, { recursive: true });
    writeFileSync(`${kubectl.dir}/kz/kustomization.yaml`, 'resources: [cm.yaml]\nnamePrefix: kz-\n');
    writeFileSync(`${kubectl.dir}/kz/cm.yaml`, configMap('base', 'b'));
    await rows([
      ['kustomize kz', /name: kz-base/],
      ['apply -k kz', 'configmap/kz-base created\n'],
      ['diff -k kz', ''],
      ['delete -k kz', /configmap "kz-base" deleted/],
    ]);
  });

  once('deletes', () =>
    rows([
      ['delete pod p1c --wait=false', /pod "p1c" deleted/],
      ['delete pod p1 --force --grace-period=0', /pod "p1" force deleted/],
      ['delete cm cmf', /configmap "cmf" deleted/],
      ['!delete cm cmf', 'Error from server (NotFound): configmaps "cmf" not found\n'],
      ['delete cm cmf --ignore-not-found', ''],
      ['delete deploy,svc -l app=web --wait=false', /deployment\.apps "web" deleted/],
      [
        '!delete ns default',
        'Error from server (Forbidden): namespaces "default" is forbidden: this namespace may not be deleted\n',
      ],
      ['delete cm -l app=none', 'No resources found\n'],
    ]),
  );

  once('drains a node as the budget allows', async () => {
    const pod = (name: string) => ({
      metadata: {
        name,
        labels: { app: 'guarded' },
        ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'rs', uid: 'u', controller: true }],
      },
      spec: { nodeName: 'node-a', terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: 'i' }] },
    });
    await server.call('POST', '/apis/apps/v1/namespaces/default/replicasets', {
      body: {
        metadata: { name: 'rs' },
        spec: {
          selector: { matchLabels: { app: 'guarded' } },
          template: { metadata: { labels: { app: 'guarded' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
        },
      },
    });
    for (const name of ['g1', 'g2']) {
      await server.call('POST', `${NS}/pods`, { body: pod(name) });
      await server.call('PATCH', `${NS}/pods/${name}/status`, {
        body: { status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } },
        type: 'application/merge-patch+json',
      });
    }
    const budgets = '/apis/policy/v1/namespaces/default/poddisruptionbudgets';
    await server.call('POST', budgets, {
      body: { metadata: { name: 'guard' }, spec: { minAvailable: 2, selector: { matchLabels: { app: 'guarded' } } } },
    });
    const allow = (disruptionsAllowed: number) =>
      server.call('PATCH', `${budgets}/guard/status`, {
        body: {
          status: { disruptionsAllowed, currentHealthy: 2, desiredHealthy: 0, expectedPods: 2, observedGeneration: 1 },
        },
        type: 'application/merge-patch+json',
      });
    await allow(0);
    const refused = await kubectl('drain node-a --timeout=2s --ignore-daemonsets');
    expect(refused.code).toBe(1);
    expect(refused.out).toContain('evicting pod default/g1');
    expect(refused.err).toContain("Cannot evict pod as it would violate the pod's disruption budget.");
    await allow(2);
    const drained = await kubectl.ok('drain node-a --timeout=15s --ignore-daemonsets');
    expect(drained).toMatch(/pod\/g1 evicted/);
    expect(drained).toMatch(/node\/node-a drained\n$/);
  });
});
