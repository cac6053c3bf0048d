// `apply` in its ways, `diff`, `replace`, `edit`, `patch`, `kustomize`: what changes objects by manifest.
import { expect } from 'vitest';
import { withEveryKubectl } from './sessions.ts';

const { rows, work } = withEveryKubectl('older');

const configMap = (name: string, value: string, labels = '{}') =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}, labels: ${labels}}\ndata: {a: "${value}"}\n`;
const widgets = (name: string) => `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: ${name}s.VERSION.example.com }
spec:
  group: VERSION.example.com
  scope: Namespaced
  names: { plural: ${name}s, singular: ${name}, kind: Widget, listKind: WidgetList }
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: { specReplicasPath: .spec.size, statusReplicasPath: .status.size }
    additionalPrinterColumns: [{ name: Size, type: integer, jsonPath: .spec.size }]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: { type: object, properties: { size: { type: integer, minimum: 1 } } }
          status: { type: object, properties: { size: { type: integer } } }
`;

rows('applies, prunes and replaces', [
  ['apply -f -', 'configmap/cm1 created\n', configMap('cm1', '1', '{app: p}')],
  ['apply -f -', 'configmap/cm1 unchanged\n', configMap('cm1', '1', '{app: p}')],
  ['apply -f -', 'configmap/cm1 configured\n', configMap('cm1', '2', '{app: p}')],
  ['apply --dry-run=server -f -', 'configmap/cm1 configured (server dry run)\n', configMap('cm1', '3', '{app: p}')],
  ['apply --dry-run=client -f -', 'configmap/cm1 configured (dry run)\n', configMap('cm1', '3', '{app: p}')],
  ['get cm cm1 -o jsonpath={.data.a}', '2'],
  ['apply -f - -o jsonpath={.data.a}', '4', configMap('cm1', '4', '{app: p}')],
  ['apply view-last-applied cm/cm1 -o json', /"a": "4"/],
  ['apply set-last-applied -f -', 'configmap/cm1 configured\n', configMap('cm1', '5', '{app: p}')],
  [
    'apply --prune -l app=p --prune-allowlist=core/v1/ConfigMap -f -',
    /configmap\/cm2 created\nconfigmap\/cm1 pruned\n/,
    configMap('cm2', '1', '{app: p}'),
  ],
  ['!apply --prune -f -', /all resources selected for prune without explicitly passing --all/, configMap('cm3', '1')],
  ['apply --prune --all -f -', /configmap\/cm2 unchanged/, configMap('cm2', '1', '{app: p}')],
  ['replace --force -f -', /^configmap "cm2" deleted.*\nconfigmap\/cm2 replaced\n$/, configMap('cm2', '5')],
  ['replace -f -', 'configmap/cm2 replaced\n', configMap('cm2', 'blue')],
  [
    '!replace -f -',
    'Error from server (NotFound): error when replacing "STDIN": configmaps "absent" not found\n',
    configMap('absent', '6'),
  ],
  [
    '!replace -f -',
    /Error from server \(Conflict\): error when replacing "STDIN": Operation cannot be fulfilled on configmaps "cm2": the object has been modified; please apply your changes to the latest version and try again\n/,
    configMap('cm2', '6').replace('{name', "{resourceVersion: '1', name"),
  ],
  [
    '!apply -f -',
    /Error from server \(BadRequest\): error when creating "STDIN": ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "dat"/,
    'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndat: {}\n',
  ],
  [
    '!apply -f -',
    /no matches for kind "Thing" in version "nosuch\/v1"\nensure CRDs are installed first/,
    'apiVersion: nosuch/v1\nkind: Thing\nmetadata: {name: x}\n',
  ],
  ['!apply -f -', /resource name may not be empty/, 'apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n'],
  [
    '!apply -n VERSION -f -',
    /the namespace from the provided object "other" does not match the namespace "VERSION"/,
    { input: configMap('cm3', '1').replace('{name', '{namespace: other, name') },
  ],
]);

rows('applies on the server', [
  ['apply -f -', 'configmap/ssa created\n', configMap('ssa', '1')],
  [
    '!apply --server-side --field-manager=other -f -',
    /^error: Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using v1: \.data\.a\nPlease review the fields above/,
    configMap('ssa', '9'),
  ],
  [
    'apply --server-side --force-conflicts --field-manager=other -f -',
    'configmap/ssa serverside-applied\n',
    configMap('ssa', '9'),
  ],
  ['apply --server-side -f -', 'configmap/mine serverside-applied\n', configMap('mine', '1')],
  [
    'apply --server-side --dry-run=server -f -',
    'configmap/mine serverside-applied (server dry run)\n',
    configMap('mine', '2'),
  ],
  ['get cm mine -o jsonpath={.data.a}', '1'],
  ['get cm mine -o yaml --show-managed-fields', /managedFields:\n(.*\n)+ {4}manager: kubectl\n {4}operation: Apply/],
  [
    '!apply --server-side --validate=strict -f -',
    /failed to create typed patch object \(VERSION\/bad; \/v1, Kind=ConfigMap\): \.dat: field not declared in schema/,
    'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndat: {}\n',
  ],
]);

work('keeps account of who owns which field', async ({ ok }) => {
  const manifest = (value: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: owned}\ndata: {a: ${value}}\n`;
  const owners = async () => {
    const { metadata } = JSON.parse(await ok('get cm owned -o json --show-managed-fields'));
    return (metadata.managedFields as { manager: string; operation: string }[])
      .map((each) => `${each.manager} ${each.operation}`)
      .sort();
  };
  await ok('apply --server-side -f -', { input: manifest('blue') });
  const version = await ok('get cm owned -o jsonpath={.metadata.resourceVersion}');
  await ok('apply --server-side -f -', { input: manifest('blue') });
  expect(await ok('get cm owned -o jsonpath={.metadata.resourceVersion}')).toBe(version);
  expect(await ok('get cm owned -o yaml')).not.toContain('managedFields');
  await ok('apply --server-side --field-manager=other --force-conflicts -f -', { input: manifest('red') });
  expect(await owners()).toEqual(['other Apply']);
  await ok('label cm owned tier=web');
  expect(await owners()).toEqual(['kubectl-label Update', 'other Apply']);
  await ok('delete cm owned');

  await ok('apply -f -', { input: manifest('blue') });
  expect(await owners()).toEqual(['kubectl-client-side-apply Update']);
  expect(await ok('apply view-last-applied cm/owned')).toContain('a: blue');
  await ok('apply --server-side -f -', { input: manifest('green') });
  expect(await owners()).toContain('kubectl Apply');
  expect(await owners()).not.toContain('kubectl-client-side-apply Update');
  expect(await ok('apply view-last-applied cm/owned')).toContain('a: green');
});

work('tells the difference and exits with 1 when there is one', async ({ run, ok }) => {
  await ok('apply -f -', { input: configMap('differs', 'blue') });
  expect((await run('diff -f -', { input: configMap('differs', 'blue') })).code).toBe(0);
  const seen = await run('diff -f -', { input: configMap('differs', 'red') });
  expect([seen.code, seen.out]).toEqual([1, expect.stringMatching(/-  a: blue\n\+  a: red\n/)]);
  const made = await run('diff --server-side -f -', { input: configMap('not-there', 'red') });
  expect([made.code, made.out]).toEqual([1, expect.stringMatching(/\+kind: ConfigMap\n/)]);
  expect(await ok('get cm differs -o jsonpath={.data.a}')).toBe('blue');
  const wrong = await run('diff -f -', { input: 'apiVersion: v1\nkind: Nosuch\nmetadata: {name: a}\n' });
  expect([wrong.code, wrong.err]).toEqual([
    expect.toSatisfy((code: number) => code > 1 || code === 1),
    expect.stringMatching(/no matches for kind "Nosuch"/),
  ]);
  const masked = 'apiVersion: v1\nkind: Secret\nmetadata: {name: masked}\nstringData: {a: ';
  await ok('apply -f -', { input: `${masked}one}\n` });
  const secret = await run('diff -f -', { input: `${masked}two}\n` });
  expect(secret.out).toMatch(/-  a: '\*\*\* \(before\)'\n\+  a: '\*\*\* \(after\)'\n/);
});

work('prunes by a set of applied objects', async ({ ok }) => {
  const apply = (name: string) =>
    ok('apply --prune --applyset=set -n VERSION -f -', {
      env: { KUBECTL_APPLYSET: 'true' },
      input: configMap(name, '1'),
    });
  expect(await apply('in-set')).toContain('configmap/in-set created');
  expect(await apply('in-set2')).toBe('configmap/in-set2 created\nconfigmap/in-set pruned\n');
  expect(await ok('get secret set -o jsonpath={.metadata.labels}{.metadata.annotations}')).toMatch(
    /"applyset\.kubernetes\.io\/id":"applyset-[\w-]+-v1".*"applyset\.kubernetes\.io\/contains-group-(kinds|resources)":"(ConfigMap|configmaps)"/,
  );
});

work('edits', async ({ rows: all, run, write }) => {
  write(
    'breaks-then-repairs',
    '#!/bin/sh\nif [ -e tried ]; then sed -i s/name:.Bad/name:\\ e/ "$1"; else touch tried; sed -i "s/name: e/name: Bad/" "$1"; fi\n',
  );
  write(
    'invalid-then-valid',
    '#!/bin/sh\nif [ -e tried2 ]; then sed -i "s/replicas: -1/replicas: 2/" "$1"; else touch tried2; sed -i "s/replicas: 1/replicas: -1/" "$1"; fi\n',
  );
  await all([
    ['apply -f -', 'configmap/e created\n', configMap('e', 'blue')],
    ['edit cm e', 'configmap/e edited\n', { env: { KUBE_EDITOR: 'sed -i s/blue/green/' } }],
    ['get cm e -o jsonpath={.data.a}', 'green'],
    ['edit cm e', '', { env: { KUBE_EDITOR: 'true' }, err: 'Edit cancelled, no changes made.\n' }],
    [
      'edit cm/e -o json',
      /^\{\n {4}"apiVersion": "v1",\n {4}"data": \{\n {8}"a": "red"/,
      { env: { KUBE_EDITOR: 'sed -i s/green/red/' } },
    ],
    [
      'edit cm e --output-patch',
      /^Patch: \{"data":\{"a":"pink"\}.*\nconfigmap\/e edited\n$/,
      { env: { KUBE_EDITOR: 'sed -i s/red/pink/' } },
    ],
    ['create deployment e --image=i', 'deployment.apps/e created\n'],
    [
      'edit deploy e',
      'deployment.apps/e edited\n',
      { env: { KUBE_EDITOR: './invalid-then-valid' }, err: /error: deployments\.apps "e" is invalid|^$/ },
    ],
    ['get deploy e -o jsonpath={.spec.replicas}', '2'],
    [
      '!edit cm e',
      /At least one of apiVersion, kind and name was changed|(error|A copy of your changes)/,
      { env: { KUBE_EDITOR: 'sed -i "s/name: e/name: other/"' } },
    ],
    [
      '!edit cm nosuch',
      'Error from server (NotFound): configmaps "nosuch" not found\n',
      { env: { KUBE_EDITOR: 'true' } },
    ],
    [
      'edit deploy e --subresource=status',
      'deployment.apps/e edited\n',
      { env: { KUBE_EDITOR: 'sed -i "s/status: {}/status: {replicas: 7}/"' } },
    ],
    ['get deploy e -o jsonpath={.spec.replicas}/{.status.replicas}', '2/7'],
  ]);
  const shown = await run('edit deploy e', { env: { KUBE_EDITOR: 'sed -i s/replicas:.2/replicas:\\ x/' } });
  expect(shown.code).toBe(1);
});

rows('patches', [
  ['create deployment p --image=i', 'deployment.apps/p created\n'],
  [`patch deploy p -p '{"spec":{"replicas":2}}'`, 'deployment.apps/p patched\n'],
  [
    `patch deploy p --type=json -p '[{"op":"replace","path":"/spec/replicas","value":1}]'`,
    'deployment.apps/p patched\n',
  ],
  [`patch deploy p -p '{"spec":{"replicas":1}}'`, 'deployment.apps/p patched (no change)\n'],
  [`patch deploy p --type=merge -p '{"spec":{"replicas":3}}' --dry-run=server -o jsonpath={.spec.replicas}`, '3'],
  [
    `patch deploy p --type=json -p '[{"op":"test","path":"/spec/replicas","value":1},{"op":"add","path":"/metadata/labels/x","value":"y"}]'`,
    'deployment.apps/p patched\n',
  ],
  [
    `!patch deploy p --type=json -p '[{"op":"test","path":"/spec/replicas","value":9}]'`,
    /the server rejected our request due to an error in our request|[Tt]esting.*path.*failed|The request is invalid/,
  ],
  [
    `!patch deploy p --type=json -p '[{"op":"remove","path":"/nosuch"}]'`,
    /The request is invalid|[Uu]nable to remove nonexistent key/,
  ],
  [`!patch deploy p -p 'nonsense'`, /^Error from server \(BadRequest\): .*must be a JSON object\n$/],
  [
    `patch deploy p -p '{"spec":{"nosuch":1}}' --type=merge`,
    'deployment.apps/p patched (no change)\n',
    { err: 'Warning: unknown field "spec.nosuch"\n' },
  ],
  [
    `!patch deploy p -p '{"spec":{"replicas":-1}}'`,
    'The Deployment "p" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0\n',
  ],
  [
    `!patch deploy p -p '{"spec":{"replicas":"many"}}'`,
    /cannot (be handled as a Deployment|restore slice from map|unmarshal)|unrecognized type|Invalid value/,
  ],
  [`patch deploy p --subresource=scale --type=merge -p '{"spec":{"replicas":4}}'`, 'scale.autoscaling/p patched\n'],
  ['get deploy p -o jsonpath={.spec.replicas}', '4'],
  [
    `patch deploy p --subresource=status --type=merge -p '{"status":{"replicas":3},"spec":{"replicas":9}}'`,
    'deployment.apps/p patched\n',
  ],
  ['get deploy p -o jsonpath={.spec.replicas}/{.status.replicas}', '4/3'],
  [
    `patch node node-VERSION --subresource=status --type=merge -p '{"status":{"capacity":{"example.com/x":"1"}}}'`,
    'node/node-VERSION patched\n',
  ],
]);

work('kustomizes', async ({ rows: all, write }) => {
  write(
    'kz/kustomization.yaml',
    'resources: [cm.yaml]\nnamePrefix: kz-\nconfigMapGenerator: [{ name: gen, literals: [a=b] }]\n',
  );
  write('kz/cm.yaml', configMap('base', 'b', '{app: kz}'));
  await all([
    ['kustomize kz', /name: kz-base\n---\n(.*\n)*.*name: kz-gen-\w{10}\n/],
    ['apply -k kz', /^configmap\/kz-base created\nconfigmap\/kz-gen-\w{10} created\n$/],
    ['apply -k kz', /^configmap\/kz-base unchanged\nconfigmap\/kz-gen-\w{10} unchanged\n$/],
    ['get -k kz -o name', /configmap\/kz-base\n/],
    ['diff -k kz', ''],
    ['delete -k kz', /configmap "kz-base" deleted/],
    ['!apply -k nosuch', /nosuch/],
  ]);
});

rows('works with kinds that did not exist before', [
  [
    'apply -f -',
    'customresourcedefinition.apiextensions.k8s.io/widgets.VERSION.example.com created\n',
    widgets('widget'),
  ],
  [
    'wait --for=condition=Established crd/widgets.VERSION.example.com --timeout=20s',
    'customresourcedefinition.apiextensions.k8s.io/widgets.VERSION.example.com condition met\n',
  ],
  [
    'apply -f -',
    'widget.VERSION.example.com/w1 created\n',
    'apiVersion: VERSION.example.com/v1\nkind: Widget\nmetadata: {name: w1}\nspec: {size: 1}\n',
  ],
  [
    'apply -f -',
    'widget.VERSION.example.com/w1 configured\n',
    'apiVersion: VERSION.example.com/v1\nkind: Widget\nmetadata: {name: w1}\nspec: {size: 2}\n',
  ],
  [
    '!apply -f -',
    /The Widget "w1" is invalid: spec\.size: Invalid value: 0: spec\.size in body should be greater than or equal to 1/,
    'apiVersion: VERSION.example.com/v1\nkind: Widget\nmetadata: {name: w1}\nspec: {size: 0}\n',
  ],
  [
    '!apply -f -',
    /unknown field "spec\.colour"/,
    'apiVersion: VERSION.example.com/v1\nkind: Widget\nmetadata: {name: w1}\nspec: {colour: red}\n',
  ],
  ['get widgets.VERSION.example.com', /NAME +SIZE\nw1 +2\n/],
  ['scale widgets.VERSION.example.com w1 --replicas=3', 'widget.VERSION.example.com/w1 scaled\n'],
  ['get widgets.VERSION.example.com w1 -o jsonpath={.spec.size}', '3'],
  [
    'describe widgets.VERSION.example.com w1',
    /Name: +w1\nNamespace: +VERSION\n(.*\n)*Spec:\n  Size: +3\nEvents: +<none>\n/,
  ],
  ['explain widgets.spec --api-version=VERSION.example.com/v1', /size\t?\s*<integer>/],
  [
    `patch widgets.VERSION.example.com w1 --type=merge -p '{"spec":{"size":5}}'`,
    'widget.VERSION.example.com/w1 patched\n',
  ],
  [
    `!patch widgets.VERSION.example.com w1 -p '{"spec":{"size":6}}'`,
    /error: application\/strategic-merge-patch\+json is not supported by/,
  ],
  ['label widgets.VERSION.example.com w1 a=b', 'widget.VERSION.example.com/w1 labeled\n'],
  [
    'edit widgets.VERSION.example.com w1',
    'widget.VERSION.example.com/w1 edited\n',
    { env: { KUBE_EDITOR: 'sed -i s/size:.5/size:\\ 6/' } },
  ],
  ['delete widgets.VERSION.example.com w1', /^widget\.VERSION\.example\.com "w1" deleted/],
  [
    'delete crd widgets.VERSION.example.com',
    /^customresourcedefinition\.apiextensions\.k8s\.io "widgets\.VERSION\.example\.com" deleted/,
  ],
]);
