// A whole cluster on this machine: the control plane in this process, the node in a child process that is started at once,
// so that both load at the same time, and started again when it dies.
import { mkdirSync, openSync } from 'node:fs';
import { resolve } from 'node:path';
import { createScheme } from '../../api/kinds/index.ts';
import type { Node } from '../../api/types/core-v1.ts';
import type { Client } from '../../client/port.ts';
import { createClient, refs } from '../../client/index.ts';
import { systemClock } from '../../lib/clock.ts';
import { createLogger, type Logger } from '../../lib/log.ts';
import { cgroupRootOf, defaultNodeName, gatewayOf, hostAddress, type Layout, layoutOf } from '../layout.ts';
import { readSettings } from '../kubelet-settings.ts';
import type { Progress } from '../progress.ts';
import { UserError } from '../user-error.ts';
import type { Beside, BesideComponent } from './beside.ts';
import { startApiServer } from './control-plane.ts';
import { holdDataDir } from './hold.ts';
import { superviseNode } from './node-process.ts';
import type { UpFlags } from './options.ts';

export interface Cluster {
  layout: Layout;
  /** `https://127.0.0.1:6443` */
  url: string;
  nodeName: string;
  /** As the administrator. */
  client: Client;
  /** Resolves when `sampan down` asks this cluster to end. */
  askedToStop: Promise<void>;
  /** Ends pods, node and control plane; nothing is left on the host but the data directory. */
  stop(): Promise<void>;
}

export async function startCluster(flags: UpFlags, progress: Progress): Promise<Cluster> {
  const kubeletSettings = await readSettings(flags.kubeletConfig);
  if (process.getuid?.() !== 0) throw new UserError('sampan up runs containers and needs root: run it with sudo');
  const layout = layoutOf(flags.dataDir);
  mkdirSync(layout.logDir, { recursive: true, mode: 0o700 });
  const hold = await holdDataDir(layout);
  const log = logTo(layout, 'control-plane', flags.logLevel);
  const nodeName = flags.nodeName ?? defaultNodeName();
  // A machine without a network still has the pod bridge.
  const nodeIp = flags.nodeIp ?? hostAddress(gatewayOf(flags.podCidr));
  const node = superviseNode({ layout, logLevel: flags.logLevel, log });
  const stops: (() => Promise<void>)[] = [() => hold.release()];
  const stop = async () => {
    for (const each of stops.splice(0).reverse())
      await each().catch((error: unknown) => log.error({ err: error }, 'stopping failed'));
  };
  try {
    const apiStep = progress.step('API server');
    // They start after the server that they talk to.
    let beside: Beside | undefined;
    const check = (component: BesideComponent) => async () => {
      if (!beside) throw new Error('not started yet');
      return beside.check(component);
    };
    const server = await startApiServer({
      components: { scheduler: check('scheduler'), 'controller-manager': check('controller-manager') },
      layout,
      store: flags.store,
      address: flags.address,
      advertiseAddress: flags.advertiseAddress ?? nodeIp,
      port: flags.port,
      serviceCidr: flags.serviceCidr,
      tlsSans: flags.tlsSan ?? [],
      access: flags,
      operations: flags,
      nodeName,
      nodeIp,
      log,
    }).catch((error: unknown) => {
      apiStep.fail('did not start');
      throw error;
    });
    stops.push(() => server.stop());
    apiStep.done(server.url);

    const { pki } = server;
    const nodeKeys = pki.nodes[nodeName];
    if (!nodeKeys) throw new Error(`no certificates were made for node ${nodeName}`);
    node.start({
      dataDir: layout.dataDir,
      nodeName,
      nodeIp,
      server: server.url,
      caPem: pki.caPem,
      kubelet: nodeKeys.client,
      serving: nodeKeys.serving,
      proxy: pki.proxy,
      podCidr: flags.podCidr,
      serviceCidr: flags.serviceCidr,
      bridge: flags.bridge,
      cniConfDir: flags.cniConfDir && resolve(flags.cniConfDir),
      cniBinDir: flags.cniBinDir?.map((each) => resolve(each)),
      maxPods: flags.maxPods,
      kubeletPort: flags.kubeletPort,
      staticPodPath: flags.podManifestPath && resolve(flags.podManifestPath),
      kubeletSettings,
      clusterDns: flags.clusterDns,
      clusterDomain: flags.clusterDomain,
      cgroupRoot: flags.cgroupRoot ?? cgroupRootOf(layout.dataDir),
      logLevel: flags.logLevel,
    });
    // Loaded only now, so that the API answers sooner. The node ends while it still does: its last words are heard.
    const { runBesideApiServer } = await import('./beside.ts');
    const running = runBesideApiServer(server, createScheme(), log);
    beside = running;
    stops.push(() => running.stop());
    stops.push(() => node.stop());

    const client = createClient(
      {
        server: server.url,
        caPem: pki.caPem,
        certificatePem: pki.admin.certificatePem,
        keyPem: pki.admin.keyPem,
        userAgent: 'sampan-up',
      },
      { clock: systemClock, log },
    );
    stops.push(async () => client.close());
    const nodeStep = progress.step(`node ${nodeName}`);
    await Promise.race([nodeReady(client, nodeName), node.failed]).catch((error: unknown) => {
      nodeStep.fail(`${error instanceof Error ? error.message : String(error)}; see ${layout.logDir}/node.log`);
      throw error;
    });
    nodeStep.done('ready');
    return { layout, url: server.url, nodeName, client, askedToStop: hold.askedToStop, stop };
  } catch (error) {
    node.abandon();
    await stop();
    throw error;
  }
}

function logTo(layout: Layout, name: string, level: UpFlags['logLevel']): Logger {
  return createLogger(name, { level, fd: openSync(`${layout.logDir}/${name}.log`, 'a', 0o600) });
}

async function nodeReady(client: Client, name: string): Promise<void> {
  const nodes = client.resource<Node>(refs.nodes);
  const controller = new AbortController();
  const isReady = (node: Node) =>
    node.status?.conditions?.some((each) => each.type === 'Ready' && each.status === 'True');
  try {
    for await (const event of nodes.watch({
      fieldSelector: `metadata.name=${name}`,
      sendInitialEvents: true,
      signal: controller.signal,
    })) {
      if (event.type !== 'BOOKMARK' && event.type !== 'DELETED' && isReady(event.object)) return;
    }
    throw new Error('the API server ended the watch');
  } finally {
    controller.abort();
  }
}
