// The server as real kubectl binaries see it (the commands one by one are in kubectl-commands.test.ts): `kubectl` of the PATH, or those that SAMPAN_KUBECTL names (with spaces
// between). Without any the suite is skipped.
import { execFile, spawn } from 'node:child_process';
import { accessSync, constants, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from './testing/server.ts';

const MANIFEST = `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: "blue"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: REPLICAS
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: nginx, ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
`;

const binaries = process.env['SAMPAN_KUBECTL']?.split(' ').filter((each) => each !== '') ?? findKubectl();

function findKubectl(): string[] {
  for (const dir of (process.env['PATH'] ?? '').split(delimiter)) {
    try {
      accessSync(join(dir, 'kubectl'), constants.X_OK);
      return [join(dir, 'kubectl')];
    } catch {
      // Not here.
    }
  }
  return [];
}

describe.skipIf(binaries.length === 0).each(binaries)('%s', (binary) => {
  let server: TestServer;
  let environment: Record<string, string>;
  let dir: string;

  interface Result {
    code: number;
    out: string;
    err: string;
  }

  function kubectl(args: string, input = ''): Promise<Result> {
    return new Promise((resolve) => {
      const child = execFile(binary, args.split(' '), { env: environment, timeout: 15_000 }, (error, out, err) => {
        resolve({ code: error ? Number(error.code ?? 1) : 0, out, err });
      });
      child.stdin?.end(input);
    });
  }

  async function ok(args: string, input = ''): Promise<string> {
    const result = await kubectl(args, input);
    expect(result.code, `kubectl ${args}: ${result.err}`).toBe(0);
    return result.out;
  }

  beforeAll(async () => {
    server = await startTestServer();
    dir = server.dir;
    mkdirSync(join(dir, 'home'));
    writeFileSync(join(dir, 'kubeconfig'), server.kubeconfig(), { mode: 0o600 });
    environment = { PATH: process.env['PATH'] ?? '', HOME: join(dir, 'home'), KUBECONFIG: join(dir, 'kubeconfig') };
    await server.call('POST', '/api/v1/namespaces/default/serviceaccounts', {
      body: { metadata: { name: 'default' } },
    });
  });
  afterAll(() => server.stop());

  it('tells what the server is', async () => {
    expect(await ok('version')).toMatch(/Server Version:.*v1\.36\.\d+\+sampan/);
    const resources = await ok('api-resources');
    for (const each of ['pods', 'deployments', 'configmaps', 'selfsubjectaccessreviews'])
      expect(resources).toContain(each);
    expect(await ok('api-versions')).toContain('apps/v1');
    expect(await ok('explain pods.spec.containers')).toContain('FIELDS');
    expect(await ok('cluster-info')).toContain('control plane');
    expect(await ok('get --raw /readyz')).toBe('ok');
  });

  it('applies on the server: owners, conflicts, force, migration from client-side apply', async () => {
    const manifest = (color: string) =>
      `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: owned}\ndata: {color: "${color}"}\n`;
    const owners = async () => {
      const { metadata } = JSON.parse(await ok('get cm owned -o json --show-managed-fields'));
      return (metadata.managedFields as { manager: string; operation: string }[])
        .map((each) => `${each.manager} ${each.operation}`)
        .sort();
    };
    expect(await ok('apply --server-side -f -', manifest('blue'))).toBe('configmap/owned serverside-applied\n');
    const version = await ok('get cm owned -o jsonpath={.metadata.resourceVersion}');
    await ok('apply --server-side -f -', manifest('blue'));
    expect(await ok('get cm owned -o jsonpath={.metadata.resourceVersion}')).toBe(version);
    expect(await ok('get cm owned -o yaml')).not.toContain('managedFields');
    const refused = await kubectl('apply --server-side --field-manager=other -f -', manifest('red'));
    expect(refused.err).toContain('Apply failed with 1 conflict: conflict with "kubectl": .data.color');
    expect(refused.err).toContain('--force-conflicts');
    const difference = await kubectl(
      'diff --server-side --force-conflicts --field-manager=other -f -',
      manifest('red'),
    );
    expect([difference.code, difference.out]).toEqual([1, expect.stringContaining('+  color: red')]);
    await ok('apply --server-side --field-manager=other --force-conflicts -f -', manifest('red'));
    expect(await owners()).toEqual(['other Apply']);
    await ok('label cm owned tier=web');
    expect(await owners()).toEqual(['kubectl-label Update', 'other Apply']);
    await ok('delete cm owned');

    await ok('apply -f -', manifest('blue'));
    expect(await owners()).toEqual(['kubectl-client-side-apply Update']);
    expect(await ok('apply view-last-applied cm/owned')).toContain('color: blue');
    await ok('apply --server-side -f -', manifest('green'));
    expect(await ok('get cm owned -o jsonpath={.data.color}')).toBe('green');
    expect(await owners()).toContain('kubectl Apply');
    expect(await owners()).not.toContain('kubectl-client-side-apply Update');
    expect(await ok('apply view-last-applied cm/owned')).toContain('color: green');
    await ok('delete cm owned');
  });

  it('applies, applies again, changes and deletes', async () => {
    const manifest = (replicas: number) => MANIFEST.replace('REPLICAS', String(replicas));
    expect(await ok('apply -f -', manifest(2))).toBe(
      'configmap/settings created\ndeployment.apps/web created\nservice/web created\n',
    );
    expect(await ok('apply -f -', manifest(2))).toBe(
      'configmap/settings unchanged\ndeployment.apps/web unchanged\nservice/web unchanged\n',
    );
    expect(await ok('apply -f -', manifest(3))).toContain('deployment.apps/web configured');
    expect(await ok('get deploy web -o jsonpath={.spec.replicas}')).toBe('3');
    expect(await ok('diff -f -', manifest(3))).toBe('');
    const table = await ok('get deploy,svc,cm -o wide');
    expect(table).toMatch(/NAME\s+READY\s+UP-TO-DATE\s+AVAILABLE\s+AGE\s+CONTAINERS\s+IMAGES\s+SELECTOR/);
    expect(table).toMatch(/service\/web\s+ClusterIP\s+10\./);
    expect(await ok('get deploy -o name')).toBe('deployment.apps/web\n');
    expect(JSON.parse(await ok('get deploy web -o json')).kind).toBe('Deployment');
    expect(await ok('get cm settings -o yaml')).toContain('color: blue');
    expect(await ok('get deploy -l app=web -A')).toContain('web');
    expect((await kubectl('get deploy -l app=none')).err).toContain('No resources found');
    expect(await ok('get cm --field-selector metadata.name=settings -o name')).toBe('configmap/settings\n');
    expect(await ok('describe deploy web')).toContain('StrategyType:           RollingUpdate');
    expect(await ok('describe svc web')).toMatch(/Selector:\s+app=web/);
  });

  it('watches', async () => {
    const child = spawn(binary, ['get', 'cm', '-w', '-o', 'name'], { env: environment });
    let seen = '';
    const named = new Promise<void>((resolve) => {
      child.stdout.on('data', (chunk: Buffer) => {
        seen += chunk;
        if (seen.includes('settings'))
          void server.call('POST', '/api/v1/namespaces/default/configmaps', {
            body: { metadata: { name: 'appears' } },
          });
        if (seen.includes('configmap/appears')) resolve();
      });
    });
    await named;
    const gone = new Promise((resolve) => child.on('close', resolve));
    child.kill();
    await gone;
  });

  it('deletes and waits', async () => {
    expect(await ok('delete -f -', MANIFEST.replace('REPLICAS', '1'))).toContain('deployment.apps "web" deleted');
    expect(await ok('delete cm --all')).toContain('deleted');
    expect((await kubectl('get deploy web')).err).toBe(
      'Error from server (NotFound): deployments.apps "web" not found\n',
    );
  });

  it('says what is wrong with a manifest', async () => {
    const bad = await kubectl('create -f -', 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndota: {}\n');
    expect(bad.err).toContain('strict decoding error: unknown field "dota"');
    const invalid = await kubectl('create -f -', 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Bad_Name}\n');
    expect(invalid.err).toContain('The ConfigMap "Bad_Name" is invalid: metadata.name: Invalid value: "Bad_Name"');
    expect((await kubectl('get gadgets')).err).toContain('the server doesn\'t have a resource type "gadgets"');
  });
});
