// The API server: composes store, caches, authentication, authorization, admission, registry and HTTP. Nothing else
// happens here.
import type { Kind } from '../api/kind.ts';
import type { Scheme } from '../api/scheme.ts';
import { type Clock, type Random, systemClock } from '../lib/clock.ts';
import { sleep } from '../lib/abort.ts';
import { type Logger, silentLogger } from '../lib/log.ts';
import { certificateAdmission } from './admission/certificates.ts';
import { AdmissionChain, type AdmissionPlugin } from './admission/chain.ts';
import { followDefinitions } from './apiextensions/compose.ts';
import { type AdmissionOptions, composeAdmission } from './admission/plugins.ts';
import { rbacEscalation } from './admission/rbac-escalation.ts';
import { type AuthorizerSource, followAuthorizers } from './auth/authorization-reloads.ts';
import type { Follower } from './auth/follow.ts';
import type { ClusterPki } from './auth/pki.ts';
import type { Attributes } from './auth/identity.ts';
import type { ReviewWebhookConfig } from './auth/review-webhook.ts';
import { createTokenMetrics } from './auth/token-metrics.ts';
import { type AuthenticationOptions, createAuthentication } from './authentication.ts';
import { type AuthorizationMode, createAuthorization, type RunnableAuthorizer } from './authorization.ts';
import { bootstrap, sampanVersion, SERVER_USER } from './bootstrap.ts';
import { observeAdmission } from './admission/metrics.ts';
import { createAggregation } from './aggregation/index.ts';
import { createCacheSet } from './cache/index.ts';
import { createCacheMetrics } from './cache/metrics.ts';
import { MetricsApi } from './metrics-api/service.ts';
import { createBodyCodec } from './http/codec.ts';
import { COMPONENT_PORTS, type ComponentCheck, componentStatuses, probeComponent } from './http/component-statuses.ts';
import { createDiscovery } from './http/discovery.ts';
import { Debug } from './http/debug.ts';
import { Health, healthChecks } from './http/health.ts';
import { listen, type Listener } from './http/listener.ts';
import { ServerMetrics } from './http/metrics.ts';
import { exposeApiServices, exposeBuild, exposeStorage } from './http/storage-metrics.ts';
import { createOperations, type OperationsOptions } from './operations.ts';
import { createOpenApi } from './http/openapi.ts';
import { servePath } from './http/paths.ts';
import { authorizeOrThrow, Pipeline } from './http/pipeline.ts';
import { type ResourceContext, serveResource } from './http/resources.ts';
import { versionInfo } from './http/version.ts';
import { formatAddress, parseRange } from './registry/address-range.ts';
import { createAllocationMetrics, exposeAllocated } from './registry/allocation-metrics.ts';
import { AddressAllocator, PortAllocator } from './registry/allocators.ts';
import { type Egress, Outbound } from './proxy/outbound.ts';
import { connectSubresources } from './proxy/connect.ts';
import { Registry } from './registry/registry.ts';
import { hookKey } from './registry/types.ts';
import { serviceAddresses } from './registry/service-addresses.ts';
import { ListSnapshots } from './registry/snapshots.ts';
import { serveBinding } from './registry/subresources/binding.ts';
import { serveEviction } from './registry/subresources/eviction.ts';
import { serveFinalize } from './registry/subresources/finalize.ts';
import { reviewKinds } from './registry/subresources/kinds.ts';
import { reviewHandlers } from './registry/subresources/reviews.ts';
import { tokenHandler } from './registry/subresources/token.ts';
import { measureStore } from './storage/measured-store.ts';
import type { Store } from './storage/port.ts';

export interface ApiServerOptions extends OperationsOptions {
  store: Store;
  scheme: Scheme;
  pki: ClusterPki;
  /** Default 127.0.0.1. */
  address?: string;
  /** 0: any free one. Default 6443. */
  port?: number;
  /** Where pods and nodes reach this server; default `address`. */
  advertiseAddress?: string;
  /** Default 10.96.0.0/12. */
  serviceCidr?: string;
  /** Inclusive; default 30000-32767. */
  nodePorts?: { first: number; last: number };
  clusterDomain?: string;
  /** What the server knows users by, besides its certificates and tokens. */
  authentication?: AuthenticationOptions;
  /** Default: Node, RBAC. */
  authorizationModes?: readonly AuthorizationMode[];
  /** Of the mode Webhook. */
  authorizationWebhook?: ReviewWebhookConfig;
  /** Of an AuthorizationConfiguration, in the place of both. */
  authorizers?: readonly RunnableAuthorizer[];
  /** Others in their place, later. */
  authorizerSource?: AuthorizerSource | undefined;
  /** Where pods, services and nodes are really reached; default: at their addresses. */
  egress?: Egress;
  /** What `componentstatuses` asks, by component; default: the usual port of each on this host. */
  components?: Readonly<Record<string, ComponentCheck>>;
  /** Optional admission plugins to run and default ones not to, by name; what an AdmissionConfiguration says. */
  admissionPlugins?: Pick<
    AdmissionOptions,
    'enable' | 'disable' | 'podSecurity' | 'limitedResources' | 'eventLimits' | 'webhookCredentials'
  >;
  /** More admission plugins, after the built-in ones. */
  admission?: readonly AdmissionPlugin[];
  clock?: Clock;
  random?: Random;
  log?: Logger;
}

export interface ApiServer {
  /** Serves when it resolves: the bootstrap objects are there. */
  start(): Promise<{ url: string; port: number }>;
  /** Ends watches and connections; the store stays open, it is the caller's. */
  stop(): Promise<void>;
}

/** How long requests in progress may take when the server stops. */
const SHUTDOWN_GRACE_MS = 10_000;

export function createApiServer(options: ApiServerOptions): ApiServer {
  const { scheme, pki } = options;
  const metrics = new ServerMetrics();
  const store = measureStore(options.store, metrics.registry, () => scheme.kinds());
  const clock = options.clock ?? systemClock;
  const random = options.random ?? Math.random;
  const log = options.log ?? silentLogger;
  const address = options.address ?? '127.0.0.1';
  const range = parseRange(options.serviceCidr ?? '10.96.0.0/12');
  for (const kind of reviewKinds) {
    if (!scheme.byResource(kind.group, kind.version, kind.resource)) scheme.add(kind);
  }

  const caches = createCacheSet({ store, clock, log, random, metrics: createCacheMetrics(metrics.registry) });
  const stopped = new AbortController();
  const authorization = createAuthorization({
    scheme,
    caches,
    clock,
    log,
    ...(options.authorizationModes && { modes: options.authorizationModes }),
    webhook: options.authorizationWebhook,
    authorizers: options.authorizers,
  });
  const { authorizer, rbac } = authorization;

  const hooks: Registry['context']['hooks'] = new Map();
  // The chain looks things up in the registry, and the registry runs the chain: the plugins are filled in below.
  const admission = new AdmissionChain();
  admission.observer = observeAdmission(metrics.registry);
  const registry = new Registry({
    scheme,
    store,
    caches,
    admission,
    clock,
    random,
    log,
    snapshots: new ListSnapshots(clock),
    hooks,
  });
  const kinds = {
    pods: registry.kind('', 'pods'),
    secrets: registry.kind('', 'secrets'),
    nodes: registry.kind('', 'nodes'),
    namespaces: registry.kind('', 'namespaces'),
    services: registry.kind('', 'services'),
    serviceAccounts: registry.kind('', 'serviceaccounts'),
  };
  const lenient = { anyAge: true } as const;
  const admitting = composeAdmission({
    registry,
    authorizer,
    clock,
    random,
    egress: options.egress,
    metrics: metrics.registry,
    certificates: certificateAdmission(authorizer),
    more: [...(options.admission ?? []), rbacEscalation(rbac, authorizer)],
    ...options.admissionPlugins,
  });
  admission.use(admitting.plugins);

  const allocationMetrics = createAllocationMetrics(metrics.registry);
  const addresses = new AddressAllocator({ store, range, clock, random, metrics: allocationMetrics });
  const portRange = options.nodePorts ?? { first: 30000, last: 32767 };
  const ports = new PortAllocator({ store, ...portRange, random, metrics: allocationMetrics });
  const countAllocated = exposeAllocated(metrics.registry, async () => ({
    addresses: await addresses.allocated(),
    ports: await ports.allocated(),
  }));
  hooks.set('services', serviceAddresses({ addresses, ports, log }));

  const boundKinds = {
    ServiceAccount: kinds.serviceAccounts,
    Pod: kinds.pods,
    Secret: kinds.secrets,
    Node: kinds.nodes,
  };
  const { authenticator, signer, issuer, audiences, requestHeaders } = createAuthentication({
    ...options.authentication,
    defaultIssuer: `https://kubernetes.default.svc.${options.clusterDomain ?? 'cluster.local'}`,
    serviceAccountKeyPem: pki.serviceAccountKeyPem,
    clock,
    log,
    metrics: createTokenMetrics(metrics.registry),
    objects: { find: (kind, namespace, name) => registry.find(boundKinds[kind], namespace, name, lenient) },
  });

  const operations = createOperations(options, { metrics, scheme, registry, caches, clock, log });
  exposeStorage(metrics.registry, () => usedNow().map((kind) => ({ kind, cache: caches.of(kind) })), store);
  exposeBuild(metrics.registry, sampanVersion());
  const outbound = new Outbound(options.egress);
  const authorize = (attributes: Attributes) => authorizeOrThrow(authorizer, attributes);
  const connect = { registry, client: pki.kubeletClient, caPem: pki.caPem, outbound, admission, authorize, random };
  const components = {
    scheduler: probeComponent(COMPONENT_PORTS.scheduler),
    'controller-manager': probeComponent(COMPONENT_PORTS['controller-manager']),
    ...options.components,
    'etcd-0': async () => (await store.revision(), 'ok'),
  };
  const resources: ResourceContext = {
    registry,
    codec: createBodyCodec(scheme),
    admission,
    authorize,
    clock,
    metrics,
    reviews: new Map([
      ['componentstatuses', componentStatuses(components)],
      ...reviewHandlers({ authenticator, authorizer, rbac }),
      ['bindings', (context, exchange) => serveBinding(context, exchange, kinds.pods)],
    ]),
    subresources: new Map([
      ['pods/binding', serveBinding],
      ['pods/eviction', serveEviction],
      ...connectSubresources(connect),
      ['namespaces/finalize', serveFinalize],
      [
        'serviceaccounts/token',
        tokenHandler({
          signer,
          issuer,
          audiences,
          extendExpiration: options.authentication?.extendExpiration,
          maxSeconds: options.authentication?.maxExpirationSeconds,
        }),
      ],
    ]),
  };

  let state: 'starting' | 'ready' | 'stopping' = 'starting';
  const health = new Health(
    healthChecks({
      isStarted: () => state !== 'starting',
      isStopping: () => state === 'stopping',
      store: () => store.revision(),
      ...(options.kmsProblems && { kmsProblems: options.kmsProblems }),
    }),
  );
  const kubelets = { registry, client: pki.kubeletClient, caPem: pki.caPem };
  const aggregation = createAggregation({
    registry,
    scheme,
    caches,
    outbound,
    frontProxy: pki.frontProxyClient,
    delegates: [new MetricsApi({ access: kubelets, outbound, caches, clock, log })],
    clock,
    random,
    log,
  });
  const { aggregator } = aggregation;
  const apiServices = scheme.byGroupResource('apiregistration.k8s.io', 'apiservices');
  if (apiServices) exposeApiServices(metrics.registry, () => caches.of(apiServices));
  const discovery = createDiscovery(scheme, () => `${options.advertiseAddress ?? address}:${boundPort}`, aggregator);
  const version = versionInfo({ version: sampanVersion() });
  const openapi = createOpenApi(scheme, version.gitVersion, aggregator);
  const paths = {
    version,
    health,
    debug: options.profiling ? new Debug({ flows: operations.flows, flags: options.flags ?? {}, clock }) : undefined,
    metrics,
    moreMetrics: options.moreMetrics,
    signer,
    issuer,
    discovery: discovery.serve,
    openapi: openapi.serve,
    apiPaths: discovery.paths,
  };
  const pipeline = new Pipeline({
    authenticator,
    authorizer,
    operations,
    clock,
    log,
    isKnown: (info) => info.isResource && scheme.byResource(info.group, info.version, info.resource) !== undefined,
    handle(exchange) {
      const elsewhere = aggregator.handlerOf(exchange.info);
      if (elsewhere) return elsewhere(exchange);
      if (!exchange.info.isResource) return servePath(paths, exchange);
      const { group, version, resource } = exchange.info;
      const kind = scheme.byResource(group, version, resource);
      if (kind?.verbs.includes('list')) used.add(kind);
      return serveResource(resources, exchange);
    },
  });

  const used = new Set<Kind>();
  /** Of each resource one version; definitions change and go. */
  function usedNow(): Kind[] {
    const byResource = new Map<string, Kind>();
    for (const kind of used) {
      if (scheme.byResource(kind.group, kind.version, kind.resource) === kind) byResource.set(hookKey(kind), kind);
      else used.delete(kind);
    }
    return [...byResource.values()];
  }
  let listener: Listener | undefined;
  let boundPort = options.port ?? 6443;
  let followers: Follower[] = [];
  let reloads: { close(): void } | undefined;

  return {
    async start() {
      const { replace } = authorization;
      reloads =
        options.authorizerSource &&
        followAuthorizers(options.authorizerSource, { replace, metrics: metrics.registry, clock, log });
      followers = [
        ...aggregation.follow(stopped.signal),
        ...authorization.follow(stopped.signal),
        ...admitting.follow({ signal: stopped.signal, clock, log }),
        ...operations.follow(stopped.signal),
        ...followDefinitions({
          registry,
          webhooks: admitting.client,
          user: SERVER_USER,
          metrics: metrics.registry,
          clock,
          log,
          signal: stopped.signal,
        }),
      ];
      await Promise.all(followers.map((each) => each.synced));
      listener = await listen({
        address,
        port: boundPort,
        serving: pki.apiserver,
        caPem: pki.caPem,
        proxyCaPem: pki.frontProxyCaPem,
        goawayChance: options.goawayChance ?? 0,
        random,
        onTlsError: () => metrics.tlsErrors.inc(),
        onRequest: (request, peer) => void pipeline.serve(request, peer),
        onUpgrade: (request, socket, head, peer) => void pipeline.upgrade(request, socket, head, peer),
        onProblem: (error, what) => log.error({ err: error, what }, 'listener problem'),
      });
      boundPort = listener.port;
      await bootstrap({
        registry,
        rbac: authorization.defaults,
        caPem: pki.caPem,
        frontProxyCaPem: pki.frontProxyCaPem,
        requestHeaders,
        serviceCidr: `${formatAddress(range.base)}/${range.cidr.split('/')[1]}`,
        serviceIp: formatAddress(range.base + 1),
        advertiseAddress: options.advertiseAddress ?? address,
        port: boundPort,
        log,
      });
      await aggregation.register();
      await operations.start();
      await countAllocated();
      state = 'ready';
      void addresses
        .repair(async (owner) => (await registry.find(kinds.services, owner.namespace, owner.name)) !== undefined)
        .catch((error) => log.warn({ err: error }, 'could not check the allocated service addresses'));
      const host = address === '0.0.0.0' ? '127.0.0.1' : address;
      log.info({ address, port: boundPort }, 'serving');
      return { url: `https://${host}:${boundPort}`, port: boundPort };
    },

    async stop() {
      // Load balancers see it and go elsewhere, while requests are still served.
      state = 'stopping';
      if (options.shutdownDelayMs) await sleep(clock, options.shutdownDelayMs);
      pipeline.stop();
      outbound.close();
      await listener?.close(options.shutdownGraceMs ?? SHUTDOWN_GRACE_MS);
      admitting.close();
      stopped.abort();
      reloads?.close();
      await operations.stop();
      await Promise.all([...followers.map((each) => each.done), aggregation.stopped()]);
      await caches.stop();
    },
  };
}
