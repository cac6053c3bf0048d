// Composition root of a node: runtime, kubelet and proxy in one process. They meet as they do apart: kubelet and runtime over
// CRI on the unix socket, all three with the API server over HTTPS.
import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createMounter, removeKubeletState, runKubelet } from '../../kubelet/index.ts';
import { optionsOf } from '../../kubelet/config-options.ts';
import { createCriClient } from '../../kubelet/cri/client.ts';
import { systemClock } from '../../lib/clock.ts';
import { writeFileAtomic } from '../../lib/files.ts';
import type { Logger } from '../../lib/log.ts';
import { runDns } from '../../proxy/dns/server.ts';
import { runProxy } from '../../proxy/index.ts';
import { spawnNft } from '../../proxy/spawn-nft.ts';
import { createLauncher } from '../../runtime/launch/index.ts';
import { type RunningRuntime, startRuntime } from '../../runtime/index.ts';
import { dnsAddressOf, hostResolvers, layoutOf, runtimeFlagsFile } from '../layout.ts';
import { connect } from './connect.ts';
import type { NodeConfig } from './node-process.ts';

export interface RuntimeFlags {
  dataDir: string;
  criSocket?: string;
  podCidr: string;
  bridge: string;
  cgroupRoot: string;
  /** CNI plugins make the pods' networks when it is set. */
  cniConfDir?: string | undefined;
  cniBinDir?: readonly string[] | undefined;
}

export interface NodeRuntime extends RunningRuntime {
  /** Settles when the pods' bridge is there. */
  network: Promise<void>;
  /** Ends the launcher and takes the pod network away, then stops. */
  teardown(): Promise<void>;
}

export async function startNodeRuntime(flags: RuntimeFlags, log: Logger): Promise<NodeRuntime> {
  const layout = layoutOf(flags.dataDir);
  const { podCidr, bridge, cgroupRoot } = flags;
  const cniConfDir = flags.cniConfDir && resolve(flags.cniConfDir);
  const cniBinDir = flags.cniBinDir?.map((each) => resolve(each));
  mkdirSync(layout.dataDir, { recursive: true, mode: 0o700 });
  writeFileAtomic(
    runtimeFlagsFile(layout),
    JSON.stringify({ podCidr, bridge, cgroupRoot, cniConfDir, cniBinDir }),
    0o600,
  );
  const launcher = await createLauncher({
    stateDir: join(layout.runtimeDir, 'launcher'),
    binary: join(import.meta.dirname, '../../build/sampan-launcher'),
    network: {
      bridge: flags.bridge,
      podCidr: flags.podCidr,
      ...(cniConfDir && { cni: { confDir: cniConfDir, binDirs: cniBinDir ?? ['/opt/cni/bin', '/usr/lib/cni'] } }),
    },
    cgroupRoot: flags.cgroupRoot,
    clock: systemClock,
    log: log.child({ part: 'launcher' }),
  });
  const runtime = await startRuntime({
    stateDir: layout.runtimeDir,
    socketPath: flags.criSocket ?? layout.criSocket,
    launcher,
    podCidr: flags.podCidr,
    clock: systemClock,
    random: Math.random,
    log: log.child({ part: 'runtime' }),
  });
  // The first pod should not wait for the bridge; a failure shows again, with its reason, when a pod needs it.
  const network = launcher
    .prepareNetwork()
    .catch((error: unknown) => log.error({ err: error }, 'the pod network was not made'));
  return {
    ...runtime,
    network,
    async teardown() {
      await network;
      await launcher.teardown();
      await runtime.stop();
    },
  };
}

export interface RunningNode {
  /** Ends every pod's containers, then everything else; nothing is left on the host but files. */
  stopWithPods(): Promise<void>;
}

export async function startNode(config: NodeConfig, log: Logger): Promise<RunningNode> {
  const layout = layoutOf(config.dataDir);
  const runtime = await startNodeRuntime(config, log);
  if (!config.cniConfDir) void runtime.network.then(() => routeServices(config.serviceCidr, config.bridge, log));

  const controller = new AbortController();
  const as = (user: { certificatePem: string; keyPem: string }) => ({
    server: config.server,
    caPem: config.caPem,
    ...user,
  });
  const kubelet = connect(as(config.kubelet), 'kubelet', log.child({ part: 'kubelet' }), config.nodeName);
  const proxy = connect(as(config.proxy), 'kube-proxy', log.child({ part: 'proxy' }), config.nodeName);
  const dnsAddress = dnsAddressOf(config, config.nodeIp);
  const dns = { ...proxy, address: dnsAddress, clusterDomain: config.clusterDomain, upstreams: hostResolvers() };
  const work = [
    runtime.network
      .then(() => runDns(dns, controller.signal))
      .catch((error: unknown) => log.error({ err: error }, 'cluster DNS ended')),
    kubelet.informers.run(controller.signal),
    proxy.informers.run(controller.signal),
    runKubelet(
      {
        nodeName: config.nodeName,
        context: kubelet,
        criSocket: layout.criSocket,
        stateDir: layout.kubeletDir,
        nodeIp: config.nodeIp,
        server: {
          address: '0.0.0.0',
          port: config.kubeletPort,
          certPem: config.serving.certificatePem,
          keyPem: config.serving.keyPem,
          clientCaPem: config.caPem,
        },
        clusterDns: [config.clusterDns ?? dnsAddress],
        clusterDomain: config.clusterDomain,
        podCidr: config.podCidr,
        maxPods: config.maxPods,
        ...(config.staticPodPath && { staticPodPath: config.staticPodPath }),
        ...optionsOf(config.kubeletSettings),
        clock: systemClock,
        random: Math.random,
        log: log.child({ part: 'kubelet' }),
      },
      controller.signal,
    ),
    runProxy({ ...proxy, nodeName: config.nodeName, nft: spawnNft }, controller.signal),
  ];

  return {
    async stopWithPods() {
      await Promise.race([kubelet.events.flush(), new Promise((done) => setTimeout(done, 500))]);
      controller.abort();
      await Promise.allSettled(work);
      kubelet.client.close();
      proxy.client.close();
      await removePods(layout.criSocket);
      await removeKubeletState(layout.kubeletDir, createMounter());
      await runtime.teardown();
    },
  };
}

/** Stops and removes every sandbox the runtime knows, with its containers; how many there were. */
export async function removePods(criSocket: string): Promise<number> {
  const cri = createCriClient(criSocket);
  try {
    const { containers = [] } = await cri.call('ListContainers', {});
    await Promise.all(
      containers
        .filter((each) => each.state === 'CONTAINER_RUNNING')
        .map((each) => cri.call('StopContainer', { containerId: each.id, timeout: 1 }).catch(() => undefined)),
    );
    const { items = [] } = await cri.call('ListPodSandbox', {});
    await Promise.all(
      items.map(async ({ id }) => {
        await cri.call('StopPodSandbox', { podSandboxId: id });
        await cri.call('RemovePodSandbox', { podSandboxId: id });
      }),
    );
    return items.length;
  } finally {
    cri.close();
  }
}

/**
 * The host's own connections to cluster IPs: the output hook rewrites a packet only once a route for its first destination
 * was found, which a host without a default route has not.
 */
function routeServices(serviceCidr: string, bridge: string, log: Logger): Promise<void> {
  return new Promise((done) => {
    execFile('ip', ['route', 'replace', serviceCidr, 'dev', bridge], (error, _stdout, stderr) => {
      if (error) log.warn({ serviceCidr, bridge, reason: stderr.trim() }, 'no route to cluster IPs was added');
      done();
    });
  });
}
