// What is the same for every pod of this node, settled once at start.
import type { ResolvConf } from './containers/dns.ts';

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
