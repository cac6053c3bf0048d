// What a person reads in a terminal when admission says no.
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kubectls } from '../../test/kubectls.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';

const [, kubectl = ''] = kubectls().at(-1) ?? [];

describe.skipIf(kubectl === '')('kubectl', () => {
  let server: TestServer;
  let environment: Record<string, string>;

  beforeAll(async () => {
    server = await startTestServer();
    const path = join(server.dir, 'kubeconfig');
    writeFileSync(path, server.kubeconfig());
    environment = { KUBECONFIG: path, HOME: server.dir };
    const labels = {
      'pod-security.kubernetes.io/enforce': 'baseline',
      'pod-security.kubernetes.io/warn': 'restricted',
    };
    await server.call('POST', '/api/v1/namespaces', { body: { metadata: { name: 'strict', labels } } });
    await server.call('POST', '/api/v1/namespaces/strict/serviceaccounts', { body: { metadata: { name: 'default' } } });
  });
  afterAll(() => server.stop());

  const run = (...args: string[]) =>
    new Promise<{ out: string; err: string }>((resolve) => {
      execFile(kubectl, ['-n', 'strict', ...args], { env: environment }, (_, out, err) => resolve({ out, err }));
    });

  it('warns and refuses by pod security', async () => {
    const { out, err } = await run('run', 'web', '--image=nginx');
    expect(out).toBe('pod/web created\n');
    expect(err).toBe(
      'Warning: would violate PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "web" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "web" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "web" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "web" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")\n',
    );
    const refused = await run('run', 'root', '--image=nginx', '--privileged');
    expect(refused.err).toBe(
      'Error from server (Forbidden): pods "root" is forbidden: violates PodSecurity "baseline:latest": privileged (container "root" must not set securityContext.privileged=true)\n',
    );
  });

  it('refuses by quota', async () => {
    expect((await run('create', 'quota', 'few', '--hard=configmaps=0')).out).toBe('resourcequota/few created\n');
    const status = { hard: { configmaps: '0' }, used: { configmaps: '0' } };
    await server.call('PATCH', '/api/v1/namespaces/strict/resourcequotas/few/status', {
      body: { status },
      type: 'application/merge-patch+json',
    });
    expect((await run('create', 'configmap', 'one')).err).toBe(
      'error: failed to create configmap: configmaps "one" is forbidden: exceeded quota: few, requested: configmaps=1, used: configmaps=0, limited: configmaps=0\n',
    );
  });
});
