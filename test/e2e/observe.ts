// Looking at a test host from outside: its processes, its network, an etcd of its own.
import type { ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestHost, tool } from './harness.ts';

/** The body of an HTTP answer, fetched from the test host's network. Throws with what bash said. */
export async function httpGet(host: TestHost, url: string): Promise<string> {
  const { hostname, port, pathname } = new URL(url);
  const request = `GET ${pathname} HTTP/1.0\\r\\nHost: ${hostname}\\r\\n\\r\\n`;
  const { code, stdout, stderr } = await host.run([
    'timeout',
    '10',
    // With a socket for input bash takes itself for a remote shell's and reads ~/.bashrc, whatever that may do.
    'bash',
    '--norc',
    '-c',
    `exec 3<>/dev/tcp/${hostname}/${port || 80} && printf '${request}' >&3 && cat <&3`,
  ]);
  if (code !== 0) throw new Error(`GET ${url}: ${stderr.trim()}`);
  return stdout.split('\r\n\r\n').slice(1).join('\r\n\r\n');
}

/** Processes (also while pods come and go) in cgroups below `cgroup` whose path contains `text` (a pod's uid), under v1, hybrid and v2. */
export function pidsBelow(cgroup: string, text: string): number[] {
  const roots = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified', '/sys/fs/cgroup/memory'].map((each) => join(each, cgroup));
  const pids = new Set<number>();
  const wanted = [text, text.replaceAll('-', '_')];
  const visit = (directory: string) => {
    try {
      read(directory);
    } catch (error) {
      if (!['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  };
  const read = (directory: string) => {
    if (wanted.some((each) => directory.includes(each)) && existsSync(join(directory, 'cgroup.procs'))) {
      for (const pid of readFileSync(join(directory, 'cgroup.procs'), 'utf8').trim().split('\n'))
        if (pid) pids.add(Number(pid));
    }
    for (const entry of readdirSync(directory, { withFileTypes: true }))
      if (entry.isDirectory()) visit(join(directory, entry.name));
  };
  for (const root of roots) if (existsSync(root)) visit(root);
  return [...pids];
}

/** A real etcd on the test host's loopback, port 2379, with its data below the host's directory. */
export async function startEtcd(host: TestHost): Promise<ChildProcess> {
  const etcd = host.spawn(
    [
      tool('etcd'),
      '--data-dir',
      join(host.dir, 'etcd'),
      '--listen-client-urls',
      'http://127.0.0.1:2379',
      '--advertise-client-urls',
      'http://127.0.0.1:2379',
      '--listen-peer-urls',
      'http://127.0.0.1:2380',
      '--initial-advertise-peer-urls',
      'http://127.0.0.1:2380',
      '--initial-cluster',
      'default=http://127.0.0.1:2380',
    ],
    'etcd.log',
  );
  await new Promise<void>((done, fail) => {
    etcd.stderr?.on('data', (chunk: Buffer) => {
      if (chunk.toString().includes('ready to serve client requests')) done();
    });
    etcd.once('exit', (code) => fail(new Error(`etcd ended with ${code}`)));
  });
  return etcd;
}
