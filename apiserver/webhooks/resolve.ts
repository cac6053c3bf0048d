// Where a service answers: a ready endpoint of it, so that a webhook is reached from a host that cannot route cluster
// addresses; else its cluster address.
import type { Service } from '../../api/types/core-v1.ts';
import type { EndpointSlice } from '../../api/types/discovery-v1.ts';

export interface ServiceFacts {
  service: Service | undefined;
  /** Of this service. */
  slices: readonly EndpointSlice[];
}

/** Throws Error with the sentence for the client. `random` in [0, 1). Pure. */
export function serviceAddress(
  name: string,
  port: number,
  { service, slices }: ServiceFacts,
  random: () => number,
): { host: string; port: number } {
  if (!service) throw new Error(`service ${JSON.stringify(name)} not found`);
  const spec = service.spec ?? {};
  if (spec.type === 'ExternalName') return { host: spec.externalName ?? '', port };
  const found = (spec.ports ?? []).find((each) => each.port === port);
  if (!found) throw new Error(`no service port ${port} found for service ${JSON.stringify(name)}`);
  const hasSelector = Object.keys(spec.selector ?? {}).length > 0;
  const ready = slices.flatMap((slice) => {
    const slicePort = (slice.ports ?? []).find((each) => (each.name ?? '') === (found.name ?? ''))?.port;
    if (slicePort === undefined) return [];
    return (slice.endpoints ?? [])
      .filter((each) => each.conditions?.ready !== false)
      .flatMap((each) => each.addresses.slice(0, 1).map((host) => ({ host, port: slicePort })));
  });
  if (ready.length > 0) return ready[Math.floor(random() * ready.length)] as { host: string; port: number };
  if (slices.length === 0 && !hasSelector && spec.clusterIP && spec.clusterIP !== 'None') {
    return { host: spec.clusterIP, port };
  }
  throw new Error(`no endpoints available for service ${JSON.stringify(name)}`);
}
