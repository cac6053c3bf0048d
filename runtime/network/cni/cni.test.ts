import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../lib/log.ts';
import type { Launcher } from '../../launch/port.ts';
import { canLaunch, createTestHost, eventually, exits, type TestHost } from '../../launch/testing.ts';
import { addressesOf, atLeast, loadNetworkList, parseNetworkList, pluginInput } from './config.ts';
import { type Attachment, CniNetwork } from './plugins.ts';

describe('configuration', () => {
  const list = { cniVersion: '1.0.0', name: 'net', plugins: [{ type: 'bridge', mtu: 1400 }] };
  it('is a list, or one plugin by itself', () => {
    expect(parseNetworkList(JSON.stringify({ ...list, disableCheck: true }), 'f')).toEqual({
      ...list,
      disableCheck: true,
      disableGC: false,
    });
    expect(parseNetworkList('{"cniVersion":"0.4.0","name":"one","type":"ptp"}', 'f').plugins).toEqual([
      { cniVersion: '0.4.0', name: 'one', type: 'ptp' },
    ]);
  });
  it.each([
    ['{', 'CNI configuration f: '],
    [JSON.stringify({ ...list, name: '../x' }), 'name "../x"'],
    [JSON.stringify({ ...list, cniVersion: '0.2.0' }), 'older than 0.3.0'],
    [JSON.stringify({ ...list, plugins: [] }), 'no plugins'],
    [JSON.stringify({ ...list, plugins: [{ type: '../../bin/sh' }] }), 'plugins[0].type "../../bin/sh"'],
  ])('%s is refused', (text, message) => expect(() => parseNetworkList(text, 'f')).toThrow(message));
  it('gives a plugin what it has a capability for', () => {
    const plugin = { type: 'portmap', capabilities: { portMappings: true, dns: false } };
    const runtime = {
      portMappings: [{ hostPort: 1, containerPort: 2, protocol: 'tcp' }],
      dns: { servers: ['1.1.1.1'], searches: [], options: [] },
    };
    expect(JSON.parse(pluginInput(list, plugin, { prevResult: { ips: [] }, runtime }))).toEqual({
      type: 'portmap',
      name: 'net',
      cniVersion: '1.0.0',
      runtimeConfig: { portMappings: runtime.portMappings },
      prevResult: { ips: [] },
    });
  });
  it('reads the addresses of the sandbox’s interface', () => {
    const interfaces = [{ name: 'cni0' }, { name: 'eth0', sandbox: '/n' }];
    const ips = [
      { address: 'fd00::2/64', interface: 1 },
      { address: '10.0.0.2/16', interface: 1 },
      { address: '10.0.0.1/16', interface: 0 },
    ];
    expect(addressesOf({ interfaces, ips }, 'eth0')).toEqual(['10.0.0.2', 'fd00::2']);
    expect([atLeast('1.0.0', '0.4.0'), atLeast('0.3.1', '0.4.0'), atLeast('1.1.0', '1.1.0')]).toEqual([
      true,
      false,
      true,
    ]);
  });
});

describe('plugins', () => {
  let directory: string;
  let network: CniNetwork;
  /** Writes what it is told to a file, and answers ADD; `fail` in its configuration makes it refuse that command. */
  const script = `#!/bin/sh
input=$(cat)
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $CNI_ARGS $input" >> "$(dirname "$0")/log"
case "$input" in *'"fail":"'$CNI_COMMAND'"'*) echo '{"code":7,"msg":"it is broken","details":"quite"}'; exit 1;; esac
[ "$CNI_COMMAND" = ADD ] && echo '{"cniVersion":"1.1.0","ips":[{"address":"10.9.0.5/24"}]}'
exit 0
`;
  const attachment = (id: string): Attachment => {
    const at = join(directory, id);
    mkdirSync(at, { recursive: true });
    return { id, netns: '/none', directory: at, args: { K8S_POD_NAME: 'web' }, runtime: {} };
  };
  const configure = (more: object = {}) =>
    writeFileSync(
      join(directory, 'conf/10-net.conflist'),
      JSON.stringify({ cniVersion: '1.1.0', name: 'net', plugins: [{ type: 'one', ...more }, { type: 'two' }] }),
    );
  const log = () => readFileSync(join(directory, 'bin/log'), 'utf8').trimEnd().split('\n');
  const commands = () => log().map((line) => `${line.split(' ')[0]} ${/"type":"(\w+)"/.exec(line)?.[1]}`);
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'sampan-cni-'));
    for (const each of ['bin', 'conf']) mkdirSync(join(directory, each));
    for (const name of ['one', 'two']) writeFileSync(join(directory, 'bin', name), script, { mode: 0o755 });
    network = new CniNetwork({
      confDir: join(directory, 'conf'),
      binDirs: [join(directory, 'bin')],
      log: silentLogger,
    });
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it('are added in order, with the result of the one before, and deleted in reverse, once', async () => {
    configure();
    expect(await network.attach(attachment('a'))).toEqual(['10.9.0.5']);
    await network.detach(join(directory, 'a'));
    await network.detach(join(directory, 'a'));
    expect(commands()).toEqual(['ADD one', 'ADD two', 'DEL two', 'DEL one']);
    expect(log()[0]).toContain('ADD a eth0 IgnoreUnknown=1;K8S_POD_NAME=web ');
    expect(log()[0]).not.toContain('prevResult');
    for (const at of [1, 2, 3]) expect(log()[at]).toContain('"prevResult":{"cniVersion":"1.1.0"');
  });

  it('that fail are named, and deleted all the same', async () => {
    configure({ fail: 'ADD' });
    await expect(network.attach(attachment('a'))).rejects.toThrow(
      'plugin type="one" failed (add): it is broken; quite',
    );
    await network.detach(join(directory, 'a'));
    expect(commands()).toEqual(['ADD one', 'DEL two', 'DEL one']);
    configure({ fail: 'DEL' });
    await network.attach(attachment('b'));
    await expect(network.detach(join(directory, 'b'))).rejects.toThrow('failed (del)');
    // What was not undone stays noted.
    expect(existsSync(join(directory, 'b/cni.json'))).toBe(true);
  });

  it('are checked, and told which sandboxes there are', async () => {
    configure();
    await network.attach(attachment('a'));
    await network.review([join(directory, 'a'), join(directory, 'none')]);
    expect(commands().slice(2)).toEqual(['CHECK one', 'CHECK two', 'GC one', 'GC two']);
    expect(log().at(-1)).toContain('"cni.dev/valid-attachments":[{"containerID":"a","ifname":"eth0"}]');
  });

  it('say whether they are ready', async () => {
    expect(await network.obstacle()).toBe('cni plugin not initialized');
    configure();
    expect(await network.obstacle()).toBeUndefined();
    configure({ fail: 'STATUS' });
    expect(await network.obstacle()).toContain('it is broken');
    rmSync(join(directory, 'bin/two'));
    configure();
    expect(await network.obstacle()).toContain('plugin two is not in');
    expect(loadNetworkList('/nowhere/at/all')).toBeUndefined();
  });
});

const tools = join(import.meta.dirname, '../../../.cache/tools/bin');

describe.skipIf(!canLaunch || !existsSync(join(tools, 'cni-bridge')))('sandboxes on Debian’s plugins', () => {
  let host: TestHost;
  let launcher: Launcher;
  const portmap = spawnSync('iptables', ['--version']).status === 0;
  const start = () => {
    const at = (name: string) => join(host.directory, name);
    return host.launcher({
      cni: {
        confDir: at('net.d'),
        binDirs: [at('cni')],
        run: async (path, env, input) => {
          const { status, stdout, stderr } = spawnSync('nsenter', [`--net=/run/netns/${host.name}`, path], {
            env,
            input,
            encoding: 'utf8',
          });
          return { code: status ?? 1, stdout, stderr };
        },
      },
    });
  };
  beforeAll(async () => {
    host = createTestHost();
    for (const each of ['cni', 'net.d', 'ipam']) mkdirSync(join(host.directory, each));
    for (const name of ['bridge', 'host-local', 'portmap', 'loopback'])
      symlinkSync(join(tools, `cni-${name}`), join(host.directory, 'cni', name));
    const ipam = {
      type: 'host-local',
      dataDir: join(host.directory, 'ipam'),
      ranges: [[{ subnet: '10.78.0.0/24' }]],
      routes: [{ dst: '0.0.0.0/0' }],
    };
    const plugins: object[] = [{ type: 'bridge', bridge: 'cnitest0', isGateway: true, hairpinMode: true, ipam }];
    if (portmap) plugins.push({ type: 'portmap', capabilities: { portMappings: true } });
    writeFileSync(
      join(host.directory, 'net.d/10-test.conflist'),
      JSON.stringify({ cniVersion: '1.0.0', name: 'test', plugins }),
    );
    launcher = await start();
  });
  afterAll(async () => {
    await launcher?.teardown();
    host.inNetns('ip', 'link', 'delete', 'cnitest0');
    await eventually(() => host.leftovers().length === 0, 'nothing is left on the host').catch((error: Error) => {
      throw new Error(`${error.message}:\n${host.leftovers().join('\n')}`);
    });
    host?.dispose();
  });

  it('have the plugins’ addresses, reach each other, and give all back, also after a restart', async () => {
    const port = { protocol: 'TCP' as const, hostPort: 8099, containerPort: 80 };
    const one = await launcher.createSandbox(host.sandbox({ ports: [port] }));
    const two = await launcher.createSandbox(host.sandbox({ id: 's2', cgroupParent: '/kubepods/pod2' }));
    expect([one.ips, two.ips]).toEqual([
      [expect.stringMatching(/^10\.78\.0\.\d+$/)],
      [expect.stringMatching(/^10\.78\.0\.\d+$/)],
    ]);
    const exit = exits(launcher);
    await launcher.createContainer(host.container('server', ['nc', '-l', '-p', '80', '-e', 'hostname']));
    await launcher.startContainer('server');
    const ask = [
      'sh',
      '-c',
      `ip -o addr show eth0; for i in 1 2 3 4 5 6 7 8 9; do nc -w 3 ${one.ips[0]} 80 && break; sleep 0.1; done`,
    ];
    await launcher.createContainer({
      ...host.container('client', ask),
      sandboxId: 's2',
      cgroup: '/kubepods/pod2/client',
    });
    await launcher.startContainer('client');
    await exit.of('client');
    expect(host.log('client')).toContain(two.ips[0]);
    expect(host.log('client')).toContain('pod-1');
    if (portmap) expect(host.inNetns('iptables-save', '-t', 'nat')).toContain('8099');
    const addresses = () => readdirSync(join(host.directory, 'ipam/test')).filter((name) => name.startsWith('10.'));
    expect(addresses().length).toBe(2);
    await launcher.close();
    launcher = await start();
    expect(await launcher.networkObstacle()).toBeUndefined();
    for (const id of ['s1', 's2']) await launcher.removeSandbox(id);
    expect(addresses()).toEqual([]);
    if (portmap) expect(host.inNetns('iptables-save', '-t', 'nat')).not.toContain('8099');
  });

  it('that cannot be made leave nothing', async () => {
    const conf = join(host.directory, 'net.d/10-test.conflist');
    const before = readFileSync(conf, 'utf8');
    writeFileSync(conf, before.replace('10.78.0.0/24', '10.78.0.0/99'));
    await expect(launcher.createSandbox(host.sandbox())).rejects.toThrow(/plugin type="bridge" failed \(add\)/);
    writeFileSync(conf, before);
    expect([...(await launcher.sandboxes()).keys()]).toEqual([]);
    expect(readFileSync('/proc/self/mounts', 'utf8')).not.toContain(`${host.directory}/state`);
  });
});
