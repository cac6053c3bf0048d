// The tree and its limits, in directories that stand for cgroup hierarchies; containerd's e2e test sees the kernel's.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Pod, ResourceRequirements } from '../../api/types/core-v1.ts';
import type { Hierarchies } from '../../lib/cgroups/hierarchy.ts';
import { FakeClock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import { cgroupMounts, PodCgroups } from './pod-cgroups.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'cgroups-test-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const read = (...path: string[]) => readFileSync(join(dir, ...path), 'utf8');
const podOf = (uid: string, resources: ResourceRequirements): Pod => ({
  metadata: { name: uid, namespace: 'default', uid },
  spec: { containers: [{ name: 'app', image: 'x', resources }] },
});
const burstable = (uid: string, cpu: string) => podOf(uid, { requests: { cpu }, limits: { memory: '64Mi' } });

function make(hierarchies: Hierarchies, mounts: string[], pods: Pod[]) {
  return new PodCgroups({
    root: '/own',
    hierarchies,
    mounts,
    pidsLimit: 100,
    pods: () => pods,
    clock: new FakeClock(),
    log: silentLogger,
  });
}

describe('on v1', () => {
  const names = ['cpu', 'memory', 'pids'];
  const v1 = (pods: Pod[]) => {
    const mounts = [...names, 'systemd'].map((each) => join(dir, each));
    for (const each of mounts) mkdirSync(each);
    return make(
      { mode: 'v1', v1: new Map(names.map((each) => [each, join(dir, each)])), unified: undefined },
      mounts,
      pods,
    );
  };

  it('weighs and limits all pods, the classes and each pod', () => {
    const pods: Pod[] = [];
    const cgroups = v1(pods);
    cgroups.prepare({ milliCpu: 2000, memoryBytes: 1000 });
    expect(read('cpu/own/kubepods/cpu.shares')).toBe('2048');
    expect(read('memory/own/kubepods/memory.limit_in_bytes')).toBe('1000');
    expect(read('cpu/own/kubepods/besteffort/cpu.shares')).toBe('2');
    expect(read('cpu/own/kubepods/burstable/cpu.shares')).toBe('2');
    pods.push(burstable('a', '500m'), burstable('b', '250m'));
    for (const each of pods) cgroups.apply(each);
    expect(read('cpu/own/kubepods/burstable/cpu.shares')).toBe('768');
    const of = (file: string) => read(file.split('.')[0] as string, 'own/kubepods/burstable/poda', file);
    expect(of('cpu.shares')).toBe('512');
    expect(of('memory.limit_in_bytes')).toBe(String(64 * 2 ** 20));
    expect(of('pids.max')).toBe('100');
    expect(read('cpu/own/kubepods/burstable/poda/cpu.cfs_quota_us')).toBe('-1');
    cgroups.apply(podOf('c', { requests: { cpu: '1', memory: '1Gi' }, limits: { cpu: '1', memory: '1Gi' } }));
    expect(read('cpu/own/kubepods/podc/cpu.cfs_quota_us')).toBe('100000');
  });

  it('ends with the pod in every hierarchy, and at the next start for pods that went meanwhile', async () => {
    const cgroups = v1([]);
    cgroups.prepare({ milliCpu: 1, memoryBytes: 1 });
    const place = (name: string) => join(dir, name, 'own/kubepods/burstable');
    for (const name of ['cpu', 'systemd'])
      for (const uid of ['kept', 'gone']) mkdirSync(join(place(name), `pod${uid}`, 'container'), { recursive: true });
    await cgroups.keepOnly(new Set(['kept']));
    const there = (uid: string) => ['cpu', 'systemd'].map((name) => existsSync(join(place(name), `pod${uid}`)));
    expect([there('gone'), there('kept')]).toEqual([
      [false, false],
      [true, true],
    ]);
    await cgroups.remove('kept');
    expect(there('kept')).toEqual([false, false]);
  });
});

it('hands controllers down on v2, where weights stand for shares', () => {
  for (const level of ['', 'own', 'own/kubepods', 'own/kubepods/burstable', 'own/kubepods/besteffort']) {
    mkdirSync(join(dir, level), { recursive: true });
    writeFileSync(join(dir, level, 'cgroup.subtree_control'), '');
  }
  writeFileSync(join(dir, 'cgroup.controllers'), 'cpu memory pids\n');
  const cgroups = make({ mode: 'v2', v1: new Map(), unified: dir }, [dir], []);
  cgroups.prepare({ milliCpu: 2000, memoryBytes: 1000 });
  cgroups.apply(burstable('a', '500m'));
  expect(read('own/kubepods/burstable/cgroup.subtree_control')).toBe('+cpu +memory +pids');
  expect(read('own/kubepods/burstable/poda/memory.max')).toBe(String(64 * 2 ** 20));
  expect(read('own/kubepods/burstable/poda/cpu.max')).toBe('max 100000');
  expect(read('own/kubepods/burstable/poda/cpu.weight')).toBe('20');
});

it('finds every hierarchy in the mount table', () => {
  const line = (path: string, type: string) => `1 2 0:3 / ${path} rw - ${type} x rw`;
  expect(
    cgroupMounts([line('/sys/fs/cgroup', 'tmpfs'), line('/c/cpu', 'cgroup'), line('/c/unified', 'cgroup2')].join('\n')),
  ).toEqual(['/c/cpu', '/c/unified']);
});
