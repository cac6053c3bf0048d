// Everything that issue 2 names of kubectl, with every kubectl found here, against a cluster with real containers.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Deployment } from '../../api/types/apps-v1.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import { kubectls } from '../kubectls.ts';
import { type Output, TestCluster, TestHost } from './harness.ts';
import { httpGet } from './observe.ts';

const binaries = kubectls();

/** The oldest and the newest do everything; those between, whose wire behaviour is one or the other's, what differs by version. */
const ends = new Set([binaries[0]?.[0], binaries.at(-1)?.[0]]);

let host: TestHost;
let cluster: TestCluster;

beforeAll(async () => {
  host = new TestHost('kubectl');
  cluster = new TestCluster(host);
  await cluster.start();
  await cluster.buildTools();
}, 60_000);

afterAll(async () => {
  await cluster?.stop();
  expect(host.dispose()).toEqual({});
}, 60_000);

const deployment = (name: string, namespace: string) => `
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name}, namespace: ${namespace}, labels: { app: ${name} } }
spec:
  replicas: 1
  selector: { matchLabels: { app: ${name} } }
  template:
    metadata: { labels: { app: ${name} } }
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: c
        image: localhost/tools:1
        command: [sh, -c, "mkdir -p /www; hostname > /www/index.html; echo started; exec httpd -f -p 8080 -h /www"]
        ports: [{ containerPort: 8080 }]
`;

describe.each(binaries)('kubectl %s', (version, binary) => {
  const namespace = `k${version.replaceAll('.', '-')}`;
  const isEnd = ends.has(version);
  const run = (...args: string[]) => cluster.kubectlWith({ binary }, ...args);
  const must = async (...args: string[]): Promise<string> => {
    const output: Output = await run(...args);
    if (output.code !== 0)
      throw new Error(`kubectl ${args.join(' ')}: ${output.stderr}${output.stdout}\n${cluster.logs()}`);
    return output.stdout;
  };
  const whenEnd = (title: string, work: () => Promise<void>) => {
    if (isEnd) test(title, work);
  };
  /** A command that goes on until it is ended; `until` resolves once it has printed exactly that. */
  const follow = (...args: string[]) => {
    const environment = [`KUBECONFIG=${join(host.dataDir, 'kubeconfig')}`, `HOME=${host.dir}`];
    const child = host.spawn(['env', ...environment, binary, '-n', namespace, ...args], `follow-${version}.log`);
    let printed = '';
    let look = () => {};
    child.stdout?.on('data', (chunk: Buffer) => {
      printed += chunk.toString();
      look();
    });
    const ended = new Promise<void>((done) => child.once('exit', () => done()));
    return {
      until: (text: string) =>
        new Promise<void>((done, fail) => {
          look = () => printed === text && done();
          look();
          void ended.then(() => fail(new Error(`${args.join(' ')} ended; it printed ${JSON.stringify(printed)}`)));
        }),
      end: async () => {
        child.kill('SIGTERM');
        await ended;
      },
    };
  };
  const inNamespace = (...args: string[]) => must('-n', namespace, ...args);

  test('version, api-resources and an empty get', async () => {
    expect(await must('version')).toMatch(/Server Version.*v1\.36\./s);
    const resources = await must('api-resources');
    for (const name of ['configmaps', 'deployments', 'endpointslices', 'leases', 'pods', 'clusterroles'])
      expect(resources).toContain(name);
    expect((await run('get', 'pods')).stderr).toContain('No resources found in default namespace.');
  });

  test('create namespace, secret, configmap and deployment', async () => {
    expect(await must('create', 'namespace', namespace)).toBe(`namespace/${namespace} created\n`);
    expect(await inNamespace('create', 'secret', 'generic', 's', '--from-literal=a=b')).toBe('secret/s created\n');
    expect(await inNamespace('create', 'configmap', 'c', '--from-literal=a=b')).toBe('configmap/c created\n');
    expect(await inNamespace('create', 'deployment', 'created', '--image=localhost/tools:1', '--replicas=0')).toBe(
      'deployment.apps/created created\n',
    );
    expect((await run('create', 'namespace', namespace)).stderr).toContain(`namespaces "${namespace}" already exists`);
    expect(await inNamespace('get', 'secret', 's', '-o', 'jsonpath={.data.a}')).toBe('Yg==');
  });

  test('apply: a directory, several documents, unchanged, changed', async () => {
    const directory = join(host.dir, `manifests-${namespace}`);
    mkdirSync(directory, { recursive: true });
    writeFileSync(
      join(directory, 'a.yaml'),
      `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: one, namespace: ${namespace} }\ndata: { a: "1" }\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: two, namespace: ${namespace} }\n`,
    );
    writeFileSync(join(directory, 'b.yml'), deployment('web', namespace));
    expect(await must('apply', '-f', directory)).toBe(
      'configmap/one created\nconfigmap/two created\ndeployment.apps/web created\n',
    );
    expect(await must('apply', '-f', directory)).toBe(
      'configmap/one unchanged\nconfigmap/two unchanged\ndeployment.apps/web unchanged\n',
    );
    writeFileSync(join(directory, 'b.yml'), deployment('web', namespace).replace('replicas: 1', 'replicas: 2'));
    expect(await must('apply', '-f', directory)).toContain('deployment.apps/web configured');
    expect(await inNamespace('rollout', 'status', 'deployment/web', '--timeout=60s')).toContain(
      'successfully rolled out',
    );
  });

  test('get: tables, wide, yaml, json, name, selectors, all namespaces', async () => {
    expect(await inNamespace('get', 'deploy')).toMatch(/^NAME +READY +UP-TO-DATE +AVAILABLE +AGE\n/);
    expect(await inNamespace('get', 'pods', '-l', 'app=web', '-o', 'wide')).toMatch(
      /NOMINATED NODE +READINESS GATES\nweb-\S+ +1\/1 +Running +0 +\S+ +10\.244\.0\.\d+ +node-1 +<none> +<none>/,
    );
    expect(await inNamespace('get', 'deploy', 'web', '-o', 'yaml')).toContain('kind: Deployment');
    expect(JSON.parse(await inNamespace('get', 'deploy', 'web', '-o', 'json'))).toMatchObject({
      kind: 'Deployment',
      apiVersion: 'apps/v1',
    });
    expect((await inNamespace('get', 'pods', '-l', 'app=web', '-o', 'name')).trim().split('\n')).toHaveLength(2);
    expect(
      await must('get', 'pods', '-A', '--field-selector', `metadata.namespace=${namespace},status.phase=Running`),
    ).toContain(namespace);
    expect(await must('get', 'nodes')).toMatch(/node-1 +Ready +\S+ +\S+ +v1\.36/);
  });

  whenEnd('get -w shows changes as they happen', async () => {
    await inNamespace('create', 'configmap', 'watched', '--from-literal=n=first');
    const watching = follow('get', 'configmap', 'watched', '-w', '-o', 'jsonpath={.data.n} ');
    await watching.until('first ');
    await inNamespace('patch', 'configmap', 'watched', '--type=merge', '-p', '{"data":{"n":"second"}}');
    await watching.until('first second ');
    await watching.end();
  });

  whenEnd('describe pod, deploy, node, svc', async () => {
    await inNamespace('expose', 'deployment', 'web', '--port=80', '--target-port=8080');
    const [name = ''] = (
      await inNamespace('get', 'pods', '-l', 'app=web', '-o', 'jsonpath={.items[*].metadata.name}')
    ).split(' ');
    const pod = await inNamespace('describe', 'pod', name);
    for (const text of ['Successfully assigned', 'Created', 'Started', 'Ready ', 'QoS Class:'])
      expect(pod).toContain(text);
    expect(await inNamespace('describe', 'deploy', 'web')).toMatch(/ScalingReplicaSet.*Scaled up replica set web-/);
    expect(await inNamespace('describe', 'svc', 'web')).toMatch(
      /Endpoints: +10\.244\.0\.\d+:8080,10\.244\.0\.\d+:8080/,
    );
    expect(await must('describe', 'node', 'node-1')).toContain('KubeletReady');
  });

  test('logs -f, exec, exec with input, exit codes', async () => {
    const [name = ''] = (
      await inNamespace('get', 'pods', '-l', 'app=web', '-o', 'jsonpath={.items[*].metadata.name}')
    ).split(' ');
    expect(await inNamespace('logs', name)).toBe('started\n');
    expect(await inNamespace('exec', name, '--', 'hostname')).toBe(`${name}\n`);
    const echoed = await cluster.kubectlWith(
      { binary, input: 'over\nand out\n' },
      '-n',
      namespace,
      'exec',
      '-i',
      name,
      '--',
      'cat',
    );
    expect(echoed.stdout).toBe('over\nand out\n');
    expect((await run('-n', namespace, 'exec', name, '--', 'sh', '-c', 'exit 7')).code).toBe(7);
    const followed = follow('logs', '-f', name);
    await followed.until('started\n');
    await followed.end();
  });

  whenEnd('exec -it has a terminal', async () => {
    const [name = ''] = (
      await inNamespace('get', 'pods', '-l', 'app=web', '-o', 'jsonpath={.items[*].metadata.name}')
    ).split(' ');
    const output = await host.run(
      [
        'timeout',
        '20',
        'script',
        '-qec',
        `${binary} -n ${namespace} exec -it ${name} -- sh -c 'test -t 0 && echo a terminal of $TERM'`,
        '/dev/null',
      ],
      { env: { KUBECONFIG: join(host.dataDir, 'kubeconfig'), HOME: host.dir }, input: '' },
    );
    expect(output.stdout).toContain('a terminal of');
  });

  whenEnd('scale, rollout restart and undo', async () => {
    await inNamespace('scale', 'deployment/web', '--replicas=1');
    await inNamespace('rollout', 'status', 'deployment/web', '--timeout=60s');
    await inNamespace('rollout', 'restart', 'deployment/web');
    await inNamespace('rollout', 'status', 'deployment/web', '--timeout=60s');
    await inNamespace('set', 'env', 'deployment/web', 'COLOR=blue');
    await inNamespace('rollout', 'status', 'deployment/web', '--timeout=60s');
    expect(await inNamespace('rollout', 'history', 'deployment/web')).toMatch(/REVISION/);
    expect(await inNamespace('rollout', 'undo', 'deployment/web')).toContain('rolled back');
    await inNamespace('rollout', 'status', 'deployment/web', '--timeout=60s');
    const web = JSON.parse(await inNamespace('get', 'deployment', 'web', '-o', 'json')) as Deployment;
    expect(web.spec?.template.spec?.containers[0]?.env).toBeUndefined();
  });

  test('label, annotate, three patches, edit, wait', async () => {
    await inNamespace('label', 'configmap', 'one', 'x=y');
    await inNamespace('annotate', 'configmap', 'one', 'note=here');
    await inNamespace('patch', 'configmap', 'one', '--type=merge', '-p', '{"data":{"merge":"1"}}');
    await inNamespace(
      'patch',
      'configmap',
      'one',
      '--type=json',
      '-p',
      '[{"op":"add","path":"/data/json","value":"1"}]',
    );
    await inNamespace(
      'patch',
      'deployment',
      'web',
      '-p',
      '{"spec":{"template":{"spec":{"containers":[{"name":"c","env":[{"name":"A","value":"1"}]}]}}}}',
    );
    const web = JSON.parse(await inNamespace('get', 'deployment', 'web', '-o', 'json')) as Deployment;
    expect(web.spec?.template.spec?.containers[0]).toMatchObject({
      image: 'localhost/tools:1',
      env: [{ name: 'A', value: '1' }],
    });
    const one = JSON.parse(await inNamespace('get', 'configmap', 'one', '-o', 'json')) as {
      metadata: unknown;
      data: unknown;
    };
    expect(one).toMatchObject({
      metadata: { labels: { x: 'y' }, annotations: { note: 'here' } },
      data: { a: '1', merge: '1', json: '1' },
    });
    const edited = await host.run([binary, '-n', namespace, 'edit', 'configmap', 'one'], {
      env: { KUBECONFIG: join(host.dataDir, 'kubeconfig'), HOME: host.dir, EDITOR: `sed -i 's/json: "1"/json: "2"/'` },
    });
    expect(edited.stdout, edited.stderr).toContain('configmap/one edited');
    await inNamespace('wait', '--for=condition=Available', 'deployment/web', '--timeout=60s');
  });

  test('port-forward carries a request', async () => {
    await inNamespace('rollout', 'status', 'deployment/web', '--timeout=60s');
    const port = 20_000 + Number(version.replace(/\D/g, '') || 0);
    const forward = host.spawn(
      [
        'env',
        `KUBECONFIG=${join(host.dataDir, 'kubeconfig')}`,
        `HOME=${host.dir}`,
        binary,
        '-n',
        namespace,
        'port-forward',
        'deploy/web',
        `${port}:8080`,
      ],
      `forward-${version}.log`,
    );
    try {
      await new Promise<void>((done, fail) => {
        forward.stdout?.on('data', (chunk: Buffer) => chunk.toString().includes('Forwarding from') && done());
        forward.once('exit', (code) => fail(new Error(`port-forward ended with ${code}`)));
      });
      expect(await httpGet(host, `http://127.0.0.1:${port}/index.html`)).toMatch(/^web-/);
    } finally {
      const ended = new Promise((done) => forward.once('exit', done));
      forward.kill('SIGTERM');
      await ended;
    }
  });

  whenEnd('delete waits, with the grace period', async () => {
    await inNamespace('delete', 'deployment', 'web', 'created', '--timeout=60s');
    await cluster.apply(`
apiVersion: v1
kind: Pod
metadata: { name: slow, namespace: ${namespace} }
spec:
  terminationGracePeriodSeconds: 1
  containers: [{ name: c, image: "localhost/tools:1", command: [sh, -c, "trap '' TERM; while :; do sleep 1; done"] }]
`);
    await inNamespace('wait', '--for=condition=Ready', 'pod/slow', '--timeout=30s');
    expect(await inNamespace('delete', 'pod', 'slow', '--timeout=30s')).toContain('pod "slow" deleted');
    expect((await run('-n', namespace, 'get', 'pod', 'slow')).stderr).toContain('pods "slow" not found');
    await must('delete', 'namespace', namespace, '--timeout=60s');
  });
});

test('sampan get, describe, logs, exec and delete do without kubectl', async () => {
  await cluster.apply(deployment('own', 'default'));
  await cluster.must('rollout', 'status', 'deployment/own', '--timeout=60s');
  const table = await cluster.sampan('get', 'deploy');
  expect(table.stdout).toMatch(/^NAME +READY +UP-TO-DATE +AVAILABLE +AGE\nown +1\/1 +1 +1 /);
  const [pod] = (await cluster.get<{ items: Pod[] }>('pods', '-l', 'app=own')).items;
  const name = pod?.metadata.name ?? '';
  expect((await cluster.sampan('logs', name)).stdout).toBe('started\n');
  expect(await cluster.sampan('exec', name, 'sh', '-c', 'hostname; exit 4')).toMatchObject({
    code: 4,
    stdout: `${name}\n`,
  });
  expect((await cluster.sampan('describe', 'pod', name)).stdout).toContain('Started');
  expect((await cluster.sampan('delete', 'deployment', 'own')).stdout).toBe('deployment.apps "own" deleted\n');
  expect((await cluster.sampan('get', 'pods', 'nobody')).stderr).toContain('pods "nobody" not found');
});
