// One component alone in this process: `sampan apiserver`, `scheduler`, `controller-manager`, `kubelet`, `runtime`, `proxy`. They read
// their credentials below the data directory, where the API server has put them, or from --kubeconfig.
import { existsSync, readFileSync } from 'node:fs';
import { homedir, hostname } from 'node:os';
import { join } from 'node:path';
import { loadKubeconfig, runLeaderElected } from '../../client/index.ts';
import type { ClientConfig } from '../../client/port.ts';
import { sleep } from '../../lib/abort.ts';
import { systemClock } from '../../lib/clock.ts';
import { releaseAtRest } from '../../lib/rest.ts';
import { createLogger, type Logger, type LogLevel } from '../../lib/log.ts';
import type { ApiServerFlags } from '../cluster/options.ts';
import { cgroupRootOf, defaultNodeName, hostAddress, layoutOf } from '../layout.ts';
import { UserError } from '../user-error.ts';
import { interrupted } from './interrupted.ts';

export interface ConnectedFlags {
  metricsBindAddress?: string;
  dataDir: string;
  kubeconfig?: string;
  logLevel: LogLevel;
}

export type Credentials = Omit<ClientConfig, 'userAgent'>;

export async function apiserverCommand(flags: ApiServerFlags & { nodeName?: string }): Promise<void> {
  const { startApiServer } = await import('../cluster/control-plane.ts');
  const stop = interrupted();
  const nodeIp = flags.advertiseAddress ?? hostAddress('127.0.0.1');
  const server = await startApiServer({
    layout: layoutOf(flags.dataDir),
    store: flags.store,
    address: flags.address,
    advertiseAddress: nodeIp,
    port: flags.port,
    serviceCidr: flags.serviceCidr,
    tlsSans: flags.tlsSan ?? [],
    access: flags,
    operations: flags,
    nodeName: flags.nodeName ?? defaultNodeName(),
    nodeIp,
    log: createLogger('apiserver', { level: flags.logLevel }),
  });
  releaseAtRest();
  process.stderr.write(`API server ready at ${server.url}\n`);
  await stop;
  await server.stop();
}

export async function schedulerCommand(flags: ConnectedFlags & { leaderElect?: boolean }): Promise<void> {
  const [{ connect }, { runScheduler }] = await Promise.all([
    import('../cluster/connect.ts'),
    import('../../scheduler/index.ts'),
  ]);
  const log = createLogger('scheduler', { level: flags.logLevel });
  const context = connect(credentials(flags, 'scheduler'), 'default-scheduler', log);
  await lead(flags, 'kube-scheduler', context, (signal) =>
    Promise.all([context.informers.run(signal), runScheduler(context, signal)]),
  );
}

export async function controllerManagerCommand(
  flags: ConnectedFlags & { leaderElect?: boolean; controllers: string; useServiceAccountCredentials?: boolean },
): Promise<void> {
  const [{ connect }, { controllers: known, runControllers }, { createScheme }, { clusterSigning }] = await Promise.all(
    [
      import('../cluster/connect.ts'),
      import('../../controllers/index.ts'),
      import('../../api/kinds/index.ts'),
      import('../../apiserver/auth/signing.ts'),
    ],
  );
  const log = createLogger('controller-manager', { level: flags.logLevel });
  const config = credentials(flags, 'controller-manager');
  const context = connect(config, 'controller-manager', log);
  const controllers = {
    ...context,
    rootCaPem: config.caPem ?? '',
    scheme: createScheme(),
    signing: clusterSigning(layoutOf(flags.dataDir).pkiDir, context.clock),
    asManager: flags.useServiceAccountCredentials === false,
    disabled: disabledControllers(flags.controllers, Object.keys(known)),
  };
  await lead(flags, 'kube-controller-manager', context, (signal) =>
    Promise.all([context.informers.run(signal), runControllers(controllers, signal)]),
  );
}

export async function runtimeCommand(flags: {
  dataDir: string;
  criSocket?: string;
  podCidr: string;
  bridge: string;
  cgroupRoot?: string;
  cniConfDir?: string;
  cniBinDir?: string[];
  logLevel: LogLevel;
}): Promise<void> {
  if (process.getuid?.() !== 0) throw new UserError('sampan runtime runs containers and needs root: run it with sudo');
  const { startNodeRuntime } = await import('../cluster/node.ts');
  const stop = interrupted();
  const log = createLogger('runtime', { level: flags.logLevel });
  const runtime = await startNodeRuntime(
    { ...flags, cgroupRoot: flags.cgroupRoot ?? cgroupRootOf(flags.dataDir) },
    log,
  );
  process.stderr.write(`runtime ready at ${flags.criSocket ?? layoutOf(flags.dataDir).criSocket}\n`);
  await stop;
  await runtime.stop();
}

export async function proxyCommand(flags: ConnectedFlags & { nodeName?: string }): Promise<void> {
  const [{ connect }, { runProxy }, { spawnNft }] = await Promise.all([
    import('../cluster/connect.ts'),
    import('../../proxy/index.ts'),
    import('../../proxy/spawn-nft.ts'),
  ]);
  const nodeName = flags.nodeName ?? defaultNodeName();
  const log = createLogger('proxy', { level: flags.logLevel });
  const context = connect(credentials(flags, 'proxy'), 'kube-proxy', log, nodeName);
  await untilInterrupted((signal) =>
    Promise.all([context.informers.run(signal), runProxy({ ...context, nodeName, nft: spawnNft }, signal)]),
  );
  context.client.close();
}

/** `*,-endpoints` is all but one, `deployment,replicaset` those two. */
function disabledControllers(chosen: string, known: readonly string[]): string[] {
  const words = chosen.split(',').map((each) => each.trim());
  for (const word of words) {
    if (word !== '*' && !known.includes(word.replace(/^-/, ''))) {
      throw new UserError(`no controller is named ${JSON.stringify(word)}; there are: ${known.join(', ')}`);
    }
  }
  return known.filter((name) => words.includes(`-${name}`) || (!words.includes('*') && !words.includes(name)));
}

/** Of --kubeconfig, else the component's certificate below the data directory and the server of the kubeconfig there. */
export function credentials(flags: ConnectedFlags, user: string): Credentials {
  const layout = layoutOf(flags.dataDir);
  const base = { context: undefined, env: {}, homeDir: homedir(), userAgent: 'sampan' };
  if (flags.kubeconfig) return loadKubeconfig({ ...base, path: flags.kubeconfig }).config;
  if (!existsSync(layout.kubeconfig)) {
    throw new UserError(
      `no credentials in ${layout.dataDir}: start 'sampan apiserver' there first, or name a --kubeconfig`,
    );
  }
  const { server, caPem } = loadKubeconfig({ ...base, path: layout.kubeconfig }).config;
  return {
    server,
    caPem,
    certificatePem: readPki(layout.pkiDir, `${user}.crt`),
    keyPem: readPki(layout.pkiDir, `${user}.key`),
  };
}

export function readPki(dir: string, name: string): string {
  try {
    return readFileSync(join(dir, name), 'utf8');
  } catch {
    throw new UserError(
      `${join(dir, name)} is missing: start 'sampan apiserver' with this data directory first, with the same --node-name`,
    );
  }
}

export async function untilInterrupted(work: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
  const controller = new AbortController();
  void interrupted().then(() => controller.abort());
  await work(controller.signal);
}

/** Works at once, or as the holder of a lease when asked to be one of several. */
async function lead(
  flags: { leaderElect?: boolean; metricsBindAddress?: string },
  lease: string,
  context: Parameters<typeof electable>[1],
  work: (signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  const { serveMetrics } = await import('../cluster/serve-metrics.ts');
  const metrics = flags.metricsBindAddress ? await serveMetrics(flags.metricsBindAddress) : undefined;
  await untilInterrupted((signal) => (flags.leaderElect ? electable(lease, context, work, signal) : work(signal)));
  metrics?.close();
  // An API server that is away does not keep us.
  await Promise.race([context.events.flush(), sleep(systemClock, 1000)]);
  context.client.close();
}

function electable(
  lease: string,
  context: Pick<import('../../client/port.ts').ComponentContext, 'client' | 'events'> & {
    clock: import('../../lib/clock.ts').Clock;
    random: import('../../lib/clock.ts').Random;
    log: Logger;
  },
  work: (signal: AbortSignal) => Promise<unknown>,
  signal: AbortSignal,
): Promise<void> {
  return runLeaderElected(
    {
      ...context,
      namespace: 'kube-system',
      name: lease,
      identity: `${hostname()}_${process.pid}_${Math.random().toString(36).slice(2, 8)}`,
      lead: async (leading) => void (await work(leading)),
    },
    signal,
  );
}
