// The node agent: composes everything in this folder into one long-lived run. See README.md for the picture.
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Pod, Node, Service } from '../api/types/core-v1.ts';
import { aborted } from '../lib/abort.ts';
import { systemClock } from '../lib/clock.ts';
import { watchClockJumps } from '../lib/clock-jumps.ts';
import { createCriClient } from './cri/client.ts';
import { ImagePuller } from './images/puller.ts';
import { ReferencedObjects } from './objects.ts';
import { DeviceManager } from './devices/manager.ts';
import { EvictionManager } from './eviction/manager.ts';
import { observationsOf } from './eviction/observe.ts';
import { DEFAULT_TRANSITION_MS } from './eviction/plan.ts';
import { DEFAULT_HARD, parseThresholds } from './eviction/thresholds.ts';
import { DEFAULT_IMAGE_POLICY, ImageCollector } from './images/collector.ts';
import { defaultNodeIp, readHostFacts } from './node/host.ts';
import { shutDownPods } from './pods/shutdown.ts';
import { forPods, type NodeFacts } from './node/node-object.ts';
import { NodeRegistration } from './node/registration.ts';
import { BackoffTable, CRASH_INITIAL_MS, CRASH_MAX_MS } from './pods/crash-backoff.ts';
import type { PodContext } from './pods/context.ts';
import { podEvents } from './pods/events.ts';
import { rotateLogs } from './pods/log-rotation.ts';
import { Pods } from './pods/pods.ts';
import type { StaticSource } from './pods/static-source.ts';
import { RuntimeCache } from './pods/runtime-cache.ts';
import { watchRuntime } from './pods/runtime-watch.ts';
import { StatusWriter } from './pods/status-writer.ts';
import { hostPool, UserNamespaces } from './pods/user-namespaces.ts';
import { createHooks } from './probes/hooks.ts';
import { Prober } from './probes/prober.ts';
import { refs } from '../client/refs.ts';
import { NodeAccess } from './server/access.ts';
import { CertificateRotation } from './certificates/rotation.ts';
import { serveHealth } from './server/healthz.ts';
import { KubeletMetrics, measuredCri } from './stats/metrics.ts';
import { NodeUsageReader } from './stats/node-usage.ts';
import { UsageReader } from './stats/usage-reader.ts';
import { startNodeServer } from './server/server.ts';
import type { KubeletOptions } from './options.ts';
import { runtimeVersion } from './cri/runtime-version.ts';
import { nodeSettings } from './settings.ts';
import { podCgroups } from './cgroups/pod-cgroups.ts';
import { createMounter } from './volumes/mounter.ts';
import { CsiDrivers } from './volumes/csi/drivers.ts';
import { LOCAL_VOLUMES_ANNOTATION, LocalVolumes } from './volumes/local-volumes.ts';
import { PodTokens } from './volumes/tokens.ts';
import { startPlacement } from './topology/start.ts';
import { removeKubeletState, Volumes } from './volumes/volumes.ts';

export { createMounter, removeKubeletState };

/** No listing of the runtime for this long, and the node says so. */
const RUNTIME_SILENT_MS = 3 * 60_000;

/** Runs until the signal aborts. Pods go on running; the next run takes them over. */
export async function runKubelet(options: KubeletOptions, signal: AbortSignal): Promise<void> {
  const { context, nodeName, stateDir } = options;
  const clock = options.clock ?? systemClock;
  const random = options.random ?? Math.random;
  const log = options.log ?? context.log.child({ node: nodeName });
  const { client } = context;
  const metrics = new KubeletMetrics();
  const cri = measuredCri(options.cri ?? createCriClient(options.criSocket), metrics, () => clock.monotonic());
  mkdirSync(stateDir, { recursive: true, mode: 0o750 });

  const version = await runtimeVersion(cri, clock, random, log, signal);
  if (!version) return;
  const hostFacts = options.host?.facts ?? readHostFacts(stateDir);
  let registration: NodeRegistration | undefined;
  const devices = new DeviceManager({ stateDir, onChange: () => registration?.poke(), log });
  if (options.plugins !== false) {
    await devices.start().catch((err) => log.error({ err }, 'device plugins cannot register'));
  }
  const reservedCpus = options.topology?.reservedCpus;
  const nodeFacts: NodeFacts = {
    nodeName,
    nodeIp: options.nodeIp ?? defaultNodeIp(),
    host: hostFacts,
    maxPods: options.maxPods ?? 110,
    reserved: { ...options.reserved, ...(reservedCpus && { cpu: reservedCpus.length }) },
    labels: options.labels ?? {},
    taints: options.taints ?? [],
    annotations: { [LOCAL_VOLUMES_ANNOTATION]: options.localVolumesDir ?? join(dirname(stateDir), 'local-volumes') },
    podCidr: options.podCidr,
    port: options.server?.port ?? 10250,
    extended: () => devices.resources(),
    volumesInUse: () => csi.inUse(),
    runtime: version,
  };
  const podPidsLimit =
    options.podPidsLimit ?? Math.floor(new NodeUsageReader(stateDir).read(clock.now()).maxProcesses / 4);
  const settings = nodeSettings(options, nodeFacts, podPidsLimit);

  const events = podEvents(context.events, clock);
  const objects = new ReferencedObjects({ client, clock, random, log });
  const tokens = new PodTokens(client, clock);
  const providers =
    options.credentialProviders &&
    new (await import('./images/credential-providers.ts')).CredentialProviders({
      ...options.credentialProviders,
      clock,
      log,
    });
  const images = new ImagePuller({ cri, objects, events, clock, providers });
  const localVolumes = new LocalVolumes({
    dir: options.localVolumesDir ?? join(dirname(stateDir), 'local-volumes'),
    client,
    clock,
    log,
  });
  const csi = new CsiDrivers({
    stateDir,
    nodeName,
    client,
    tokens: new PodTokens(client, clock),
    events: context.events,
    onUse: () => registration?.poke(),
    clock,
    log,
  });
  const volumes = new Volumes({
    csi,
    stateDir,
    client,
    localVolumes,
    pullImage: (pod, { name, image }) => images.ensureVolume(pod, name, image?.reference ?? '', image?.pullPolicy),
    mounter: options.mounter ?? createMounter(),
    objects,
    tokens,
    clock,
    log,
    removeTree: options.removeTree,
  });
  await volumes.prepare();
  if (options.plugins !== false) csi.start();
  mkdirSync(settings.podLogsDir, { recursive: true, mode: 0o755 });

  const listeners = new Set<(podUid: string) => void>();
  const cache = new RuntimeCache(clock, (uid) => {
    pods.runtimeChanged(uid);
    for (const listener of listeners) listener(uid);
  });
  const prober = new Prober({ cri, clock, events, metrics, onVerdict: (uid) => pods.runtimeChanged(uid) });
  const services = context.informers.of<Service>(refs.services);
  const nodeState: PodContext['nodeState'] = {
    pressure: () => eviction?.conditions ?? new Set(),
    isShuttingDown: false,
  };
  let eviction: EvictionManager | undefined;
  const placement = await startPlacement({
    stateDir,
    topology: options.topology,
    machine: options.host?.machine,
    reserved: nodeFacts.reserved,
    cri,
    cache,
    clock,
    log,
  });
  const cgroups =
    version.name === 'sampan' || options.cri
      ? undefined
      : podCgroups({
          root: settings.cgroupRoot,
          pidsLimit: podPidsLimit,
          pods: () => pods.active(),
          clock,
          log,
        });
  const podContext: PodContext = {
    nodeState,
    devices,
    cgroups,
    placement,
    userNamespaces: new UserNamespaces({
      stateDir,
      pool: hostPool(nodeFacts.maxPods, options.idsPerPod),
      handlers: new Set(version.handlers.filter((each) => each.userNamespaces).map((each) => each.name)),
      log,
    }),
    gate: { isOpen: false, isListed: false },
    client,
    cri,
    cache,
    volumes,
    objects,
    images,
    prober,
    hooks: createHooks(cri, clock),
    events,
    statuses: new StatusWriter({ client, clock, random, log }),
    backoffs: new BackoffTable(CRASH_INITIAL_MS, options.crashLoopMaxMs ?? CRASH_MAX_MS),
    settings,
    metrics,
    services: { synced: services.synced(signal), list: () => services.list() },
    clock,
    random,
    log,
  };
  podContext.services.synced.catch(() => {});
  const pods: Pods = new Pods(podContext, (): Node | undefined => registration?.node);
  cgroups?.prepare(forPods(nodeFacts));

  let listedAtMs = clock.monotonic();
  const problems = (): string[] => [
    ...(clock.monotonic() - listedAtMs > RUNTIME_SILENT_MS
      ? ['PLEG is not healthy: the runtime has not answered for 3 minutes']
      : []),
    ...(nodeState.isShuttingDown ? ['node is shutting down'] : []),
  ];
  registration = new NodeRegistration({
    client,
    cri,
    events: context.events,
    facts: nodeFacts,
    pressure: nodeState.pressure,
    problems,
    ...(options.plugins !== false && { onRegistered: () => csi.announceNode() }),
    clock,
    random,
    log,
  });

  const informer = context.informers.of<Pod>(refs.pods, { fieldSelector: `spec.nodeName=${nodeName}` });
  const unsubscribe = informer.addHandler({
    onAdd: (pod) => pods.apply(pod),
    onUpdate: (pod) => pods.apply(pod),
    onDelete: (pod) => pods.remove(pod),
  });

  let markListed = () => {};
  const listed = new Promise<void>((resolve) => {
    markListed = resolve;
  });
  const onListed = () => {
    listedAtMs = clock.monotonic();
    if (!podContext.gate.isListed) {
      podContext.gate.isListed = true;
      for (const worker of pods.all()) worker.wake();
    }
    markListed();
  };

  const usage = new UsageReader({
    nodeName,
    cpus: hostFacts.cpus,
    stateDir,
    podLogsDir: settings.podLogsDir,
    cri,
    cache,
    pods,
    volumes,
    clock,
  });
  const imageCollector = new ImageCollector({
    cri,
    policy: { ...DEFAULT_IMAGE_POLICY, ...options.images },
    imageFs: async () => (await usage.imageFs())?.fs,
    inUse: () => volumes.imageIds(),
    events: context.events,
    node: { apiVersion: 'v1', kind: 'Node', metadata: { name: nodeName, uid: nodeName } },
    metrics,
    clock,
    log,
  });
  eviction = new EvictionManager({
    thresholds: parseThresholds({ hard: DEFAULT_HARD, ...options.eviction }),
    transitionMs: options.eviction?.transitionMs ?? DEFAULT_TRANSITION_MS,
    maxGraceSeconds: options.eviction?.maxGraceSeconds ?? 0,
    observe: options.host?.observe ?? (() => observationsOf(usage.node(), usage.imageFsNow())),
    usage,
    pods,
    images: imageCollector,
    metrics,
    onChange: () => registration?.poke(),
    clock,
    log,
  });
  const server = options.server
    ? await startNodeServer(
        {
          address: options.server.address,
          port: options.server.port,
          keys: options.server,
          clientCaPem: options.server.clientCaPem,
          access: new NodeAccess({ client, clock, nodeName }),
          config: options.configz ?? {},
          hostLogsDir: '/var/log',
          checkpointsDir: join(stateDir, 'checkpoints'),
          nodeName,
          cri,
          cache,
          pods,
          metrics,
          usage,
          onRuntimeChange: (callback) => {
            listeners.add(callback);
            return () => listeners.delete(callback);
          },
          health: problems,
          clock,
          log,
        },
        signal,
      )
    : undefined;
  if (server) nodeFacts.port = server.port;
  const serving =
    server && options.rotateServing
      ? new CertificateRotation({
          client,
          wanted: {
            signerName: 'kubernetes.io/kubelet-serving',
            nodeName,
            // What the Node object says of itself: a signer compares the two.
            dnsNames: [nodeName],
            ips: [nodeFacts.nodeIp],
          },
          dir: join(stateDir, 'pki'),
          name: 'kubelet-server',
          clock,
          random,
          log,
        })
      : undefined;
  if (options.healthz) serveHealth(options.healthz, problems, log, signal);

  let statics: StaticSource | undefined;
  if (options.staticPodPath) {
    // Few nodes have any: what reads and defaults them is loaded only there.
    const [{ pod: podKind }, source] = await Promise.all([
      import('../api/kinds/pod.ts'),
      import('./pods/static-source.ts'),
    ]);
    statics = new source.StaticSource({
      path: options.staticPodPath,
      nodeName,
      setDefaults: (pod) => podKind.setDefaults?.(pod),
      onPods: (found) => pods.setStatic(found),
      clock,
      log,
    });
    statics.start();
  }

  const running = [
    watchRuntime({ cri, cache, clock, random, log, onListed }, signal),
    watchClockJumps(
      clock,
      (movedMs) => {
        log.warn({ movedMs }, 'the clock of this host was set');
        for (const worker of pods.all()) worker.wake();
        registration?.poke();
      },
      signal,
    ),
    registration.run(signal),
    localVolumes.run(signal),
    serving?.run(({ certificatePem, keyPem }) => server?.replaceKeys({ certPem: certificatePem, keyPem }), signal),
    imageCollector.run(signal),
    eviction.run(signal),
    rotateLogs({ cri, cache, clock, log, ...options.containerLogs }, signal),
  ];
  await Promise.race([Promise.all([listed, informer.synced(signal)]), aborted(signal)]).catch(() => {});
  if (!signal.aborted) {
    pods.start();
    log.info(
      { node: nodeName, runtime: `${version.name}://${version.version}`, pods: pods.all().length },
      'the kubelet is running',
    );
    options.onStarted?.({ serverPort: server?.port });
  }
  const onPodChange = (callback: () => void) => {
    listeners.add(callback);
    return () => listeners.delete(callback);
  };
  const { shutdown } = options;
  if (shutdown) {
    void aborted(shutdown.begins).then(async () => {
      nodeState.isShuttingDown = true;
      registration?.poke();
      await shutDownPods(pods.all(), shutdown.groups, podContext.statuses, clock, onPodChange);
      shutdown.onOver();
    });
  }
  await aborted(signal);

  unsubscribe();
  statics?.close();
  pods.close();
  devices.close();
  placement?.close();
  csi.close();
  events.flush();
  prober.close();
  objects.close();
  podContext.statuses.close();
  await Promise.all(running);
  await server?.closed;
  if (!options.cri) cri.close();
}
