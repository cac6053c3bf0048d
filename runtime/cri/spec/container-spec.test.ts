// The mapping of configurations to specifications, as tables.
import { describe, expect, test } from 'vitest';
import type { ContainerConfig, LinuxContainerSecurityContext } from '../../../proto/cri-types.ts';
import type { RunConfig } from '../../images/oci.ts';
import type { SandboxRecord } from '../../store/records.ts';
import { containerSpec } from './container-spec.ts';
import { hostsFile, resolvConf } from './pod-files.ts';
import { processArgs, processEnv, workingDirectory } from './process.ts';
import { mergeResources, resources } from './resources.ts';
import { sandboxSpec } from './sandbox-spec.ts';
import { capabilities, seccompFilter } from './security.ts';
import { containerUser } from './user.ts';

const sandbox: SandboxRecord = {
  id: 's1',
  config: { metadata: { name: 'p', namespace: 'n', uid: 'u' } },
  runtimeHandler: '',
  createdAtNs: 0,
  hostNetwork: false,
  cgroupParent: '/kubepods/pod1',
  hostname: 'p',
  handle: { id: 's1', netnsPath: '/n', ips: ['10.0.0.1'], pausePid: undefined },
};

const userns = {
  mode: 'POD' as const,
  uids: [{ hostId: 65_536, containerId: 0, length: 65_536 }],
  gids: [{ hostId: 65_536, containerId: 0, length: 65_536 }],
};

function specOf(config: Partial<ContainerConfig>, image: RunConfig = {}, box: SandboxRecord = sandbox) {
  return containerSpec(
    { metadata: { name: 'c' }, command: ['/x'], ...config },
    {
      id: 'c1',
      sandbox: box,
      image,
      readUserDatabase: () => ({ passwd: undefined, group: undefined }),
      lowerDirs: ['/l2', '/l1'],
      upperDir: '/u',
      workDir: '/w',
      podFiles: { hostname: '/f/hostname', hosts: '/f/hosts', resolvConf: '/f/resolv.conf', shm: '/f/shm' },
      imageLayers: (name) => {
        if (name === 'gone') throw new Error('failed to resolve image');
        return [`/i/${name}`];
      },
      logPath: '',
      cdiDevices: () => new Map(),
    },
  );
}

describe('arguments', () => {
  const image = { Entrypoint: ['/entry', '-e'], Cmd: ['a', 'b'] };
  test.each<[string, Partial<ContainerConfig>, RunConfig, string[]]>([
    ['the image alone', {}, image, ['/entry', '-e', 'a', 'b']],
    ['args replace Cmd', { args: ['c'] }, image, ['/entry', '-e', 'c']],
    ['command replaces both', { command: ['/sh'] }, image, ['/sh']],
    ['command and args', { command: ['/sh'], args: ['-c'] }, image, ['/sh', '-c']],
    ['an empty entrypoint is none', {}, { Entrypoint: [''], Cmd: ['x'] }, ['x']],
  ])('%s', (_, config, run, expected) => expect(processArgs(config, run)).toEqual(expected));

  test('none at all is refused', () => expect(() => processArgs({}, {})).toThrow('no command specified'));
});

test('the environment is merged in order, the container wins', () => {
  const env = processEnv(
    {
      tty: true,
      envs: [
        { key: 'A', value: '2' },
        { key: 'HOME', value: '/h' },
        { key: 'E', value: 'x=y' },
      ],
    },
    { Env: ['PATH=/bin', 'A=1', 'B=b'] },
    { hostname: 'p', home: '/root' },
  );
  expect(env).toEqual(['PATH=/bin', 'HOSTNAME=p', 'TERM=xterm', 'A=2', 'B=b', 'HOME=/h', 'E=x=y']);
  expect(() => processEnv({ envs: [{ key: 'A=B', value: '' }] }, {}, { hostname: '', home: '/' })).toThrow(
    'config.envs',
  );
});

test.each([
  ['', undefined, '/'],
  ['', '/app', '/app'],
  ['', 'app', '/app'],
  ['/w', '/app', '/w'],
])('working directory %j over %j is %s', (own, image, expected) =>
  expect(workingDirectory({ workingDir: own }, { WorkingDir: image })).toBe(expected),
);

describe('user', () => {
  const database = {
    passwd: 'root:x:0:0:root:/root:/bin/sh\n# comment\nweb:x:33:34::/home/web:/bin/sh\nbroken\n',
    group: 'root:x:0:\nweb:x:34:\nextra:x:50:web,other\nops:x:60:other\n',
  };
  const root = { uid: 0, gid: 0, groups: [0], home: '/root' };
  test.each<[string, LinuxContainerSecurityContext, string, object]>([
    ['nobody says anything', {}, '', root],
    ['the image by name', {}, 'web', { uid: 33, gid: 34, groups: [34, 50], home: '/home/web' }],
    ['the image by name and group', {}, 'web:ops', { uid: 33, gid: 60, groups: [50, 60], home: '/home/web' }],
    ['the image by unknown number', {}, '1234', { uid: 1234, gid: 0, groups: [0], home: '/' }],
    ['run_as_user', { runAsUser: { value: 33 } }, 'root', { uid: 33, gid: 34, groups: [34, 50], home: '/home/web' }],
    ['run_as_user 0', { runAsUser: { value: 0 } }, 'web', root],
    [
      'run_as_group',
      { runAsUser: { value: 33 }, runAsGroup: { value: 7 } },
      '',
      { uid: 33, gid: 7, groups: [7, 50], home: '/home/web' },
    ],
    [
      'run_as_username',
      { runAsUsername: 'web', supplementalGroups: [9, 50] },
      '',
      { uid: 33, gid: 34, groups: [9, 34, 50], home: '/home/web' },
    ],
    [
      'strict groups',
      { runAsUsername: 'web', supplementalGroups: [9], supplementalGroupsPolicy: 'Strict' },
      '',
      { uid: 33, gid: 34, groups: [9, 34], home: '/home/web' },
    ],
  ])('%s', (_, context, image, expected) =>
    expect(containerUser(context, { User: image }, () => database)).toEqual(expected),
  );

  test('unknown names and a lone group are refused', () => {
    expect(() => containerUser({ runAsUsername: 'who' }, {}, () => database)).toThrow('unable to find user who');
    expect(() => containerUser({}, { User: 'web:none' }, () => database)).toThrow('unable to find group none');
    expect(() => containerUser({ runAsGroup: { value: 1 } }, {}, () => database)).toThrow('run_as_group');
    expect(() => containerUser({ runAsUser: { value: -1 } }, {}, () => database)).toThrow('run_as_user');
  });
});

describe('capabilities', () => {
  const of = (add: string[], drop: string[], privileged = false) =>
    capabilities({ privileged, capabilities: { addCapabilities: add, dropCapabilities: drop } });
  test('the default is 14', () => expect(of([], []).length).toBe(14));
  test('add and drop, with and without CAP_', () => {
    expect(of(['NET_ADMIN', 'cap_sys_time'], ['CAP_MKNOD'])).toEqual(expect.arrayContaining(['NET_ADMIN', 'SYS_TIME']));
    expect(of([], ['CAP_MKNOD'])).not.toContain('MKNOD');
  });
  test('drop ALL keeps what is added', () => expect(of(['NET_BIND_SERVICE'], ['ALL'])).toEqual(['NET_BIND_SERVICE']));
  test('add ALL minus drops', () => {
    expect(of(['ALL'], []).length).toBe(41);
    expect(of(['ALL'], ['SYS_ADMIN'])).not.toContain('SYS_ADMIN');
  });
  test('privileged is all', () => expect(of([], ['ALL'], true).length).toBe(41));
});

test.each<[object, object]>([
  [{}, { kind: 'unconfined' }],
  [{ seccomp: { profileType: 'RuntimeDefault' } }, { kind: 'runtime-default' }],
  [{ seccomp: { profileType: 'Localhost', localhostRef: '/p.json' } }, { kind: 'localhost', path: '/p.json' }],
  [{ seccompProfilePath: 'localhost//p.json' }, { kind: 'localhost', path: '/p.json' }],
  [{ seccompProfilePath: 'runtime/default' }, { kind: 'runtime-default' }],
  [{ privileged: true, seccomp: { profileType: 'RuntimeDefault' } }, { kind: 'unconfined' }],
])('seccomp %o', (context, expected) => expect(seccompFilter(context)).toEqual(expected));

test('resources: zero is not set, and an update keeps what it does not set', () => {
  expect(
    resources(
      { cpuQuota: 50000, cpuPeriod: 100000, cpuShares: 0, memoryLimitInBytes: 1 << 20, unified: { 'pids.max': '10' } },
      'r',
    ),
  ).toEqual({
    cpuQuotaUs: 50000,
    cpuPeriodUs: 100000,
    memoryLimitBytes: 1 << 20,
    unified: { 'pids.max': '10' },
    pidsLimit: 10,
  });
  expect(mergeResources({ cpuShares: 2, cpuQuota: 5 }, { cpuShares: 0, cpuQuota: 7, oomScoreAdj: 9 })).toEqual({
    cpuShares: 2,
    cpuQuota: 7,
  });
  expect(() => resources({ cpusetCpus: '../x' }, 'r')).toThrow('r.cpuset_cpus');
});

describe('mounts', () => {
  test('the pod files come first, and give way to mounts of their place', () => {
    const spec = specOf({
      mounts: [
        { hostPath: '/a', containerPath: '/etc/hosts', readonly: true },
        { hostPath: '/b', containerPath: '/b', propagation: 'PROPAGATION_BIDIRECTIONAL' },
        { hostPath: '/c', containerPath: '/c', propagation: 'PROPAGATION_HOST_TO_CONTAINER' },
        { hostPath: '/d', containerPath: '/d', readonly: true, recursiveReadOnly: true },
      ],
    });
    expect(spec.mounts).toEqual([
      { source: '/f/hostname', target: '/etc/hostname', readonly: false, propagation: 'private' },
      { source: '/f/resolv.conf', target: '/etc/resolv.conf', readonly: false, propagation: 'private' },
      { source: '/f/shm', target: '/dev/shm', readonly: false, propagation: 'private' },
      { source: '/a', target: '/etc/hosts', readonly: true, propagation: 'private' },
      { source: '/b', target: '/b', readonly: false, propagation: 'shared' },
      { source: '/c', target: '/c', readonly: false, propagation: 'slave' },
      { source: '/d', target: '/d', readonly: true, propagation: 'private', recursiveReadonly: true },
    ]);
  });
  test.each([
    [{ hostPath: '/a', containerPath: 'b' }, 'config.mounts[0].container_path'],
    [{ containerPath: '/b' }, 'config.mounts[0].host_path'],
    [{ containerPath: '/b', image: { image: 'gone' }, readonly: true }, 'failed to resolve image'],
    [{ containerPath: '/b', image: { image: 'x' } }, 'config.mounts[0].readonly'],
    [
      { containerPath: '/b', image: { image: 'x' }, readonly: true, imageSubPath: 'a/../../b' },
      'config.mounts[0].image_sub_path',
    ],
    [{ hostPath: '/a', containerPath: '/b', imageSubPath: 'x' }, 'config.mounts[0].image_sub_path'],
    [{ hostPath: '/a', containerPath: '/b', uidMappings: [{ length: 1 }] }, 'config.mounts[0].uidMappings'],
    [{ hostPath: '/a', containerPath: '/b', recursiveReadOnly: true }, 'recursive_read_only'],
  ])('%o is refused', (mount, field) => expect(() => specOf({ mounts: [mount] })).toThrow(field));
});

test('images are mounted read-only', () => {
  const { mounts } = specOf({
    mounts: [{ containerPath: '/model', image: { image: 'm' }, imageSubPath: 'v1', readonly: true }],
  });
  expect(mounts.at(-1)).toEqual({
    source: '',
    target: '/model',
    readonly: true,
    propagation: 'private',
    image: { layers: ['/i/m'], subPath: 'v1' },
  });
});

describe('user namespaces', () => {
  const box = {
    ...sandbox,
    config: { ...sandbox.config, linux: { securityContext: { namespaceOptions: { usernsOptions: userns } } } },
  };
  const mount = { hostPath: '/a', containerPath: '/b', uidMappings: userns.uids, gidMappings: userns.gids };
  test('mounts with the pod’s mappings are mapped', () => {
    expect(specOf({ mounts: [mount] }, {}, box).mounts.at(-1)).toMatchObject({ source: '/a', idMapped: true });
    expect(() => specOf({ mounts: [mount] })).toThrow('the pod has no user namespace');
    expect(() => specOf({ mounts: [{ ...mount, uidMappings: [{ length: 9 }] }] }, {}, box)).toThrow(
      'mappings other than those of the pod',
    );
  });
  test('a container has its sandbox’s', () => {
    const of = (usernsOptions: object) =>
      specOf({ linux: { securityContext: { namespaceOptions: { usernsOptions } } } }, {}, box);
    expect(() => of({ mode: 'NODE' })).toThrow('userns_options: it differs from the sandbox');
    expect(of(userns).id).toBe('c1');
  });
});

test('ambient capabilities are given, too', () => {
  const spec = specOf({
    linux: { securityContext: { capabilities: { dropCapabilities: ['ALL'], addAmbientCapabilities: ['NET_ADMIN'] } } },
  });
  expect([spec.process.capabilities, spec.process.ambientCapabilities]).toEqual([['NET_ADMIN'], ['NET_ADMIN']]);
});

test('privileged lifts masks, and needs a privileged sandbox', () => {
  const linux = { securityContext: { privileged: true, maskedPaths: ['/proc/kcore'], readonlyPaths: ['/proc/sys'] } };
  expect(() => specOf({ linux })).toThrow('privileged');
  const box = { ...sandbox, config: { ...sandbox.config, linux: { securityContext: { privileged: true } } } };
  expect(specOf({ linux }, {}, box)).toMatchObject({
    privileged: true,
    maskedPaths: [],
    readonlyPaths: [],
    seccomp: { kind: 'unconfined' },
  });
  expect(specOf({ linux: { securityContext: { ...linux.securityContext, privileged: false } } })).toMatchObject({
    maskedPaths: ['/proc/kcore'],
    readonlyPaths: ['/proc/sys'],
  });
});

test('a target process namespace needs its container', () => {
  const of = (targetId: string) =>
    specOf({ linux: { securityContext: { namespaceOptions: { pid: 'TARGET', targetId } } } });
  expect(of('c9').pidOf).toBe('c9');
  expect(() => of('')).toThrow('target_id');
});

test('sandboxes: namespaces, ports, limits with overhead', () => {
  const spec = sandboxSpec(
    's1',
    {
      metadata: { name: 'p', namespace: 'n', uid: 'u' },
      hostname: 'p',
      portMappings: [
        { protocol: 'UDP', containerPort: 53, hostPort: 5353, hostIp: '127.0.0.1' },
        { containerPort: 80 },
      ],
      linux: {
        cgroupParent: '/kubepods/pod1/',
        sysctls: { 'net.ipv4.ip_forward': '1' },
        resources: { memoryLimitInBytes: 100 },
        overhead: { memoryLimitInBytes: 20 },
        securityContext: { namespaceOptions: { pid: 'NODE', ipc: 'NODE' } },
      },
    },
    { hostname: 'host' },
  );
  expect(spec).toEqual({
    id: 's1',
    hostname: 'p',
    network: 'pod',
    pid: 'node',
    ipc: 'node',
    cgroupParent: '/kubepods/pod1',
    resources: { memoryLimitBytes: 120 },
    sysctls: { 'net.ipv4.ip_forward': '1' },
    ports: [{ protocol: 'UDP', hostPort: 5353, hostIP: '127.0.0.1', containerPort: 53 }],
  });
});

test.each([
  [{ metadata: { name: 'p' } }, 'config.metadata.uid'],
  [{ linux: { cgroupParent: '/a/../b' } }, 'cgroup_parent'],
  [
    { linux: { securityContext: { namespaceOptions: { usernsOptions: { mode: 'POD' as const } } } } },
    'userns_options.uids: root has to be mapped',
  ],
  [
    { linux: { securityContext: { namespaceOptions: { ipc: 'NODE' as const, usernsOptions: userns } } } },
    'namespace_options.ipc',
  ],
  [{ linux: { sysctls: { 'net/../x': '1' } } }, 'sysctls'],
])('the sandbox %o is refused', (config, field) => {
  const whole = { metadata: { name: 'p', namespace: 'n', uid: 'u' }, ...config };
  expect(() => sandboxSpec('s', whole, { hostname: 'h' })).toThrow(field);
});

test('pod files', () => {
  expect(resolvConf(undefined, 'host')).toBe('host');
  expect(resolvConf({ servers: ['1.1.1.1', '::1'], searches: ['a', 'b'], options: ['ndots:5'] }, '')).toBe(
    'search a b\nnameserver 1.1.1.1\nnameserver ::1\noptions ndots:5\n',
  );
  expect(() => resolvConf({ servers: ['1.1.1.1\noptions x'] }, '')).toThrow('config.dns_config.servers');
  expect(hostsFile('p', ['10.0.0.1'])).toContain('10.0.0.1\tp\n');
});
