// CSI drivers of this node as processes: found by their registration sockets in <stateDir>/plugins_registry, asked what they can, called.
// What a driver says of the node goes into the CSINode object and the node's labels.
import { existsSync, type FSWatcher, mkdirSync, readdirSync, watch } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '../../../client/port.ts';
import { backoffMs } from '../../../lib/backoff.ts';
import { type Clock, systemClock, type Timer } from '../../../lib/clock.ts';
import type { Logger } from '../../../lib/log.ts';
import { VolumeError } from '../payload.ts';
import { callPlugin } from './call.ts';
import { ensureCsiNode, type NodeInfo, publishCsiNode, withdrawCsiNode } from './csi-node.ts';

export interface PluginsOptions {
  stateDir: string;
  nodeName: string;
  client: Client;
  clock?: Clock;
  log: Logger;
}

/** What a driver's node service can besides publishing; names of CSI's NodeServiceCapability. */
export type Capability =
  | 'STAGE_UNSTAGE_VOLUME'
  | 'GET_VOLUME_STATS'
  | 'EXPAND_VOLUME'
  | 'VOLUME_CONDITION'
  | 'SINGLE_NODE_MULTI_WRITER'
  | 'VOLUME_MOUNT_GROUP';

interface Plugin {
  endpoint: string;
  can: ReadonlySet<string>;
}

export class CsiPlugins {
  #options: PluginsOptions;
  #plugins = new Map<string, Plugin>();
  /** Driver names by registration socket. */
  #bySocket = new Map<string, string>();
  #registering = new Map<string, Promise<void>>();
  #watcher: FSWatcher | undefined;
  #failures = 0;
  #retry: Timer | undefined;

  constructor(options: PluginsOptions) {
    this.#options = options;
  }

  get #registry(): string {
    return join(this.#options.stateDir, 'plugins_registry');
  }

  start(): void {
    mkdirSync(this.#registry, { recursive: true, mode: 0o750 });
    this.#watcher = watch(this.#registry, { persistent: false }, () => this.#look());
    this.#look();
  }

  close(): void {
    this.#watcher?.close();
    this.#retry?.cancel();
  }

  /** The node is in the API: its CSINode object is too, with drivers or without. */
  announceNode(): void {
    const { client, nodeName, log } = this.#options;
    ensureCsiNode(client, nodeName).catch((err) => log.warn({ err }, 'the CSINode object could not be made'));
  }

  /** Throws PluginError, and VolumeError when the driver is not there. */
  async call<Answer>(driver: string, method: string, request: object): Promise<Answer> {
    const { CsiNode } = await import('../../../proto/csi.ts');
    return callPlugin<Answer>(this.#plugin(driver).endpoint, CsiNode, method, request);
  }

  /** Throws VolumeError when the driver is not there. */
  can(driver: string, capability: Capability): boolean {
    return this.#plugin(driver).can.has(capability);
  }

  isRegistered(driver: string): boolean {
    return this.#plugins.has(driver);
  }

  #plugin(driver: string): Plugin {
    const plugin = this.#plugins.get(driver);
    if (!plugin) throw new VolumeError(`driver name ${driver} not found in the list of registered CSI drivers`);
    return plugin;
  }

  #look(): void {
    // Whoever takes the directory away takes the plugins away; the kubelet goes on.
    const names = existsSync(this.#registry) ? readdirSync(this.#registry) : [];
    const sockets = names.filter((each) => each.endsWith('.sock'));
    for (const [socket, driver] of this.#bySocket) if (!sockets.includes(socket)) this.#deregister(socket, driver);
    for (const socket of sockets) {
      if (this.#bySocket.has(socket) || this.#registering.has(socket)) continue;
      const work = this.#register(socket)
        .then(
          () => void (this.#failures = 0),
          (err) => {
            this.#options.log.warn({ err, socket }, 'a plugin could not be registered; trying again');
            this.#lookLater();
          },
        )
        .finally(() => this.#registering.delete(socket));
      this.#registering.set(socket, work);
    }
  }

  #lookLater(): void {
    const { clock = systemClock } = this.#options;
    this.#retry?.cancel();
    const delayMs = backoffMs({ initialMs: 500, maxMs: 60_000, jitter: 0.1 }, ++this.#failures, Math.random);
    this.#retry = clock.after(delayMs, () => this.#look(), { background: true });
  }

  #deregister(socket: string, driver: string): void {
    const { client, nodeName, log } = this.#options;
    this.#bySocket.delete(socket);
    this.#plugins.delete(driver);
    withdrawCsiNode(client, nodeName, driver).catch((err) =>
      log.warn({ err, driver }, 'a CSI driver that went is still in the CSINode object'),
    );
  }

  async #register(name: string): Promise<void> {
    const { CsiNode, PluginRegistration } = await import('../../../proto/csi.ts');
    const { client, nodeName, log } = this.#options;
    const socket = join(this.#registry, name);
    const info = await callPlugin<{ type: string; name: string; endpoint: string }>(
      socket,
      PluginRegistration,
      'GetInfo',
      {},
    );
    const tell = (error: string) =>
      callPlugin(socket, PluginRegistration, 'NotifyRegistrationStatus', { pluginRegistered: error === '', error });
    if (info.type !== 'CSIPlugin') {
      await tell(`plugins of type ${info.type} are not supported by this kubelet`);
      return;
    }
    const endpoint = info.endpoint || socket;
    try {
      const node = await callPlugin<NodeInfo>(endpoint, CsiNode, 'NodeGetInfo', {});
      const { capabilities = [] } = await callPlugin<{ capabilities?: { rpc?: { type?: string } }[] }>(
        endpoint,
        CsiNode,
        'NodeGetCapabilities',
        {},
      );
      await publishCsiNode(client, nodeName, info.name, node);
      this.#plugins.set(info.name, { endpoint, can: new Set(capabilities.map((each) => each.rpc?.type ?? '')) });
    } catch (error) {
      await tell(`RegisterPlugin error -- ${(error as Error).message}`);
      throw error;
    }
    this.#bySocket.set(name, info.name);
    await tell('');
    log.info({ driver: info.name, endpoint }, 'a CSI driver has registered');
  }
}
