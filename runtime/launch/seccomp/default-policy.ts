// RuntimeDefault: what a container may ask of the kernel unless it says otherwise. Everything else is refused with EPERM;
// some calls come with the capability that makes them useful.
import { ALLOW, errno, type Policy, type Rule } from './compile.ts';

const ALWAYS = `
accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown clock_adjtime clock_getres
clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1
epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit
exit_group faccessat faccessat2 fadvise64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchownat
fcntl fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue
futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid
geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid
getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr getxattrat inotify_add_watch
inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit ioctl
ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr link
linkat listen listmount listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat madvise map_shadow_stack
membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mprotect mq_getsetattr
mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock
munlockall munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe
pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64 preadv preadv2 prlimit64 process_mrelease
process_vm_readv process_vm_writev pselect6 ptrace pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv
recvfrom recvmmsg recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall rmdir
rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield
select semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address
setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid
setsockopt setuid setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 socketpair
splice stat statfs statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create
timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill
truncate umask uname unlink unlinkat uretprobe utime utimensat utimes vfork vmsplice wait4 waitid write writev
arch_prctl modify_ldt sync_file_range2`;

const WITH: Record<string, string> = {
  DAC_READ_SEARCH: 'open_by_handle_at',
  SYS_ADMIN:
    'bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare',
  SYS_BOOT: 'reboot',
  SYS_CHROOT: 'chroot',
  SYS_MODULE: 'delete_module finit_module init_module',
  SYS_PACCT: 'acct',
  SYS_PTRACE: 'kcmp pidfd_getfd process_madvise',
  SYS_RAWIO: 'ioperm iopl',
  SYS_TIME: 'clock_settime settimeofday',
  SYS_TTY_CONFIG: 'vhangup',
  SYS_NICE: 'get_mempolicy mbind set_mempolicy set_mempolicy_home_node',
  SYSLOG: 'syslog',
  BPF: 'bpf',
  PERFMON: 'perf_event_open',
};

const EPERM = 1;
const ENOSYS = 38;
const AF_VSOCK = 40n;
/** CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}: making namespaces needs SYS_ADMIN. */
const CLONE_NAMESPACES = 0x7e020000n;
const PERSONALITIES = [0x0n, 0x8n, 0x20000n, 0x20008n, 0xffffffffn];

const words = (text: string) => text.trim().split(/\s+/);
const allow = (text: string): Rule => ({ names: words(text), action: ALLOW, conditions: [] });

/** `capabilities` without CAP_. */
export function defaultPolicy(capabilities: readonly string[]): Policy {
  const has = new Set(capabilities.map((name) => name.toUpperCase().replace(/^CAP_/, '')));
  const holds = (name: string) => has.has(name) || has.has('ALL');
  const rules: Rule[] = [
    allow(ALWAYS),
    ...PERSONALITIES.map(
      (value): Rule => ({ names: ['personality'], action: ALLOW, conditions: [{ index: 0, op: 'eq', value }] }),
    ),
    // The address family is 32 bits wide in the kernel.
    {
      names: ['socket'],
      action: errno(EPERM),
      conditions: [{ index: 0, op: 'masked-eq', value: 0xffffffffn, datum: AF_VSOCK }],
    },
    allow('socket'),
    ...Object.entries(WITH)
      .filter(([name]) => holds(name))
      .map(([, text]) => allow(text)),
  ];
  if (!holds('SYS_ADMIN')) {
    rules.push(
      {
        names: ['clone'],
        action: ALLOW,
        conditions: [{ index: 0, op: 'masked-eq', value: CLONE_NAMESPACES, datum: 0n }],
      },
      // Its flags are behind a pointer; libraries fall back on clone when it does not exist.
      { names: ['clone3'], action: errno(ENOSYS), conditions: [] },
    );
  }
  return { defaultAction: errno(EPERM), rules };
}
