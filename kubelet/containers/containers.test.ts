// The pure pieces of a container's configuration.
import { describe, expect, it } from 'vitest';
import type { Container, Pod, Service } from '../../api/types/core-v1.ts';
import { hostsFile, parseResolvConf, podDns, podHostname } from './dns.ts';
import { envFileValue } from './env-file.ts';
import { environmentOf, type EnvironmentFacts } from './environment.ts';
import { expand } from './expansion.ts';
import { fieldValue, resourceValue } from './field-ref.ts';
import { oomScoreAdj } from './qos.ts';
import { containerResources, podCgroup, podResources } from './resources.ts';
import { containerSecurity } from './security.ts';
import { serviceEnvironment } from './service-env.ts';

const pod: Pod = {
  metadata: {
    name: 'web',
    namespace: 'shop',
    uid: 'u1',
    labels: { app: 'web', tier: 'a"b' },
    annotations: { note: 'x' },
  },
  spec: {
    serviceAccountName: 'robot',
    containers: [
      { name: 'app', resources: { requests: { cpu: '250m', memory: '64Mi' }, limits: { memory: '128Mi' } } },
      { name: 'log', resources: { requests: { cpu: '1' } } },
    ],
  },
};
const app = pod.spec?.containers[0] as Container;
const facts: EnvironmentFacts = {
  pod,
  podIps: ['10.0.0.9', 'fd00::9'],
  hostIps: ['192.0.2.1'],
  nodeName: 'node-1',
  allocatable: { cpu: '4', memory: '8Gi' },
  services: [],
  volumeFile: (volume, path) => (volume === 'env' && path === 'app.env' ? "A='one'\n" : undefined),
  objects: {
    secret: async (_ns, name) =>
      name === 's' ? { metadata: {}, data: { key: Buffer.from('secret').toString('base64') } } : undefined,
    configMap: async (_ns, name) => (name === 'c' ? { metadata: {}, data: { A: '1', B: '2' } } : undefined),
  },
};

describe('expansion', () => {
  it.each([
    ['$(A)-$(B)', '1-2'],
    ['$$(A)', '$(A)'],
    ['$(MISSING)', '$(MISSING)'],
    ['$A $', '$A $'],
    ['$(A', '$(A'],
    ['$$$$(A)', '$$(A)'],
  ])('%s', (text, expected) => {
    expect(expand(text, (name) => ({ A: '1', B: '2' })[name])).toBe(expected);
  });
});

describe('the downward API', () => {
  it.each([
    ['metadata.name', 'web'],
    ['metadata.uid', 'u1'],
    ["metadata.labels['app']", 'web'],
    ["metadata.annotations['none']", ''],
    ['metadata.labels', 'app="web"\ntier="a\\"b"'],
    ['status.podIPs', '10.0.0.9,fd00::9'],
    ['status.hostIP', '192.0.2.1'],
    ['spec.nodeName', 'node-1'],
    ['spec.serviceAccountName', 'robot'],
  ])('%s', (fieldPath, expected) => {
    expect(fieldValue(facts, { fieldPath })).toBe(expected);
  });

  it.each([
    ['requests.cpu', undefined, '1'],
    ['requests.cpu', '1m', '250'],
    ['limits.memory', '1Mi', '128'],
    ['limits.cpu', undefined, '4'],
  ])('%s / %s', (resource, divisor, expected) => {
    expect(resourceValue(facts, { resource, ...(divisor && { divisor }) }, app)).toBe(expected);
  });

  it('refuses what it does not know', () => {
    expect(() => fieldValue(facts, { fieldPath: 'spec.x' })).toThrow('unsupported fieldPath: spec.x');
  });
});

describe('files of environment variables', () => {
  const text = "# a comment\n\n  A='one'\nB='two\nlines' # more\nC= 'nothing'\nD=''\nE='x y=z'\n";
  it.each([
    ['A', 'one'],
    ['B', 'two\nlines'],
    ['C', undefined],
    ['D', undefined],
    ['E', 'x y=z'],
    ['F', undefined],
  ])('hold %s', (key, value) => {
    expect(envFileValue(text, key)).toBe(value);
  });

  it.each([
    ['A', "at line 1: missing '='"],
    ["A ='x'", "at line 1: whitespace before '=' is not allowed"],
    ["='x'", 'at line 1: empty variable name'],
    ['A=x', 'at line 1: value must be enclosed in single quotes'],
    ["B='x'\nA='x\ny", 'starting at line 2: unclosed single quote'],
    ["A='x' y", 'at line 1: unexpected content after closing quote'],
  ])('are refused: %j', (wrong, message) => {
    expect(() => envFileValue(wrong, 'K')).toThrow(`invalid environment variable format ${message}`);
  });
});

describe('environment', () => {
  it('lets later sources win and earlier ones be used', async () => {
    const container: Container = {
      name: 'app',
      envFrom: [{ prefix: 'P_', configMapRef: { name: 'c' } }, { secretRef: { name: 'none', optional: true } }],
      env: [
        { name: 'P_A', value: 'own' },
        { name: 'URL', value: 'http://$(P_B)/$(NOPE)' },
        { name: 'SECRET', valueFrom: { secretKeyRef: { name: 's', key: 'key' } } },
        { name: 'FILE', valueFrom: { fileKeyRef: { volumeName: 'env', path: 'app.env', key: 'A' } } },
        { name: 'NONE', valueFrom: { fileKeyRef: { volumeName: 'env', path: 'x', key: 'A', optional: true } } },
        { name: 'GONE', valueFrom: { configMapKeyRef: { name: 'c', key: 'zzz', optional: true } } },
      ],
    };
    expect(Object.fromEntries(await environmentOf(facts, container))).toEqual({
      P_A: 'own',
      P_B: '2',
      URL: 'http://2/$(NOPE)',
      SECRET: 'secret',
      FILE: 'one',
    });
  });

  it.each([
    [{ env: [{ name: 'X', valueFrom: { secretKeyRef: { name: 'none', key: 'k' } } }] }, 'secret "none" not found'],
    [
      { env: [{ name: 'X', valueFrom: { configMapKeyRef: { name: 'c', key: 'k' } } }] },
      "couldn't find key k in ConfigMap shop/c",
    ],
    [{ envFrom: [{ configMapRef: { name: 'none' } }] }, 'configmap "none" not found'],
    [
      { env: [{ name: 'X', valueFrom: { fileKeyRef: { volumeName: 'env', path: 'app.env', key: 'B' } } }] },
      'environment variable key "B" not found in file "app.env"',
    ],
  ])('names what is missing: %#', async (more, message) => {
    await expect(environmentOf(facts, { name: 'app', ...more })).rejects.toThrow(message);
  });

  it('knows services of its namespace and always kubernetes', () => {
    const service = (namespace: string, name: string, clusterIP: string): Service => ({
      metadata: { name, namespace },
      spec: { clusterIP, ports: [{ name: 'http', port: 80 }] },
    });
    const services = [
      service('default', 'kubernetes', '10.96.0.1'),
      service('shop', 'my-db', '10.96.0.7'),
      service('other', 'x', '10.96.0.8'),
      service('shop', 'headless', 'None'),
    ];
    const all = serviceEnvironment(services, 'shop', true);
    expect(all.get('KUBERNETES_SERVICE_HOST')).toBe('10.96.0.1');
    expect(all.get('MY_DB_SERVICE_PORT_HTTP')).toBe('80');
    expect(all.get('MY_DB_PORT_80_TCP')).toBe('tcp://10.96.0.7:80');
    expect([...all.keys()].some((key) => key.startsWith('X_') || key.startsWith('HEADLESS'))).toBe(false);
    expect([...serviceEnvironment(services, 'shop', false).keys()].every((key) => key.startsWith('KUBERNETES_'))).toBe(
      true,
    );
  });
});

describe('resources', () => {
  it('turns requests and limits into cgroup figures', () => {
    expect(containerResources(pod, app, 8 * 2 ** 30)).toMatchObject({
      cpuShares: 256,
      cpuQuota: 0,
      memoryLimitInBytes: 128 * 2 ** 20,
      oomScoreAdj: 993,
    });
    expect(podResources(pod)).toMatchObject({ cpuShares: 1280, memoryLimitInBytes: 0 });
    expect(podCgroup(pod, '/sampan/')).toBe('/sampan/kubepods/burstable/podu1');
    const guaranteed: Pod = {
      metadata: { uid: 'g' },
      spec: { containers: [{ name: 'x', resources: { limits: { cpu: '500m', memory: '1Gi' } } }] },
    };
    expect(podCgroup({ ...guaranteed, status: { qosClass: 'Guaranteed' } }, '')).toBe('/kubepods/podg');
    expect(podResources(guaranteed)).toEqual({
      cpuPeriod: 100_000,
      cpuQuota: 50_000,
      cpuShares: 512,
      memoryLimitInBytes: 2 ** 30,
    });
    expect(oomScoreAdj({ metadata: {}, spec: { containers: [{ name: 'x' }] } }, { name: 'x' }, 1)).toBe(1000);
  });
});

describe('security', () => {
  const user = (uid: number | undefined, username = '') => ({ uid, username });
  it('is confined by default', () => {
    const context = containerSecurity(pod, app, user(0), '/seccomp');
    expect(context).toMatchObject({ privileged: false, noNewPrivs: false, seccomp: { profileType: 'RuntimeDefault' } });
    expect(context.maskedPaths).toContain('/proc/kcore');
  });

  it.each([
    [{ runAsNonRoot: true }, user(0), 'image will run as root'],
    [{ runAsNonRoot: true }, user(undefined, 'www'), 'non-numeric user (www)'],
    [{ runAsNonRoot: true, runAsUser: 0 }, user(5), 'runAsUser breaks non-root policy'],
  ])('refuses root where it may not be: %#', (securityContext, imageUser, message) => {
    expect(() => containerSecurity(pod, { ...app, securityContext }, imageUser, '')).toThrow(message);
  });

  it('takes the container over the pod', () => {
    const both: Pod = {
      ...pod,
      spec: { ...pod.spec, containers: [], securityContext: { runAsUser: 1, fsGroup: 7, supplementalGroups: [8] } },
    };
    const context = containerSecurity(
      both,
      {
        name: 'x',
        securityContext: { runAsUser: 2, allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
      },
      user(0),
      '',
    );
    expect(context).toMatchObject({
      runAsUser: { value: 2 },
      noNewPrivs: true,
      supplementalGroups: [8, 7],
      capabilities: { dropCapabilities: ['ALL'] },
    });
  });
});

describe('DNS and names', () => {
  const dns = {
    clusterDns: ['10.96.0.10'],
    clusterDomain: 'cluster.local',
    host: parseResolvConf('nameserver 9.9.9.9\nsearch corp\noptions timeout:1\n'),
  };
  it('follows the policies', () => {
    expect(podDns(pod, dns).config).toEqual({
      servers: ['10.96.0.10'],
      searches: ['shop.svc.cluster.local', 'svc.cluster.local', 'cluster.local', 'corp'],
      options: ['ndots:5'],
    });
    expect(podDns({ ...pod, spec: { containers: [], dnsPolicy: 'Default' } }, dns).config).toEqual({
      servers: ['9.9.9.9'],
      searches: ['corp'],
      options: ['timeout:1'],
    });
    const none: Pod = {
      ...pod,
      spec: {
        containers: [],
        dnsPolicy: 'None',
        dnsConfig: { nameservers: ['1.1.1.1'], options: [{ name: 'ndots', value: '2' }] },
      },
    };
    expect(podDns(none, dns).config).toEqual({ servers: ['1.1.1.1'], searches: [], options: ['ndots:2'] });
    expect(podDns(pod, { ...dns, clusterDns: [] }).warnings[0]).toContain('does not have ClusterDNS IP');
  });

  it('names the pod and writes its hosts file', () => {
    const named: Pod = {
      ...pod,
      spec: {
        containers: [],
        hostname: 'db-0',
        subdomain: 'db',
        hostAliases: [{ ip: '1.2.3.4', hostnames: ['a', 'b'] }],
      },
    };
    const { hostname, fqdn } = podHostname(named, 'cluster.local');
    expect([hostname, fqdn]).toEqual(['db-0', 'db-0.db.shop.svc.cluster.local']);
    const text = hostsFile(named, ['10.0.0.9'], hostname, fqdn, '');
    expect(text).toContain('10.0.0.9\tdb-0.db.shop.svc.cluster.local\tdb-0\n');
    expect(text).toContain('1.2.3.4\ta\tb\n');
  });
});
