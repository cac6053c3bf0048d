// crun and runc beside us: a container of the same program, run to its end, and commands run in one that stays. The times are taken by
// the shell that starts them, so that no large process forks.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const tools = resolve(import.meta.dirname, '../.cache/tools/bin');
/** Debian's crun, unpacked beside the library that it needs. */
const env = { ...process.env, PATH: `${tools}:${process.env['PATH']}`, LD_LIBRARY_PATH: tools };

export type OciRuntime = 'crun' | 'runc';

export function versionOf(runtime: OciRuntime): string | undefined {
  try {
    return execFileSync(runtime, ['--version'], { env, encoding: 'utf8' }).split('\n')[0];
  } catch {
    return undefined;
  }
}

export interface OciTimes {
  /** Milliseconds from start to gone, each. */
  run: number[];
  exec: number[];
}

/** `work` is a directory below /tmp whose name no one else uses; `rootfs` has /bin/busybox. */
export function timeOci(runtime: OciRuntime, work: string, rootfs: string, runs: number): OciTimes {
  const bundle = join(work, `bundle-${runtime}`);
  const cgroup = `/${work.split('/').at(-1)}-${runtime}`;
  if (!existsSync(bundle)) mkdirSync(bundle);
  execFileSync(runtime, ['spec'], { cwd: bundle, env });
  const config = JSON.parse(readFileSync(join(bundle, 'config.json'), 'utf8'));
  const write = (name: string, args: string[]) => {
    // Neither may raise limits or scores beyond its own on every host.
    config.process = { ...config.process, terminal: false, args, rlimits: [] };
    delete config.process.oomScoreAdj;
    config.root = { path: rootfs, readonly: true };
    config.linux.cgroupsPath = `${cgroup}/${name}`;
    const dir = join(bundle, name);
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
    return dir;
  };
  const short = write('short', ['/bin/busybox', 'true']);
  const long = write('long', ['/bin/busybox', 'sleep', '1000']);
  const command = `${runtime} --root ${bundle}/state`;
  const timed = (what: string) =>
    `i=0; while [ $i -lt ${runs} ]; do s=$(date +%s%N); ${what} || exit 1; e=$(date +%s%N); echo $((e-s)); i=$((i+1)); done`;
  // crun of Debian 12 refuses a unified hierarchy with controllers beside the others: it is hidden from it.
  const hide = '[ -e /sys/fs/cgroup/unified ] && mount -t tmpfs tmpfs /sys/fs/cgroup/unified';
  const script = `${hide}; cd ${short}; ${timed(`${command} run b$i`)}
echo ---
cd ${long}; ${command} run -d long </dev/null >/dev/null 2>&1 || exit 1
(${timed(`${command} exec long /bin/busybox true`)})
${command} delete -f long`;
  try {
    const output = execFileSync('unshare', ['-m', 'sh', '-c', script], { encoding: 'utf8', env });
    const [run = [], exec = []] = output.split('---').map((part) =>
      part
        .trim()
        .split('\n')
        .map((line) => Number(line) / 1e6),
    );
    return { run, exec };
  } finally {
    // They leave the parent of their cgroups in every hierarchy.
    for (const hierarchy of readdirSync('/sys/fs/cgroup')) {
      try {
        rmdirSync(`/sys/fs/cgroup/${hierarchy}${cgroup}`);
      } catch {
        // Not in this one.
      }
    }
  }
}
