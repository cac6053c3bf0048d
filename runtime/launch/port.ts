// The launcher as the CRI server sees it. Policy (what a container may see, do and use) is decided in TypeScript and
// arrives here as a value; the mechanism is the C program in runtime/native. All ids are the CRI's own, `[a-z0-9]{1,64}`.
import type { CgroupResources } from '../../lib/cgroups/limits.ts';
import type { Duplex } from 'node:stream';
import type { DeviceIo, Pressures } from '../cgroups/pressure.ts';

/** One range of ids: `hostId` onwards outside is `containerId` onwards inside. */
export interface IdMapping {
  containerId: number;
  hostId: number;
  length: number;
}

export interface UserNamespace {
  uids: IdMapping[];
  gids: IdMapping[];
}

export interface SandboxSpec {
  id: string;
  hostname: string;
  /** `pod`: an own network namespace with a veth on the bridge; `none`: one with loopback alone; `node`: the host's. */
  network: 'pod' | 'none' | 'node';
  /** `pod`: one pid namespace shared by all containers, held by a pause process; `container`: one each; `node`: host's. */
  pid: 'pod' | 'container' | 'node';
  ipc: 'pod' | 'node';
  /** `/kubepods/burstable/pod1234`; created when missing, under every hierarchy in use. */
  cgroupParent: string;
  /** Limits of the pod's own cgroup. */
  resources?: Resources;
  sysctls?: Record<string, string>;
  /** What network plugins are told about the pod, besides its id. */
  networkArgs?: Record<string, string>;
  /** For network plugins that write it down. */
  dns?: { servers: string[]; searches: string[]; options: string[] };
  /** Absent: the host's. Needs network, pid and IPC namespaces of the pod's own, and a mapping of root. */
  userNamespace?: UserNamespace;
  /** Host ports are opened by the runtime's network, in nftables. */
  ports?: { protocol: 'TCP' | 'UDP' | 'SCTP'; hostPort: number; hostIP?: string; containerPort: number }[];
}

export interface SandboxHandle {
  id: string;
  /** Path that keeps the network namespace alive; undefined for host network. */
  netnsPath: string | undefined;
  /** The pod's addresses, the primary first; empty for host network. */
  ips: string[];
  /** The pause process, where there is one. */
  pausePid: number | undefined;
}

/** What a cgroup is given; the driver translates for v1, hybrid and v2. */
export type Resources = CgroupResources;

export interface Mount {
  /** Absolute on the host; ignored for virtual file systems. */
  source: string;
  /** Absolute in the container. */
  target: string;
  readonly: boolean;
  /** Also makes what is mounted below read-only. */
  recursiveReadonly?: boolean;
  propagation: 'private' | 'slave' | 'shared';
  /** The content of an image in place of `source`: layers topmost first, and a path below their root or ''. Read-only. */
  image?: { layers: string[]; subPath: string };
  /** Its files show their owners as the sandbox's user namespace has them; the file system must be able to. */
  idMapped?: boolean;
  /** Default `bind`. */
  type?: 'bind' | 'tmpfs' | 'proc' | 'sysfs' | 'cgroup' | 'mqueue' | 'devpts';
  options?: string[];
}

export interface SeccompFilter {
  kind: 'unconfined' | 'runtime-default' | 'localhost';
  /** For `localhost`: absolute path of the profile (the OCI JSON form). */
  path?: string;
}

export interface ProcessSpec {
  /** argv; argv[0] is looked up in the container's PATH when it has no slash. */
  args: string[];
  /** `NAME=value`. */
  env: string[];
  cwd: string;
  uid: number;
  gid: number;
  additionalGids: number[];
  terminal: boolean;
  terminalSize?: { width: number; height: number };
  /** Names without CAP_; the launcher clamps to what it has itself and reports what it dropped. */
  capabilities: string[];
  /** Of those, the ones that survive exec by a user other than root. Default none, as Kubernetes has it. */
  ambientCapabilities?: string[];
  noNewPrivileges: boolean;
  oomScoreAdj?: number;
  rlimits?: { type: string; soft: number; hard: number }[];
}

export interface ContainerSpec {
  id: string;
  sandboxId: string;
  /** `attempt` and names are for labels only; the launcher knows ids. */
  process: ProcessSpec;
  rootfs: {
    /** Overlay lower directories, topmost first; absolute. */
    lowerDirs: string[];
    /** In a user namespace it belongs to the namespace's root. */
    upperDir: string;
    workDir: string;
    readonly: boolean;
  };
  /** In the order to mount; the launcher adds /proc, /dev, /sys and friends itself unless a mount has their target. */
  mounts: Mount[];
  /** Mode and owner are the host's unless they are given. */
  devices?: {
    hostPath: string;
    containerPath: string;
    permissions: string;
    mode?: number;
    uid?: number;
    gid?: number;
  }[];
  maskedPaths: string[];
  readonlyPaths: string[];
  privileged: boolean;
  seccomp: SeccompFilter;
  /** Joins another container's pid namespace (ephemeral debug containers). */
  pidOf?: string;
  resources: Resources;
  /** Absolute, below the sandbox's cgroupParent. */
  cgroup: string;
  /** CRI log file, absolute; its directory exists. */
  logPath: string | undefined;
  stdin: boolean;
  /** Close stdin after the first attach that had stdin. */
  stdinOnce: boolean;
}

export type ExitEvent = {
  containerId: string;
  /** 128 + signal for a signalled process. */
  exitCode: number;
  /** The signal's number, 0 when it exited by itself. */
  signal: number;
  oomKilled: boolean;
  /** Nanoseconds since the epoch, as CRI has them (loses the last two digits). */
  finishedAtNs: number;
};

/** What a container's shim has recorded on disk: survives everything but the host. */
export type ContainerFacts =
  | { state: 'created'; pid: number }
  | { state: 'running'; pid: number; startedAtNs: number }
  | { state: 'exited'; startedAtNs: number; exit: ExitEvent };

export interface ExecSpec {
  containerId: string;
  process: Pick<ProcessSpec, 'args' | 'env' | 'cwd' | 'terminal' | 'terminalSize'> & Partial<ProcessSpec>;
  stdin: boolean;
}

/** A running exec or attach. Streams end when the process closes them; `exit` resolves with the exit code (exec only). */
export interface ProcessStreams {
  /** Undefined when not asked for. Ending it closes the process' stdin. */
  stdin: NodeJS.WritableStream | undefined;
  stdout: AsyncIterable<Uint8Array>;
  stderr: AsyncIterable<Uint8Array>;
  exit: Promise<number>;
  resize(width: number, height: number): void;
  /** Kills an exec'ed process; only detaches from an attached one. */
  close(): void;
}

export class LaunchError extends Error {
  /** The step that failed, as in the printed plan, and the errno name. */
  readonly step: string;
  readonly errno: string;
  constructor(step: string, errno: string, message: string) {
    super(message);
    this.name = 'LaunchError';
    this.step = step;
    this.errno = errno;
  }
}

/** All calls are idempotent where CRI's are: stopping or removing what is gone succeeds. */
export interface Launcher {
  createSandbox(spec: SandboxSpec): Promise<SandboxHandle>;
  /** Kills what is left in the sandbox and releases network, namespaces and the pod's cgroup. */
  removeSandbox(id: string): Promise<void>;
  /** Updates the limits of a pod's or a container's cgroup. */
  updateResources(cgroup: string, resources: Resources): Promise<void>;

  /** Builds the container up to just before exec; its shim is running and its facts are `created`. */
  createContainer(spec: ContainerSpec): Promise<{ pid: number; warnings: string[] }>;
  startContainer(id: string): Promise<{ startedAtNs: number }>;
  /** Signals the container's first process; `all` every process of its cgroup. */
  kill(id: string, signal: number, options?: { all?: boolean }): Promise<void>;
  /** Kills all, unmounts, removes its cgroup and its state. The upper directory is the caller's. */
  removeContainer(id: string): Promise<void>;
  exec(spec: ExecSpec): Promise<ProcessStreams>;
  attach(containerId: string): Promise<ProcessStreams>;
  /** The shim closes and reopens its log file (after rotation). */
  reopenLog(containerId: string): Promise<void>;
  /** A connection to a TCP port on the sandbox's loopback. */
  dial(sandboxId: string, port: number): Promise<Duplex>;

  /** Runs `callback` for every container that runs, now and from now on: also for a start that a runtime asked for before it died. */
  onStart(callback: (containerId: string, startedAtNs: number) => void): void;
  /** Runs `callback` for every exit, once each, also for those that happened while no runtime was running. */
  onExit(callback: (event: ExitEvent) => void): void;
  /** What shims have recorded, for every container the state directory knows: the truth after a restart. */
  facts(): Promise<Map<string, ContainerFacts>>;
  sandboxes(): Promise<Map<string, SandboxHandle>>;
  stats(cgroup: string): Promise<CgroupStats>;
  details(cgroup: string): Promise<CgroupDetails>;
  /** Why user namespaces cannot be used with layers in `directory`; undefined when they can. */
  userNamespaceObstacle(directory: string): Promise<string | undefined>;
  /** Lets go of everything; containers, shims and the resident launcher go on. */
  close(): Promise<void>;
  /** Why pods cannot have a network now; undefined when they can. */
  networkObstacle(): Promise<string | undefined>;
  /** Makes the pods' bridge and rules now, instead of with the first pod that needs them. */
  prepareNetwork(): Promise<void>;
  /** Removes every sandbox and container it knows, the bridge, the rules and the cgroups, and ends the resident launcher. */
  teardown(): Promise<void>;
}

export interface CgroupStats {
  cpuUsageNs: number;
  memoryUsageBytes: number;
  /** Usage without inactive file cache. */
  memoryWorkingSetBytes: number;
  memoryRssBytes: number;
  memoryLimitBytes: number | undefined;
  /** Memory that is swapped out, and how much may be. */
  swapUsageBytes: number;
  swapLimitBytes: number | undefined;
  pageFaults: number;
  majorPageFaults: number;
  pids: number;
  /** Where there is a v2 tree on a kernel with PSI. */
  pressures: Pressures;
}

/** Everything else the kernel counts for a cgroup; for metrics, read less often. */
export interface CgroupDetails {
  cpuUserNs: number;
  cpuSystemNs: number;
  cpuPeriods: number;
  cpuThrottledPeriods: number;
  cpuThrottledNs: number;
  memoryCacheBytes: number;
  memoryMappedBytes: number;
  memoryKernelBytes: number;
  memoryPeakBytes: number;
  memoryFailures: number;
  oomKills: number;
  pidsLimit: number | undefined;
  /** Pids of the processes in it and below, as we see them. */
  processes: number[];
  hugepages: { pageSize: string; usageBytes: number; peakBytes: number }[];
  io: DeviceIo[];
}
