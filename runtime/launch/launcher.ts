// The Launcher: writes down what is asked for, has it done, and tells exits once. All it knows is in the state directory,
// so that it can be killed at any step; the next one finishes or undoes what it finds.
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import { sleep } from '../../lib/abort.ts';
import type { Logger } from '../../lib/log.ts';
import { attachmentOf } from '../network/cni/attachment.ts';
import { CniNetwork, type CniOptions } from '../network/cni/plugins.ts';
import { createPodNetwork, type NetworkOptions, type PodNetwork } from '../network/bridge-network.ts';
import { macOf } from '../network/ipam.ts';
import { planContainer } from './container-plan.ts';
import { planExec, execProcess } from './exec-plan.ts';
import { readHost } from './host.ts';
import {
  type ContainerFacts,
  type ContainerSpec,
  type ExitEvent,
  type Launcher,
  LaunchError,
  type SandboxHandle,
  type SandboxSpec,
} from './port.ts';
import { planContainerRemoval, planSandbox, planSandboxRemoval } from './sandbox-plan.ts';
import { connectUnix, createLauncherServer, type OnTrace } from './server.ts';
import { connectShim, type Shim, type ShimFacts } from './shim.ts';
import { StateDirectory } from './state.ts';
import { type Step, step } from './steps.ts';
import { openStreams } from './streams.ts';
import { encodeFrame } from './wire.ts';

export interface LauncherOptions {
  /** Survives restarts of the runtime; nothing in it survives the host's. */
  stateDir: string;
  /** Holds the resident launcher's socket. Default `stateDir`. */
  runDir?: string;
  /** `build/sampan-launcher`. */
  binary: string;
  /** Default: bridge `sampan0`, podCidr 10.244.0.0/24, the MTU of the interface with the default route. */
  network?: {
    bridge?: string;
    podCidr?: string;
    mtu?: number;
    nft?: NetworkOptions['nft'];
    /** Pods' networks are made by CNI plugins instead; the bridge is not made then. */
    cni?: Pick<CniOptions, 'confDir' | 'binDirs' | 'run'>;
  };
  /** Everything of ours lives below this cgroup, in every hierarchy. Default `/sampan`. */
  cgroupRoot?: string;
  clock: Clock;
  log: Logger;
  /** Sees every plan as it has been executed. */
  onTrace?: OnTrace;
  /** For tests: what is executed instead of a plan. */
  tamper?: (steps: readonly Step[]) => readonly Step[];
}

interface Container {
  spec: ContainerSpec;
  shim: Shim | undefined;
  facts: ShimFacts | undefined;
}

const SIGKILL = 9;

export async function createLauncher(given: LauncherOptions): Promise<Launcher> {
  // The resident launcher has a working directory of its own.
  const options = {
    ...given,
    stateDir: resolve(given.stateDir),
    binary: resolve(given.binary),
    runDir: resolve(given.runDir ?? given.stateDir),
  };
  const { clock, log } = options;
  const state = new StateDirectory(options.stateDir);
  const { runDir } = options;
  mkdirSync(runDir, { recursive: true, mode: 0o700 });
  chmodSync(runDir, 0o700);
  const server = createLauncherServer({
    binary: options.binary,
    socketPath: `${runDir}/launcher.sock`,
    stateDir: options.stateDir,
    clock,
    log,
    onTrace: options.onTrace,
    tamper: options.tamper,
  });
  const host = readHost(options.cgroupRoot ?? '/sampan');
  const { cgroups, own } = host;
  const containers = new Map<string, Container>();
  const callbacks: ((event: ExitEvent) => void)[] = [];
  const startCallbacks: ((id: string, startedAtNs: number) => void)[] = [];
  let untold: ExitEvent[] = [];
  let closed = false;
  const idmap = new Map<string, Promise<string | undefined>>();

  const exitOf = (id: string, facts: ShimFacts): ExitEvent => ({
    containerId: id,
    exitCode: facts.exitCode,
    signal: facts.signal,
    oomKilled: facts.oomKilled,
    finishedAtNs: facts.finishedAtNs,
  });

  // Once per exit: the mark is set after the callbacks have run. A crash between the two tells it again.
  const tell = (event: ExitEvent) => {
    if (closed || state.isExitTold(event.containerId)) return;
    if (callbacks.length === 0) {
      if (!untold.some((each) => each.containerId === event.containerId)) untold.push(event);
      return;
    }
    for (const callback of callbacks) callback(event);
    state.exitTold(event.containerId);
  };

  const onFacts = (id: string) => (facts: ShimFacts) => {
    const container = containers.get(id);
    if (!container || container.facts?.state === 'exited') return;
    const before = container.facts?.state;
    container.facts = facts;
    if (facts.state === 'running' && before !== 'running')
      for (const callback of startCallbacks) callback(id, facts.startedAtNs);
    if (facts.state === 'exited') tell(exitOf(id, facts));
  };

  /** A shim that ended without recording an exit was killed: what it watched over cannot be trusted to anyone. */
  const buryLost = async (id: string, spec: ContainerSpec, last: ShimFacts) => {
    log.error({ containerId: id }, 'shim lost: killing its container');
    await server.run([
      step('kill', [cgroups.killFile(spec.cgroup), ...cgroups.killDirectories(spec.cgroup)], 'nobody watches it'),
    ]);
    const facts: ShimFacts = {
      ...last,
      state: 'exited',
      exitCode: 137,
      signal: SIGKILL,
      finishedAtNs: clock.now() * 1e6,
    };
    try {
      state.writeFacts(id, facts);
    } catch (err) {
      // A full disk: the next start finds it lost again.
      log.error({ err, containerId: id }, 'the end of a lost container could not be recorded');
    }
    onFacts(id)(facts);
  };

  const watch = async (id: string) => {
    const container = containers.get(id) as Container;
    const recorded = state.facts(id) as ShimFacts;
    if (recorded.state === 'exited') return onFacts(id)(recorded);
    try {
      const shim = await connectShim(`${state.containerDirectory(id)}/sock`, onFacts(id));
      container.facts ??= recorded;
      container.shim = shim;
      void shim.closed
        .then(async () => {
          container.shim = undefined;
          if (closed || containers.get(id) !== container) return;
          const facts = state.facts(id);
          if (facts?.state === 'exited') onFacts(id)(facts);
          else if (facts) await buryLost(id, container.spec, facts);
        })
        .catch((error: unknown) => log.error({ err: error, containerId: id }, 'burying a lost container failed'));
    } catch {
      const facts = state.facts(id) as ShimFacts;
      if (facts.state === 'exited') onFacts(id)(facts);
      else await buryLost(id, container.spec, facts);
    }
  };

  // ---- containers
  const removeContainer = async (id: string) => {
    const spec = state.container(id);
    if (!spec) return state.removeContainer(id);
    const container = containers.get(id);
    await server.run(planContainerRemoval(spec.cgroup, cgroups));
    // The shim records the exit and ends by itself; its exit event comes before the container is forgotten.
    if (container?.shim) {
      const patience = new AbortController();
      await Promise.race([container.shim.closed, sleep(clock, 7000, patience.signal)]);
      patience.abort();
    }
    container?.shim?.close();
    containers.delete(id);
    untold = untold.filter((each) => each.containerId !== id);
    state.removeContainer(id);
  };

  const sandboxOf = (id: string): SandboxSpec => {
    const record = state.sandbox(id);
    if (!record || !state.handle(id)) throw new LaunchError('', 'ENOENT', `sandbox ${id} does not exist`);
    return record.spec;
  };

  const runningContainer = (id: string) => {
    const container = containers.get(id);
    const facts = container?.facts;
    if (!container || !facts) throw new LaunchError('', 'ENOENT', `container ${id} does not exist`);
    if (facts.state !== 'running')
      throw new LaunchError('', 'ESRCH', `container ${id} is not running but ${facts.state}`);
    return { container, facts };
  };

  const pidNamespace = (spec: ContainerSpec, sandbox: SandboxSpec): string | undefined => {
    if (spec.pidOf !== undefined) return `/proc/${runningContainer(spec.pidOf).facts.pid}/ns/pid`;
    return sandbox.pid === 'pod' ? `/proc/${state.handle(sandbox.id)?.pausePid}/ns/pid` : undefined;
  };

  const createContainer: Launcher['createContainer'] = async (spec) => {
    const existing = containers.get(spec.id);
    if (existing?.facts) return { pid: existing.facts.pid, warnings: [] };
    const sandbox = sandboxOf(spec.sandboxId);
    const facts = host.of(spec, {
      directory: state.containerDirectory(spec.id),
      sandboxDirectory: state.sandboxDirectory(spec.sandboxId),
      pidNamespace: pidNamespace(spec, sandbox),
    });
    const plan = planContainer(spec, sandbox, facts);
    state.writeContainer(spec);
    const container: Container = { spec, shim: undefined, facts: undefined };
    containers.set(spec.id, container);
    try {
      const answer = await server.run(plan.steps);
      await watch(spec.id);
      return { pid: answer.pid ?? 0, warnings: [...plan.warnings, ...answer.warnings] };
    } catch (error) {
      await removeContainer(spec.id).catch((failure: unknown) =>
        log.error({ err: failure, containerId: spec.id }, 'undoing a container failed'),
      );
      throw error;
    }
  };

  // ---- sandboxes
  const removeSandbox = async (id: string) => {
    const record = state.sandbox(id);
    // What is on disk is read only where memory has nothing: many sandboxes may go at once.
    for (const containerId of state.containerIds()) {
      const spec = containers.get(containerId)?.spec ?? state.container(containerId);
      if (spec?.sandboxId === id) await removeContainer(containerId);
    }
    if (record) await plugins.detach(state.sandboxDirectory(id));
    if (record) await server.run(planSandboxRemoval(record.spec.cgroupParent, state.sandboxDirectory(id), cgroups));
    await network.release(id);
    state.removeSandbox(id);
  };

  const createSandbox: Launcher['createSandbox'] = async (spec) => {
    const existing = state.handle(spec.id);
    if (existing) return existing;
    if (spec.network === 'node' && spec.ports && spec.ports.length > 0)
      log.debug({ sandboxId: spec.id }, 'host ports of a pod on the host network need no rules');
    const byPlugins = spec.network === 'pod' && options.network?.cni !== undefined;
    const ip = spec.network === 'pod' && !byPlugins ? network.reserve(spec.id, spec.ports ?? []) : undefined;
    try {
      const shared = ip ? await network.prepare() : undefined;
      const directory = state.sandboxDirectory(spec.id);
      const plan = planSandbox(spec, {
        cgroups,
        directory,
        network:
          shared && ip
            ? { ...shared, hostInterface: `sv${randomBytes(6).toString('hex')}`, address: ip, mac: macOf(ip) }
            : undefined,
      });
      for (const warning of plan.warnings) log.warn({ sandboxId: spec.id, warning }, 'sandbox');
      state.writeSandbox({ spec, ip });
      const answer = await server.run(plan.steps);
      if (ip) await network.open(spec.id);
      const ips = byPlugins ? await plugins.attach(attachmentOf(spec, directory)) : ip ? [ip] : [];
      const handle: SandboxHandle = {
        id: spec.id,
        netnsPath: ips.length > 0 ? `${directory}/net` : undefined,
        ips,
        pausePid: answer.pid,
      };
      state.writeHandle(handle);
      return handle;
    } catch (error) {
      await removeSandbox(spec.id).catch((failure: unknown) =>
        log.error({ err: failure, sandboxId: spec.id }, 'undoing a sandbox failed'),
      );
      throw error;
    }
  };

  // ---- after a restart: finish or undo what is there
  const plugins = new CniNetwork({
    confDir: '/etc/cni/net.d',
    binDirs: ['/opt/cni/bin'],
    ...options.network?.cni,
    log,
  });
  const network: PodNetwork = createPodNetwork(
    {
      bridge: options.network?.bridge ?? 'sampan0',
      podCidr: options.network?.podCidr ?? '10.244.0.0/24',
      mtu: options.network?.mtu,
      nft: options.network?.nft,
      server,
      log,
    },
    state.sandboxIds().flatMap((id) => {
      const record = state.sandbox(id);
      return record?.ip ? [{ id, ip: record.ip, ports: record.spec.ports ?? [] }] : [];
    }),
  );
  await server.run([step('quiesce', [10_000], 'plans of a runtime that died may still be running')]);
  for (const id of state.containerIds()) {
    const spec = state.container(id);
    if (!spec || !state.facts(id)) {
      log.warn({ containerId: id }, 'removing a half-made container');
      await removeContainer(id);
      continue;
    }
    containers.set(id, { spec, shim: undefined, facts: undefined });
    await watch(id);
  }
  for (const id of state.sandboxIds()) {
    if (state.handle(id)) continue;
    log.warn({ sandboxId: id }, 'removing a half-made sandbox');
    await removeSandbox(id).catch((error: unknown) =>
      log.error({ err: error, sandboxId: id }, 'removing a half-made sandbox failed'),
    );
  }
  if (state.sandboxIds().some((id) => state.sandbox(id)?.ip)) await network.prepare();
  if (options.network?.cni) await plugins.review(state.sandboxIds().map(state.sandboxDirectory));

  return {
    createSandbox,
    removeSandbox,
    createContainer,
    removeContainer,

    async updateResources(cgroup, resources) {
      const { writes, warnings } = cgroups.limits(cgroup, resources);
      for (const warning of warnings) log.warn({ cgroup, warning }, 'limits');
      if (writes.length > 0) await server.run(writes.map((each) => step('write', [each.path, each.value], each.why)));
    },

    async startContainer(id) {
      const container = containers.get(id);
      if (!container?.facts) throw new LaunchError('', 'ENOENT', `container ${id} does not exist`);
      if (container.facts.state === 'running') return { startedAtNs: container.facts.startedAtNs };
      if (!container.shim) throw new LaunchError('', 'ESRCH', `container ${id} has exited`);
      await container.shim.start();
      return { startedAtNs: container.facts.startedAtNs };
    },

    async kill(id, signal, { all = false } = {}) {
      const container = containers.get(id);
      if (!container || container.facts?.state === 'exited') {
        if (!container || !all) return;
      }
      if (all && signal === SIGKILL) {
        await server.run([
          step(
            'kill',
            [cgroups.killFile(container.spec.cgroup), ...cgroups.killDirectories(container.spec.cgroup)],
            'everything',
          ),
        ]);
      } else if (all) {
        throw new LaunchError('kill', 'EINVAL', 'only SIGKILL can be sent to all processes of a container');
      } else {
        await container.shim?.signal(signal);
      }
    },

    async exec(spec) {
      const { container, facts } = runningContainer(spec.containerId);
      const process = execProcess(spec, container.spec);
      const filter = host.seccomp(container.spec, process.capabilities);
      const plan = planExec(
        spec,
        container.spec,
        facts,
        { cgroups, own, seccomp: filter },
        state.sandbox(container.spec.sandboxId)?.spec.userNamespace,
      );
      for (const warning of plan.warnings) log.debug({ containerId: spec.containerId, warning }, 'exec');
      const { socket } = await server.open(plan.steps);
      return openStreams(socket, spec.stdin);
    },

    async attach(containerId) {
      const { container } = runningContainer(containerId);
      const socket = await connectUnix(`${state.containerDirectory(containerId)}/sock`);
      const streams = openStreams(socket, container.spec.stdin);
      socket.write(encodeFrame('A', Uint8Array.of(container.spec.stdin ? 1 : 0)));
      await streams.ready;
      return streams;
    },

    async reopenLog(containerId) {
      const { container } = runningContainer(containerId);
      await container.shim?.reopenLog();
    },

    async dial(sandboxId, port) {
      const spec = sandboxOf(sandboxId);
      if (!Number.isInteger(port) || port < 1 || port > 65_535)
        throw new LaunchError('dial', 'EINVAL', `port ${port} is not between 1 and 65535`);
      const { socket } = await server.open([
        step('dial', [spec.network !== 'node' ? `${state.sandboxDirectory(sandboxId)}/net` : '', port], 'port-forward'),
      ]);
      return socket;
    },

    onStart(callback) {
      startCallbacks.push(callback);
      for (const [id, { facts }] of containers) if (facts?.state === 'running') callback(id, facts.startedAtNs);
    },

    onExit(callback) {
      callbacks.push(callback);
      for (const event of untold.splice(0)) tell(event);
    },

    async facts() {
      const all = new Map<string, ContainerFacts>();
      for (const id of state.containerIds()) {
        const facts = containers.get(id)?.facts ?? state.facts(id);
        if (!facts) continue;
        if (facts.state === 'created') all.set(id, { state: 'created', pid: facts.pid });
        else if (facts.state === 'running')
          all.set(id, { state: 'running', pid: facts.pid, startedAtNs: facts.startedAtNs });
        else all.set(id, { state: 'exited', startedAtNs: facts.startedAtNs, exit: exitOf(id, facts) });
      }
      return all;
    },

    async sandboxes() {
      const all = new Map<string, SandboxHandle>();
      for (const id of state.sandboxIds()) {
        const handle = state.handle(id);
        if (handle) all.set(id, handle);
      }
      return all;
    },

    stats: async (cgroup) => cgroups.stats(cgroup),
    details: async (cgroup) => cgroups.details(cgroup),

    async userNamespaceObstacle(directory) {
      const asked =
        idmap.get(directory) ??
        server
          .run([step('probe-idmap', [directory], 'can layers be id-mapped')])
          .then((answer) => answer.values.get('idmap'));
      idmap.set(directory, asked);
      const answer = await asked;
      return answer === 'yes' ? undefined : (answer ?? 'the launcher does not say');
    },

    async close() {
      closed = true;
      for (const container of containers.values()) container.shim?.close();
      server.close();
    },

    networkObstacle: async () => (options.network?.cni ? plugins.obstacle() : undefined),

    async prepareNetwork() {
      if (!options.network?.cni) await network.prepare();
    },

    async teardown() {
      for (const id of state.containerIds()) await removeContainer(id);
      for (const id of state.sandboxIds()) await removeSandbox(id);
      if (!options.network?.cni) await network.teardown();
      const roots = cgroups.roots();
      if (roots.length > 0) await server.run(roots.map((path) => step('rmdir', [path], 'our root')));
      await server.quit();
      closed = true;
    },
  };
}
