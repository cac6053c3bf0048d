// What a kubelet is told when it starts.
import type { Taint } from '../api/types/core-v1.ts';
import type { ComponentContext } from '../client/port.ts';
import type { Clock, Random } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { CriClient } from './cri/client.ts';
import type { Observations, ThresholdSettings } from './eviction/thresholds.ts';
import type { CredentialProvider } from './images/credential-providers.ts';
import type { ImagePolicy } from './images/collector.ts';
import type { HostFacts } from './node/host.ts';
import type { RotationOptions } from './pods/log-rotation.ts';
import type { ShutdownGroup } from './pods/shutdown.ts';
import type { Machine } from './topology/machine.ts';
import type { TopologyOptions } from './topology/options.ts';
import type { Mounter } from './volumes/mounter.ts';

export interface KubeletOptions {
  nodeName: string;
  /** The client acts as this node (`system:node:<name>`); the caller runs `context.informers`. */
  context: ComponentContext;
  /** The runtime's unix socket. */
  criSocket: string;
  /** Pods' volumes and files; survives restarts. */
  stateDir: string;
  /** Data of the built-in provisioner's volumes; outlives pods and kubelets. Default: `local-volumes` beside the state directory. */
  localVolumesDir?: string;
  /** A file or directory of manifests of pods that this node runs whatever the API says. */
  staticPodPath?: string;
  /** Programs in `binDir` that know credentials of registries. */
  credentialProviders?: { providers: readonly CredentialProvider[]; binDir: string };
  /** Sysctls that pods may set besides the safe ones. */
  allowedSysctls?: readonly string[];
  /** The longest that a crashed container waits; default 5 minutes. */
  crashLoopMaxMs?: number;
  /** When a log is set aside, and how many files there are then; default 10 MiB and 5. */
  containerLogs?: Pick<RotationOptions, 'maxBytes' | 'maxFiles' | 'workers' | 'intervalMs'>;
  /** Processes and threads of one pod; default: a quarter of the machine's, so that no pod takes them all. */
  podPidsLimit?: number;
  /** Ids of one pod with a user namespace of its own; default 65536. */
  idsPerPod?: number;
  /** Who gets processors and memory alone, and where; undefined: nobody. */
  topology?: TopologyOptions;
  /** What `/configz` shows. */
  configz?: object;
  /** Plain HTTP `/healthz` on this address, for whoever watches over the process. */
  healthz?: { address: string; port: number };
  /** The node server's certificate comes from the API server, and is replaced in time. */
  rotateServing?: boolean;
  /** False: neither device plugins nor CSI drivers may register. */
  plugins?: boolean;
  /** Container logs; default `<stateDir>/logs`. */
  podLogsDir?: string;
  /** Address that the Node object reports; default: the default route's. */
  nodeIp?: string;
  /** Undefined: no node server (no logs, exec, port-forward through this node). Port 0 picks one. */
  server?: { address: string; port: number; certPem: string; keyPem: string; clientCaPem: string };
  /** Pods live in `<cgroupRoot>/kubepods`; default empty: at the top. */
  cgroupRoot?: string;
  /** Servers of dnsPolicy ClusterFirst; none: pods get the host's resolver. */
  clusterDns?: readonly string[];
  clusterDomain?: string;
  /** Default `/etc/resolv.conf`. */
  resolvConf?: string;
  podCidr?: string;
  /** Default 110. */
  maxPods?: number;
  labels?: Record<string, string>;
  taints?: readonly Taint[];
  /** Kept from pods: `{ cpu: '100m', memory: '256Mi' }`. */
  reserved?: Record<string, string | number>;
  clock?: Clock;
  random?: Random;
  log?: Logger;
  /** For tests; defaults speak gRPC, mount(8) and /proc. */
  cri?: CriClient;
  mounter?: Mounter;
  removeTree?: (path: string) => Promise<void>;
  host?: { facts: HostFacts; observe(): Observations; machine?: Machine };
  eviction?: ThresholdSettings & { transitionMs?: number; maxGraceSeconds?: number };
  images?: Partial<ImagePolicy>;
  /** When `begins` aborts, pods end group by group; then `onOver` is called. */
  shutdown?: { begins: AbortSignal; groups: readonly ShutdownGroup[]; onOver(): void };
  /** Called once the node server listens and the node's pods are known. */
  onStarted?(started: { serverPort: number | undefined }): void;
}
