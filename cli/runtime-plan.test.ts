// sampan runtime plan, from the manifest to the printed steps, and the steps as they happen in a real container.
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { silentLogger } from '../lib/log.ts';
import { composeImage, storeLayer } from '../runtime/images/compose.ts';
import { Images } from '../runtime/images/images.ts';
import { cgroupRootOf } from './layout.ts';

const root = join(import.meta.dirname, '..');
const busybox = join(root, '.cache/tools/bin/busybox');
const dataDir = mkdtempSync(join(tmpdir(), 'sampan-plan-'));
const manifest = join(dataDir, 'pod.yaml');

const pod = (more = '') => `apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  ${more}
  initContainers:
  - {name: first, image: localhost/box:1, command: [/bin/busybox, 'true']}
  containers:
  - name: web
    image: localhost/box:1
    env: [{name: SECRET, valueFrom: {secretKeyRef: {name: s, key: k}}}]
    resources: {limits: {cpu: 500m, memory: 64Mi}}
    volumeMounts: [{name: v, mountPath: /data}]
    securityContext: {runAsUser: 1000, allowPrivilegeEscalation: false, seccompProfile: {type: RuntimeDefault}}
  volumes: [{name: v, emptyDir: {}}]
`;

const plan = (...flags: string[]) =>
  execFileSync(join(root, 'scripts/sampan'), ['runtime', 'plan', manifest, '--data-dir', dataDir, ...flags], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });

beforeAll(() => execFileSync('make', ['-s', '-C', join(root, 'runtime/native')]));
afterAll(() => rmSync(dataDir, { recursive: true, force: true }));

test('a pod is planned, also without its image', () => {
  writeFileSync(manifest, pod());
  const text = plan();
  expect(text).toContain('# image localhost/box:1 is not here');
  for (const line of [
    '── sandbox',
    '── container first',
    '── container web',
    'sethostname web  # what the pod calls itself',
    '"<layers of localhost/box:1>"',
    'setgroups + setresgid + setresuid 1000',
    'prctl PR_SET_NO_NEW_PRIVS  # setuid programs give nothing',
    'for /data',
    '── removal of the sandbox',
  ])
    expect(text).toContain(line);
  expect(readdirSync(dataDir)).toEqual(['pod.yaml']);
});

test('what is not a pod, or a wrong one, is refused', () => {
  writeFileSync(manifest, 'apiVersion: v1\nkind: Service\nmetadata: {name: x}\n');
  expect(() => plan()).toThrow('one Pod is wanted, not Service');
  writeFileSync(manifest, pod('restartPolicy: Sometimes'));
  expect(() => plan()).toThrow('spec.restartPolicy: Unsupported value');
});

test.skipIf(process.getuid?.() !== 0 || !existsSync(busybox))('the trace runs it and leaves nothing', async () => {
  const images = new Images({
    stateDir: join(dataDir, 'runtime/images'),
    platform: { os: 'linux', architecture: process.arch === 'x64' ? 'amd64' : 'arm64' },
    log: silentLogger,
  });
  const layer = await storeLayer(images, Readable.from([programTar()]));
  await composeImage(images, { layers: [layer], run: { Cmd: ['/bin/busybox', 'sleep', '60'] }, history: [] }, [
    'localhost/box:1',
  ]);
  for (const more of ['', 'hostUsers: false']) {
    writeFileSync(manifest, pod(more));
    const text = plan('--trace');
    expect(text).toMatch(/\d+µs +\d+ │ mount proc proc \/proc/);
    expect(text).toMatch(/\d+µs +\d+ │ capset/);
    expect(text).toMatch(/web started at 20\d\d-/);
    expect(text).toMatch(/\d+µs +\d+ rmdir/);
  }
  expect(readdirSync(join(dataDir, 'runtime'))).toEqual(['images']);
  expect(readFileSync('/proc/self/mounts', 'utf8')).not.toContain(dataDir);
  const ours = cgroupRootOf(dataDir).slice(1);
  expect(execFileSync('find', ['/sys/fs/cgroup', '-maxdepth', '2', '-name', `${ours}*`], { encoding: 'utf8' })).toBe(
    '',
  );
});

function programTar(): Buffer {
  const directory = mkdtempSync(join(dataDir, 'rootfs-'));
  mkdirSync(join(directory, 'bin'));
  copyFileSync(busybox, join(directory, 'bin/busybox'));
  const bytes = execFileSync('tar', ['-c', '-C', directory, 'bin'], { maxBuffer: 1 << 28 });
  rmSync(directory, { recursive: true });
  return bytes;
}
