// A launch plan: an ordered list of primitive steps, each close to one kernel call. It is a value: it can be printed
// (`printPlan`), compared with a golden transcript, and encoded for the launcher (`encodePlan` in wire.ts).

export interface Step {
  /** What the launcher knows it by; its arguments follow in `args`, in the order the C source documents. */
  op: Op;
  args: (string | Uint8Array)[];
  /** Why the step is there; printed, not sent. */
  why: string;
}

export type Op =
  | 'mkdir'
  | 'die'
  | 'write'
  | 'try-write'
  | 'umount'
  | 'unlink'
  | 'rmdir'
  | 'kill'
  | 'bind-namespace'
  | 'host-tmpfs'
  | 'tree'
  | 'private'
  | 'overlay'
  | 'mount'
  | 'attach'
  | 'mknod'
  | 'symlink'
  | 'root-mkdir'
  | 'mask'
  | 'readonly'
  | 'root-tmpfs'
  | 'root-readonly'
  | 'pivot'
  | 'netlink'
  | 'bridge'
  | 'veth'
  | 'address'
  | 'up'
  | 'default-route'
  | 'link-delete'
  | 'mtu'
  | 'unshare'
  | 'setns'
  | 'hostname'
  | 'rlimit'
  | 'oom'
  | 'cwd'
  | 'bounding'
  | 'user'
  | 'caps'
  | 'no-new-privs'
  | 'seccomp'
  | 'device-filter'
  | 'stdio'
  | 'terminal'
  | 'exec'
  | 'pause'
  | 'session'
  | 'clone'
  | 'warm'
  | 'enter'
  | 'joined'
  | 'wait-start'
  | 'dial'
  | 'quiesce'
  | 'user-namespace'
  | 'enter-user'
  | 'overlay-tree'
  | 'device-tmpfs'
  | 'root'
  | 'own-streams'
  | 'sysctl'
  | 'probe-idmap'
  | 'trace'
  | 'seal'
  | 'ping'
  | 'quit';

/** The kernel call behind each step, as printed. */
const CALLS: Record<Op, string> = {
  die: 'kill(self, SIGKILL)',
  mkdir: 'mkdir',
  write: 'write',
  'try-write': 'write (may fail)',
  umount: 'umount2 MNT_DETACH',
  unlink: 'unlink',
  rmdir: 'rmdir (recursive, waits while busy)',
  kill: 'write cgroup.kill / kill',
  'bind-namespace': 'mount MS_BIND /proc/self/ns',
  'host-tmpfs': 'mount tmpfs',
  tree: 'open_tree OPEN_TREE_CLONE',
  private: 'mount MS_REC|MS_PRIVATE /',
  overlay: 'mount overlay',
  mount: 'mount',
  attach: 'mount_setattr + move_mount',
  mknod: 'mknodat',
  symlink: 'symlinkat',
  'root-mkdir': 'openat2 RESOLVE_IN_ROOT + mkdirat',
  mask: 'mount over',
  readonly: 'mount_setattr RDONLY',
  'root-tmpfs': 'mount tmpfs as root',
  'root-readonly': 'mount_setattr RDONLY /',
  pivot: 'pivot_root + umount2',
  netlink: 'socket AF_NETLINK',
  bridge: 'RTM_NEWLINK bridge',
  veth: 'RTM_NEWLINK veth',
  address: 'RTM_NEWADDR',
  up: 'RTM_NEWLINK IFF_UP',
  'default-route': 'RTM_NEWROUTE',
  'link-delete': 'RTM_DELLINK',
  mtu: 'ioctl SIOCGIFMTU',
  unshare: 'unshare',
  setns: 'setns',
  hostname: 'sethostname',
  rlimit: 'setrlimit',
  oom: 'write oom_score_adj',
  cwd: 'chdir',
  bounding: 'prctl PR_CAPBSET_DROP all but',
  user: 'setgroups + setresgid + setresuid',
  caps: 'capset + PR_CAP_AMBIENT',
  'no-new-privs': 'prctl PR_SET_NO_NEW_PRIVS',
  seccomp: 'seccomp SET_MODE_FILTER',
  'device-filter': 'bpf PROG_ATTACH CGROUP_DEVICE',
  stdio: 'setsid + dup2',
  terminal: 'open ptmx',
  exec: 'execve',
  pause: 'sigwait',
  session: 'setsid + pipe2',
  clone: 'clone3',
  warm: 'write 0 (in the background)',
  enter: 'pidfd_open + clone3 + setns',
  joined: 'recv (cgroups joined)',
  'wait-start': 'recv (start)',
  dial: 'connect',
  quiesce: 'flock LOCK_EX',
  'user-namespace': 'clone3 CLONE_NEWUSER + write uid_map, gid_map + setns',
  'enter-user': 'setns CLONE_NEWUSER + clone3',
  'overlay-tree': 'mount_setattr IDMAP + mount overlay + open_tree',
  'device-tmpfs': 'fsopen + fsmount tmpfs',
  root: 'move_mount',
  'own-streams': 'fchown',
  sysctl: 'write',
  'probe-idmap': 'mount_setattr IDMAP',
  trace: 'trace',
  seal: 'mount_setattr RDONLY',
  ping: 'ping',
  quit: 'quit',
};

export const step = (op: Op, args: (string | number | Uint8Array)[], why: string): Step => ({
  op,
  args: args.map((each) => (typeof each === 'number' ? String(each) : each)),
  why,
});

/** One line per step: number, kernel call, arguments, reason; with times, what each step took. Programs are printed as their size. */
export function printPlan(steps: readonly Step[], timesNs?: ReadonlyMap<number, number>): string {
  let inside = false;
  const lines = steps.map((each, at) => {
    const ns = timesNs?.get(at);
    const time = timesNs ? (ns === undefined ? '          ' : `${(ns / 1e3).toFixed(0).padStart(7)}µs `) : '';
    const args = each.args.map((arg) =>
      typeof arg !== 'string'
        ? `<${arg.length / 8} instructions>`
        : /^[\w@%+=:,./*-]+$/.test(arg)
          ? arg
          : JSON.stringify(arg),
    );
    const line = `${time}${String(at + 1).padStart(3)} ${inside ? '│ ' : ''}${CALLS[each.op]}${args.length > 0 ? ` ${args.join(' ')}` : ''}  # ${each.why}`;
    if (each.op === 'clone' || each.op === 'enter') inside = true;
    return line;
  });
  return `${lines.join('\n')}\n`;
}
