// What is the same for every pod of this node, settled once at start.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseResolvConf, type ResolvConf } from './containers/dns.ts';
import { allocatableOf, type NodeFacts } from './node/node-object.ts';
import type { KubeletOptions } from './options.ts';

export interface NodeSettings {
  nodeName: string;
  hostIps: readonly string[];
  hostHostname: string;
  podLogsDir: string;
  stateDir: string;
  seccompDir: string;
  /** `` or `/sampan`: pods live in `<cgroupRoot>/kubepods/...`. */
  cgroupRoot: string;
  clusterDns: readonly string[];
  clusterDomain: string;
  /** The host's resolver, for dnsPolicy Default. */
  host: ResolvConf;
  /** Text of the host's /etc/hosts, for pods on the host's network. */
  hostHostsFile: string;
  memoryBytes: number;
  allocatable: Record<string, string | number>;
  /** The CPU or the memory manager gives Guaranteed pods processors or memory of their own. */
  pinned?: { cpu: boolean; memory: boolean };
  /** Processes and threads of one pod; undefined: no limit of its own. */
  podPidsLimit?: number;
  /** The runtime knows supplementalGroupsPolicy Strict. */
  hasStrictGroups: boolean;
  /** Sysctls allowed besides the safe ones: `kernel.msg*`. */
  allowedSysctls?: readonly string[];
  /** `sampan` of `sampan://<id>`: what the runtime calls itself. */
  runtimeName: string;
}

export function nodeSettings(options: KubeletOptions, facts: NodeFacts, podPidsLimit: number): NodeSettings {
  const { stateDir, topology } = options;
  return {
    nodeName: options.nodeName,
    hostIps: [facts.nodeIp],
    hostHostname: facts.host.hostname,
    podLogsDir: options.podLogsDir ?? join(stateDir, 'logs'),
    stateDir,
    seccompDir: join(stateDir, 'seccomp'),
    cgroupRoot: options.cgroupRoot ?? '',
    clusterDns: options.clusterDns ?? [],
    clusterDomain: options.clusterDomain ?? 'cluster.local',
    host: parseResolvConf(readText(options.resolvConf ?? '/etc/resolv.conf')),
    hostHostsFile: readText('/etc/hosts'),
    memoryBytes: facts.host.memoryBytes,
    // Devices come and go.
    get allocatable() {
      return allocatableOf(facts);
    },
    runtimeName: facts.runtime.name,
    hasStrictGroups: facts.runtime.strictGroups,
    pinned: {
      cpu: topology?.settings.cpuPolicy === 'static',
      memory: topology?.settings.memoryPolicy === 'Static',
    },
    allowedSysctls: options.allowedSysctls ?? [],
    // Other runtimes leave the pod's cgroup to the kubelet.
    ...(facts.runtime.name === 'sampan' && { podPidsLimit }),
  };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
