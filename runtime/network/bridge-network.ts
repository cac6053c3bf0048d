// The network of one host's pods: a bridge with the gateway's address, rules, and who has which host port. Made at the
// first pod that needs it; works in whatever network namespace this process is in.
import { spawn } from 'node:child_process';
import type { Logger } from '../../lib/log.ts';
import type { LauncherServer } from '../launch/server.ts';
import { step } from '../launch/steps.ts';
import { AddressPool, gatewayOf, macOf, parseSubnet } from './ipam.ts';
import { baseRules, checkPorts, closePorts, openPorts, type PortMapping, removeRules, TABLE } from './rules.ts';

export interface NetworkOptions {
  bridge: string;
  podCidr: string;
  /** Default: that of the interface with the default route. */
  mtu?: number;
  server: Pick<LauncherServer, 'run'>;
  log: Logger;
  /** Runs one nft transaction or query; default spawns `nft`. */
  nft?: (args: string[], input: string) => Promise<string>;
}

export interface OpenedSandbox {
  id: string;
  ip: string;
  ports: PortMapping[];
}

export interface PodNetwork {
  /** Reserves an address; synchronous, so that two sandboxes never get the same. */
  reserve(id: string, ports: readonly PortMapping[]): string;
  /** Makes bridge and rules where they are missing; returns what a sandbox's plan needs. */
  prepare(): Promise<{ bridge: string; prefix: number; gateway: string; mtu: number }>;
  open(id: string): Promise<void>;
  /** Closes the host ports and frees the address. */
  release(id: string): Promise<void>;
  teardown(): Promise<void>;
}

/** `existing` are the sandboxes of before a restart, with their addresses and ports. */
export function createPodNetwork(options: NetworkOptions, existing: readonly OpenedSandbox[]): PodNetwork {
  const subnet = parseSubnet(options.podCidr);
  if (!/^[a-z][a-z0-9_.-]{0,14}$/i.test(options.bridge))
    throw new Error(`"${options.bridge}" is not an interface name`);
  const nft = options.nft ?? runNft;
  const pods = new Map(existing.map((each) => [each.id, each]));
  const pool = new AddressPool(
    subnet,
    [...pods.values()].map((each) => each.ip),
  );
  const gateway = gatewayOf(subnet);
  const opened = new Set<string>();
  let prepared: Promise<number> | undefined;

  const prepareOnce = async () => {
    const mtu =
      options.mtu ??
      Number((await options.server.run([step('mtu', [], 'as large as the way out allows')])).values.get('mtu') ?? 1500);
    const sysctl = (path: string, value: string, why: string, required: boolean) =>
      step(required ? 'write' : 'try-write', [`/proc/sys/net/${path}`, value], why);
    const answer = await options.server.run([
      step(
        'bridge',
        [options.bridge, `${gateway}/${subnet.prefix}`, macOf(gateway), mtu],
        "the pods' switch and gateway",
      ),
      sysctl('ipv4/ip_forward', '1', 'pods reach beyond the host', true),
      sysctl('bridge/bridge-nf-call-iptables', '1', 'services work between pods of one bridge', false),
      sysctl(
        `ipv4/conf/${options.bridge.replaceAll('.', '/')}/route_localnet`,
        '1',
        'host ports work on 127.0.0.1',
        false,
      ),
    ]);
    for (const warning of answer.warnings) options.log.warn({ warning }, 'pod network');
    let rules = baseRules(options.podCidr, options.bridge);
    for (const pod of pods.values()) {
      if (pod.ports.length === 0) continue;
      rules += openPorts(pod.id, pod.ip, pod.ports);
      opened.add(pod.id);
    }
    await nft(['-f', '-'], rules);
    return mtu;
  };

  return {
    reserve(id, ports) {
      checkPorts(
        ports,
        [...pods.values()].flatMap((each) => each.ports),
      );
      const ip = pool.take();
      pods.set(id, { id, ip, ports: [...ports] });
      return ip;
    },
    async prepare() {
      prepared ??= prepareOnce().catch((error: unknown) => {
        prepared = undefined;
        throw error;
      });
      return { bridge: options.bridge, prefix: subnet.prefix, gateway, mtu: await prepared };
    },
    async open(id) {
      const pod = pods.get(id);
      if (!pod || pod.ports.length === 0 || opened.has(id)) return;
      opened.add(id);
      await nft(['-f', '-'], openPorts(id, pod.ip, pod.ports));
    },
    async release(id) {
      const pod = pods.get(id);
      if (!pod) return;
      if (opened.delete(id)) {
        // Somebody else may have flushed the rules: then there is nothing to take away.
        const listing = await nft(['-a', 'list', 'chain', 'inet', TABLE, 'ports'], '').catch((error: unknown) => {
          options.log.warn({ err: error, sandboxId: id }, 'the table of host ports is gone');
          return '';
        });
        const change = closePorts(id, listing);
        if (change) await nft(['-f', '-'], change);
      }
      pods.delete(id);
      pool.give(pod.ip);
    },
    async teardown() {
      await nft(['-f', '-'], removeRules).catch((error: unknown) =>
        options.log.warn({ err: error }, 'removing the pod rules failed'),
      );
      await options.server.run([step('link-delete', [options.bridge], '')]);
      prepared = undefined;
    },
  };
}

function runNft(args: string[], input: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('nft', args, { stdio: ['pipe', 'pipe', 'pipe'] });
    let output = '';
    let errors = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    child.once('error', (error) => reject(new Error(`cannot run nft (package nftables): ${error.message}`)));
    child.once('close', (code) =>
      code === 0 ? resolve(output) : reject(new Error(`nft ${args.join(' ')}: ${errors.trim()}`)),
    );
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });
}
