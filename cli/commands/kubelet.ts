// `sampan kubelet`: the node agent alone, against any CRI runtime. Its credentials are those below the data directory, of --kubeconfig, or, with
// --bootstrap-kubeconfig, a certificate that the cluster signs for it: asked for with a bootstrap token, kept below the data directory,
// replaced in time. A new client certificate starts the agent again; pods do not notice.
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { loadKubeconfig, renderKubeconfig } from '../../client/index.ts';
import { aborted } from '../../lib/abort.ts';
import { systemClock } from '../../lib/clock.ts';
import { writeFileAtomic } from '../../lib/files.ts';
import { createLogger, type Logger } from '../../lib/log.ts';
import type { KubeletSettings } from '../../kubelet/config.ts';
import type { ShutdownGroup } from '../../kubelet/pods/shutdown.ts';
import { readProviders, readSettings } from '../kubelet-settings.ts';
import type { NodeFlags } from '../cluster/options.ts';
import { defaultNodeName, gatewayOf, hostAddress, type Layout, layoutOf } from '../layout.ts';
import { type ConnectedFlags, type Credentials, credentials } from './components.ts';
import { interrupted } from './interrupted.ts';

export interface KubeletFlags extends ConnectedFlags, NodeFlags {
  criSocket?: string;
  bootstrapKubeconfig?: string;
  rotateServerCertificates?: boolean;
  imageCredentialProviderConfig?: string;
  imageCredentialProviderBinDir?: string;
  /** Called with the node's own credentials, and with each that replaces them. */
  onCredentials?(credentials: Credentials): void;
}

export async function kubeletCommand(flags: KubeletFlags): Promise<void> {
  const settings = await readSettings(flags.kubeletConfig);
  const log = createLogger('kubelet', { level: (settings.verbosity ?? 0) >= 4 ? 'debug' : flags.logLevel });
  const nodeName = flags.nodeName ?? defaultNodeName();
  const layout = layoutOf(flags.dataDir);
  const end = new AbortController();
  const shutdown = settings.shutdownGroups && gracefulShutdown(settings.shutdownGroups, end, log);
  void interrupted().then(async () => {
    if (shutdown && (await isHostEnding())) shutdown.begin();
    else end.abort();
  });
  const source = flags.bootstrapKubeconfig
    ? await bootstrapped(flags, nodeName, layout, log, end.signal)
    : { current: credentials(flags, `nodes/${nodeName}`), next: () => aborted(end.signal) };
  while (source && !end.signal.aborted) {
    const turn = new AbortController();
    const stop = () => turn.abort();
    end.signal.addEventListener('abort', stop, { once: true });
    void source.next().then(stop);
    flags.onCredentials?.(source.current);
    await runOnce(flags, settings, nodeName, layout, source.current, log, turn.signal, shutdown?.options);
    end.signal.removeEventListener('abort', stop);
  }
}

async function runOnce(
  flags: KubeletFlags,
  settings: KubeletSettings,
  nodeName: string,
  layout: Layout,
  config: Credentials,
  log: Logger,
  signal: AbortSignal,
  shutdown: NonNullable<import('../../kubelet/options.ts').KubeletOptions['shutdown']> | undefined,
): Promise<void> {
  const [{ connect }, { runKubelet }, { optionsOf }] = await Promise.all([
    import('../cluster/connect.ts'),
    import('../../kubelet/index.ts'),
    import('../../kubelet/config-options.ts'),
  ]);
  const context = connect(config, 'kubelet', log, nodeName);
  const nodeIp = flags.nodeIp ?? hostAddress(gatewayOf(flags.podCidr));
  const { keys, rotates } = await servingKeys(flags, settings, layout, nodeName, nodeIp);
  const clientCaPem = settings.clientCaFile ? readFileSync(settings.clientCaFile, 'utf8') : (config.caPem ?? '');
  const { healthz } = settings;
  const credentialProviders = await readProviders(
    flags.imageCredentialProviderConfig,
    flags.imageCredentialProviderBinDir,
  );
  await Promise.all([
    context.informers.run(signal),
    runKubelet(
      {
        nodeName,
        context,
        criSocket: flags.criSocket ?? settings.runtimeEndpoint ?? layout.criSocket,
        stateDir: layout.kubeletDir,
        nodeIp,
        server: {
          address: settings.address ?? '0.0.0.0',
          port: settings.port ?? flags.kubeletPort,
          certPem: keys.certificatePem,
          keyPem: keys.keyPem,
          clientCaPem,
        },
        rotateServing: rotates,
        // Our runtime keeps everything below a root of its own; another one gets its root from here.
        cgroupRoot: flags.cgroupRoot,
        clusterDns: flags.clusterDns ? [flags.clusterDns] : [],
        clusterDomain: flags.clusterDomain,
        podCidr: flags.podCidr,
        maxPods: flags.maxPods,
        staticPodPath: flags.podManifestPath,
        ...(credentialProviders && { credentialProviders }),
        ...(healthz?.port && { healthz: { address: healthz.address ?? '127.0.0.1', port: healthz.port } }),
        ...(shutdown && { shutdown }),
        log,
        ...optionsOf(settings),
      },
      signal,
    ),
  ]);
  context.client.close();
}

/** Of the data directory, where the API server has put them; else signed here until the cluster signs others. */
async function servingKeys(
  flags: KubeletFlags,
  settings: KubeletSettings,
  layout: Layout,
  nodeName: string,
  nodeIp: string,
) {
  const rotates = flags.rotateServerCertificates ?? settings.serverTlsBootstrap ?? false;
  const [certificate, key] = [`nodes/${nodeName}-serving.crt`, `nodes/${nodeName}-serving.key`].map((each) =>
    join(layout.pkiDir, each),
  ) as [string, string];
  if (existsSync(certificate) && existsSync(key)) {
    const keys = { certificatePem: readFileSync(certificate, 'utf8'), keyPem: readFileSync(key, 'utf8') };
    return { keys, rotates };
  }
  const { selfSigned } = await import('../../kubelet/certificates/self-signed.ts');
  return { keys: await selfSigned(nodeName, [nodeIp], systemClock.now()), rotates };
}

interface CredentialSource {
  current: Credentials;
  /** Resolves when `current` has been replaced. */
  next(): Promise<void>;
}

/** Undefined when `signal` aborts before a certificate was signed. */
async function bootstrapped(
  flags: KubeletFlags,
  nodeName: string,
  layout: Layout,
  log: Logger,
  signal: AbortSignal,
): Promise<CredentialSource | undefined> {
  const [{ CertificateRotation }, { connect }] = await Promise.all([
    import('../../kubelet/certificates/rotation.ts'),
    import('../cluster/connect.ts'),
  ]);
  const loaded = loadKubeconfig({
    path: flags.bootstrapKubeconfig as string,
    env: {},
    homeDir: homedir(),
    userAgent: 'sampan',
  }).config;
  const { server, caPem } = loaded;
  const rotationWith = (config: Credentials) => {
    const { client } = connect(config, 'kubelet-bootstrap', log, nodeName);
    signal.addEventListener('abort', () => client.close(), { once: true });
    return new CertificateRotation({
      client,
      wanted: { signerName: 'kubernetes.io/kube-apiserver-client-kubelet', nodeName },
      dir: join(layout.kubeletDir, 'pki'),
      name: 'kubelet-client',
      clock: systemClock,
      random: Math.random,
      log,
    });
  };
  const first = rotationWith(loaded);
  const keys = first.stored() ?? (await first.obtain(signal));
  if (!keys) return undefined;
  const as = ({ certificatePem, keyPem }: { certificatePem: string; keyPem: string }): Credentials => ({
    server,
    ...(caPem && { caPem }),
    certificatePem,
    keyPem,
  });
  let replaced = () => {};
  const source: CredentialSource = {
    current: as(keys),
    next: () =>
      new Promise((resolve) => {
        replaced = resolve;
      }),
  };
  const keep = (config: Credentials) => {
    if (!flags.kubeconfig) return;
    const text = renderKubeconfig({ ...config, userAgent: '' }, { cluster: 'default', user: 'default-auth' });
    writeFileAtomic(flags.kubeconfig, text, 0o600);
  };
  keep(source.current);
  void rotationWith(source.current).run((next) => {
    if (next.certificatePem === source.current.certificatePem) return;
    source.current = as(next);
    keep(source.current);
    replaced();
  }, signal);
  return source;
}

/** The host is going down, not only this process: systemd says so. */
function isHostEnding(): Promise<boolean> {
  return new Promise((resolve) => {
    execFile('systemctl', ['is-system-running'], { timeout: 2000 }, (_error, stdout) =>
      resolve(stdout.trim() === 'stopping'),
    );
  });
}

function gracefulShutdown(groups: readonly ShutdownGroup[], end: AbortController, log: Logger) {
  const begins = new AbortController();
  return {
    begin() {
      log.info({ groups }, 'the host is going down: ending pods in the order of their priority');
      begins.abort();
    },
    options: { begins: begins.signal, groups, onOver: () => end.abort() },
  };
}
