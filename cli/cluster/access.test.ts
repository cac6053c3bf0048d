// The whole of rights around the controllers: each acts as its own account and needs no more; certificates are approved and
// signed, as real kubectl asks for them; tokens kept in Secrets are filled; aggregated roles are written.
import 'reflect-metadata';
import { execFile } from 'node:child_process';
import { KeyObject, webcrypto } from 'node:crypto';
import { accessSync, constants, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import * as x509 from '@peculiar/x509';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createScheme } from '../../api/kinds/index.ts';
import { loadBootstrapRbac } from '../../apiserver/auth/bootstrap-rbac.ts';
import { clusterSigning } from '../../apiserver/auth/signing.ts';
import { startTestServer, type TestServer } from '../../apiserver/testing/server.ts';
import { userOf } from '../../controllers/accounts.ts';
import { controllers, runControllers } from '../../controllers/index.ts';
import { systemClock } from '../../lib/clock.ts';
import { type Logger, silentLogger } from '../../lib/log.ts';
import { UserError } from '../user-error.ts';
import { accessOptions } from './access.ts';
import type { AccessFlags } from './access-flags.ts';
import { connect } from './connect.ts';

let server: TestServer;
const stop = new AbortController();
let running: Promise<unknown>;
let close: () => void;
/** What controllers were refused. */
const refusals: string[] = [];

const log: Logger = {
  ...silentLogger,
  ...Object.fromEntries(
    (['warn', 'error'] as const).map((level) => [
      level,
      (fields: { err?: { message?: string } }) => {
        if (fields.err?.message?.includes('forbidden')) refusals.push(fields.err.message);
      },
    ]),
  ),
  child: () => log,
};

beforeAll(async () => {
  server = await startTestServer();
  const credentials = { server: server.url, caPem: server.pki.caPem, ...server.pki.controllerManager };
  const context = connect(credentials, 'controller-manager', log);
  close = () => context.client.close();
  const signing = clusterSigning(join(server.dir, 'pki'), systemClock);
  running = Promise.all([
    context.informers.run(stop.signal),
    runControllers({ ...context, rootCaPem: server.pki.caPem, scheme: createScheme(), signing }, stop.signal),
  ]);
});
afterAll(async () => {
  stop.abort();
  await running.catch(() => {});
  close();
  await server.stop();
});

const NS = '/api/v1/namespaces/default';
const CSRS = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

async function newRequest(subject: string, names: string[] = []) {
  const keys = await webcrypto.subtle.generateKey(EC, true, ['sign', 'verify']);
  const made = await x509.Pkcs10CertificateRequestGenerator.create(
    {
      name: subject,
      keys: keys as never,
      signingAlgorithm: EC,
      extensions:
        names.length > 0
          ? [new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: 'dns', value })))]
          : [],
    },
    webcrypto as never,
  );
  const keyPem = KeyObject.from(keys.privateKey as never).export({ type: 'pkcs8', format: 'pem' }) as string;
  return { request: Buffer.from(made.toString('pem')).toString('base64'), keyPem };
}

const ask = (name: string, spec: object, headers?: Record<string, string>) =>
  server.call('POST', CSRS, { body: { metadata: { name }, spec }, ...(headers && { headers }) });
const csr = async (name: string) => (await server.call('GET', `${CSRS}/${name}`)).body;
const issued = async (name: string) => {
  await expect.poll(async () => (await csr(name)).status?.certificate, { timeout: 10_000 }).toBeTruthy();
  return Buffer.from((await csr(name)).status.certificate, 'base64').toString();
};

const kubectl = (process.env['PATH'] ?? '')
  .split(delimiter)
  .map((dir) => join(dir, 'kubectl'))
  .find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

function run(...args: string[]): Promise<string> {
  const file = join(server.dir, 'kubeconfig');
  writeFileSync(file, server.kubeconfig());
  return new Promise((resolve) => {
    execFile(kubectl as string, args, { env: { KUBECONFIG: file, HOME: server.dir } }, (_error, out, err) =>
      resolve(out + err),
    );
  });
}

describe('certificates', () => {
  it.skipIf(!kubectl)('are asked for, approved with kubectl, signed, and good to come in with', async () => {
    const { request: bytes, keyPem } = await newRequest('CN=jane,O=devs');
    const signerName = 'kubernetes.io/kube-apiserver-client';
    await ask('jane', { request: bytes, signerName, usages: ['client auth'], expirationSeconds: 3600 });
    expect((await csr('jane')).spec).toMatchObject({
      username: 'kubernetes-admin',
      groups: expect.arrayContaining(['system:masters']),
    });
    expect(await run('certificate', 'approve', 'jane')).toMatch(/jane approved/);
    const certificatePem = await issued('jane');
    expect(await run('get', 'csr', 'jane')).toMatch(/Approved,Issued/);
    const parsed = new x509.X509Certificate(certificatePem);
    expect((parsed.notAfter.getTime() - Date.now()) / 1000).toBeGreaterThan(3500);
    expect((parsed.notAfter.getTime() - Date.now()) / 1000).toBeLessThan(3610);
    const answer = await server.call('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {
      as: { certificatePem, keyPem },
      body: {},
    });
    expect(answer.body.status.userInfo).toMatchObject({ username: 'jane', groups: ['devs', 'system:authenticated'] });
  });

  it('of kubelets are approved by themselves, for who may', async () => {
    const { request: bytes } = await newRequest('CN=system:node:new,O=system:nodes');
    const spec = {
      request: bytes,
      signerName: 'kubernetes.io/kube-apiserver-client-kubelet',
      usages: ['digital signature', 'client auth'],
    };
    await server.call('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      body: {
        metadata: { name: 'joiners' },
        roleRef: {
          apiGroup: 'rbac.authorization.k8s.io',
          kind: 'ClusterRole',
          name: 'system:certificates.k8s.io:certificatesigningrequests:nodeclient',
        },
        subjects: [{ kind: 'Group', name: 'system:bootstrappers' }],
      },
    });
    await ask('node', spec, {
      'impersonate-user': 'system:bootstrap:abcdef',
      'impersonate-group': 'system:bootstrappers',
    });
    // The request itself needs a right that bootstrappers do not have yet.
    expect((await server.call('GET', `${CSRS}/node`)).code).toBe(404);
    await server.call('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      body: {
        metadata: { name: 'bootstrappers' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:node-bootstrapper' },
        subjects: [
          { kind: 'Group', name: 'system:bootstrappers' },
          { kind: 'User', name: 'stranger' },
        ],
      },
    });
    const as = { 'impersonate-user': 'system:bootstrap:abcdef', 'impersonate-group': 'system:bootstrappers' };
    await expect.poll(async () => (await ask('node', spec, as)).code).toBe(201);
    await issued('node');
    expect((await csr('node')).status.conditions[0]).toMatchObject({
      type: 'Approved',
      reason: 'AutoApproved',
      message: 'Auto approving kubelet client certificate after SubjectAccessReview.',
    });
    expect((await ask('stranger', spec, { 'impersonate-user': 'stranger' })).code).toBe(201);
    // Signed in order: by the time the next is signed, the stranger's has been looked at.
    const own = await newRequest('CN=x');
    await ask('other', {
      request: own.request,
      signerName: 'kubernetes.io/kube-apiserver-client',
      usages: ['client auth'],
    });
    await approve('other');
    await issued('other');
    expect((await csr('stranger')).status.certificate).toBe(undefined);
  });

  const approve = async (name: string, headers?: Record<string, string>) =>
    server.call('PUT', `${CSRS}/${name}/approval`, {
      body: {
        ...(await csr(name)),
        status: { conditions: [{ type: 'Approved', status: 'True', reason: 'Test' }] },
      },
      ...(headers && { headers }),
    });

  it('are refused for what the signer does not give', async () => {
    const serving = await newRequest('CN=system:node:x,O=system:nodes');
    await ask('bare', {
      request: serving.request,
      signerName: 'kubernetes.io/kubelet-serving',
      usages: ['digital signature', 'server auth'],
    });
    await approve('bare');
    await expect
      .poll(async () => (await csr('bare')).status.conditions?.[1], { timeout: 10_000 })
      .toMatchObject({
        type: 'Failed',
        reason: 'SignerValidationFailure',
        message: 'DNS or IP subjectAltName is required',
      });
    const masters = await newRequest('CN=x,O=system:masters');
    const spec = {
      request: masters.request,
      signerName: 'kubernetes.io/kube-apiserver-client',
      usages: ['client auth'],
    };
    expect((await ask('up', spec)).body.message).toBe(
      'certificatesigningrequests.certificates.k8s.io "up" is forbidden: use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed',
    );
  });

  it('are approved and signed by nobody without the right to the signer', async () => {
    await server.call('POST', '/apis/rbac.authorization.k8s.io/v1/clusterroles', {
      body: {
        metadata: { name: 'csr-writer' },
        rules: [
          {
            verbs: ['update', 'get'],
            apiGroups: ['certificates.k8s.io'],
            resources: ['certificatesigningrequests/approval', 'certificatesigningrequests/status'],
          },
        ],
      },
    });
    await server.call('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      body: {
        metadata: { name: 'csr-writers' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'csr-writer' },
        subjects: [{ kind: 'User', name: 'eve' }],
      },
    });
    const { request: bytes } = await newRequest('CN=y');
    await ask('guarded', { request: bytes, signerName: 'example.com/own', usages: ['client auth'] });
    const eve = { 'impersonate-user': 'eve' };
    await expect
      .poll(async () => (await approve('guarded', eve)).body.message)
      .toBe(
        'certificatesigningrequests.certificates.k8s.io "guarded" is forbidden: user not permitted to approve requests with signerName "example.com/own"',
      );
    const object = await csr('guarded');
    const signed = { ...object, status: { certificate: Buffer.from(server.pki.caPem).toString('base64') } };
    expect((await server.call('PUT', `${CSRS}/guarded/status`, { body: signed, headers: eve })).body.message).toMatch(
      /user not permitted to sign requests with signerName "example.com\/own"/,
    );
  });
});

describe.skipIf(!kubectl)('kubectl', () => {
  it('tells who one is, and what one may', async () => {
    expect(await run('auth', 'whoami')).toMatch(/Username +kubernetes-admin/);
    expect(await run('auth', 'can-i', '--list')).toMatch(/\*\.\* +\[\] +\[\] +\[\*\]/);
    expect(await run('auth', 'can-i', 'get', 'pods', '--as', 'max')).toMatch(/^no/);
    expect(await run('auth', 'can-i', '--list', '--as', 'max')).toMatch(
      /selfsubjectaccessreviews.authorization.k8s.io +\[\] +\[\] +\[create\]/,
    );
  });

  it('makes tokens, and reconciles roles', async () => {
    const token = (await run('create', 'token', 'default', '--duration', '20m', '--audience', 'vault')).trim();
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
    expect(claims).toMatchObject({ aud: ['vault'], sub: 'system:serviceaccount:default:default' });
    expect(claims.exp - claims.iat).toBe(1200);
    const file = join(server.dir, 'role.yaml');
    const role = (verbs: string) =>
      `apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: k, namespace: default}\nrules: [{apiGroups: [""], resources: [pods], verbs: [${verbs}]}]\n`;
    writeFileSync(file, role('get'));
    expect(await run('auth', 'reconcile', '-f', file)).toMatch(/role.rbac.authorization.k8s.io\/k reconciled/);
    writeFileSync(file, role('list'));
    await run('auth', 'reconcile', '-f', file);
    const { rules } = (await server.call('GET', '/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles/k')).body;
    expect(rules.flatMap((each: { verbs: string[] }) => each.verbs).sort()).toEqual(['get', 'list']);
  });
});

describe('options', () => {
  it.each<[AccessFlags, RegExp]>([
    [{ oidcIssuerUrl: 'https://x' }, /^oidc: oidc-issuer-url and oidc-client-id must be specified together$/],
    [{ oidcIssuerUrl: 'http://x', oidcClientId: 'y' }, /^oidc: oidc.issuer.url: .* URL scheme must be https$/],
    [{ tokenAuthFile: '/nowhere' }, /^--token-auth-file: ENOENT/],
    [{ serviceAccountKeyFile: ['package.json'] }, /^--service-account-key-file package.json: /],
    [{ authenticationConfig: 'package.json' }, /^--authentication-config: expected apiVersion/],
  ])('%j are refused in one line', async (flags, message) => {
    const error = await accessOptions(flags).catch((thrown: Error) => thrown);
    expect(error).toBeInstanceOf(UserError);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).not.toContain('\n');
  });
});

describe('accounts', () => {
  it('get tokens kept in Secrets, which go with them', async () => {
    await server.call('POST', `${NS}/serviceaccounts`, { body: { metadata: { name: 'robot' } } });
    await server.call('POST', `${NS}/secrets`, {
      body: {
        metadata: { name: 'robot-token', annotations: { 'kubernetes.io/service-account.name': 'robot' } },
        type: 'kubernetes.io/service-account-token',
      },
    });
    const read = async () => (await server.call('GET', `${NS}/secrets/robot-token`)).body;
    await expect.poll(async () => (await read()).data?.token, { timeout: 10_000 }).toBeTruthy();
    const { data, metadata } = await read();
    expect(Object.keys(data).sort()).toEqual(['ca.crt', 'namespace', 'token']);
    expect(metadata.annotations['kubernetes.io/service-account.uid']).toBeTruthy();
    const token = Buffer.from(data.token, 'base64').toString();
    const who = () => server.call('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', { token, body: {} });
    expect((await who()).body.status.userInfo.username).toBe('system:serviceaccount:default:robot');
    await server.call('DELETE', `${NS}/serviceaccounts/robot`);
    await expect.poll(async () => (await read()).code, { timeout: 10_000 }).toBe(404);
    expect((await who()).code).toBe(401);
  });

  it('of bootstrap sign what joins, and go when they expire', async () => {
    const encode = (text: string) => Buffer.from(text).toString('base64');
    const token = (id: string, expiration: string) =>
      server.call('POST', '/api/v1/namespaces/kube-system/secrets', {
        body: {
          metadata: { name: `bootstrap-token-${id}` },
          type: 'bootstrap.kubernetes.io/token',
          data: {
            'token-id': encode(id),
            'token-secret': encode('0123456789abcdef'),
            'usage-bootstrap-signing': encode('true'),
            expiration: encode(expiration),
          },
        },
      });
    await server.call('POST', '/api/v1/namespaces/kube-public/configmaps', {
      body: { metadata: { name: 'cluster-info' }, data: { kubeconfig: 'apiVersion: v1\n' } },
    });
    await token('aaaaaa', '2100-01-01T00:00:00Z');
    await token('bbbbbb', new Date(Date.now() + 1500).toISOString());
    const info = async () =>
      (await server.call('GET', '/api/v1/namespaces/kube-public/configmaps/cluster-info')).body.data;
    await expect.poll(async () => Object.keys(await info()), { timeout: 10_000 }).toContain('jws-kubeconfig-aaaaaa');
    await expect
      .poll(
        async () => (await server.call('GET', '/api/v1/namespaces/kube-system/secrets/bootstrap-token-bbbbbb')).code,
        {
          timeout: 10_000,
        },
      )
      .toBe(404);
    await expect
      .poll(async () => Object.keys(await info()).sort(), { timeout: 10_000 })
      .toEqual(['jws-kubeconfig-aaaaaa', 'kubeconfig']);
  });
});

describe('roles', () => {
  it('that aggregate get the rules of those they select', async () => {
    const roles = '/apis/rbac.authorization.k8s.io/v1/clusterroles';
    const selector = { matchLabels: { 'example.com/collect': 'true' } };
    await server.call('POST', roles, {
      body: { metadata: { name: 'collected' }, aggregationRule: { clusterRoleSelectors: [selector] } },
    });
    const part = {
      metadata: { name: 'part', labels: { 'example.com/collect': 'true' } },
      rules: [{ verbs: ['get'], apiGroups: ['example.com'], resources: ['things'] }],
    };
    await server.call('POST', roles, { body: part });
    const rules = async () => (await server.call('GET', `${roles}/collected`)).body.rules ?? [];
    await expect.poll(rules, { timeout: 10_000 }).toEqual(part.rules);
    await server.call('DELETE', `${roles}/part`);
    await expect.poll(rules, { timeout: 10_000 }).toEqual([]);
  });
});

describe('controllers', () => {
  it('act as accounts that have rights', () => {
    const { clusterRoleBindings, roleBindings } = loadBootstrapRbac();
    const known = [...clusterRoleBindings, ...roleBindings].flatMap((each) => each.subjects ?? []);
    for (const name of Object.keys(controllers)) {
      const user = userOf(name);
      if (user === undefined) continue;
      const account = user.split(':')[3];
      expect(
        known.some((each) => each.kind === 'ServiceAccount' && each.name === account),
        `${name} as ${user}`,
      ).toBe(true);
    }
  });

  it('do their work with the rights of their own accounts', async () => {
    const template = {
      metadata: { labels: { app: 'a' } },
      spec: { containers: [{ name: 'c', image: 'i' }] },
    };
    const pods = { replicas: 1, selector: { matchLabels: { app: 'a' } }, template };
    const apps = '/apis/apps/v1/namespaces/work';
    const batch = '/apis/batch/v1/namespaces/work';
    const create = async (path: string, body: object) => {
      const answer = await server.call('POST', path, { body });
      expect(answer.code, `${path} ${answer.text}`).toBe(201);
    };
    await create('/api/v1/namespaces', { metadata: { name: 'work' } });
    await expect
      .poll(async () => (await server.call('GET', '/api/v1/namespaces/work/serviceaccounts/default')).code, {
        timeout: 10_000,
      })
      .toBe(200);
    await create('/api/v1/nodes', {
      metadata: { name: 'n', labels: { 'kubernetes.io/hostname': 'n' } },
      status: { conditions: [{ type: 'Ready', status: 'True' }] },
    });
    await create(`${apps}/deployments`, { metadata: { name: 'd' }, spec: pods });
    await create(`${apps}/statefulsets`, {
      metadata: { name: 's' },
      spec: {
        ...pods,
        serviceName: 's',
        volumeClaimTemplates: [
          {
            metadata: { name: 'data' },
            spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Mi' } } },
          },
        ],
      },
    });
    await create(`${apps}/daemonsets`, {
      metadata: { name: 'ds' },
      spec: {
        selector: pods.selector,
        template: { ...template, spec: { ...template.spec, tolerations: [{ operator: 'Exists' }] } },
      },
    });
    await create(`${batch}/jobs`, {
      metadata: { name: 'j' },
      spec: { template: { spec: { ...template.spec, restartPolicy: 'Never' } } },
    });
    await create(`${batch}/cronjobs`, {
      metadata: { name: 'cj' },
      spec: {
        schedule: '* * * * *',
        jobTemplate: { spec: { template: { spec: { ...template.spec, restartPolicy: 'Never' } } } },
      },
    });
    await create('/api/v1/namespaces/work/services', {
      metadata: { name: 's' },
      spec: { selector: { app: 'a' }, ports: [{ port: 80 }] },
    });
    const list = async (path: string) => (await server.call('GET', path)).body.items as any[];
    const owned = async () =>
      new Set((await list('/api/v1/namespaces/work/pods')).map((each) => each.metadata.ownerReferences?.[0]?.kind));
    await expect.poll(owned, { timeout: 15_000 }).toEqual(new Set(['ReplicaSet', 'StatefulSet', 'DaemonSet', 'Job']));
    await expect
      .poll(async () => (await list('/apis/discovery.k8s.io/v1/namespaces/work/endpointslices')).length, {
        timeout: 10_000,
      })
      .toBe(1);
    await server.call('DELETE', `${apps}/deployments/d`, { body: { propagationPolicy: 'Foreground' } });
    await expect.poll(async () => (await list(`${apps}/deployments`)).length, { timeout: 15_000 }).toBe(0);
    await server.call('DELETE', '/api/v1/namespaces/work');
    // Pods of a node without a kubelet go by force, as a kubelet would let them go.
    await expect
      .poll(
        async () => {
          for (const pod of await list('/api/v1/namespaces/work/pods')) {
            if (pod.metadata.deletionTimestamp) {
              await server.call('DELETE', `/api/v1/namespaces/work/pods/${pod.metadata.name}`, {
                body: { gracePeriodSeconds: 0 },
              });
            }
          }
          return (await server.call('GET', '/api/v1/namespaces/work')).code;
        },
        { timeout: 20_000, interval: 200 },
      )
      .toBe(404);
    expect(refusals).toEqual([]);
  });
});
