// What the runtime would do for a pod, as values: the launch plans of its sandbox and containers, without a runtime. The
// images are read beside a runtime that may be at work with them. `traceLaunch` does it, in a state directory of its own.
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { ContainerConfig, PodSandboxConfig } from '../proto/cri-types.ts';
import { CDI_DIRECTORIES, readCdiDevices } from './cri/spec/cdi.ts';
import { containerSpec } from './cri/spec/container-spec.ts';
import { sandboxSpec } from './cri/spec/sandbox-spec.ts';
import { Catalog } from './images/catalog.ts';
import {
  type ContainerSpec,
  createLauncher,
  planContainer,
  planContainerRemoval,
  planSandbox,
  planSandboxRemoval,
  readHost,
  type SandboxSpec,
  type Step,
} from './launch/index.ts';
import { chainIds, Snapshots } from './snapshots/snapshots.ts';
import { shiftOf, shiftOwners } from './snapshots/shift.ts';

export interface LaunchRequest {
  sandbox: PodSandboxConfig;
  containers: ContainerConfig[];
  /** The runtime's state directory, with its images. */
  stateDir: string;
}

export interface LaunchSpecs {
  sandbox: SandboxSpec;
  containers: { name: string; spec: ContainerSpec }[];
  /** Images that are not here, so that what they say is missing. */
  missing: string[];
}

export interface TitledPlan {
  title: string;
  steps: readonly Step[];
  /** What each step took, when it has been done. */
  timesNs?: ReadonlyMap<number, number>;
  warnings: string[];
}

const EXAMPLE_ADDRESS = { bridge: 'sampan0', hostInterface: 'sv0', prefix: 24, mtu: 1500 } as const;

/** The specifications, with writable layers below `directory`. Throws CriError for what is refused. */
export function launchSpecs(request: LaunchRequest, directory: string): LaunchSpecs {
  const imagesFile = join(request.stateDir, 'images/images.json');
  const catalog = existsSync(imagesFile) ? new Catalog(imagesFile) : undefined;
  const snapshots = new Snapshots(join(request.stateDir, 'images/snapshots'), { readOnly: true });
  const missing: string[] = [];
  const find = (name: string) => {
    const image = catalog?.find(name);
    if (!image && !missing.includes(name)) missing.push(name);
    return image;
  };
  const host = { hostname: hostname() };
  const sandbox = sandboxSpec('pod', request.sandbox, host);
  const record = {
    id: 'pod',
    config: request.sandbox,
    runtimeHandler: '',
    createdAtNs: 0,
    hostNetwork: sandbox.network === 'node',
    cgroupParent: sandbox.cgroupParent,
    hostname: sandbox.hostname,
  };
  const file = (name: string) => join(directory, name);
  const containers = request.containers.map((config) => {
    const name = config.metadata?.name ?? '';
    const image = find(config.image?.image ?? '');
    const view = image && snapshots.view(chainIds(image.diffIds));
    const layers = (found: ReturnType<typeof find>, of: string) =>
      found ? snapshots.lowerDirs(chainIds(found.diffIds)) : [`<layers of ${of}>`];
    const command = config.command?.length || image ? config : { ...config, command: ['<command of the image>'] };
    const spec = containerSpec(command, {
      id: name,
      sandbox: record,
      image: image?.run ?? {},
      readUserDatabase: () => ({ passwd: view?.readText('/etc/passwd'), group: view?.readText('/etc/group') }),
      lowerDirs: layers(image, config.image?.image ?? ''),
      upperDir: file(`${name}/upper`),
      workDir: file(`${name}/work`),
      podFiles: {
        hostname: file('hostname'),
        hosts: file('hosts'),
        resolvConf: file('resolv.conf'),
        shm: file('shm'),
      },
      imageLayers: (of) => layers(find(of), of),
      logPath: file(`${name}.log`),
      cdiDevices: () => readCdiDevices(CDI_DIRECTORIES),
    });
    return { name, spec };
  });
  return { sandbox, containers, missing };
}

/** The plans as a runtime below `cgroupRoot` would make them. */
export function launchPlans({ sandbox, containers }: LaunchSpecs, cgroupRoot: string, directory: string): TitledPlan[] {
  const host = readHost(cgroupRoot);
  const at = join(directory, 'sandbox');
  const address = { ...EXAMPLE_ADDRESS, address: '10.244.0.2', gateway: '10.244.0.1', mac: '0a:58:0a:f4:00:02' };
  return [
    {
      title: 'sandbox',
      ...planSandbox(sandbox, {
        cgroups: host.cgroups,
        directory: at,
        network: sandbox.network === 'pod' ? address : undefined,
      }),
    },
    ...containers.map(({ name, spec }) => ({
      title: `container ${name}`,
      ...planContainer(
        spec,
        sandbox,
        host.of(spec, {
          directory: join(directory, name),
          sandboxDirectory: at,
          pidNamespace: sandbox.pid === 'pod' ? '/proc/<pause>/ns/pid' : undefined,
        }),
      ),
    })),
    ...containers.map(({ name, spec }) => ({
      title: `removal of container ${name}`,
      steps: planContainerRemoval(spec.cgroup, host.cgroups),
      warnings: [],
    })),
    {
      title: 'removal of the sandbox',
      steps: planSandboxRemoval(sandbox.cgroupParent, at, host.cgroups),
      warnings: [],
    },
  ];
}

/**
 * Creates and starts everything as specified, without a network, tells each plan as it has been executed, and removes it
 * all. Needs root, and a directory on a file system that can hold writable layers.
 */
export async function traceLaunch(
  { sandbox, containers }: LaunchSpecs,
  options: { binary: string; directory: string; cgroupRoot: string; log: Logger; onPlan: (plan: TitledPlan) => void },
): Promise<void> {
  let title = '';
  let warnings: string[] = [];
  const launcher = await createLauncher({
    stateDir: mkdtempSync(join(options.directory, 'launcher-')),
    binary: options.binary,
    cgroupRoot: options.cgroupRoot,
    clock: systemClock,
    log: options.log,
    onTrace(steps, timesNs) {
      if (title !== '') options.onPlan({ title, steps, timesNs, warnings: [] });
    },
  });
  try {
    title = 'sandbox';
    const { ports: _ports, ...spec } = sandbox;
    await launcher.createSandbox({ ...spec, network: sandbox.network === 'node' ? 'node' : 'none' });
    for (const { name, spec } of containers) {
      title = `container ${name}`;
      for (const each of [spec.rootfs.upperDir, spec.rootfs.workDir]) mkdirSync(each, { recursive: true });
      chmodSync(spec.rootfs.upperDir, 0o755);
      if (sandbox.userNamespace) shiftOwners(spec.rootfs.upperDir, shiftOf(sandbox.userNamespace, 'host'));
      ({ warnings } = await launcher.createContainer(spec));
      if (warnings.length > 0) options.onPlan({ title, steps: [], warnings });
      const { startedAtNs } = await launcher.startContainer(spec.id);
      options.onPlan({
        title: `${name} started at ${new Date(startedAtNs / 1e6).toISOString()}`,
        steps: [],
        warnings: [],
      });
    }
  } finally {
    for (const { name, spec } of [...containers].reverse()) {
      title = `removal of container ${name}`;
      await launcher.removeContainer(spec.id);
    }
    title = 'removal of the sandbox';
    await launcher.removeSandbox(sandbox.id);
    title = '';
    await launcher.teardown();
    await launcher.close();
    rmSync(options.directory, { recursive: true, force: true });
  }
}
