// Cluster IPs and node ports that no two Services share, whichever API server hands them out: each step is a
// compare-and-set in the store. An address is an IPAddress object (/registry/ipaddresses/A), out of the range that the server
// was started with or that of any ready ServiceCIDR (/registry/servicecidrs/N); the ports are one bitmap
// (/registry/ranges/servicenodeports), as upstream stores them.
import { randomUUID } from 'node:crypto';
import type { ServiceCIDR } from '../../api/types/networking-v1.ts';
import type { Clock, Random } from '../../lib/clock.ts';
import type { Store } from '../storage/port.ts';
import {
  type AddressRange,
  Bitmap,
  formatAddress,
  inRange,
  parseAddress,
  rangeOf,
  reservedForNames,
  spans,
} from './address-range.ts';
import { type AllocationMetrics, createAllocationMetrics, type Scope } from './allocation-metrics.ts';
import { timestamp } from './encode.ts';

/** Why a value cannot be had; the message is upstream's. */
export class AllocationError extends Error {}

export interface ServiceRef {
  namespace: string;
  name: string;
}

const ADDRESS_PREFIX = '/registry/ipaddresses/';
const CIDR_PREFIX = '/registry/servicecidrs/';
/** The ServiceCIDR of the server's own range. */
const DEFAULT_CIDR = 'kubernetes';
const RANDOM_TRIES = 64;

export class AddressAllocator {
  readonly range: AddressRange;
  #store: Store;
  #clock: Clock;
  #random: Random;
  #metrics: AllocationMetrics;

  constructor(options: {
    store: Store;
    range: AddressRange;
    clock: Clock;
    random: Random;
    metrics?: AllocationMetrics;
  }) {
    this.range = options.range;
    this.#metrics = options.metrics ?? createAllocationMetrics();
    this.#store = options.store;
    this.#clock = options.clock;
    this.#random = options.random;
  }

  /** Any free one; returns it. */
  async allocateAny(owner: ServiceRef, dryRun: boolean): Promise<string> {
    for (const range of await this.#ranges()) {
      const address = await this.#measured(range, 'dynamic', dryRun, () => this.#anyOf(range, owner, dryRun));
      if (address) return address;
    }
    throw new AllocationError('range is full');
  }

  async #anyOf(range: AddressRange, owner: ServiceRef, dryRun: boolean): Promise<string | undefined> {
    const usable = range.size - 2;
    if (usable < 1) return undefined;
    const first = reservedForNames(range);
    for (let attempt = 0; attempt < RANDOM_TRIES; attempt++) {
      const address = formatAddress(range.base + 1 + first + Math.floor(this.#random() * (usable - first)));
      if (await this.#take(address, owner, dryRun)) return address;
    }
    // Nearly full: walk over what is left, the addresses for names last.
    const { kvs } = await this.#store.list(ADDRESS_PREFIX);
    const taken = new Set(kvs.map((kv) => kv.key.slice(ADDRESS_PREFIX.length)));
    for (let i = 0; i < usable; i++) {
      const address = formatAddress(range.base + 1 + ((first + i) % usable));
      if (!taken.has(address) && (await this.#take(address, owner, dryRun))) return address;
    }
    return undefined;
  }

  /** Dry runs are not counted. */
  async #measured<T>(range: AddressRange, scope: Scope, dryRun: boolean, take: () => Promise<T>): Promise<T> {
    if (dryRun) return take();
    const started = performance.now();
    const taken = await take();
    this.#metrics.address(range.cidr, scope, Boolean(taken), (performance.now() - started) / 1000);
    return taken;
  }

  /** Of each range that gives addresses, for metrics. */
  async allocated(): Promise<{ cidr: string; taken: number; size: number }[]> {
    const ranges = await this.#ranges();
    const { kvs } = await this.#store.list(ADDRESS_PREFIX);
    const taken = kvs.map((kv) => parseAddress(kv.key.slice(ADDRESS_PREFIX.length)));
    return ranges.map((range) => ({
      cidr: range.cidr,
      taken: taken.filter((each) => each !== undefined && inRange(range, each)).length,
      size: Math.max(0, range.size - 2),
    }));
  }

  /** The server's own first. One that is not ready, or is going, gives no addresses any more. */
  async #ranges(): Promise<AddressRange[]> {
    const { kvs } = await this.#store.list(CIDR_PREFIX);
    const found: AddressRange[] = [this.range];
    for (const { key, value } of kvs) {
      const cidr = JSON.parse(Buffer.from(value).toString('utf8')) as ServiceCIDR;
      const ready = cidr.status?.conditions?.find(({ type }) => type === 'Ready');
      const isUsable = ready?.status === 'True' && !cidr.metadata.deletionTimestamp;
      // A cluster that starts has no object of its range yet.
      const isOwn = key === CIDR_PREFIX + DEFAULT_CIDR;
      if (isOwn && (cidr.metadata.deletionTimestamp || (ready && !isUsable))) found.shift();
      if (!isOwn && isUsable) found.push(...(cidr.spec?.cidrs ?? []).flatMap((each) => rangeOf(each) ?? []));
    }
    return found;
  }

  async allocate(address: string, owner: ServiceRef, dryRun: boolean): Promise<void> {
    const value = parseAddress(address);
    const ranges = value === undefined ? [] : (await this.#ranges()).filter((range) => spans(range, value));
    const [range] = ranges;
    if (value === undefined || !range) {
      throw new AllocationError('the provided network does not match the current range');
    }
    if (!ranges.some((each) => inRange(each, value))) {
      throw new AllocationError(
        `the provided IP (${address}) is not in the valid range. The range of valid IPs is ${range.cidr}`,
      );
    }
    const taken = await this.#measured(range, 'static', dryRun, () => this.#take(address, owner, dryRun));
    if (!taken) throw new AllocationError('provided IP is already allocated');
  }

  /** Frees an address if it is still `owner`'s. */
  async release(address: string, owner: ServiceRef): Promise<void> {
    const key = ADDRESS_PREFIX + address;
    for (;;) {
      const { kv } = await this.#store.get(key);
      if (!kv || !isOwner(kv.value, owner)) return;
      const result = await this.#store.commit({ key, expected: kv.modRevision, value: null });
      if (result.ok) return;
    }
  }

  /** Frees what belongs to Services that are gone: a server that died between two writes. */
  async repair(exists: (owner: ServiceRef) => Promise<boolean>): Promise<number> {
    let freed = 0;
    const { kvs } = await this.#store.list(ADDRESS_PREFIX);
    for (const kv of kvs) {
      const owner = ownerOf(kv.value);
      if (!owner || (await exists(owner))) continue;
      const result = await this.#store.commit({ key: kv.key, expected: kv.modRevision, value: null });
      if (result.ok) freed++;
    }
    return freed;
  }

  async #take(address: string, owner: ServiceRef, dryRun: boolean): Promise<boolean> {
    const key = ADDRESS_PREFIX + address;
    if (dryRun) return (await this.#store.get(key)).kv === undefined;
    const object = {
      kind: 'IPAddress',
      apiVersion: 'networking.k8s.io/v1',
      metadata: {
        name: address,
        uid: randomUUID(),
        creationTimestamp: timestamp(this.#clock.now()),
        labels: {
          'ipaddress.kubernetes.io/ip-family': 'IPv4',
          'ipaddress.kubernetes.io/managed-by': 'ipallocator.k8s.io',
        },
      },
      spec: { parentRef: { resource: 'services', namespace: owner.namespace, name: owner.name } },
    };
    const result = await this.#store.commit({ key, expected: 0, value: Buffer.from(JSON.stringify(object)) });
    if (result.ok) return true;
    // The Service's own address of a first try that was cut off.
    return result.current !== undefined && isOwner(result.current.value, owner);
  }
}

function ownerOf(value: Uint8Array): ServiceRef | undefined {
  const object = JSON.parse(Buffer.from(value).toString('utf8')) as {
    spec?: { parentRef?: { resource?: string; namespace?: string; name?: string } };
  };
  const reference = object.spec?.parentRef;
  if (reference?.resource !== 'services' || !reference.namespace || !reference.name) return undefined;
  return { namespace: reference.namespace, name: reference.name };
}

function isOwner(value: Uint8Array, owner: ServiceRef): boolean {
  const found = ownerOf(value);
  return found?.namespace === owner.namespace && found.name === owner.name;
}

const PORTS_KEY = '/registry/ranges/servicenodeports';
const CAS_TRIES = 100;

export class PortAllocator {
  readonly first: number;
  readonly last: number;
  #store: Store;
  #random: Random;
  #metrics: AllocationMetrics;

  /** `first` and `last` inclusive. */
  constructor(options: { store: Store; first: number; last: number; random: Random; metrics?: AllocationMetrics }) {
    this.#metrics = options.metrics ?? createAllocationMetrics();
    this.first = options.first;
    this.last = options.last;
    this.#store = options.store;
    this.#random = options.random;
  }

  get text(): string {
    return `${this.first}-${this.last}`;
  }

  /** Takes the given ports and `any` more free ones in one step; all or none. Returns the latter. */
  async allocate(ports: readonly number[], any: number, dryRun: boolean): Promise<number[]> {
    if (dryRun) return this.#allocate(ports, any, dryRun);
    let ok = false;
    try {
      const found = await this.#allocate(ports, any, dryRun);
      ok = true;
      return found;
    } finally {
      this.#metrics.ports('static', ports.length, ok);
      this.#metrics.ports('dynamic', any, ok);
    }
  }

  /** For metrics. */
  async allocated(): Promise<{ taken: number; size: number }> {
    const size = this.last - this.first + 1;
    const bitmap = await this.#read();
    let taken = 0;
    for (let offset = 0; offset < size; offset++) if (bitmap.bitmap.has(offset)) taken++;
    return { taken, size };
  }

  async #read(): Promise<{ bitmap: Bitmap; revision: number }> {
    const { kv } = await this.#store.get(PORTS_KEY);
    const stored = kv ? (JSON.parse(Buffer.from(kv.value).toString('utf8')) as { data?: string }) : undefined;
    const bitmap = new Bitmap(Buffer.from(stored?.data ?? '', 'base64'), this.last - this.first + 1);
    return { bitmap, revision: kv?.modRevision ?? 0 };
  }

  async #allocate(ports: readonly number[], any: number, dryRun: boolean): Promise<number[]> {
    for (const port of ports) {
      if (port < this.first || port > this.last) {
        throw new AllocationError(`provided port is not in the valid range. The range of valid ports is ${this.text}`);
      }
    }
    return this.#change(dryRun, (bitmap) => {
      for (const port of ports) {
        if (bitmap.has(port - this.first)) throw new AllocationError('provided port is already allocated');
        bitmap.set(port - this.first, true);
      }
      const found: number[] = [];
      for (let i = 0; i < any; i++) {
        const port = this.#free(bitmap);
        bitmap.set(port - this.first, true);
        found.push(port);
      }
      return found;
    });
  }

  async release(ports: readonly number[]): Promise<void> {
    const ours = ports.filter((port) => port >= this.first && port <= this.last);
    if (ours.length === 0) return;
    await this.#change(false, (bitmap) => {
      for (const port of ours) bitmap.set(port - this.first, false);
    });
  }

  #free(bitmap: Bitmap): number {
    const size = this.last - this.first + 1;
    const start = Math.floor(this.#random() * size);
    for (let i = 0; i < size; i++) {
      const offset = (start + i) % size;
      if (!bitmap.has(offset)) return this.first + offset;
    }
    throw new AllocationError('range is full');
  }

  async #change<T>(dryRun: boolean, change: (bitmap: Bitmap) => T): Promise<T> {
    for (let attempt = 0; attempt < CAS_TRIES; attempt++) {
      const { bitmap, revision } = await this.#read();
      const result = change(bitmap);
      if (dryRun) return result;
      const object = {
        kind: 'RangeAllocation',
        apiVersion: 'v1',
        metadata: {},
        range: this.text,
        data: bitmap.toBytes().toString('base64'),
      };
      const committed = await this.#store.commit({
        key: PORTS_KEY,
        expected: revision,
        value: Buffer.from(JSON.stringify(object)),
      });
      if (committed.ok) return result;
    }
    throw new AllocationError('the allocation of node ports is too contended');
  }
}
