// Network configuration lists of the Container Network Interface: which file counts, and what a plugin is told. Pure apart
// from reading the directory. The law is the CNI specification, versions 0.3.0 to 1.1.0.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface PluginConfig {
  type: string;
  capabilities?: Record<string, boolean>;
  [field: string]: unknown;
}

export interface NetworkList {
  name: string;
  cniVersion: string;
  disableCheck: boolean;
  disableGC: boolean;
  plugins: PluginConfig[];
}

/** What a chain of plugins has made; the fields that we read. */
export interface CniResult {
  ips?: { address: string; interface?: number }[];
  interfaces?: { name: string; sandbox?: string }[];
  [field: string]: unknown;
}

/** What a sandbox may hand to plugins that have declared a capability for it. */
export interface RuntimeConfig {
  portMappings?: { hostPort: number; containerPort: number; protocol: string; hostIP?: string }[];
  dns?: { servers: string[]; searches: string[]; options: string[] };
}

/** The first usable list of a directory, in the order of file names; undefined when there is none. */
export function loadNetworkList(directory: string): NetworkList | undefined {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const [first] = names.filter((name) => /\.(conflist|conf|json)$/.test(name)).sort();
  if (!first) return undefined;
  return parseNetworkList(readFileSync(join(directory, first), 'utf8'), join(directory, first));
}

/** A `.conflist`, or one plugin's configuration by itself; throws with the file's name and the field. */
export function parseNetworkList(text: string, file: string): NetworkList {
  const fail = (what: string): never => {
    throw new Error(`CNI configuration ${file}: ${what}`);
  };
  let parsed: Record<string, unknown>;
  try {
    parsed = JSON.parse(text) as Record<string, unknown>;
  } catch (error) {
    return fail((error as Error).message);
  }
  const { name, cniVersion = '0.2.0', plugins = [parsed] } = parsed;
  if (typeof name !== 'string' || !/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name))
    return fail(`name ${JSON.stringify(name)}`);
  if (typeof cniVersion !== 'string' || !/^\d+\.\d+\.\d+$/.test(cniVersion))
    return fail(`cniVersion ${JSON.stringify(cniVersion)}`);
  if (!atLeast(cniVersion, '0.3.0')) return fail(`cniVersion ${cniVersion} is older than 0.3.0`);
  if (!Array.isArray(plugins) || plugins.length === 0) return fail('no plugins');
  plugins.forEach((plugin: Partial<PluginConfig> | null, at) => {
    if (typeof plugin?.type !== 'string' || !/^[a-zA-Z0-9_.-]+$/.test(plugin.type) || /^\.+$/.test(plugin.type))
      fail(`plugins[${at}].type ${JSON.stringify(plugin?.type)}`);
  });
  return {
    name,
    cniVersion,
    disableCheck: parsed['disableCheck'] === true,
    disableGC: parsed['disableGC'] === true,
    plugins: plugins as PluginConfig[],
  };
}

/** What one plugin reads from its standard input. */
export function pluginInput(
  list: Pick<NetworkList, 'name' | 'cniVersion'>,
  plugin: PluginConfig,
  more: {
    prevResult?: CniResult | undefined;
    runtime?: RuntimeConfig;
    attachments?: { containerID: string; ifname: string }[];
  },
): string {
  const { capabilities, ...own } = plugin;
  const given = Object.entries(more.runtime ?? {}).filter(([name]) => capabilities?.[name]);
  return JSON.stringify({
    ...own,
    name: list.name,
    cniVersion: list.cniVersion,
    ...(given.length > 0 && { runtimeConfig: Object.fromEntries(given) }),
    ...(more.prevResult && { prevResult: more.prevResult }),
    ...(more.attachments && { 'cni.dev/valid-attachments': more.attachments }),
  });
}

/** Addresses of the sandbox's interface, IPv4 first, without their prefixes. */
export function addressesOf(result: CniResult, ifname: string): string[] {
  const ours = (at: number | undefined) => {
    const found = at === undefined ? undefined : result.interfaces?.[at];
    return found === undefined || (found.name === ifname && found.sandbox !== '' && found.sandbox !== undefined);
  };
  return (result.ips ?? [])
    .filter((each) => ours(each.interface))
    .map((each) => each.address.split('/')[0] as string)
    .sort((a, b) => Number(a.includes(':')) - Number(b.includes(':')));
}

/** Of versions such as 1.0.0. */
export function atLeast(version: string, least: string): boolean {
  const [a, b] = [version, least].map((each) => each.split('.').map(Number)) as [number[], number[]];
  for (let at = 0; at < 3; at++) if (a[at] !== b[at]) return (a[at] ?? 0) > (b[at] ?? 0);
  return true;
}
