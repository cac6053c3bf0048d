// What changes one thing of an object: label, annotate, set, scale, rollout, taint, cordon, drain; and wait.
import { expect } from 'vitest';
import { type Session, withEveryKubectl } from './sessions.ts';

const { rows, work } = withEveryKubectl('newer');

rows('labels and annotates', [
  ['run p1 --image=nginx --labels=app=p1', 'pod/p1 created\n'],
  ['label pod p1 x=y', 'pod/p1 labeled\n'],
  ['label pod p1 x=y', 'pod/p1 not labeled\n'],
  ['!label pod p1 x=z', "error: 'x' already has a value (y), and --overwrite is false\n"],
  ['label pod p1 x=z --overwrite', 'pod/p1 labeled\n'],
  ['label pod p1 --list', /^(app=p1\nx=z|x=z\napp=p1)\n$/],
  ['label pod p1 x-', 'pod/p1 unlabeled\n'],
  ['label pod p1 x-', 'label "x" not found.\npod/p1 not labeled\n'],
  ['label pods --all all=1', 'pod/p1 labeled\n'],
  ['label pods -l all=1 more=1 --dry-run=server', 'pod/p1 labeled (server dry run)\n'],
  [
    '!label pod p1 a=b --resource-version=1',
    /^Error from server \(Conflict\): Operation cannot be fulfilled on pods "p1": the object has been modified/,
  ],
  ["!label pod p1 'bad key=1'", /error: invalid label (spec|key|value)|name part must consist/],
  ['!label pod p1 a=b/c', /(invalid label value: )?"a=b\/c"/],
  ['annotate pod p1 note=hi', (minor) => (minor < 28 ? /^pod\/p1 annotated?\n$/ : 'pod/p1 annotated\n')],
  [
    '!annotate pod p1 note=ho',
    "error: --overwrite is false but found the following declared annotation(s): 'note' already has a value (hi)\n",
  ],
  ['annotate pod p1 note=ho --overwrite', /^pod\/p1 annotated?\n$/],
  ['annotate pod p1 --list', 'note=ho\n'],
  ['annotate pod p1 note-', /^pod\/p1 annotated?\n$/],
  ['!label pod nope a=b', 'Error from server (NotFound): pods "nope" not found\n'],
]);

rows('sets', [
  ['create deployment web --image=nginx --replicas=2', 'deployment.apps/web created\n'],
  ['set image deploy/web nginx=nginx:2', 'deployment.apps/web image updated\n'],
  ['set image deploy/web *=nginx:3', 'deployment.apps/web image updated\n'],
  ['!set image deploy/web nosuch=a', 'error: unable to find container named "nosuch"\n'],
  ['set env deploy/web A=B C=D', 'deployment.apps/web env updated\n'],
  ['set env deploy/web C-', 'deployment.apps/web env updated\n'],
  ['set env deploy/web --list', '# Deployment web, container nginx\nA=B\n'],
  ['create configmap env --from-literal=K=V', 'configmap/env created\n'],
  ['set env deploy/web --from=configmap/env', 'deployment.apps/web env updated\n'],
  ['set env deploy/web --list --resolve', '# Deployment web, container nginx\nA=B\nK=V\n'],
  ['set resources deploy/web --limits=cpu=200m,memory=512Mi', 'deployment.apps/web resource requirements updated\n'],
  [
    '!set resources deploy/web --requests=cpu=1',
    /spec\.template\.spec\.containers\[0\]\.resources\.requests: Invalid value: "1": must be less than or equal to cpu limit of 200m/,
  ],
  ['set serviceaccount deploy/web default', 'deployment.apps/web serviceaccount updated\n'],
  ['create service clusterip sc1 --tcp=80', 'service/sc1 created\n'],
  ['set selector svc/sc1 app=x', 'service/sc1 selector updated\n'],
  ['create clusterrolebinding crb-VERSION --clusterrole=view --user=u', /created/],
  [
    'set subject clusterrolebinding crb-VERSION --user=v --group=g',
    'clusterrolebinding.rbac.authorization.k8s.io/crb-VERSION subjects updated\n',
  ],
  ['get clusterrolebinding crb-VERSION -o jsonpath={.subjects[*].name}', 'u v g'],
]);

rows('scales and rolls', [
  ['scale deploy web --replicas=3', 'deployment.apps/web scaled\n'],
  ['!scale deploy web --current-replicas=1 --replicas=4', /Expected replicas to be 1, was 3/],
  ['scale deploy web --current-replicas=3 --replicas=1', 'deployment.apps/web scaled\n'],
  ['!scale deploy web --resource-version=1 --replicas=4', /Expected resource version to be 1, was \d+/],
  ['scale deploy -l app=web --replicas=2 --dry-run=server', 'deployment.apps/web scaled (server dry run)\n'],
  ['get deploy web --subresource=scale', /NAME +DESIRED +AVAILABLE +AGE\nweb +1 +0/],
  ['!scale cm env --replicas=1', /the server could not find the requested resource|could not find the requested/],
  ['rollout pause deploy/web', 'deployment.apps/web paused\n'],
  ['!rollout pause deploy/web', 'error: deployments.apps "web" is already paused\n'],
  ['!rollout restart deploy/web', /can't restart paused deployment \(run rollout resume first\)/],
  ['rollout resume deploy/web', 'deployment.apps/web resumed\n'],
  ['!rollout resume deploy/web', 'error: deployments.apps "web" is not paused\n'],
  ['rollout restart deploy/web', 'deployment.apps/web restarted\n'],
  ['rollout history deploy/web', 'deployment.apps/web \nNo rollout history found.\n'],
  ['!rollout undo deploy/web', 'error: no rollout history found for deployment "web"\n'],
  ['!rollout status deploy/web --timeout=1s', /timed out waiting for the condition/],
  ['!rollout status cm/env', /error: no status viewer has been implemented for/],
]);

/** What the deployment controller would have left: two replica sets, the second of them current. */
work('looks into the history of rollouts and goes back', async (session) => {
  const { server, name: namespace } = session;
  const base = `/apis/apps/v1/namespaces/${namespace}`;
  const template = (image: string) => ({
    metadata: { labels: { app: 'h' } },
    spec: { containers: [{ name: 'c', image }] },
  });
  const selector = { matchLabels: { app: 'h' } };
  const made = await server.call('POST', `${base}/deployments`, {
    body: {
      metadata: { name: 'h', annotations: { 'deployment.kubernetes.io/revision': '2' } },
      spec: { selector, template: template('two') },
    },
  });
  const ownerReferences = [
    { apiVersion: 'apps/v1', kind: 'Deployment', name: 'h', uid: made.body.metadata.uid, controller: true },
  ];
  for (const [revision, image] of ['one', 'two'].entries())
    await server.call('POST', `${base}/replicasets`, {
      body: {
        metadata: {
          name: `h-${image}`,
          labels: { app: 'h' },
          ownerReferences,
          annotations: {
            'deployment.kubernetes.io/revision': String(revision + 1),
            ...(image === 'two' && { 'kubernetes.io/change-cause': 'the second' }),
          },
        },
        spec: { selector, template: template(image) },
      },
    });
  await session.rows([
    [
      'rollout history deploy/h',
      'deployment.apps/h \nREVISION  CHANGE-CAUSE\n1         <none>\n2         the second\n\n',
    ],
    [
      'rollout history deploy/h --revision=1',
      /^deployment\.apps\/h with revision #1\nPod Template:\n {2}Labels:\tapp=h\n(.*\n)* {4}Image:\tone\n/,
    ],
    ['!rollout history deploy/h --revision=9', /unable to find the specified revision/],
    ['rollout undo deploy/h --dry-run=server', 'deployment.apps/h rolled back (server dry run)\n'],
    ['rollout undo deploy/h --to-revision=1', 'deployment.apps/h rolled back\n'],
    ['get deploy h -o jsonpath={.spec.template.spec.containers[0].image}', 'one'],
    [
      'rollout undo deploy/h --to-revision=1',
      /^deployment\.apps\/h skipped rollback \(current template already matches revision 1\)\n$/,
    ],
    ['!rollout undo deploy/h --to-revision=9', 'error: unable to find specified revision 9 in history\n'],
  ]);
});

work('waits for conditions, fields, and that things come or go', async (session) => {
  const { ok, server, name: namespace, minor } = session;
  const path = `/api/v1/namespaces/${namespace}/pods`;
  await session.rows([
    ['run w1 --image=i', 'pod/w1 created\n'],
    ['wait --for=jsonpath={.spec.containers[0].image}=i pod/w1', 'pod/w1 condition met\n'],
    ['wait --for=jsonpath={.metadata.uid} pod/w1', 'pod/w1 condition met\n', { since: 31 }],
    ['!wait --for=condition=Ready pod/w1 --timeout=1s', 'error: timed out waiting for the condition on pods/w1\n'],
    ['!wait --for=condition=Ready pod/nosuch --timeout=1s', 'Error from server (NotFound): pods "nosuch" not found\n'],
    ['wait --for=delete pod/nosuch', ''],
    ['!wait --for=condition=Ready pod -l app=none --timeout=1s', 'error: no matching resources found\n'],
  ]);
  const ready = ok('wait --for=condition=Ready pod/w1 --timeout=30s');
  const status = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] };
  await server.call('PATCH', `${path}/w1/status`, { body: { status }, type: 'application/merge-patch+json' });
  expect(await ready).toBe('pod/w1 condition met\n');
  const gone = ok('wait --for=delete pod/w1 --timeout=30s');
  await server.call('DELETE', `${path}/w1`, { body: { gracePeriodSeconds: 0 } });
  expect(await gone).toMatch(/^(pod\/w1 condition met\n)?$/);
  if (minor >= 31) {
    const made = ok('wait --for=create pod/w2 --timeout=30s');
    await server.call('POST', path, {
      body: { metadata: { name: 'w2' }, spec: { containers: [{ name: 'c', image: 'i' }] } },
    });
    expect(await made).toBe('pod/w2 condition met\n');
  }
});

rows('taints and cordons', [
  ['taint node node-VERSION k=v:NoSchedule', 'node/node-VERSION tainted\n'],
  [
    '!taint node node-VERSION k=v:NoSchedule',
    'error: node node-VERSION already has k taint(s) with same effect(s) and --overwrite is false\n',
  ],
  ['taint node node-VERSION k=w:NoSchedule --overwrite', 'node/node-VERSION modified\n'],
  ['taint node node-VERSION k:NoSchedule-', 'node/node-VERSION untainted\n'],
  ['!taint node node-VERSION k-', 'error: taint "k" not found\n'],
  ['!taint node node-VERSION k=v:Sometimes', /invalid taint effect: Sometimes/],
  ['cordon node-VERSION', 'node/node-VERSION cordoned\n'],
  ['cordon node-VERSION', 'node/node-VERSION already cordoned\n'],
  ['get node node-VERSION', /node-VERSION +\S+,SchedulingDisabled/],
  ['uncordon node-VERSION', 'node/node-VERSION uncordoned\n'],
  ['!cordon nosuch', /nodes "nosuch" not found/],
]);

const labels = { app: 'guarded' };
const owned = (kind: string) => ({
  ownerReferences: [{ apiVersion: 'apps/v1', kind, name: kind.toLowerCase(), uid: 'u', controller: true }],
});

async function runningPod({ server, name: namespace }: Session, name: string, metadata: object, spec: object = {}) {
  const path = `/api/v1/namespaces/${namespace}/pods`;
  const body = {
    metadata: { name, labels, ...metadata },
    spec: {
      nodeName: `node-${namespace}`,
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'c', image: 'i' }],
      ...spec,
    },
  };
  expect((await server.call('POST', path, { body })).code).toBe(201);
  await server.call('PATCH', `${path}/${name}/status`, {
    body: { status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } },
    type: 'application/merge-patch+json',
  });
}

work('drains a node as the budget allows', async (session) => {
  const { server, name: namespace, run, ok } = session;
  for (const [resource, kind] of [
    ['replicasets', 'ReplicaSet'],
    ['daemonsets', 'DaemonSet'],
  ] as const)
    await server.call('POST', `/apis/apps/v1/namespaces/${namespace}/${resource}`, {
      body: {
        metadata: { name: kind.toLowerCase() },
        spec: {
          selector: { matchLabels: labels },
          template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } },
        },
      },
    });
  await runningPod(session, 'g1', owned('ReplicaSet'));
  await runningPod(session, 'g2', owned('ReplicaSet'));
  const budgets = `/apis/policy/v1/namespaces/${namespace}/poddisruptionbudgets`;
  await server.call('POST', budgets, {
    body: { metadata: { name: 'guard' }, spec: { minAvailable: 2, selector: { matchLabels: labels } } },
  });
  const allow = (disruptionsAllowed: number) =>
    server.call('PATCH', `${budgets}/guard/status`, {
      body: {
        status: { disruptionsAllowed, currentHealthy: 2, desiredHealthy: 0, expectedPods: 2, observedGeneration: 1 },
      },
      type: 'application/merge-patch+json',
    });
  await allow(0);
  const refused = await run('drain node-VERSION --timeout=2s');
  expect(refused.code).toBe(1);
  expect(refused.out).toContain('evicting pod VERSION/g1');
  expect(refused.err).toContain("Cannot evict pod as it would violate the pod's disruption budget.");

  await runningPod(session, 'daemon', owned('DaemonSet'));
  await runningPod(session, 'bare', {});
  await runningPod(session, 'scratch', owned('ReplicaSet'), { volumes: [{ name: 'v', emptyDir: {} }] });
  await session.rows([
    [
      '!drain node-VERSION',
      /cannot delete DaemonSet-managed Pods \(use --ignore-daemonsets to ignore\): VERSION\/daemon/,
    ],
    [
      '!drain node-VERSION',
      /cannot delete Pods with local storage \(use --delete-emptydir-data to override\): VERSION\/scratch/,
    ],
    [
      '!drain node-VERSION',
      /cannot delete Pods that declare no controller|cannot delete Pods declare no controller \(use --force to override\): VERSION\/bare/,
    ],
  ]);
  await allow(4);
  await session.rows([
    [
      'drain node-VERSION --ignore-daemonsets --delete-emptydir-data --force --dry-run=server',
      /node\/node-VERSION drained \(server dry run\)\n$/,
    ],
    ['get pods -l app=guarded -o name', 'pod/bare\npod/daemon\npod/g1\npod/g2\npod/scratch\n'],
  ]);
  expect(await ok('drain node-VERSION --ignore-daemonsets --delete-emptydir-data --force --timeout=25s')).toMatch(
    /pod\/g1 evicted(.*\n)*node\/node-VERSION drained\n$/,
  );
  await runningPod(session, 'g3', owned('ReplicaSet'));
  await allow(0);
  expect(await ok('drain node-VERSION --ignore-daemonsets --disable-eviction --timeout=25s')).toMatch(
    /pod\/g3 deleted/,
  );
});
