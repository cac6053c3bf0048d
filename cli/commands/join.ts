// sampan join: makes this machine a node of a cluster on another one: runtime, kubelet and proxy in this process. What the token brings is asked
// for once; a node that has its certificate starts again without.
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { renderKubeconfig } from '../../client/index.ts';
import { aborted, childAbort } from '../../lib/abort.ts';
import { writeFileAtomic } from '../../lib/files.ts';
import { releaseAtRest } from '../../lib/rest.ts';
import { createLogger } from '../../lib/log.ts';
import { discover } from '../join/discovery.ts';
import { parseToken } from '../join/token.ts';
import {
  cgroupRootOf,
  defaultNodeName,
  dnsAddressOf,
  gatewayOf,
  hostAddress,
  hostResolvers,
  layoutOf,
} from '../layout.ts';
import { UserError } from '../user-error.ts';
import type { Credentials } from './components.ts';
import { interrupted } from './interrupted.ts';
import { type KubeletFlags, kubeletCommand } from './kubelet.ts';

export interface JoinFlags extends KubeletFlags {
  token?: string;
  discoveryTokenCaCertHash?: string;
}

export async function joinCommand(server: string, flags: JoinFlags): Promise<void> {
  if (process.getuid?.() !== 0) throw new UserError('sampan join runs containers and needs root: run it with sudo');
  const layout = layoutOf(flags.dataDir);
  const log = createLogger('node', { level: flags.logLevel });
  const nodeName = flags.nodeName ?? defaultNodeName();
  const end = new AbortController();
  void interrupted().then(() => end.abort());
  mkdirSync(layout.dataDir, { recursive: true, mode: 0o700 });
  const bootstrapKubeconfig = join(layout.dataDir, 'bootstrap-kubeconfig');
  if (flags.token) {
    const hash = flags.discoveryTokenCaCertHash;
    if (!hash)
      throw new UserError(
        '--token needs --discovery-token-ca-cert-hash: without it the cluster is not known from any other',
      );
    const found = await discover(server, parseToken(flags.token), hash, end.signal);
    const config = { ...found, token: flags.token, userAgent: '' };
    const text = renderKubeconfig(config, { cluster: 'bootstrap', user: 'token-bootstrap-client' });
    writeFileAtomic(bootstrapKubeconfig, text, 0o600);
  } else if (!existsSync(bootstrapKubeconfig)) {
    throw new UserError(`this machine has not joined yet: --token is needed, which 'sampan token create' prints`);
  }

  const { startNodeRuntime } = await import('../cluster/node.ts');
  const cgroupRoot = flags.cgroupRoot ?? cgroupRootOf(flags.dataDir);
  const runtime = flags.criSocket ? undefined : await startNodeRuntime({ ...flags, cgroupRoot }, log);
  const services = new Services(flags, nodeName, runtime?.network, log);
  try {
    releaseAtRest();
    await kubeletCommand({
      ...flags,
      cgroupRoot,
      nodeName,
      bootstrapKubeconfig,
      kubeconfig: join(layout.dataDir, 'kubelet.kubeconfig'),
      rotateServerCertificates: true,
      clusterDns: flags.clusterDns ?? dnsAddressOf(flags, nodeIpOf(flags)),
      onCredentials(credentials) {
        services.use(credentials);
        process.stderr.write(`node ${nodeName} has joined ${server}\n`);
      },
    });
  } finally {
    await services.stop();
    // Containers go on; the next run takes them over.
    await runtime?.stop();
  }
}

const nodeIpOf = ({ nodeIp, podCidr }: { nodeIp?: string; podCidr: string }) =>
  nodeIp ?? hostAddress(gatewayOf(podCidr));

/** The node's service proxy and DNS, with the node's own certificate; started again with each new one. */
class Services {
  #flags: JoinFlags;
  #nodeName: string;
  #network: Promise<void> | undefined;
  #log: ReturnType<typeof createLogger>;
  #end = new AbortController();
  #running: { abort: AbortController; done: Promise<unknown> } | undefined;

  constructor(
    flags: JoinFlags,
    nodeName: string,
    network: Promise<void> | undefined,
    log: ReturnType<typeof createLogger>,
  ) {
    this.#flags = flags;
    this.#nodeName = nodeName;
    this.#network = network;
    this.#log = log;
  }

  use(credentials: Credentials): void {
    const before = this.#running;
    before?.abort.abort();
    const abort = new AbortController();
    const done = Promise.resolve(before?.done)
      .then(() => this.#run(credentials, abort.signal))
      .catch((err: unknown) => this.#log.error({ err }, 'the service proxy ended'));
    this.#running = { abort, done };
  }

  async stop(): Promise<void> {
    this.#end.abort();
    this.#running?.abort.abort();
    await this.#running?.done;
  }

  async #run(credentials: Credentials, signal: AbortSignal): Promise<void> {
    const [{ connect }, { runProxy }, { runDns }, { spawnNft }] = await Promise.all([
      import('../cluster/connect.ts'),
      import('../../proxy/index.ts'),
      import('../../proxy/dns/server.ts'),
      import('../../proxy/spawn-nft.ts'),
    ]);
    if (signal.aborted) return;
    const own = childAbort(signal);
    const context = connect(credentials, 'kube-proxy', this.#log, this.#nodeName);
    const { clusterDomain } = this.#flags;
    const address = dnsAddressOf(this.#flags, nodeIpOf(this.#flags));
    const dns = { ...context, address, clusterDomain, upstreams: hostResolvers() };
    try {
      await Promise.all([
        context.informers.run(own.signal),
        runProxy({ ...context, nodeName: this.#nodeName, nft: spawnNft }, own.signal),
        this.#network?.then(() => runDns(dns, own.signal)),
        aborted(signal),
      ]);
    } finally {
      own.abort();
      own.dispose();
      context.client.close();
    }
  }
}
