// Debian's containerd as the runtime of a node: a configuration in a directory of its own, a network plugin that is a shell script, and an
// image made by hand. Needs what `scripts/setup --test` unpacks.
import { type ChildProcess, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { root, type TestHost, tool } from './harness.ts';

const tools = join(root, '.cache/tools/bin');

/** Every name answers with an address and changes nothing: pods of this test talk to nobody. */
const plugin = `#!/bin/sh
cat >/dev/null
[ "$CNI_COMMAND" = VERSION ] && { echo '{"cniVersion":"0.4.0","supportedVersions":["0.3.1","0.4.0"]}'; exit 0; }
[ "$CNI_COMMAND" = ADD ] && echo '{"cniVersion":"0.4.0","interfaces":[{"name":"eth0","sandbox":"'"$CNI_NETNS"'"}],"ips":[{"version":"4","address":"10.88.0.9/24","interface":0}]}'
exit 0
`;

const network = { cniVersion: '0.4.0', name: 'test', plugins: [{ type: 'answer' }] };

/** What a pod usually gets: a link to a bridge and an address of its own, by Debian's plugins. */
const bridgeNetwork = (dir: string) => ({
  cniVersion: '0.4.0',
  name: 'bridge',
  plugins: [
    {
      type: 'bridge',
      bridge: 'cni0',
      isGateway: true,
      hairpinMode: true,
      ipam: {
        type: 'host-local',
        dataDir: join(dir, 'cni/addresses'),
        ranges: [[{ subnet: '10.88.0.0/16' }]],
        routes: [{ dst: '0.0.0.0/0' }],
      },
    },
  ],
});

const config = (dir: string) => `version = 2
root = "${dir}/root"
state = "${dir}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "${dir}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "${dir}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "localhost/pause:1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${dir}/cni/bin"
    conf_dir = "${dir}/cni/conf"
`;

export class Containerd {
  readonly socket: string;
  #dir: string;
  #host: TestHost;
  #hasBridge: boolean;
  #process: ChildProcess | undefined;

  /** `bridge`: pods have a network. */
  constructor(host: TestHost, options: { bridge?: boolean } = {}) {
    this.#host = host;
    this.#hasBridge = options.bridge ?? false;
    this.#dir = join(host.dir, 'containerd');
    this.socket = join(this.#dir, 'containerd.sock');
  }

  async start(): Promise<void> {
    const dir = this.#dir;
    mkdirSync(join(dir, 'cni/bin'), { recursive: true });
    mkdirSync(join(dir, 'cni/conf'), { recursive: true });
    const bin = join(dir, 'cni/bin');
    if (this.#hasBridge)
      for (const name of ['bridge', 'host-local', 'loopback']) cpSync(join(tools, `cni-${name}`), join(bin, name));
    else for (const name of ['answer', 'loopback']) writeFileSync(join(bin, name), plugin, { mode: 0o755 });
    const conf = JSON.stringify(this.#hasBridge ? bridgeNetwork(dir) : network);
    writeFileSync(join(dir, 'cni/conf/10-test.conflist'), conf);
    writeFileSync(join(dir, 'config.toml'), config(dir));
    this.#process = this.#host.spawn(
      ['env', `PATH=${tools}:${process.env['PATH']}`, join(tools, 'containerd'), '-c', join(dir, 'config.toml')],
      'containerd.log',
    );
    for (let tries = 0; ; tries++) {
      const { code, stderr } = await this.#ctr('version');
      if (code === 0) break;
      if (tries > 200) throw new Error(`containerd does not answer: ${stderr}\n${this.log()}`);
    }
    await this.#import('localhost/pause:1', ['/bin/sleep', '2147483647']);
    await this.#import('localhost/tools:1', ['/bin/sh']);
  }

  log(): string {
    const path = join(this.#host.dir, 'containerd.log');
    return existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(-30).join('\n') : '';
  }

  /** Ends containerd; its containers have been removed by then. */
  async stop(): Promise<void> {
    const child = this.#process;
    if (!child || child.exitCode !== null) return;
    const ended = new Promise<void>((done) => child.once('exit', () => done()));
    child.kill('SIGTERM');
    await ended;
    for (const controller of readdirSync('/sys/fs/cgroup'))
      removeCgroups(join('/sys/fs/cgroup', controller, this.#host.cgroup));
  }

  #ctr(...args: string[]) {
    return this.#host.run([join(tools, 'ctr'), '-a', this.socket, '-n', 'k8s.io', ...args]);
  }

  /** A docker archive of one layer: busybox with every applet. */
  async #import(name: string, command: string[]): Promise<void> {
    const dir = join(this.#dir, `image-${createHash('sha256').update(name).digest('hex').slice(0, 8)}`);
    const files = join(dir, 'files');
    mkdirSync(join(files, 'bin'), { recursive: true });
    mkdirSync(join(files, 'tmp'), { recursive: true });
    cpSync(tool('busybox'), join(files, 'bin/busybox'));
    for (const applet of ['sh', 'sleep', 'cat', 'echo', 'test', 'ls', 'hostname', 'touch']) {
      symlinkSync('busybox', join(files, 'bin', applet));
    }
    execFileSync('tar', ['-C', files, '-cf', join(dir, 'layer.tar'), '.']);
    const diff = createHash('sha256')
      .update(readFileSync(join(dir, 'layer.tar')))
      .digest('hex');
    writeFileSync(
      join(dir, 'config.json'),
      JSON.stringify({
        architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
        os: 'linux',
        config: { Env: ['PATH=/bin'], Cmd: command },
        rootfs: { type: 'layers', diff_ids: [`sha256:${diff}`] },
      }),
    );
    writeFileSync(
      join(dir, 'manifest.json'),
      JSON.stringify([{ Config: 'config.json', RepoTags: [name], Layers: ['layer.tar'] }]),
    );
    execFileSync('tar', ['-C', dir, '-cf', join(dir, 'image.tar'), 'manifest.json', 'config.json', 'layer.tar']);
    const { code, stderr } = await this.#ctr('images', 'import', join(dir, 'image.tar'));
    if (code !== 0) throw new Error(`ctr images import: ${stderr}\n${this.log()}`);
  }
}

function removeCgroups(path: string): void {
  if (!existsSync(path)) return;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeCgroups(join(path, entry.name));
  }
  rmdirSync(path);
}
