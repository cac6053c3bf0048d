// Device plugins: they register on a socket of the kubelet's, list their devices in a stream, and are asked to hand some to a container
// (https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/).
//   <stateDir>/device-plugins/kubelet.sock                        where plugins register
//   <stateDir>/device-plugins/<endpoint>                          where each serves
//   <stateDir>/device-plugins/kubelet_internal_checkpoint         which device is whose
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Pod } from '../../api/types/core-v1.ts';
import { writeFileAtomic } from '../../lib/files.ts';
import { createGrpcClient, type GrpcClient } from '../../lib/grpc/client.ts';
import type { MethodDefinition } from '../../lib/grpc/proto-file.ts';
import { type GrpcServer, serveGrpc } from '../../lib/grpc/server.ts';
import { GrpcError, status } from '../../lib/grpc/status.ts';
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
  log: Logger;
}

interface Plugin {
  resource: string;
  client: GrpcClient;
  preStart: boolean;
  devices: Map<string, boolean>;
}

const VERSION = 'v1beta1';
const CALL_MS = 30_000;
const MAX_REQUEST_BYTES = 4 << 20;

export class DeviceManager {
  #options: DeviceManagerOptions;
  #dir: string;
  #plugins = new Map<string, Plugin>();
  #allocations: Allocations = {};
  #server: GrpcServer | undefined;

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
    const register = async (request: RegisterRequest) => {
      const problem = this.#register(request);
      if (problem !== undefined) throw new GrpcError(status.INVALID_ARGUMENT, problem);
      return {};
    };
    const service = { definition: Registration, handlers: { unary: { Register: register } } };
    this.#server = await serveGrpc(socket, [service], { maxReceiveBytes: MAX_REQUEST_BYTES });
  }

  close(): void {
    void this.#server?.stop();
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
      client: createGrpcClient({ socketPath: socket }),
      preStart: request.options?.preStartRequired ?? false,
      devices: new Map(),
    };
    this.#plugins.set(resourceName, plugin);
    this.#options.log.info({ resource: resourceName, endpoint }, 'a device plugin has registered');
    void this.#follow(plugin);
    return undefined;
  }

  async #follow(plugin: Plugin): Promise<void> {
    try {
      const lists = plugin.client.stream<{ devices: PluginDevice[] }>(methodOf('ListAndWatch'), {});
      for await (const { devices } of lists) {
        plugin.devices = new Map(devices.map((each) => [each.id, each.health === 'Healthy']));
        this.#options.onChange();
      }
    } catch (err) {
      if (this.#plugins.get(plugin.resource) !== plugin) return;
      this.#options.log.warn({ err, resource: plugin.resource }, 'a device plugin has gone away');
    }
    // Nobody vouches for them any more; who registers again brings them back.
    for (const id of plugin.devices.keys()) plugin.devices.set(id, false);
    this.#options.onChange();
  }

  async #call<Answer>(
    { client, resource }: Plugin,
    name: 'Allocate' | 'PreStartContainer',
    request: object,
  ): Promise<Answer> {
    try {
      return await client.unary<Answer>(methodOf(name), request, { timeoutMs: CALL_MS });
    } catch (error) {
      const why = error instanceof GrpcError ? error.details : (error as Error).message;
      throw new Error(`device plugin of ${resource}: ${why}`, { cause: error });
    }
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

function methodOf(name: 'ListAndWatch' | 'Allocate' | 'PreStartContainer'): MethodDefinition {
  return DevicePlugin[name] as MethodDefinition;
}
