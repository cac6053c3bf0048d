// Golden transcripts of launch plans: UPDATE_GOLDEN=1 rewrites them.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findHierarchies } from '../../lib/cgroups/hierarchy.ts';
import { createV1Driver } from '../cgroups/v1.ts';
import { createV2Driver } from '../cgroups/v2.ts';
import { type ContainerHost, planContainer } from './container-plan.ts';
import { planExec } from './exec-plan.ts';
import type { ContainerSpec, SandboxSpec } from './port.ts';
import { planContainerRemoval, planSandbox, planSandboxRemoval } from './sandbox-plan.ts';
import { printPlan } from './steps.ts';

const golden = (name: string, text: string) => {
  const path = join(import.meta.dirname, 'golden', `${name}.txt`);
  if (process.env['UPDATE_GOLDEN']) {
    mkdirSync(join(import.meta.dirname, 'golden'), { recursive: true });
    writeFileSync(path, text);
  }
  expect(text).toBe(existsSync(path) ? readFileSync(path, 'utf8') : '');
};

const HYBRID = ['cpu', 'cpuacct', 'cpuset', 'memory', 'devices', 'freezer', 'blkio', 'pids']
  .map((name, at) => `${30 + at} 29 0:${at} / /nowhere/${name} rw - cgroup cgroup rw,${name}`)
  .concat('40 29 0:40 / /nowhere/unified rw - cgroup2 cgroup2 rw')
  .join('\n');
const hybrid = createV1Driver(findHierarchies(HYBRID), '/sampan');
const v2 = createV2Driver(findHierarchies('40 29 0:40 / /nowhere rw - cgroup2 cgroup2 rw'), '/sampan');

const sandbox: SandboxSpec = {
  id: 's1',
  hostname: 'web-0',
  network: 'pod',
  pid: 'container',
  ipc: 'pod',
  cgroupParent: '/kubepods/pod1',
  resources: { cpuShares: 512 },
  sysctls: { 'net.ipv4.ip_unprivileged_port_start': '0', 'kernel.shm_rmid_forced': '1' },
};
const container: ContainerSpec = {
  id: 'c1',
  sandboxId: 's1',
  process: {
    args: ['nginx', '-g', 'daemon off;'],
    env: ['PATH=/usr/bin:/bin', 'A=b c'],
    cwd: '/srv',
    uid: 101,
    gid: 101,
    additionalGids: [7],
    terminal: false,
    capabilities: ['NET_BIND_SERVICE', 'SYS_RESOURCE'],
    noNewPrivileges: true,
    oomScoreAdj: -997,
    rlimits: [{ type: 'RLIMIT_NOFILE', soft: 1024, hard: 1_000_000 }],
  },
  rootfs: { lowerDirs: ['/l/2', '/l/1'], upperDir: '/u', workDir: '/w', readonly: true },
  mounts: [
    { source: '/host/hosts', target: '/etc/hosts', readonly: false, propagation: 'private' },
    { source: '/host/secret', target: '/secret', readonly: true, recursiveReadonly: true, propagation: 'slave' },
    {
      source: 'tmpfs',
      target: '/cache',
      readonly: false,
      propagation: 'private',
      type: 'tmpfs',
      options: ['nosuid', 'size=1m'],
    },
  ],
  devices: [{ hostPath: '/dev/fuse', containerPath: '/dev/fuse', permissions: 'rw' }],
  maskedPaths: ['/proc/kcore'],
  readonlyPaths: ['/proc/sys'],
  privileged: false,
  seccomp: { kind: 'runtime-default' },
  resources: {
    cpuShares: 256,
    cpuQuotaUs: 50_000,
    cpuPeriodUs: 100_000,
    memoryLimitBytes: 64 << 20,
    memorySwapLimitBytes: 64 << 20,
    pidsLimit: 100,
  },
  cgroup: '/kubepods/pod1/c1',
  logPath: '/log/0.log',
  stdin: false,
  stdinOnce: false,
};
const host = (cgroups: ContainerHost['cgroups']): ContainerHost => ({
  cgroups,
  own: { capabilities: 0x1fffeffffffn, oomScoreAdj: 0, hardLimits: new Map([[7, 20_000n]]) },
  directory: '/state/containers/c1',
  sandboxDirectory: '/state/sandboxes/s1',
  seccomp: { program: new Uint8Array(80), flags: 0 },
  devices: [{ type: 'c', major: 10, minor: 229, mode: 0o666 }],
  cgroupMounts: {
    v1: [
      ['memory', 'memory'],
      ['cpu', 'cpu'],
    ],
    unified: true,
  },
  pidNamespace: undefined,
});
const network = {
  bridge: 'sampan0',
  hostInterface: 'sv012345',
  address: '10.244.0.5',
  prefix: 24,
  gateway: '10.244.0.1',
  mac: '0a:58:0a:f4:00:05',
  mtu: 1400,
};

describe('launch plans', () => {
  it('of a sandbox', () => {
    golden(
      'sandbox',
      printPlan(planSandbox(sandbox, { cgroups: hybrid, directory: '/state/sandboxes/s1', network }).steps),
    );
  });
  it('of a sandbox with a pid namespace of its own on the host network', () => {
    const spec: SandboxSpec = { ...sandbox, network: 'node', ipc: 'node', pid: 'pod', sysctls: {} };
    golden(
      'sandbox-host-network',
      printPlan(planSandbox(spec, { cgroups: v2, directory: '/state/sandboxes/s1', network: undefined }).steps),
    );
  });
  it('of a container, with what the host withholds reported', () => {
    const plan = planContainer(container, sandbox, host(hybrid));
    golden('container-hybrid', printPlan(plan.steps));
    expect(plan.warnings).toEqual([
      'oom_score_adj -997 was raised to 0: the host withholds CAP_SYS_RESOURCE',
      'rlimit RLIMIT_NOFILE 1000000 was lowered to 20000: the host withholds CAP_SYS_RESOURCE',
      'capability SYS_RESOURCE was not given: the host withholds it',
    ]);
  });
  it('of a privileged container with a terminal in a shared pid namespace, on v2', () => {
    const spec: ContainerSpec = {
      ...container,
      privileged: true,
      stdin: true,
      stdinOnce: true,
      seccomp: { kind: 'unconfined' },
      devices: [],
      process: {
        ...container.process,
        uid: 0,
        gid: 0,
        terminal: true,
        terminalSize: { width: 80, height: 24 },
        capabilities: ['ALL'],
        noNewPrivileges: false,
      },
    };
    const plan = planContainer(
      spec,
      { ...sandbox, pid: 'pod' },
      { ...host(v2), seccomp: undefined, devices: [], pidNamespace: '/proc/42/ns/pid' },
    );
    golden('container-privileged-v2', printPlan(plan.steps));
  });
  it('of a pod with a user namespace, on v2', () => {
    const ids = [{ containerId: 0, hostId: 65_536, length: 65_536 }];
    const pod: SandboxSpec = { ...sandbox, pid: 'pod', userNamespace: { uids: ids, gids: ids } };
    const spec: ContainerSpec = {
      ...container,
      mounts: [
        { source: '/host/data', target: '/data', readonly: false, propagation: 'private', idMapped: true },
        {
          source: '',
          target: '/model',
          readonly: true,
          propagation: 'private',
          idMapped: true,
          image: { layers: ['/l/9', '/l/8'], subPath: 'v1' },
        },
      ],
    };
    const execSpec = { containerId: 'c1', stdin: true, process: { args: ['sh'], env: [], cwd: '/', terminal: false } };
    golden(
      'user-namespace-v2',
      [
        planSandbox(pod, { cgroups: v2, directory: '/state/sandboxes/s1', network }),
        planContainer(spec, pod, { ...host(v2), pidNamespace: '/proc/42/ns/pid' }),
        planExec(execSpec, spec, { pid: 42, pidStart: '777' }, host(v2), pod.userNamespace),
      ]
        .map(({ steps }) => printPlan(steps))
        .join('\n'),
    );
  });
  it('give devices the mode and owner that were asked for', () => {
    const devices = [{ hostPath: '/dev/fuse', containerPath: '/dev/card', permissions: 'rw', mode: 0o640, gid: 44 }];
    const ids = [{ containerId: 0, hostId: 65_536, length: 65_536 }];
    const nodes = [sandbox, { ...sandbox, userNamespace: { uids: ids, gids: ids } }].map((pod) =>
      planContainer({ ...container, devices }, pod, host(hybrid))
        .steps.filter(({ op, args }) => op === 'mknod' && String(args[0]).endsWith('card'))
        .map(({ args }) => args),
    );
    expect(nodes).toEqual([
      [['/dev/card', 'c', '10', '229', '640', '0', '44']],
      [['/card', 'c', '10', '229', '640', '0', '65580']],
    ]);
  });
  it('of an exec', () => {
    const plan = planExec(
      { containerId: 'c1', stdin: true, process: { args: ['sh'], env: ['PATH=/bin'], cwd: '/', terminal: true } },
      container,
      { pid: 42, pidStart: '777' },
      host(hybrid),
    );
    golden('exec', printPlan(plan.steps));
  });
  it('of removals', () => {
    golden(
      'remove',
      printPlan([
        ...planContainerRemoval('/kubepods/pod1/c1', hybrid),
        ...planSandboxRemoval('/kubepods/pod1', '/state/sandboxes/s1', hybrid),
      ]),
    );
  });
  it('refuse what would change the host or cannot be done', () => {
    const plan = (change: Partial<ContainerSpec>) => () =>
      planContainer({ ...container, ...change }, sandbox, host(hybrid));
    expect(() =>
      planSandbox({ ...sandbox, sysctls: { 'vm.swappiness': '1' } }, { cgroups: hybrid, directory: '/s', network }),
    ).toThrow('would change the host');
    expect(() =>
      planSandbox(
        { ...sandbox, sysctls: { 'net/../vm/swappiness': '1' } },
        { cgroups: hybrid, directory: '/s', network },
      ),
    ).toThrow();
    expect(plan({ cgroup: '/kubepods/../x' })).toThrow('is not an absolute name below our root');
    expect(
      plan({ mounts: [{ source: '/a', target: '/b', readonly: false, propagation: 'private', options: ['size=1'] }] }),
    ).toThrow('option "size=1" is not supported');
    expect(plan({ process: { ...container.process, capabilities: ['NOPE'] } })).toThrow('unknown capability "NOPE"');
    expect(plan({ process: { ...container.process, rlimits: [{ type: 'NOPE', soft: 1, hard: 1 }] } })).toThrow(
      'unknown rlimit "NOPE"',
    );
    expect(plan({ process: { ...container.process, args: [] } })).toThrow('nothing to execute');
    expect(plan({ process: { ...container.process, env: ['=x'] } })).toThrow('is not NAME=value');
  });
});
