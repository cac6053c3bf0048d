// The variables by which containers find Services: {NAME}_SERVICE_HOST and the docker-link style ones. Pure.
// https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
import type { Service } from '../../api/types/core-v1.ts';

const variable = (text: string) => text.toUpperCase().replaceAll('-', '_');

/**
 * Variables of the services that a pod of `namespace` sees: those of its own namespace when `enableServiceLinks`, and
 * `kubernetes` of the default namespace always.
 */
export function serviceEnvironment(
  services: readonly Service[],
  namespace: string,
  enableServiceLinks: boolean,
): Map<string, string> {
  const visible = new Map<string, Service>();
  for (const service of services) {
    const { name, namespace: home } = service.metadata;
    const ip = service.spec?.clusterIP;
    if (!name || !ip || ip === 'None') continue;
    if (home === 'default' && name === 'kubernetes' && !visible.has(name)) visible.set(name, service);
    else if (home === namespace && enableServiceLinks) visible.set(name, service);
  }
  const variables = new Map<string, string>();
  for (const name of [...visible.keys()].sort()) addService(variables, name, visible.get(name) as Service);
  return variables;
}

function addService(variables: Map<string, string>, name: string, service: Service): void {
  const ports = service.spec?.ports ?? [];
  const first = ports[0];
  if (!first) return;
  const prefix = variable(name);
  const ip = service.spec?.clusterIP as string;
  const host = ip.includes(':') ? `[${ip}]` : ip;
  variables.set(`${prefix}_SERVICE_HOST`, ip);
  variables.set(`${prefix}_SERVICE_PORT`, String(first.port));
  for (const port of ports)
    if (port.name) variables.set(`${prefix}_SERVICE_PORT_${variable(port.name)}`, String(port.port));
  const url = (port: number, protocol: string) => `${protocol.toLowerCase()}://${host}:${port}`;
  variables.set(`${prefix}_PORT`, url(first.port, first.protocol ?? 'TCP'));
  for (const port of ports) {
    const protocol = port.protocol ?? 'TCP';
    const portPrefix = `${prefix}_PORT_${port.port}_${protocol.toUpperCase()}`;
    variables.set(portPrefix, url(port.port, protocol));
    variables.set(`${portPrefix}_PROTO`, protocol.toLowerCase());
    variables.set(`${portPrefix}_PORT`, String(port.port));
    variables.set(`${portPrefix}_ADDR`, ip);
  }
}
