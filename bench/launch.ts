// Container start → gone, ours beside crun's and runc's, in one run: `scripts/node bench/launch.ts [runs]`. Needs root and
// scripts/setup --test. Ours: createContainer, startContainer, exit event, removeContainer, through the resident launcher, with
// overlay, cgroups, seccomp and log. Theirs: `crun run` of the same program with its default spec, on a bare rootfs.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { exits, createTestHost, canLaunch } from '../runtime/launch/testing.ts';
import { timeOci, versionOf } from './oci.ts';

const runs = Number(process.argv[2] ?? 100);
if (!canLaunch) throw new Error('bench/launch needs root and .cache/tools/bin/busybox (scripts/setup)');

const quantile = (values: number[], q: number) =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))] as number;
const show = (name: string, values: number[]) =>
  console.log(
    `${name.padEnd(44)} min ${quantile(values, 0).toFixed(1)}  p50 ${quantile(values, 0.5).toFixed(1)}  p95 ${quantile(values, 0.95).toFixed(1)} ms`,
  );

const host = createTestHost();
try {
  const launcher = await host.launcher();
  const watch = exits(launcher);
  const sandboxes: number[] = [];
  for (let i = 0; i < Math.min(runs, 30); i++) {
    const started = performance.now();
    await launcher.createSandbox(host.sandbox({ id: `sb${i}`, cgroupParent: `/kubepods/sb${i}` }));
    sandboxes.push(performance.now() - started);
    await launcher.removeSandbox(`sb${i}`);
  }
  await launcher.createSandbox(host.sandbox());
  const stages: Record<'create' | 'start' | 'exit' | 'remove' | 'total', number[]> = {
    create: [],
    start: [],
    exit: [],
    remove: [],
    total: [],
  };
  for (let i = 0; i < runs + 10; i++) {
    const id = `c${i}`;
    const spec = host.container(id, ['/bin/busybox', 'true'], {
      resources: { memoryLimitBytes: 64 << 20, pidsLimit: 100, cpuShares: 100 },
    });
    const at = [performance.now()];
    await launcher.createContainer(spec);
    at.push(performance.now());
    await launcher.startContainer(id);
    at.push(performance.now());
    await watch.of(id);
    at.push(performance.now());
    await launcher.removeContainer(id);
    at.push(performance.now());
    if (i < 10) continue;
    (['create', 'start', 'exit', 'remove'] as const).forEach((stage, n) => {
      stages[stage].push((at[n + 1] as number) - (at[n] as number));
    });
    stages.total.push((at[4] as number) - (at[0] as number));
  }
  const idle = host.container('idle', ['/bin/busybox', 'sleep', '100']);
  await launcher.createContainer(idle);
  await launcher.startContainer('idle');
  const execs: number[] = [];
  for (let i = 0; i < runs; i++) {
    const started = performance.now();
    const streams = await launcher.exec({
      containerId: 'idle',
      stdin: false,
      process: { args: ['/bin/busybox', 'true'], env: ['PATH=/bin'], cwd: '/', terminal: false },
    });
    await streams.exit;
    execs.push(performance.now() - started);
  }
  const memory = (name: string) =>
    /^.*:\s+(\d+) kB/m.exec(
      readFileSync(`/proc/${host.shimPid('idle')}/smaps_rollup`, 'utf8')
        .split('\n')
        .find((line) => line.startsWith(name)) ?? '',
    )?.[1];
  // After a quiet moment, as a pod on a calm node finds it: what the kernel makes the first join wait for shows here.
  const cold: number[] = [];
  for (let i = 0; i < Math.min(runs, 20); i++) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    const started = performance.now();
    await launcher.createSandbox(host.sandbox({ id: `cold${i}`, cgroupParent: `/kubepods/cold${i}` }));
    await new Promise((resolve) => setTimeout(resolve, 15)); // what the kubelet does in between
    const spec = host.container(`cold-c${i}`, ['/bin/busybox', 'true'], { sandboxId: `cold${i}` });
    await launcher.createContainer({ ...spec, cgroup: `/kubepods/cold${i}/c` });
    await launcher.startContainer(spec.id);
    cold.push(performance.now() - started - 15);
    await watch.of(spec.id);
    await launcher.removeSandbox(`cold${i}`);
  }
  show('sandbox, create and start after 200 ms of quiet', cold);
  show('sandbox with network', sandboxes);
  for (const [stage, values] of Object.entries(stages)) show(`container ${stage}`, values);
  show('exec true', execs);
  console.log(`shim memory: ${memory('Rss')} kB RSS, ${memory('Pss')} kB PSS`);
  await launcher.teardown();

  for (const runtime of ['crun', 'runc'] as const) {
    if (!versionOf(runtime)) {
      console.log(`${runtime} is not installed: no comparison`);
      continue;
    }
    const { run, exec } = timeOci(runtime, host.directory, join(host.directory, 'rootfs'), runs);
    show(`${runtime} run`, run);
    show(`${runtime} exec true`, exec);
  }
} finally {
  host.dispose();
}
