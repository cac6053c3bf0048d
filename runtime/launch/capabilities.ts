// Capability names and masks, and what the host lets us give. The order is the kernel's numbering.

export const CAPABILITIES = (
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE ' +
  'NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN ' +
  'SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE ' +
  'MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE'
).split(' ');

/** What our own process may do and hand on; read once from /proc/self. */
export interface OwnLimits {
  capabilities: bigint;
  oomScoreAdj: number;
  /** Hard limits by number; absent is unlimited. */
  hardLimits: Map<number, bigint>;
}

/** The mask for `names`, without what we do not have ourselves; `ALL` is all we have. Throws on unknown names. */
export function capabilityMask(names: readonly string[], own: bigint): { mask: bigint; dropped: string[] } {
  let mask = 0n;
  const dropped: string[] = [];
  for (const name of names) {
    const bare = name.toUpperCase().replace(/^CAP_/, '');
    if (bare === 'ALL') {
      mask |= own;
      continue;
    }
    const bit = CAPABILITIES.indexOf(bare);
    if (bit < 0) throw new Error(`unknown capability "${name}"`);
    if ((own >> BigInt(bit)) & 1n) mask |= 1n << BigInt(bit);
    else dropped.push(bare);
  }
  return { mask, dropped };
}

/** Parses /proc/self/status, /proc/self/limits and /proc/self/oom_score_adj. */
export function parseOwnLimits(status: string, limits: string, oomScoreAdj: string): OwnLimits {
  const mask = (name: string) => BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1] ?? '0'}`);
  const hardLimits = new Map<number, bigint>();
  for (const [label, number] of Object.entries(LIMIT_LABELS)) {
    const hard = new RegExp(`^${label}\\s+\\S+\\s+(\\d+)`, 'm').exec(limits)?.[1];
    if (hard) hardLimits.set(number, BigInt(hard));
  }
  return { capabilities: mask('CapPrm') & mask('CapBnd'), oomScoreAdj: Number(oomScoreAdj), hardLimits };
}

const LIMIT_LABELS: Record<string, number> = {
  'Max cpu time': 0,
  'Max file size': 1,
  'Max data size': 2,
  'Max stack size': 3,
  'Max core file size': 4,
  'Max resident set': 5,
  'Max processes': 6,
  'Max open files': 7,
  'Max locked memory': 8,
  'Max address space': 9,
  'Max file locks': 10,
  'Max pending signals': 11,
  'Max msgqueue size': 12,
  'Max nice priority': 13,
  'Max realtime priority': 14,
  'Max realtime timeout': 15,
};

const LIMIT_NAMES =
  'CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME'.split(' ');

/** The number of `RLIMIT_NOFILE` or `nofile`; throws on unknown names. */
export function limitNumber(type: string): number {
  const number = LIMIT_NAMES.indexOf(type.toUpperCase().replace(/^RLIMIT_/, ''));
  if (number < 0) throw new Error(`unknown rlimit "${type}"`);
  return number;
}

export const hasCapability = (mask: bigint, name: string): boolean =>
  ((mask >> BigInt(CAPABILITIES.indexOf(name))) & 1n) === 1n;
