import { describe, expect, it } from 'vitest';
import type { PodSpec } from '../../../api/types/core-v1.ts';
import { detailText, violations } from './evaluate.ts';
import { type LevelVersion, policyOf, PRIVILEGED_POLICY } from './levels.ts';

const at = (level: LevelVersion['level'], version: LevelVersion['version'] = 'latest') => ({ level, version });
const text = (level: LevelVersion, spec: object, annotations = {}) =>
  detailText(violations(level, spec as PodSpec, { annotations }));

const containers = (...contexts: object[]) =>
  contexts.map((securityContext, i) => ({ name: String.fromCharCode(97 + i), securityContext }));

const good = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  runAsNonRoot: true,
  seccompProfile: { type: 'RuntimeDefault' },
};

describe('the baseline level', () => {
  it.each<[string, object, string]>([
    ['nothing said', { containers: containers({}) }, ''],
    [
      'host namespaces',
      { hostNetwork: true, hostPID: true, hostIPC: true, containers: [] },
      'host namespaces (hostNetwork=true, hostPID=true, hostIPC=true)',
    ],
    [
      'privileged',
      { containers: containers({ privileged: true }, { privileged: true }) },
      'privileged (containers "a", "b" must not set securityContext.privileged=true)',
    ],
    [
      'capabilities',
      { containers: containers({ capabilities: { add: ['NET_ADMIN', 'CHOWN', 'BPF'] } }) },
      'non-default capabilities (container "a" must not include "BPF", "NET_ADMIN" in securityContext.capabilities.add)',
    ],
    [
      'host paths',
      { containers: [], volumes: [{ name: 'v', hostPath: { path: '/' } }] },
      'hostPath volumes (volume "v")',
    ],
    [
      'host ports',
      {
        containers: [
          {
            name: 'a',
            ports: [
              { containerPort: 1, hostPort: 80 },
              { containerPort: 2, hostPort: 443 },
            ],
          },
        ],
      },
      'hostPort (container "a" uses hostPorts 443, 80)',
    ],
    [
      'hosts of probes',
      { containers: [{ name: 'a', livenessProbe: { httpGet: { host: '127.0.0.1', port: 80 } } }] },
      'probe or lifecycle host (container "a" uses probe or lifecycle host "127.0.0.1")',
    ],
    [
      'proc mounts',
      { containers: containers({ procMount: 'Unmasked' }) },
      'procMount (container "a" must not set securityContext.procMount to "Unmasked")',
    ],
    [
      'proc mounts of a pod with users of its own',
      { hostUsers: false, containers: containers({ procMount: 'Unmasked' }) },
      '',
    ],
    [
      'SELinux',
      {
        securityContext: { seLinuxOptions: { type: 'spc_t', user: 'u' } },
        containers: containers({ seLinuxOptions: { role: 'r' } }),
      },
      'seLinuxOptions (pod and container "a" set forbidden securityContext.seLinuxOptions: type "spc_t"; user may not be set; role may not be set)',
    ],
    [
      'seccomp',
      { securityContext: { seccompProfile: { type: 'Unconfined' } }, containers: containers({}) },
      'seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")',
    ],
    [
      'sysctls',
      {
        securityContext: { sysctls: [{ name: 'net.ipv4.tcp_syncookies' }, { name: 'kernel.msgmax' }] },
        containers: [],
      },
      'forbidden sysctls (kernel.msgmax)',
    ],
    [
      'windows',
      { securityContext: { windowsOptions: { hostProcess: true } }, containers: [] },
      'hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)',
    ],
    [
      'AppArmor',
      { containers: containers({ appArmorProfile: { type: 'Unconfined' } }) },
      'forbidden AppArmor profile (container "a" must not set AppArmor profile type to "Unconfined")',
    ],
  ])('%s', (_, spec, expected) => {
    expect(text(at('baseline'), spec)).toBe(expected);
  });

  it('of an older version has its rules', () => {
    const sysctl = { securityContext: { sysctls: [{ name: 'net.ipv4.tcp_rmem' }] }, containers: [] };
    expect(text(at('baseline', 31), sysctl)).toBe('forbidden sysctls (net.ipv4.tcp_rmem)');
    expect(text(at('baseline', 32), sysctl)).toBe('');
    const probe = { containers: [{ name: 'a', livenessProbe: { tcpSocket: { host: 'x', port: 1 } } }] };
    expect(text(at('baseline', 33), probe)).toBe('');
  });
});

describe('the restricted level', () => {
  it('says all that is missing, as everybody knows it', () => {
    expect(text(at('restricted'), { containers: containers({}) })).toBe(
      'allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false), ' +
        'unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]), ' +
        'runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true), ' +
        'seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
    );
  });

  it.each<[string, object, string]>([
    ['what is hardened', { containers: containers(good) }, ''],
    [
      'the baseline comes first, what is stricter replaces it',
      {
        hostNetwork: true,
        containers: containers({ ...good, capabilities: { drop: ['ALL'], add: ['SYS_ADMIN'] } }),
        volumes: [
          { name: 'v', hostPath: { path: '/' } },
          { name: 'w', nfs: {} },
        ],
      },
      'host namespaces (hostNetwork=true), unrestricted capabilities (container "a" must not include "SYS_ADMIN" in securityContext.capabilities.add), restricted volume types (volumes "v", "w" use restricted volume types "hostPath", "nfs")',
    ],
    [
      'root',
      { securityContext: { runAsNonRoot: false, runAsUser: 0 }, containers: containers(good) },
      'runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false), runAsUser=0 (pod must not set runAsUser=0)',
    ],
    [
      'root in a pod with users of its own',
      {
        hostUsers: false,
        securityContext: { runAsUser: 0 },
        containers: containers({ ...good, runAsNonRoot: undefined }),
      },
      '',
    ],
    [
      'a pod that says it for its containers',
      {
        securityContext: { runAsNonRoot: true, seccompProfile: { type: 'Localhost' } },
        containers: containers({ allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } }),
      },
      '',
    ],
    ['windows', { os: { name: 'windows' }, securityContext: { runAsNonRoot: true }, containers: containers({}) }, ''],
  ])('%s', (_, spec, expected) => {
    expect(text(at('restricted'), spec)).toBe(expected);
  });
});

describe('labels', () => {
  const read = (labels: Record<string, string>) =>
    policyOf(
      Object.fromEntries(Object.entries(labels).map(([key, value]) => [`pod-security.kubernetes.io/${key}`, value])),
      PRIVILEGED_POLICY,
    );

  it('say the level and the version of each mode', () => {
    expect(read({ enforce: 'baseline', 'enforce-version': 'v1.24', audit: 'restricted' }).policy).toEqual({
      enforce: at('baseline', 24),
      audit: at('restricted'),
      warn: at('baseline', 24),
    });
    expect(read({ enforce: 'restricted', warn: 'privileged' }).policy.warn).toEqual(at('privileged'));
  });

  it('that cannot be read are told, and are the strictest', () => {
    const { policy, problems } = read({ enforce: 'Baseline', 'audit-version': '1.24' });
    expect(policy.enforce.level).toBe('restricted');
    expect(problems.map((each) => `${each.field}: ${each.body}`)).toEqual([
      'metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "Baseline": must be one of privileged, baseline, restricted',
      'metadata.labels[pod-security.kubernetes.io/audit-version]: Invalid value: "1.24": must be "latest" or "v1.x"',
    ]);
  });
});
