// Gives Services their cluster IP and node ports around the write, and takes them back when the write fails, the type
// changes or the Service goes.
import { errors } from '../../api/errors.ts';
import { type FieldError, fieldErrors } from '../../api/field-error.ts';
import type { KubeObject } from '../../api/object.ts';
import type { Service, ServicePort } from '../../api/types/core-v1.ts';
import type { Logger } from '../../lib/log.ts';
import { type AddressAllocator, AllocationError, type PortAllocator, type ServiceRef } from './allocators.ts';
import type { WriteHook } from './types.ts';

type Spec = NonNullable<Service['spec']>;

export function serviceAddresses(options: {
  addresses: AddressAllocator;
  ports: PortAllocator;
  log: Logger;
}): WriteHook {
  const { addresses, ports, log } = options;

  return {
    async before(object, oldObject, dryRun) {
      const service = object as Service;
      const old = oldObject as Service | undefined;
      const spec = (service.spec ??= {});
      const owner = refOf(service);
      if (old?.spec) keepAllocated(spec, old.spec);
      const unserved = families(spec);
      if (unserved.length > 0) throw refused(service, unserved);
      const taken: { address?: string; ports: number[] } = { ports: [] };
      const undo = async () => {
        if (dryRun) return;
        if (taken.address) await addresses.release(taken.address, owner);
        await ports.release(taken.ports);
      };
      try {
        taken.address = await takeAddress(spec, old?.spec, owner, dryRun);
        const health = async () => taken.ports.push(...(await takeHealthCheckPort(spec, old?.spec, dryRun)));
        // A port that is asked for by number comes before those that may be any.
        const isAskedFor = Boolean(spec.healthCheckNodePort);
        if (isAskedFor) await health();
        taken.ports.push(...(await takePorts(spec, old?.spec, dryRun)));
        if (!isAskedFor) await health();
      } catch (error) {
        await undo();
        throw error instanceof Refused ? refused(service, [error.found]) : error;
      }
      return { undo };
    },
    async after(object, oldObject) {
      const old = oldObject as Service | undefined;
      if (!old?.spec) return;
      const spec = (object as Service | undefined)?.spec;
      const address = addressOf(old.spec);
      const gone = nodePorts(old.spec).filter((port) => !spec || !nodePorts(spec).includes(port));
      try {
        if (address && (!spec || addressOf(spec) !== address)) await addresses.release(address, refOf(old));
        await ports.release(gone);
      } catch (error) {
        // The repair at the next start finds it.
        log.warn(
          { err: error, service: `${old.metadata.namespace}/${old.metadata.name}` },
          'could not release service addresses',
        );
      }
    },
  };

  async function takeAddress(
    spec: Spec,
    old: Spec | undefined,
    owner: ServiceRef,
    dryRun: boolean,
  ): Promise<string | undefined> {
    if (spec.type === 'ExternalName' || spec.clusterIP === 'None') return undefined;
    if (old && addressOf(old) !== undefined && addressOf(old) === spec.clusterIP) return undefined;
    // The address of an existing Service does not change; validation says so.
    if (old && addressOf(old) !== undefined) return undefined;
    if (!spec.clusterIP) {
      spec.clusterIP = await refuseAt('spec.clusterIPs', undefined, '', () => addresses.allocateAny(owner, dryRun));
      spec.clusterIPs = [spec.clusterIP];
      return spec.clusterIP;
    }
    const wanted = spec.clusterIP;
    await refuseAt('spec.clusterIPs', spec.clusterIPs, `failed to allocate IP ${wanted}: `, () =>
      addresses.allocate(wanted, owner, dryRun),
    );
    return wanted;
  }

  async function takePorts(spec: Spec, old: Spec | undefined, dryRun: boolean): Promise<number[]> {
    if (!wantsNodePorts(spec)) return [];
    const known = new Set(old ? nodePorts(old) : []);
    const taken: number[] = [];
    const missing: ServicePort[] = [];
    try {
      for (const [index, port] of (spec.ports ?? []).entries()) {
        if (!port.nodePort) {
          missing.push(port);
          continue;
        }
        // One number serves several protocols of one Service.
        if (known.has(port.nodePort)) continue;
        known.add(port.nodePort);
        const wanted = port.nodePort;
        await refuseAt(`spec.ports[${index}].nodePort`, wanted, '', () => ports.allocate([wanted], 0, dryRun));
        taken.push(wanted);
      }
      const found = await refuseAt('spec.ports', undefined, '', () => ports.allocate([], missing.length, dryRun));
      missing.forEach((port, index) => {
        port.nodePort = found[index];
      });
      return [...taken, ...found];
    } catch (error) {
      if (!dryRun) await ports.release(taken);
      throw error;
    }
  }

  /** A port of its own, where the node says whether it has endpoints of the Service. */
  async function takeHealthCheckPort(spec: Spec, old: Spec | undefined, dryRun: boolean): Promise<number[]> {
    if (!needsHealthCheck(spec)) return [];
    const wanted = spec.healthCheckNodePort;
    // Of an existing Service it does not change; validation says so.
    if (old && needsHealthCheck(old) && old.healthCheckNodePort) return [];
    try {
      if (wanted) await ports.allocate([wanted], 0, dryRun);
      else [spec.healthCheckNodePort] = await ports.allocate([], 1, dryRun);
    } catch (error) {
      if (!(error instanceof AllocationError)) throw error;
      const what = wanted ? `requested HealthCheck NodePort ${wanted}` : 'a HealthCheck NodePort';
      throw errors.internal(`failed to allocate ${what}: ${error.message}`);
    }
    return [spec.healthCheckNodePort as number];
  }
}

const refused = (service: Service, found: readonly FieldError[]) =>
  errors.invalid({ group: '', kind: 'Service' }, service.metadata.name ?? '', found);

class Refused extends Error {
  readonly found: FieldError;
  constructor(found: FieldError) {
    super(found.body);
    this.found = found;
  }
}

async function refuseAt<T>(field: string, value: unknown, prefix: string, allocate: () => Promise<T>): Promise<T> {
  try {
    return await allocate();
  } catch (error) {
    if (!(error instanceof AllocationError)) throw error;
    if (value === undefined) throw errors.internal(`failed to allocate a serviceIP or port: ${error.message}`);
    throw new Refused(fieldErrors.invalid(field, value, prefix + error.message));
  }
}

const refOf = (service: KubeObject): ServiceRef => ({
  namespace: service.metadata.namespace ?? '',
  name: service.metadata.name ?? '',
});

const addressOf = (spec: Spec): string | undefined =>
  spec.type === 'ExternalName' || !spec.clusterIP || spec.clusterIP === 'None' ? undefined : spec.clusterIP;

const nodePorts = (spec: Spec): number[] =>
  [...(spec.ports ?? []).map((port) => port.nodePort ?? 0), spec.healthCheckNodePort ?? 0].filter((port) => port > 0);

const needsHealthCheck = (spec: Spec): boolean =>
  spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local';

const wantsNodePorts = (spec: Spec): boolean =>
  spec.type === 'NodePort' || (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false);

/** An update that leaves out what was allocated means no change. */
function keepAllocated(spec: Spec, old: Spec): void {
  if (spec.type !== 'ExternalName' && old.type !== 'ExternalName') {
    if (!spec.clusterIP && !spec.clusterIPs?.length) {
      spec.clusterIP = old.clusterIP;
      spec.clusterIPs = old.clusterIPs;
    }
    spec.ipFamilies ??= old.ipFamilies;
    spec.ipFamilyPolicy ??= old.ipFamilyPolicy;
  }
  if (spec.type === 'ExternalName' && old.type !== 'ExternalName') {
    // Unchanged, or emptied as the one of the two fields that people know.
    const isEmptied = !spec.clusterIP && spec.clusterIPs?.[0] === old.clusterIPs?.[0];
    if (spec.clusterIP === old.clusterIP || isEmptied) {
      delete spec.clusterIP;
      delete spec.clusterIPs;
    }
    delete spec.ipFamilies;
    delete spec.ipFamilyPolicy;
  }
  if (needsHealthCheck(spec) && needsHealthCheck(old)) spec.healthCheckNodePort ||= old.healthCheckNodePort;
  const identity = (port: ServicePort) => `${port.protocol ?? 'TCP'}/${port.port}`;
  const known = new Map((old.ports ?? []).map((port) => [identity(port), port.nodePort]));
  for (const port of spec.ports ?? []) {
    const before = known.get(identity(port));
    if (wantsNodePorts(spec)) {
      if (!port.nodePort && before) port.nodePort = before;
    } else if (wantsNodePorts(old) && port.nodePort === before) delete port.nodePort;
  }
}

/** What this cluster has: one stack, IPv4. */
const FAMILY = 'IPv4';

/**
 * Fills in address families and what they follow from, as a cluster of one stack does; what it cannot give comes back.
 * clusterIP and clusterIPs say the same afterwards.
 */
function families(spec: Spec): FieldError[] {
  if (spec.type === 'ExternalName') return [];
  if (spec.clusterIP && !spec.clusterIPs?.length) spec.clusterIPs = [spec.clusterIP];
  else if (!spec.clusterIP && spec.clusterIPs?.length) spec.clusterIP = spec.clusterIPs[0];
  const wanted = (spec.ipFamilies ??= []);
  if (spec.ipFamilyPolicy === undefined && (wanted.length > 1 || (spec.clusterIPs?.length ?? 0) > 1)) {
    const what = wanted.length > 1 ? 'ipFamilies' : 'clusterIPs';
    const text = `must be RequireDualStack or PreferDualStack when multiple ${what} are specified`;
    return [fieldErrors.invalid('spec.ipFamilyPolicy', null, text)];
  }
  if (spec.clusterIP === 'None' && Object.keys(spec.selector ?? {}).length === 0) {
    // Somebody else names the endpoints, of whichever families they have.
    if (wanted.length === 0) wanted.push(FAMILY);
    spec.ipFamilyPolicy ??= 'RequireDualStack';
    if (spec.ipFamilyPolicy !== 'SingleStack' && wanted.length === 1) {
      wanted.push(wanted[0] === 'IPv4' ? 'IPv6' : 'IPv4');
    }
    return [];
  }
  spec.ipFamilyPolicy ??= 'SingleStack';
  const found: FieldError[] = [];
  if (spec.ipFamilyPolicy === 'RequireDualStack') {
    const text = 'this cluster is not configured for dual-stack services';
    found.push(fieldErrors.invalid('spec.ipFamilyPolicy', spec.ipFamilyPolicy, text));
  }
  for (const [i, family] of wanted.entries()) {
    // What is no family at all is said by validation.
    if (family === 'IPv6')
      found.push(fieldErrors.invalid(`spec.ipFamilies[${i}]`, family, 'not configured on this cluster'));
  }
  if (wanted.length === 0) wanted.push(FAMILY);
  return found;
}
