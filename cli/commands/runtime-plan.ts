// sampan runtime plan: a Pod manifest as the node agent and the runtime of this machine would make it, step by step.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { createScheme } from '../../api/kinds/index.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import { containerConfig } from '../../kubelet/containers/container-config.ts';
import { sandboxConfig } from '../../kubelet/containers/sandbox-config.ts';
import { createLogger } from '../../lib/log.ts';
import type { ContainerConfig } from '../../proto/cri-types.ts';
import { printPlan } from '../../runtime/launch/index.ts';
import { type LaunchRequest, launchPlans, launchSpecs, traceLaunch, type TitledPlan } from '../../runtime/plan.ts';
import { cgroupRootOf, defaultNodeName, hostAddress, type Layout, layoutOf } from '../layout.ts';
import { readManifests } from '../manifests.ts';
import { UserError } from '../user-error.ts';

export async function runtimePlanCommand(file: string, flags: { dataDir: string; trace?: boolean }): Promise<void> {
  const layout = layoutOf(flags.dataDir);
  const pod = readPod(file);
  if (flags.trace && process.getuid?.() !== 0) throw new UserError('--trace makes real containers and needs root');
  // Overlay wants its writable layers where images are, not on another overlay.
  if (flags.trace) mkdirSync(layout.runtimeDir, { recursive: true, mode: 0o700 });
  const directory = mkdtempSync(join(flags.trace ? layout.runtimeDir : tmpdir(), 'plan-'));
  try {
    const request = await requestOf(pod, layout, directory);
    const specs = launchSpecs(request, directory);
    if (!flags.trace) {
      for (const name of specs.missing)
        process.stdout.write(`# image ${name} is not here: what it says is left open\n`);
      const shown = (plan: TitledPlan) => print(plan).replaceAll(directory, `${layout.runtimeDir}/…`);
      for (const plan of launchPlans(specs, cgroupRootOf(flags.dataDir), directory)) process.stdout.write(shown(plan));
      return;
    }
    if (specs.missing.length > 0) {
      throw new UserError(
        `image ${specs.missing.join(', ')} is not in ${layout.runtimeDir}: pull, build or load it first`,
      );
    }
    for (const { spec } of specs.containers)
      for (const { source, image } of spec.mounts) if (!image && source.startsWith(directory)) touch(source);
    await traceLaunch(specs, {
      binary: join(import.meta.dirname, '../../build/sampan-launcher'),
      directory,
      cgroupRoot: `${cgroupRootOf(flags.dataDir)}-plan-${process.pid}`,
      log: createLogger('plan', { level: 'warn' }),
      onPlan: (plan) => void process.stdout.write(print(plan)),
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const print = ({ title, steps, timesNs, warnings }: TitledPlan): string =>
  `── ${title}\n${steps.length > 0 ? printPlan(steps, timesNs) : ''}${warnings.map((each) => `    ! ${each}\n`).join('')}`;

/** What the pod's own files and volumes would be is a directory, or an empty file where the name tells. */
function touch(path: string): void {
  if (/\/(hostname|hosts|resolv\.conf|etc-hosts)$/.test(path)) writeFileSync(path, '', { flag: 'a' });
  else if (!path.includes('termination-message')) mkdirSync(path, { recursive: true });
}

function readPod(file: string): Pod {
  const pods = readManifests([file]).map(({ object }) => object);
  const [pod] = pods;
  if (pods.length !== 1 || pod?.kind !== 'Pod' || pod.apiVersion !== 'v1')
    throw new UserError(`${file}: one Pod is wanted, not ${pods.map((each) => each.kind).join(', ')}`);
  const kind = createScheme().byObject(pod);
  const object = structuredClone(pod) as unknown as Pod;
  object.metadata = { namespace: 'default', uid: '00000000-0000-0000-0000-000000000000', ...object.metadata };
  kind?.setDefaults?.(object as never);
  const errors = kind?.validate(object as never) ?? [];
  const [first] = errors;
  if (first) throw new UserError(`${file}: ${first.field}: ${first.body}`);
  return object;
}

/** The pod as the node agent tells it to a runtime; what only a cluster knows is left open. */
async function requestOf(pod: Pod, layout: Layout, directory: string): Promise<LaunchRequest> {
  const address = hostAddress('127.0.0.1');
  const settings = {
    nodeName: defaultNodeName(),
    hostIps: [address],
    hostHostname: hostname(),
    podLogsDir: join(directory, 'logs'),
    stateDir: layout.kubeletDir,
    seccompDir: join(layout.kubeletDir, 'seccomp'),
    cgroupRoot: '',
    clusterDns: ['10.96.0.10'],
    clusterDomain: 'cluster.local',
    host: { servers: [], searches: [], options: [] },
    hostHostsFile: '',
    memoryBytes: totalmem(),
    allocatable: {},
    hasStrictGroups: true,
    runtimeName: 'sampan',
  };
  const { config: sandbox } = sandboxConfig(pod, 0, settings, 0);
  const paths = new Map(
    (pod.spec?.volumes ?? []).map((volume) => [
      volume.name,
      volume.hostPath?.path ?? volume.image?.reference ?? join(directory, 'volumes', volume.name),
    ]),
  );
  const containers: ContainerConfig[] = [];
  for (const container of [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])]) {
    containers.push(
      await containerConfig({
        fields: { pod, podIps: ['10.244.0.2'], hostIps: [address], nodeName: settings.nodeName, allocatable: {} },
        container,
        restartCount: 0,
        imageRef: container.image ?? '',
        imageUser: { uid: undefined, username: '' },
        settings,
        services: [],
        objects: {
          // Their content changes no step.
          secret: async (namespace, name) => ({ metadata: { namespace, name }, data: anything }),
          configMap: async (namespace, name) => ({ metadata: { namespace, name }, data: anything }),
        },
        volumes: {
          directories: () => ({ root: directory, memory: directory }),
          subPath: async (_pod, volumes, name, _container, _index, subPath) =>
            join(volumes.get(name) ?? directory, subPath),
        },
        paths,
      }),
    );
  }
  return { sandbox, containers, stateDir: layout.runtimeDir };
}

/** Has every key. */
const anything = new Proxy<Record<string, string>>(
  {},
  {
    get: () => '',
    has: () => true,
    getOwnPropertyDescriptor: () => ({ configurable: true, enumerable: true, value: '' }),
  },
);
