// ContainerSpec → launch plan. Pure; what the host is like comes in through `Host`.
import type { CgroupDriver, DeviceRule } from '../cgroups/driver.ts';
import { defaultDevices } from '../cgroups/driver.ts';
import { deviceProgram } from './device-program.ts';
import type { OwnLimits } from './capabilities.ts';
import type { ContainerSpec, IdMapping, Mount, SandboxSpec } from './port.ts';
import { ownStreams } from './exec-plan.ts';
import { finishSteps, insideLimits, limitSteps, oomSteps } from './process-steps.ts';
import type { SeccompProgram } from './seccomp/index.ts';
import { type Step, step } from './steps.ts';
import { hostId, namespaceRoot } from './user-namespace.ts';

export interface DeviceNode {
  type: 'b' | 'c';
  major: number;
  minor: number;
  mode: number;
}

export interface ContainerHost {
  cgroups: CgroupDriver;
  own: OwnLimits;
  /** `<state>/containers/<id>`, exists. */
  directory: string;
  /** `<state>/sandboxes/<id>`. */
  sandboxDirectory: string;
  seccomp: SeccompProgram | undefined;
  /** What the host's device files are, for `spec.devices`, in the same order. */
  devices: DeviceNode[];
  /** All of the host's, for a privileged container. */
  hostDevices?: { path: string; node: DeviceNode }[];
  /** v1 controllers' mount points, and v2's, for /sys/fs/cgroup inside. */
  cgroupMounts: { v1: [name: string, options: string][]; unified: boolean };
  /** Pid namespace to join, when not its own. */
  pidNamespace: string | undefined;
}

export interface Plan {
  steps: Step[];
  warnings: string[];
}

export function planContainer(spec: ContainerSpec, sandbox: SandboxSpec, host: ContainerHost): Plan {
  const warnings: string[] = [];
  const { process } = spec;
  const limits = host.cgroups.limits(spec.cgroup, spec.resources);
  warnings.push(...limits.warnings);
  const targets = new Set(spec.mounts.map((mount) => mount.target.replace(/\/+$/, '') || '/'));
  const own = (target: string, steps: Step[]) => (targets.has(target) ? [] : steps);
  const shm = sandbox.ipc === 'node' ? '/dev/shm' : `${host.sandboxDirectory}/shm`;
  const user = sandbox.userNamespace;
  const userFile = `${host.sandboxDirectory}/user`;
  const trees: Step[] = [];
  const keep = (make: (slot: number) => Step) => trees.push(make(trees.length)) - 1;
  const tree: TakeTree = (source, why, idMapped) =>
    keep((slot) => step('tree', [slot, source, '1', ...(user && idMapped ? [userFile] : [])], why));
  const { rootfs } = spec;
  const imageTree = ({ image, target, idMapped }: Mount) =>
    keep((slot) =>
      step(
        'overlay-tree',
        [
          slot,
          user && idMapped ? userFile : '',
          `${host.directory}/rootfs`,
          '',
          '',
          image?.subPath ?? '',
          ...(image?.layers ?? []),
        ],
        `the image for ${target}`,
      ),
    );
  const rootTree = user
    ? keep((slot) =>
        step(
          'overlay-tree',
          [slot, userFile, `${host.directory}/rootfs`, rootfs.upperDir, rootfs.workDir, '', ...rootfs.lowerDirs],
          'the image as its user namespace sees it, with a layer of its own to write to',
        ),
      )
    : -1;
  const shmTree = targets.has('/dev/shm') ? -1 : tree(shm, "the pod's shared memory");
  const mounts = spec.mounts.map((mount) => mountStep(mount, mount.image ? () => imageTree(mount) : tree));
  const devices = [
    ...(targets.has('/dev') ? [] : defaultNodes(user ? namespaceRoot(user) : { uid: 0, gid: 0 })),
    ...(targets.has('/dev')
      ? []
      : (host.hostDevices ?? []).map(({ path, node }) => mknod(path, node, 'a device of the host'))),
  ];
  const asked = host.devices.map((node, at) => {
    const device = (spec.devices ?? [])[at] as NonNullable<ContainerSpec['devices']>[number];
    const { containerPath, hostPath, mode = node.mode } = device;
    const outside = (ids: IdMapping[] | undefined, id: number | undefined) =>
      id === undefined ? 0 : ids ? (hostId(ids, id) ?? 0) : id;
    const owner = { uid: outside(user?.uids, device.uid), gid: outside(user?.gids, device.gid) };
    if (user && (targets.has('/dev') || !containerPath.startsWith('/dev/')))
      throw new Error(`device ${containerPath} cannot be made outside of the container's own /dev in a user namespace`);
    return mknod(containerPath, { ...node, mode }, `device ${hostPath}`, owner);
  });
  // A user namespace may make no devices: its /dev is filled outside, and carried in.
  const devTree =
    user && !targets.has('/dev')
      ? keep((slot) => {
          const owner = namespaceRoot(user);
          return step('device-tmpfs', [slot, owner.uid, owner.gid], 'its own devices');
        })
      : -1;
  if (devTree >= 0)
    trees.push(
      ...[...devices, ...asked].map((each) => ({
        ...each,
        args: [(each.args[0] as string).slice('/dev'.length), ...each.args.slice(1)],
      })),
    );
  const session = step(
    'session',
    [
      'shim',
      spec.id,
      host.directory,
      'sock',
      spec.logPath ?? '',
      [
        process.terminal && 'terminal',
        spec.stdin && 'stdin',
        spec.stdin && spec.stdinOnce && 'once',
        host.pidNamespace && 'kill-rest',
      ]
        .filter(Boolean)
        .join(','),
      0,
      0,
      host.cgroups.oomFile(spec.cgroup),
      host.cgroups.killFile(spec.cgroup),
      ...(host.pidNamespace && host.cgroups.killFile(spec.cgroup) === ''
        ? host.cgroups.procsFiles(spec.cgroup).slice(0, 1)
        : []),
    ],
    'this process stays with the container as its shim',
  );
  const devicesRules: DeviceRule[] = spec.privileged
    ? [{ allow: true, type: 'a', major: -1, minor: -1, access: 'rwm' }]
    : [
        ...defaultDevices,
        ...host.devices.map((node, at) => ({
          allow: true,
          type: node.type,
          major: node.major,
          minor: node.minor,
          access: spec.devices?.[at]?.permissions || 'rwm',
        })),
      ];
  const namespaces = sandbox.pid === 'node' || host.pidNamespace ? 'mnt' : 'mnt,pid';
  const filterAt = host.cgroups.deviceFilter(spec.cgroup);
  const steps = [
    ...cgroupSteps(host.cgroups, spec.cgroup, limits.writes),
    ...host.cgroups
      .devices(spec.cgroup, devicesRules)
      .map((write) => step('write', [write.path, write.value], write.why)),
    ...(filterAt && !spec.privileged
      ? [step('device-filter', [filterAt, deviceProgram(devicesRules)], 'the devices it may use')]
      : []),
    step('mkdir', [`${host.directory}/rootfs`, '700'], 'where the root is mounted, in its own mount namespace only'),
    ...(user ? trees : []),
    session,
    ...(user ? [ownStreams(process, user)] : []),
    step(
      'clone',
      [
        user ? '' : namespaces,
        host.cgroups.unifiedDirectory(spec.cgroup),
        (!user && host.pidNamespace) || '',
        ...host.cgroups.procsFiles(spec.cgroup),
      ],
      'its first process; the rest happens inside it',
    ),
    ...oomSteps(process.oomScoreAdj, host.own, warnings),
    // Inside a user namespace nobody may raise a hard limit.
    ...(user ? limitSteps(process.rlimits, host.own, warnings) : []),
    ...(sandbox.network !== 'node'
      ? [step('setns', [`${host.sandboxDirectory}/net`, 'net'], "the pod's network")]
      : []),
    ...(sandbox.ipc === 'pod' ? [step('setns', [`${host.sandboxDirectory}/ipc`, 'ipc'], "the pod's IPC objects")] : []),
    step('setns', [`${host.sandboxDirectory}/uts`, 'uts'], "the pod's host name"),
    ...(user
      ? [
          step('joined', [], 'the shim has put us into our cgroups'),
          ...(host.pidNamespace ? [step('setns', [host.pidNamespace, 'pid'], 'the pid namespace it joins')] : []),
          step('enter-user', [userFile, namespaces], "its first process, root of the pod's user namespace"),
          step('private', [], 'nothing mounted from here on is seen outside'),
          // Our own directories are out of reach now.
          step('root', [rootTree, '/dev'], 'the root to be'),
        ]
      : [
          ...trees,
          step('private', [], 'nothing mounted from here on is seen outside'),
          step(
            'overlay',
            [`${host.directory}/rootfs`, rootfs.upperDir, rootfs.workDir, ...rootfs.lowerDirs],
            'the image, with a layer of its own to write to',
          ),
        ]),
    ...own('/proc', [
      step('mount', ['proc', 'proc', '/proc', 'nosuid,noexec,nodev', ''], 'the processes of its pid namespace'),
    ]),
    ...(devTree >= 0
      ? [step('attach', [devTree, '/dev', 'nosuid', 'private'], 'its own devices')]
      : [
          ...own('/dev', [
            step('mount', ['tmpfs', 'tmpfs', '/dev', 'nosuid,strictatime', 'mode=755,size=65536k'], 'its own devices'),
          ]),
          ...devices,
        ]),
    ...own('/dev', LINKS),
    ...own('/dev/pts', [
      step(
        'mount',
        ['devpts', 'devpts', '/dev/pts', 'nosuid,noexec', 'newinstance,ptmxmode=0666,mode=0620,gid=5'],
        'its own terminals',
      ),
    ]),
    ...(shmTree >= 0
      ? [step('attach', [shmTree, '/dev/shm', 'nosuid,nodev,noexec', 'private'], "the pod's shared memory")]
      : []),
    ...own('/dev/mqueue', [
      step('mount', ['mqueue', 'mqueue', '/dev/mqueue', 'nosuid,noexec,nodev', ''], "the pod's message queues"),
    ]),
    ...own('/sys', [
      step(
        'mount',
        ['sysfs', 'sysfs', '/sys', `nosuid,noexec,nodev${spec.privileged ? '' : ',ro'}`, ''],
        'devices as its network namespace sees them',
      ),
    ]),
    ...(user ? [] : [step('joined', [], 'the shim has put us into our cgroups meanwhile')]),
    step('unshare', ['cgroup'], 'its cgroup is the root of what it sees'),
    ...own('/sys/fs/cgroup', cgroupMounts(host, spec.privileged)),
    ...mounts,
    ...(devTree >= 0 ? [] : asked),
    ...spec.maskedPaths.map((path) => step('mask', [path], 'not for containers')),
    ...spec.readonlyPaths.map((path) => step('readonly', [path], 'not to be changed')),
    ...(spec.rootfs.readonly ? [step('root-readonly', [], 'a read-only root')] : []),
    step('pivot', [], 'its root becomes /, the old one goes'),
    ...(process.terminal
      ? [
          step(
            'terminal',
            [process.terminalSize?.width ?? 0, process.terminalSize?.height ?? 0, process.uid, '1'],
            'its terminal',
          ),
        ]
      : []),
    step('stdio', [process.uid], 'its session and standard streams'),
    ...(user ? [] : limitSteps(process.rlimits, host.own, warnings)),
    step('cwd', [process.cwd || '/'], 'where it starts'),
    ...finishSteps({
      process,
      seccomp: host.seccomp,
      own: user ? insideLimits(host.own) : host.own,
      warnings,
      wait: step('wait-start', [], 'created; waits for StartContainer'),
    }),
  ];
  return { steps, warnings };
}

/** Makes a cgroup with its parents and gives it its limits. */
export function cgroupSteps(
  driver: CgroupDriver,
  cgroup: string,
  writes: { path: string; value: string; why: string }[],
): Step[] {
  const prepare = driver.prepare(cgroup);
  const handDown = (path: string) =>
    prepare
      .filter((each) => driver.mode === 'v2' && each.path === `${path}/cgroup.subtree_control`)
      .map((each) => step('write', [each.path, each.value], each.why));
  const directories = driver.directories(cgroup);
  const top = directories[0]?.slice(0, directories[0].lastIndexOf('/')) ?? '';
  return [
    // v2 hands controllers down before the child is made, so that its files exist.
    ...handDown(top),
    ...directories.flatMap((path) => [step('mkdir', [path, '755'], 'cgroup'), ...handDown(path)]),
    ...(driver.mode === 'v2' ? [] : prepare.map((each) => step('write', [each.path, each.value], each.why))),
    ...writes.map((each) => step('write', [each.path, each.value], each.why)),
  ];
}

const NODES: [name: string, minor: number, major: number][] = [
  ['null', 3, 1],
  ['zero', 5, 1],
  ['full', 7, 1],
  ['random', 8, 1],
  ['urandom', 9, 1],
  ['tty', 0, 5],
];

const mknod = (path: string, node: DeviceNode, why: string, owner = { uid: 0, gid: 0 }): Step =>
  step('mknod', [path, node.type, node.major, node.minor, node.mode.toString(8), owner.uid, owner.gid], why);

const defaultNodes = (owner: { uid: number; gid: number }): Step[] =>
  NODES.map(([name, minor, major]) =>
    mknod(`/dev/${name}`, { type: 'c', major, minor, mode: 0o666 }, 'every program expects it', owner),
  );

const LINKS: Step[] = [
  ['/proc/self/fd', '/dev/fd'],
  ['/proc/self/fd/0', '/dev/stdin'],
  ['/proc/self/fd/1', '/dev/stdout'],
  ['/proc/self/fd/2', '/dev/stderr'],
  ['pts/ptmx', '/dev/ptmx'],
].map((pair) => step('symlink', pair, 'every program expects it'));

function cgroupMounts(host: ContainerHost, privileged: boolean): Step[] {
  const flags = `nosuid,noexec,nodev,relatime${privileged ? '' : ',ro'}`;
  if (host.cgroups.mode === 'v2')
    return [step('mount', ['cgroup2', 'cgroup', '/sys/fs/cgroup', flags, ''], 'its limits, to read')];
  return [
    step('mount', ['tmpfs', 'tmpfs', '/sys/fs/cgroup', 'nosuid,noexec,nodev', 'mode=755'], 'its limits, to read'),
    ...host.cgroupMounts.v1.map(([name, options]) =>
      step('mount', ['cgroup', 'cgroup', `/sys/fs/cgroup/${name}`, flags, options], 'controller'),
    ),
    ...(privileged ? [] : [step('seal', ['/sys/fs/cgroup'], 'no directories beside them')]),
  ];
}

const BIND_FLAGS = new Set(['ro', 'nosuid', 'nodev', 'noexec']);
const BIND_NOTHING = new Set([
  'rw',
  'bind',
  'rbind',
  'suid',
  'dev',
  'exec',
  'rprivate',
  'private',
  'rslave',
  'slave',
  'rshared',
  'shared',
]);

type TakeTree = (source: string, why: string, idMapped?: boolean) => number;

function mountStep(mount: Mount, tree: TakeTree): Step {
  if (!mount.target.startsWith('/')) throw new Error(`mount target "${mount.target}" is not absolute`);
  const type = mount.type ?? 'bind';
  if (type === 'bind') {
    const flags = new Set(mount.recursiveReadonly ? ['rro'] : mount.readonly ? ['ro'] : []);
    for (const option of mount.options ?? []) {
      if (BIND_FLAGS.has(option)) flags.add(option);
      else if (!BIND_NOTHING.has(option))
        throw new Error(`mount ${mount.target}: option "${option}" is not supported for bind mounts`);
    }
    const slot = tree(mount.source, `for ${mount.target}`, mount.idMapped);
    return step(
      'attach',
      [slot, mount.target, [...flags].join(','), mount.propagation],
      mount.image ? 'content of an image' : `bind ${mount.source}`,
    );
  }
  const flags = new Set(mount.readonly ? ['ro'] : []);
  const data: string[] = [];
  for (const option of mount.options ?? []) {
    if (['ro', 'nosuid', 'nodev', 'noexec', 'relatime', 'noatime', 'strictatime'].includes(option)) flags.add(option);
    else if (!['rw', 'suid', 'dev', 'exec', 'rprivate', 'private'].includes(option)) data.push(option);
  }
  return step('mount', [type, type, mount.target, [...flags].join(','), data.join(',')], 'asked for');
}
