// SandboxSpec → launch plan, and the plan that takes it all away again. Pure.
import type { CgroupDriver } from '../cgroups/driver.ts';
import { cgroupSteps, type Plan } from './container-plan.ts';
import type { SandboxSpec } from './port.ts';
import { type Step, step } from './steps.ts';
import { mapText, namespaceRoot } from './user-namespace.ts';

export interface SandboxNetwork {
  bridge: string;
  /** Unique on the host, at most 15 characters. */
  hostInterface: string;
  address: string;
  prefix: number;
  gateway: string;
  mac: string;
  mtu: number;
}

export interface SandboxHost {
  cgroups: CgroupDriver;
  /** `<state>/sandboxes/<id>`, exists. */
  directory: string;
  network: SandboxNetwork | undefined;
}

/** Which namespace a sysctl belongs to; everything else would change the host. */
function sysctlNamespace(name: string): 'network' | 'ipc' | 'uts' | undefined {
  if (name.startsWith('net.')) return 'network';
  if (/^kernel\.(shm|msg|sem)/.test(name) || name.startsWith('fs.mqueue.')) return 'ipc';
  if (name === 'kernel.domainname' || name === 'kernel.hostname') return 'uts';
  return undefined;
}

export function sysctlSteps(spec: SandboxSpec): Step[] {
  return Object.entries(spec.sysctls ?? {}).map(([name, value]) => {
    // `net.ipv4.conf.eth0/1.x`: a slash stands for a dot inside a name, as sysctl(8) has it.
    const path =
      name.includes('/') && name.indexOf('/') < name.indexOf('.')
        ? name
        : name.replace(/[./]/g, (c) => (c === '.' ? '/' : '.'));
    const dotted = path.replaceAll('/', '.');
    const where = sysctlNamespace(dotted);
    if (!where || !/^[a-z0-9_][\w./:-]*$/i.test(path) || path.split('/').includes('..'))
      throw new Error(`sysctl "${name}" is not separated by namespace: it would change the host`);
    if (where === 'network' && spec.network === 'node')
      throw new Error(`sysctl "${name}" needs a network namespace of the pod's own`);
    if (where === 'ipc' && spec.ipc !== 'pod')
      throw new Error(`sysctl "${name}" needs an IPC namespace of the pod's own`);
    return spec.userNamespace
      ? step('sysctl', [`/proc/sys/${path}`, value, namespaceRoot(spec.userNamespace).uid], 'sysctl of the pod')
      : step('write', [`/proc/sys/${path}`, value], 'sysctl of the pod');
  });
}

export function planSandbox(spec: SandboxSpec, host: SandboxHost): Plan {
  const limits = host.cgroups.limits(spec.cgroupParent, spec.resources ?? {});
  const { network, directory } = host;
  const warmFile = host.cgroups.warmFile();
  const pauseCgroup = `${spec.cgroupParent}/pause`;
  if (spec.hostname.length > 64) throw new Error(`hostname "${spec.hostname}" is longer than 64 bytes`);
  const namespaces = [spec.network !== 'node' && 'net', spec.ipc === 'pod' && 'ipc', 'uts'].filter(Boolean) as string[];
  const user = spec.userNamespace;
  if (user && (spec.network === 'node' || spec.ipc === 'node' || spec.pid === 'node'))
    throw new Error("a user namespace does not go with the host's network, IPC or pid namespace");
  const owner = user ? namespaceRoot(user) : undefined;
  const steps: Step[] = [
    ...cgroupSteps(host.cgroups, spec.cgroupParent, limits.writes),
    ...(warmFile ? [step('warm', [warmFile], "its containers' joining will not wait for the kernel")] : []),
    ...(network ? [step('netlink', [], 'stays in our network namespace')] : []),
    user
      ? step(
          'user-namespace',
          [`${directory}/user`, mapText(user.uids), mapText(user.gids), namespaces.join(',')],
          'the namespaces that the containers will share, and who is who in them',
        )
      : step('unshare', [namespaces.join(',')], 'the namespaces that the containers will share'),
    ...namespaces.map((name) => step('bind-namespace', [name, `${directory}/${name}`], 'lives as long as this mount')),
    ...(spec.hostname ? [step('hostname', [spec.hostname], 'what the pod calls itself')] : []),
    ...(spec.ipc === 'pod'
      ? [
          step(
            'host-tmpfs',
            [`${directory}/shm`, `mode=1777,size=65536k${owner ? `,uid=${owner.uid},gid=${owner.gid}` : ''}`],
            "the pod's shared memory",
          ),
        ]
      : []),
    ...(spec.network !== 'node' ? [step('up', ['lo'], 'loopback')] : []),
    ...(network
      ? [
          step(
            'try-write',
            ['/proc/sys/net/ipv4/conf/default/arp_notify', '1'],
            'tell neighbours when an address is taken over',
          ),
          step(
            'veth',
            [network.bridge, network.hostInterface, 'eth0', network.mtu, network.mac],
            'the cable to the bridge',
          ),
          step('address', ['eth0', `${network.address}/${network.prefix}`], "the pod's address"),
          step('up', ['eth0'], ''),
          step('default-route', [network.gateway], 'everything else by the bridge'),
        ]
      : []),
    ...sysctlSteps(spec),
    ...(spec.pid === 'pod'
      ? [
          // On v2 a cgroup that hands controllers down holds no process itself.
          ...cgroupSteps(host.cgroups, pauseCgroup, []),
          step('mkdir', [`${directory}/root`, '755'], 'empty root of the pause process'),
          step(
            'clone',
            [
              user ? '' : 'mnt,pid',
              host.cgroups.unifiedDirectory(pauseCgroup),
              '',
              ...host.cgroups.procsFiles(pauseCgroup),
            ],
            'the pause process',
          ),
          ...(user
            ? [
                step('joined', [], 'in its cgroup'),
                step('enter-user', [`${directory}/user`, 'mnt,pid'], "owned by the pod's user namespace"),
              ]
            : []),
          step('private', [], 'nothing mounted from here on is seen outside'),
          // Inside a user namespace our own directories are out of reach.
          step('root-tmpfs', [user ? '/dev' : `${directory}/root`], 'sees no file'),
          ...(user ? [] : [step('joined', [], 'in its cgroup')]),
          step('pivot', [], 'its root becomes /'),
          step('bounding', ['0'], 'no rights'),
          step('caps', ['0', '0', '0', '0'], 'no rights'),
          step('no-new-privs', [], 'no rights'),
          step('pause', [], 'holds the pid namespace and reaps'),
        ]
      : []),
  ];
  return { steps, warnings: limits.warnings };
}

/** Everything a sandbox may have left behind; right on half-made ones too. */
export function planSandboxRemoval(cgroupParent: string, directory: string, cgroups: CgroupDriver): Step[] {
  return [
    step(
      'kill',
      [cgroups.killFile(cgroupParent), ...cgroups.killDirectories(cgroupParent)],
      'all that is left in the pod',
    ),
    ...['user', 'net', 'ipc', 'uts', 'shm'].map((name) =>
      step('umount', [`${directory}/${name}`], 'drop the namespace'),
    ),
    ...cgroups.own(cgroupParent).map((path) => step('rmdir', [path], 'cgroup')),
  ];
}

export function planContainerRemoval(cgroup: string, cgroups: CgroupDriver): Step[] {
  return [
    step('kill', [cgroups.killFile(cgroup), ...cgroups.killDirectories(cgroup)], 'all that is left in the container'),
    ...cgroups.own(cgroup).map((path) => step('rmdir', [path], 'cgroup')),
  ];
}
