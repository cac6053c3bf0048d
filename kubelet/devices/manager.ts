// Device plugins: they register on a socket of the kubelet's, list their devices in a stream, and are asked to hand some to a container
// (https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/).
//   <stateDir>/device-plugins/kubelet.sock                        where plugins register
//   <stateDir>/device-plugins/<endpoint>                          where each serves
//   <stateDir>/device-plugins/kubelet_internal_checkpoint         which device is whose
import {
  type Client,
  credentials,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Pod } from '../../api/types/core-v1.ts';
import { writeFileAtomic } from '../../lib/files.ts';
import type { Logger } from '../../lib/log.ts';
import {
  type DeviceGrant,
  DevicePlugin,
  type PluginDevice,
  type RegisterRequest,
  Registration,
} from '../../proto/device-plugin.ts';
import { type Allocations, allocateDevices, type DeviceSets } from './allocation.ts';

export interface DeviceManagerOptions {
  stateDir: string;
  /** What the node has has changed. */
  onChange(): void;
  /** Of the deadlines of calls; default: the host's. */
  now?: () => number;
  log: Logger;
}

interface Plugin {
  resource: string;
  client: Client;
  preStart: boolean;
  devices: Map<string, boolean>;
}

const VERSION = 'v1beta1';
const CALL_MS = 30_000;

export class DeviceManager {
  #options: DeviceManagerOptions;
  #dir: string;
  #plugins = new Map<string, Plugin>();
  #allocations: Allocations = {};
  #server: Server | undefined;

  constructor(options: DeviceManagerOptions) {
    this.#options = options;
    this.#dir = join(options.stateDir, 'device-plugins');
  }

  /** Serves the registration socket; plugins notice that it is new and register again. */
  async start(): Promise<void> {
    mkdirSync(this.#dir, { recursive: true, mode: 0o750 });
    this.#allocations = this.#stored();
    const socket = join(this.#dir, 'kubelet.sock');
    rmSync(socket, { force: true });
    const server = new Server();
    server.addService(Registration.service, {
      register: (call: ServerUnaryCall<RegisterRequest, object>, answer: sendUnaryData<object>) => {
        const problem = this.#register(call.request);
        if (problem === undefined) answer(null, {});
        else answer({ code: status.INVALID_ARGUMENT, details: problem });
      },
    });
    await new Promise<void>((resolve, reject) =>
      server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
        error ? reject(error) : resolve(),
      ),
    );
    this.#server = server;
  }

  close(): void {
    this.#server?.forceShutdown();
    for (const { client } of this.#plugins.values()) client.close();
    this.#plugins.clear();
  }

  /** Per resource, how many devices there are and how many of them work. */
  resources(): Record<string, { capacity: number; allocatable: number }> {
    const found: Record<string, { capacity: number; allocatable: number }> = {};
    for (const { resource, devices } of this.#plugins.values()) {
      const working = [...devices.values()].filter(Boolean).length;
      found[resource] = { capacity: devices.size, allocatable: working };
    }
    return found;
  }

  /** Takes devices for a pod that is admitted; what keeps it from being, if there are too few. */
  admit(pod: Pod): string | undefined {
    const sets: DeviceSets = {};
    for (const { resource, devices } of this.#plugins.values()) sets[resource] = devices;
    if (Object.keys(sets).length === 0) return undefined;
    const result = allocateDevices(pod, sets, this.#allocations);
    if (result.kind === 'short') return result.message;
    if (Object.keys(result.devices).length === 0) return undefined;
    this.#allocations[pod.metadata.uid ?? ''] = result.devices;
    this.#store();
    return undefined;
  }

  release(uid: string): void {
    if (!Object.hasOwn(this.#allocations, uid)) return;
    delete this.#allocations[uid];
    this.#store();
  }

  /** Forgets what belongs to none of these pods. */
  keepOnly(uids: ReadonlySet<string>): void {
    for (const uid of Object.keys(this.#allocations)) if (!uids.has(uid)) this.release(uid);
  }

  /** What a container that is about to start gets with its devices. */
  async grantsFor(uid: string, container: string): Promise<DeviceGrant[]> {
    const grants: DeviceGrant[] = [];
    for (const [resource, ids] of Object.entries(this.#allocations[uid]?.[container] ?? {})) {
      const plugin = this.#plugins.get(resource);
      if (!plugin) throw new Error(`the device plugin of ${resource} is not there`);
      const { containerResponses = [] } = await this.#call<{ containerResponses?: DeviceGrant[] }>(plugin, 'Allocate', {
        containerRequests: [{ devicesIds: ids }],
      });
      if (plugin.preStart) await this.#call(plugin, 'PreStartContainer', { devicesIds: ids });
      grants.push(...containerResponses);
    }
    return grants;
  }

  #register(request: RegisterRequest): string | undefined {
    const { version, endpoint, resourceName } = request;
    if (version !== VERSION)
      return `requested API version "${version}" is not supported by kubelet. Supported version is "${VERSION}"`;
    if (!/^[a-z0-9.-]+\/[A-Za-z0-9._-]+$/.test(resourceName)) {
      return `the ResourceName "${resourceName}" is invalid`;
    }
    const socket = join(this.#dir, basename(endpoint));
    this.#plugins.get(resourceName)?.client.close();
    const plugin: Plugin = {
      resource: resourceName,
      client: new DevicePlugin(`unix:${socket}`, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 }),
      preStart: request.options?.preStartRequired ?? false,
      devices: new Map(),
    };
    this.#plugins.set(resourceName, plugin);
    this.#options.log.info({ resource: resourceName, endpoint }, 'a device plugin has registered');
    this.#follow(plugin);
    return undefined;
  }

  #follow(plugin: Plugin): void {
    const method = DevicePlugin.service['ListAndWatch'];
    if (!method) return;
    const stream = plugin.client.makeServerStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      {},
    );
    stream.on('data', (answer: { devices?: PluginDevice[] }) => {
      plugin.devices = new Map((answer.devices ?? []).map((each) => [each.id, each.health === 'Healthy']));
      this.#options.onChange();
    });
    const ended = () => {
      // Nobody vouches for them any more; who registers again brings them back.
      for (const id of plugin.devices.keys()) plugin.devices.set(id, false);
      this.#options.onChange();
    };
    stream.on('error', (err) => {
      if (this.#plugins.get(plugin.resource) !== plugin) return;
      this.#options.log.warn({ err, resource: plugin.resource }, 'a device plugin has gone away');
      ended();
    });
    stream.on('end', ended);
  }

  #call<Answer>(
    { client, resource }: Plugin,
    name: 'Allocate' | 'PreStartContainer',
    request: object,
  ): Promise<Answer> {
    const method = DevicePlugin.service[name];
    if (!method) throw new Error(`no method ${name}`);
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        { deadline: (this.#options.now ?? Date.now)() + CALL_MS },
        (error, answer) => {
          if (error)
            reject(new Error(`device plugin of ${resource}: ${error.details || error.message}`, { cause: error }));
          else resolve(answer as Answer);
        },
      );
    });
  }

  get #file(): string {
    return join(this.#dir, 'kubelet_internal_checkpoint');
  }

  #stored(): Allocations {
    try {
      return existsSync(this.#file) ? (JSON.parse(readFileSync(this.#file, 'utf8')) as Allocations) : {};
    } catch (err) {
      this.#options.log.warn({ err }, 'the record of devices cannot be read; it begins anew');
      return {};
    }
  }

  #store(): void {
    writeFileAtomic(this.#file, JSON.stringify(this.#allocations), 0o600);
  }
}
